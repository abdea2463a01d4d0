/**
 * Encodes and decodes the field `next` of a unit, see {@link NextVersion}.
 *
 * An older daemon keeps the field when it writes the unit with another file. The field therefore names the file that it
 * belongs to (`of`), and is ignored beside another one.
 *
 * @module
 */

import type { NextVersion, UnitName } from "../model.ts";
import { parseRequirements } from "../requirements.ts";
import type { UnitOption } from "../../systemd/unit_file.ts";

/** Returns the value of the field; undefined if no machine has another file, and none is waited for. */
export function encodeNext(of: string, next: NextVersion | undefined): Readonly<Record<string, unknown>> | undefined {
  if (!next) return undefined;
  const { hash, fleetOptions, machines, unproven } = next;
  if (machines.length + unproven.length === 0) return undefined;
  const options = fleetOptions.map(({ section, name, value }) => [section, name, value]);
  return { of, hash, options, machines, unproven };
}

/** The fields of the stored object. Their readers throw a {@link TypeError} if a field cannot be decoded. */
interface NextFields {
  text(name: string): string;
  list(name: string): readonly string[];
  options(name: string): readonly UnitOption[];
}

/** Returns the next version of a unit whose file has the hash `of`. */
export function nextIn(unit: UnitName, of: string, next: NextFields | undefined): { readonly next?: NextVersion } {
  if (next?.text("of") !== of) return {};
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
