/**
 * Checks the names that unit files claim with `Alias=`.
 *
 * Enabling a unit makes a runtime link for each alias. The link would take precedence over a distribution's file of that
 * name in /usr/lib/systemd/system (systemd.unit(5), "Unit File Load Path").
 *
 * @module
 */

import { nameTaken, SystemdError } from "../port.ts";
import { unrunnableName } from "../unit_name.ts";
import { installSection } from "./install_section.ts";
import type { Ownership } from "./ownership.ts";

/** Returns the reasons why files must not be enabled, by unit. `own`: names of the files in fleet's directory. */
export async function aliasRefusals(
  files: ReadonlyMap<string, string>,
  own: ReadonlySet<string>,
  ownership: Pick<Ownership, "refusals">,
): Promise<Map<string, SystemdError>> {
  const claims = [...files].flatMap(([name, text]) => {
    return installSection(name, text).aliases.map((alias) => ({ name, alias }));
  });
  const refusals = new Map<string, SystemdError>();
  if (claims.length === 0) return refusals;
  const names = new Set(claims.map(({ alias }) => alias));
  // The names count as fleet's own, because enabling has made the runtime links of those names.
  const taken = await ownership.refusals(names, names);
  for (const { name, alias } of claims) {
    const isUnit = own.has(alias) || files.has(alias);
    const why = unrunnableName(alias) ?? taken.get(alias)?.message ??
      (isUnit ? "a unit of fleet on this machine has that name" : undefined);
    if (why === undefined) continue;
    refusals.set(name, new SystemdError(`its Alias=${alias} is refused: ${why}`, nameTaken));
  }
  return refusals;
}
