/**
 * Unit files as text. Pure.
 *
 * @module
 */

import { serializeUnitFile, type UnitOption } from "../../../systemd/unit_file.ts";
import type { UnitOptionEntity } from "../../api/v1/types.ts";

/** Returns the options of a unit with every field. */
export function optionsOf(options: readonly UnitOptionEntity[] = []): readonly UnitOption[] {
  return options.map(({ section = "", name = "", value = "" }) => ({ section, name, value }));
}

/** Returns the text of the unit file that has these options. */
export function unitText(options: readonly UnitOptionEntity[] = []): string {
  return serializeUnitFile(optionsOf(options));
}
