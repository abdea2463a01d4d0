/**
 * The order in which units that are started together are queued.
 *
 * systemd orders jobs that are in its queue at the same time; a job that was queued earlier may run already. So a unit that
 * must start first is queued first. Rules of order: systemd.unit(5), `Before=` and `After=`, and the implicit ones of each
 * type's page.
 *
 * @module
 */

import type { UnitName } from "../../registry/model.ts";
import { topologicalSort } from "../../runtime/topological_sort.ts";
import type { Relations } from "../policy/relations.ts";

/** Unit types in the order of systemd's implicit rules: a socket starts before its service. */
const types = ["slice", "swap", "automount", "mount", "socket", "timer", "path", "service", "target"];

/** Returns units in the order in which to start them; the reverse for stops. Cycles are cut somewhere, as systemd does. */
export function startOrder(
  names: Iterable<UnitName>,
  relations: ReadonlyMap<UnitName, Pick<Relations, "after" | "before">>,
): UnitName[] {
  const sorted = [...names].sort(byType);
  const first = new Map<UnitName, Set<UnitName>>(sorted.map((name) => [name, new Set()]));
  for (const name of sorted) {
    for (const other of relations.get(name)?.after ?? []) first.get(name)!.add(other);
    for (const other of relations.get(name)?.before ?? []) first.get(other)?.add(name);
  }
  return topologicalSort(sorted, (name) => [...first.get(name)!].filter((other) => first.has(other)).sort(byType));
}

function byType(a: UnitName, b: UnitName): number {
  return rank(a) - rank(b) || depth(a) - depth(b) || (a < b ? -1 : a > b ? 1 : 0);
}

function rank(name: UnitName): number {
  const at = types.indexOf(name.slice(name.lastIndexOf(".") + 1));
  return at < 0 ? types.length : at;
}

/** The depth of a mount or slice, by the dashes in its name: a parent starts before its children. */
function depth(name: UnitName): number {
  return /\.(mount|automount|slice)$/.test(name) ? name.split("-").length : 0;
}
