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
import { parseUnitFile, UnitFileError } from "../../systemd/unit_file.ts";
import { expandSpecifiers } from "../../systemd/unit_name.ts";

/** The units that a unit file names in `After=` and `Before=`. */
export interface Ordering {
  readonly after: readonly UnitName[];
  readonly before: readonly UnitName[];
}

/** Reads a unit's ordering. A file that cannot be read has none. */
export function orderingOf(name: UnitName, text: string): Ordering {
  const after: UnitName[] = [];
  const before: UnitName[] = [];
  try {
    for (const { section, name: option, value } of parseUnitFile(text)) {
      if (section !== "Unit" || option !== "After" && option !== "Before") continue;
      const list = option === "After" ? after : before;
      // An empty value does not clear the list: these lists cannot be reset.
      list.push(...value.split(/\s+/).filter((word) => word !== "").map((word) => expandSpecifiers(word, name)));
    }
  } catch (error) {
    if (!(error instanceof UnitFileError)) throw error;
  }
  return { after, before };
}

/** Unit types in the order of systemd's implicit rules: a socket starts before its service. */
const types = ["slice", "swap", "automount", "mount", "socket", "timer", "path", "service", "target"];

/** Returns units in the order in which to start them; the reverse for stops. Cycles are cut somewhere, as systemd does. */
export function startOrder(
  names: Iterable<UnitName>,
  orderings: ReadonlyMap<UnitName, Ordering>,
): UnitName[] {
  const sorted = [...names].sort(byType);
  const first = new Map<UnitName, Set<UnitName>>(sorted.map((name) => [name, new Set()]));
  for (const name of sorted) {
    for (const other of orderings.get(name)?.after ?? []) first.get(name)!.add(other);
    for (const other of orderings.get(name)?.before ?? []) first.get(other)?.add(name);
  }
  const ordered = new Set<UnitName>();
  const begun = new Set<UnitName>();
  for (const member of sorted) {
    // An explicit stack: a chain may be longer than the call stack allows.
    const open = [member];
    for (let name = open.at(-1); name !== undefined; name = open.at(-1)) {
      if (begun.has(name)) {
        ordered.add(name);
        open.pop();
        continue;
      }
      begun.add(name);
      const others = [...first.get(name)!].filter((other) => first.has(other) && !begun.has(other)).sort(byType);
      for (const other of others.reverse()) open.push(other);
    }
  }
  return [...ordered];
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
