/**
 * A cache of units' statuses that systemd's signals update.
 *
 * Replies and signals must be applied in the order in which they arrive: each is then at least as new as what it replaces.
 *
 * @module
 */

import type { UnitStatus } from "../port.ts";
import type { Variant } from "./transport.ts";
import type { UnitRow } from "./manager.ts";
import { resultInterface, unitObjectPath } from "./object_path.ts";

/** A field is undefined while it is unknown. LoadState is in no signal: for `load`, the unit is listed again. */
type Entry = { -readonly [Field in Exclude<keyof UnitStatus, "name">]-?: UnitStatus[Field] | undefined } & {
  /** True if systemd had the unit in memory. */
  resident: boolean;
  /** True if systemd loaded the unit's file without a problem, and has not read it again since. */
  wellLoaded: boolean;
};

/** A field that has a D-Bus property of its own. */
export type Property = "invocation" | "since_ms" | "result" | "restarts";

const unknownEntry: Entry = {
  load: undefined,
  active: undefined,
  sub: undefined,
  invocation: undefined,
  since_ms: undefined,
  result: undefined,
  restarts: undefined,
  resident: false,
  wellLoaded: false,
};

/** States in which a unit has no process. */
const resting: ReadonlySet<string | undefined> = new Set(["inactive", "failed"]);

/** Units that become active only by a start. A mount or a device also becomes active on its own. */
const startedOnly = /\.(service|socket|timer|path)$/;

/** Statuses of units by name, and of tracked units also by object path. */
export class StatusCache {
  readonly #entries = new Map<string, Entry>();
  readonly #tracked = new Map<string, string>();

  /** Applies the signals of these units from now on. */
  track(names: Iterable<string>): void {
    for (const name of names) this.#tracked.set(unitObjectPath(name), name);
  }

  untrack(name: string): void {
    this.#tracked.delete(unitObjectPath(name));
    this.#entries.delete(name);
  }

  tracks(name: string): boolean {
    return this.#tracked.has(unitObjectPath(name));
  }

  tracked(): string[] {
    return [...this.#tracked.values()];
  }

  /** Drops a unit's status, after its file has changed or systemd has unloaded it. */
  forget(name: string): void {
    this.#entries.delete(name);
  }

  /** Drops all statuses, after signals were missed. */
  clear(): void {
    this.#entries.clear();
  }

  /** Drops all load states, after a reload: no unit's signal reports it. */
  reloaded(): void {
    for (const entry of this.#entries.values()) Object.assign(entry, { load: undefined, wellLoaded: false });
  }

  /** Drops the load states of inactive units: systemd may unload such a unit, and its history, without a signal. */
  recheckResting(names: Iterable<string>): void {
    for (const name of names) {
      const entry = this.#entries.get(name);
      if (entry?.resident && resting.has(entry.active)) entry.load = undefined;
    }
  }

  /** Stores the row of a unit that systemd has in memory. */
  listed(name: string, row: UnitRow): void {
    const entry = this.#entry(name);
    const same = entry.active === row.active && entry.sub === row.sub && entry.resident;
    if (!same) Object.assign(entry, unknownEntry);
    const { load, active, sub } = row;
    Object.assign(entry, { load, active, sub, resident: true, wellLoaded: load === "loaded" });
  }

  /** Handles a unit that systemd has unloaded. True if its status is known, because systemd would load it as before. */
  dropped(name: string): boolean {
    const known = this.#entries.get(name)?.wellLoaded ?? false;
    if (known) this.listedAbsent(name, { load: "loaded", active: "inactive", sub: "dead" });
    else this.forget(name);
    return known;
  }

  /** True if systemd had the unit in memory at its last reply or signal. */
  resident(name: string): boolean {
    return this.#entries.get(name)?.resident ?? false;
  }

  /** Stores the row of a unit that systemd did not have in memory: such a unit has no history. */
  listedAbsent(name: string, row: Omit<UnitRow, "name">): void {
    const { load, active, sub } = row;
    this.#entries.set(name, {
      load,
      active,
      sub,
      invocation: "",
      since_ms: 0,
      result: "success",
      restarts: 0,
      resident: false,
      wellLoaded: load === "loaded",
    });
  }

  property(name: string, property: Property, value: unknown): void {
    const entry = this.#entry(name);
    if (property === "invocation") entry.invocation = (value as Uint8Array).toHex();
    else if (property === "since_ms") entry.since_ms = milliseconds(value as bigint);
    else if (property === "restarts") entry.restarts = Number(value);
    else entry.result = String(value);
  }

  /**
   * Applies PropertiesChanged of the Unit interface. Returns the unit's name if the unit is tracked and its status has
   * changed.
   */
  changed(path: string, properties: Readonly<Record<string, Variant>>): string | undefined {
    const name = this.#tracked.get(path);
    if (name === undefined) return undefined;
    const entry = this.#entry(name);
    const before = { ...entry };
    const { ActiveState, SubState, InvocationID, StateChangeTimestamp } = properties;
    if (ActiveState) entry.active = String(ActiveState.value);
    if (SubState) entry.sub = String(SubState.value);
    if (InvocationID) entry.invocation = (InvocationID.value as Uint8Array).toHex();
    if (StateChangeTimestamp) entry.since_ms = milliseconds(StateChangeTimestamp.value as bigint);
    const fields = ["active", "sub", "invocation", "since_ms"] as const;
    if (fields.every((field) => entry[field] === before[field])) return undefined;
    entry.result = isFreshlyActive(name, before.active, entry.active) ? "success" : undefined;
    // The first run is certainly no restart by systemd. A later run may be one, so NRestarts must be read.
    if (entry.invocation !== before.invocation) entry.restarts = before.invocation === "" ? 0 : undefined;
    // A unit that leaves an inactive state may have been loaded again.
    if (!before.resident || resting.has(before.active)) entry.load = undefined;
    // systemd starts only units whose file it has loaded without a problem.
    if (startedOnly.test(name) && resting.has(before.active) && isUp(entry.active)) {
      Object.assign(entry, { load: "loaded", wellLoaded: true });
    }
    entry.resident = true;
    return name;
  }

  /** True while the load, active or sub state is unknown. */
  unlisted(name: string): boolean {
    const entry = this.#entries.get(name);
    return entry?.load === undefined || entry.active === undefined || entry.sub === undefined;
  }

  /** Returns the unknown properties; none while it is unknown whether systemd has the unit in memory. */
  missing(name: string): Property[] {
    const entry = this.#entries.get(name);
    if (!entry?.resident) return [];
    const properties: Property[] = [];
    if (entry.invocation === undefined) properties.push("invocation");
    if (entry.since_ms === undefined) properties.push("since_ms");
    if (entry.result === undefined) {
      if (resultInterface(name)) properties.push("result");
      else entry.result = "success";
    }
    if (entry.restarts === undefined) {
      if (name.endsWith(".service") && !resting.has(entry.active)) properties.push("restarts");
      else entry.restarts = 0;
    }
    return properties;
  }

  /** Returns the status; undefined while a part of it is unknown. */
  status(name: string): UnitStatus | undefined {
    const entry = this.#entries.get(name);
    if (!entry) return undefined;
    const { load, active, sub, invocation, since_ms, result, restarts } = entry;
    if (load === undefined || active === undefined || sub === undefined) return undefined;
    if (invocation === undefined || since_ms === undefined || result === undefined) return undefined;
    if (restarts === undefined) return undefined;
    return { name, load, active, sub, result, invocation, since_ms, ...(restarts > 0 && { restarts }) };
  }

  #entry(name: string): Entry {
    return this.#entries.getOrInsertComputed(name, () => ({ ...unknownEntry }));
  }
}

/** True if a unit became active by a start, which resets its result to success. */
function isFreshlyActive(name: string, before: string | undefined, now: string | undefined): boolean {
  return startedOnly.test(name) && now === "active" && (resting.has(before) || before === "activating");
}

function isUp(active: string | undefined): boolean {
  return active === "active" || active === "activating";
}

/** systemd's timestamps are microseconds. */
function milliseconds(timestamp_us: bigint): number {
  return Number(timestamp_us / 1000n);
}
