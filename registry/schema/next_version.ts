/**
 * Encodes and decodes the field `next` of a unit, see {@link NextVersion}.
 *
 * An older daemon keeps the field when it writes the unit with another file. The field therefore names the file that it
 * belongs to (`of`) and the number of that version, and is ignored beside another one.
 *
 * @module
 */

import type { NextVersion, Unit, UnitName } from "../model.ts";
import { parseRequirements } from "../requirements.ts";
import type { UnitOption } from "../../systemd/unit_file.ts";

/** The file that a unit has, and its versions. */
type OwnFile = Pick<Unit, "hash" | "versions">;

/** Returns the value of the field; undefined if no machine has another file, and none is waited for. */
export function encodeNext(
  { hash: of, versions }: OwnFile,
  next: NextVersion | undefined,
): Readonly<Record<string, unknown>> | undefined {
  if (!next) return undefined;
  const { hash, fleetOptions, machines, unproven } = next;
  if (machines.length + unproven.length === 0) return undefined;
  const options = fleetOptions.map(({ section, name, value }) => [section, name, value]);
  return { of, version: versions?.at(-1)?.number, hash, options, machines, unproven };
}

/** The fields of the stored object. Their readers throw a {@link TypeError} if a field cannot be decoded. */
interface NextFields {
  text(name: string): string;
  optionalNumber(name: string): number | undefined;
  list(name: string): readonly string[];
  options(name: string): readonly UnitOption[];
}

/** Returns the next version of a unit with this file. */
export function nextIn(
  unit: UnitName,
  { hash: of, versions }: OwnFile,
  next: NextFields | undefined,
): { readonly next?: NextVersion } {
  if (next?.text("of") !== of) return {};
  const version = next.optionalNumber("version");
  if (version !== undefined && version !== versions?.at(-1)?.number) return {};
  const fleetOptions = next.options("options");
  return {
    next: {
      hash: next.text("hash"),
      fleetOptions,
      requirements: parseRequirements(unit, fleetOptions),
      machines: next.list("machines"),
      unproven: next.list("unproven"),
    },
  };
}
