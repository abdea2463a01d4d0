/**
 * Reads statuses from systemd that a {@link StatusCache} does not have.
 *
 * @module
 */

import { SystemdError, type UnitStatus } from "../port.ts";
import { canBeLoaded } from "./ownership.ts";
import { type Manager, unitInterface } from "./manager.ts";
import { resultInterface } from "./object_path.ts";
import type { Property, StatusCache } from "./status_cache.ts";

/** Reads after which a unit that changes between all of them is given up. */
const maxRounds = 20;

const notFound = { load: "not-found", active: "inactive", sub: "dead" };

/** Returns the status of a unit that does not exist. */
export function notFoundStatus(name: string): UnitStatus {
  return { name, ...notFound, result: "success", invocation: "", since_ms: 0 };
}

/** D-Bus errors for a unit that was unloaded after it was listed. */
const vanishedCodes: ReadonlySet<string> = new Set([
  "org.freedesktop.DBus.Error.UnknownObject",
  "org.freedesktop.DBus.Error.UnknownInterface",
  "org.freedesktop.DBus.Error.UnknownProperty",
  "org.freedesktop.systemd1.NoSuchUnit",
]);

/** Returns the status of every name. Each is at least as new as every signal that arrived before the call. */
export async function readStatuses(
  manager: Manager,
  cache: StatusCache,
  wanted: ReadonlySet<string>,
): Promise<Map<string, UnitStatus>> {
  const names = [...wanted].filter(canBeLoaded);
  const statuses = new Map<string, UnitStatus>();
  const aliases = new Set<string>();
  cache.recheckResting(names);
  for (let round = 0; round < maxRounds && statuses.size < names.length; round++) {
    await fill(manager, cache, names.filter((name) => !statuses.has(name)), aliases);
    for (const name of names) {
      const status = statuses.has(name) ? undefined : cache.status(name);
      if (status) statuses.set(name, status);
    }
  }
  for (const name of aliases) cache.forget(name);
  for (const name of wanted) {
    if (statuses.has(name)) continue;
    if (canBeLoaded(name)) throw new SystemdError(`the state of "${name}" changes too fast to be read`, "unavailable");
    statuses.set(name, notFoundStatus(name));
  }
  return statuses;
}

/**
 * Reads everything that can be read at once. No property is read of a unit that must be listed first: systemd would load
 * a unit that it has unloaded.
 */
async function fill(manager: Manager, cache: StatusCache, names: readonly string[], aliases: Set<string>) {
  const unlisted = names.filter((name) => cache.unlisted(name));
  const listed = names.filter((name) => !cache.unlisted(name));
  const calls = listed.flatMap((name) => cache.missing(name).map((property) => fetch(manager, cache, name, property)));
  if (unlisted.length > 0) calls.push(list(manager, cache, unlisted, aliases));
  await Promise.all(calls);
}

async function list(manager: Manager, cache: StatusCache, names: readonly string[], aliases: Set<string>) {
  const absent = await manager.listLoaded(names, (rows) => {
    for (const [name, row] of rows) cache.listed(name, row);
    return names.filter((name) => !rows.has(name) && !cache.dropped(name));
  });
  if (absent.length === 0) return;
  await manager.listByNames(absent, (rows) => {
    // systemd leaves out invalid names; without any, rows are in the order of names.
    const byName = new Map(rows.map((row) => [row.name, row]));
    for (const [index, name] of absent.entries()) {
      const row = byName.get(name) ?? (rows.length === absent.length ? rows[index] : undefined);
      if (row && row.name !== name) {
        aliases.add(name); // Its signals have another object path, so its status cannot be cached.
        cache.listed(name, row);
      } else if (row && (row.active !== "inactive" || cache.resident(name))) {
        cache.listed(name, row); // The unit was started after the first call.
      } else {
        cache.listedAbsent(name, row ?? notFound);
      }
    }
  });
}

const unitProperties = { invocation: "InvocationID", since_ms: "StateChangeTimestamp" } as const;

async function fetch(manager: Manager, cache: StatusCache, name: string, property: Property): Promise<void> {
  const [iface, member] = property === "result" || property === "restarts"
    ? [resultInterface(name) ?? unitInterface, property === "result" ? "Result" : "NRestarts"]
    : [unitInterface, unitProperties[property]];
  try {
    await manager.unitProperty(name, iface, member, (value) => cache.property(name, property, value));
  } catch (error) {
    if (!(error instanceof SystemdError) || !vanishedCodes.has(error.code)) throw error;
    cache.forget(name);
  }
}
