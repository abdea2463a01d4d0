/**
 * Finds the units that must move together, because systemd may start one for another. Pure.
 *
 * @module
 */

import { unitNames } from "../../systemd/unit_file.ts";
import { parseUnitName } from "../../systemd/unit_name.ts";
import type { OldUnit } from "./old_cluster.ts";

/** Options that name units which systemd starts or stops together with this one, or which must be on its machine. */
const pulling = new Set([
  ...["Requires", "Requisite", "Wants", "BindsTo", "PartOf", "Upholds", "OnFailure", "OnSuccess"],
  ...["RequiredBy", "WantedBy", "UpheldBy", "Sockets", "Service", "Unit"],
  ...["MachineOf", "X-ConditionMachineOf"],
]);

/** Types of units that start the service of the same name. */
const activating = new Set(["socket", "timer", "path"]);

/** Returns the units in groups: within one, systemd may start a unit for another, between two it does not. */
export function relatedGroups(units: readonly OldUnit[]): string[][] {
  const groups = new Map(units.map(({ name }) => [name, [name]]));
  const join = (a: string, b: string) => {
    const [into, from] = [groups.get(a), groups.get(b)];
    if (!into || !from || into === from) return;
    into.push(...from);
    for (const name of from) groups.set(name, into);
  };
  for (const { name, options } of units) {
    for (const option of options.filter((option) => pulling.has(option.name))) {
      for (const other of unitNames(option.value, name)) join(name, other);
    }
    const parts = parseUnitName(name);
    if (parts && activating.has(parts.type)) join(name, `${parts.name}.service`);
  }
  return [...new Set(groups.values())];
}
