/**
 * What is known of units' status, kept true by systemd's signals.
 *
 * Replies and signals must be fed in the order in which they arrive: each is then at least as new as what it replaces.
 *
 * @module
 */

import type { UnitStatus } from "../port.ts";
import type { Variant } from "./transport.ts";
import type { UnitRow } from "./manager.ts";
import { resultInterface, unitObjectPath } from "./object_path.ts";

interface Entry {
  /** Undefined: to be listed again. LoadState never comes by signal. */
  load: string | undefined;
  active: string | undefined;
  sub: string | undefined;
  invocation: string | undefined;
  since_ms: number | undefined;
  result: string | undefined;
  /** NRestarts of a service. */
  restarts: number | undefined;
  /** systemd had it in memory. */
  resident: boolean;
  /** systemd had no complaint about its file, which it has not looked at again since. */
  wellLoaded: boolean;
}

/** A field that has a property of its own. */
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

/** States in which nothing of a unit runs. */
const resting: ReadonlySet<string | undefined> = new Set(["inactive", "failed"]);

/** Units of other types become active without being started: a disk is plugged in, somebody mounts it. */
const startedOnly = /\.(service|socket|timer|path)$/;

/** Status of units by name; those that are tracked also by object path. */
export class StatusCache {
  readonly #entries = new Map<string, Entry>();
  readonly #tracked = new Map<string, string>();

  /** Makes signals of these units count. */
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

  /** Forgets what is known of a unit: its file has changed, or systemd has dropped it from memory. */
  forget(name: string): void {
    this.#entries.delete(name);
  }

  /** Forgets everything: signals were missed. */
  clear(): void {
    this.#entries.clear();
  }

  /** systemd has reloaded, which it tells by no unit's signal. */
  reloaded(): void {
    for (const entry of this.#entries.values()) Object.assign(entry, { load: undefined, wellLoaded: false });
  }

  /** A unit that rests may be dropped from memory, and its history with it, without a signal that is listened to. */
  recheckResting(names: Iterable<string>): void {
    for (const name of names) {
      const entry = this.#entries.get(name);
      if (entry?.resident && resting.has(entry.active)) entry.load = undefined;
    }
  }

  /** A unit that systemd has in memory. */
  listed(name: string, row: UnitRow): void {
    const entry = this.#entry(name);
    const same = entry.active === row.active && entry.sub === row.sub && entry.resident;
    if (!same) Object.assign(entry, unknownEntry);
    const { load, active, sub } = row;
    Object.assign(entry, { load, active, sub, resident: true, wellLoaded: load === "loaded" });
  }

  /** A unit that systemd has dropped from memory. True if nothing has to be asked: it would be loaded as it was. */
  dropped(name: string): boolean {
    const known = this.#entries.get(name)?.wellLoaded ?? false;
    if (known) this.listedAbsent(name, { load: "loaded", active: "inactive", sub: "dead" });
    else this.forget(name);
    return known;
  }

  /** True if systemd had the unit in memory when it was last heard of. */
  resident(name: string): boolean {
    return this.#entries.get(name)?.resident ?? false;
  }

  /** A unit that systemd did not have in memory: it has no history. */
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
    if (property === "invocation") entry.invocation = hex(value as Uint8Array);
    else if (property === "since_ms") entry.since_ms = milliseconds(value as bigint);
    else if (property === "restarts") entry.restarts = Number(value);
    else entry.result = String(value);
  }

  /**
   * PropertiesChanged of the Unit interface. Returns the unit's name if it is tracked and something of its status has
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
    if (InvocationID) entry.invocation = hex(InvocationID.value as Uint8Array);
    if (StateChangeTimestamp) entry.since_ms = milliseconds(StateChangeTimestamp.value as bigint);
    const fields = ["active", "sub", "invocation", "since_ms"] as const;
    if (fields.every((field) => entry[field] === before[field])) return undefined;
    entry.result = isFreshlyActive(name, before.active, entry.active) ? "success" : undefined;
    // Only the first run is known to be none of systemd's own: on its way to another the unit may have been dead, too.
    if (entry.invocation !== before.invocation) entry.restarts = before.invocation === "" ? 0 : undefined;
    // It left its rest, and may have been loaded anew for that.
    if (!before.resident || resting.has(before.active)) entry.load = undefined;
    // Only what was loaded without complaint can be started.
    if (startedOnly.test(name) && resting.has(before.active) && isUp(entry.active)) {
      Object.assign(entry, { load: "loaded", wellLoaded: true });
    }
    entry.resident = true;
    return name;
  }

  /** True while load, active and sub state have to be asked for. */
  unlisted(name: string): boolean {
    const entry = this.#entries.get(name);
    return entry?.load === undefined || entry.active === undefined || entry.sub === undefined;
  }

  /** What else has to be asked for; nothing as long as it is not known whether systemd has the unit in memory. */
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

  /** The status, or undefined while something of it is not known. */
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
    let entry = this.#entries.get(name);
    if (!entry) this.#entries.set(name, entry = { ...unknownEntry });
    return entry;
  }
}

/** A start sets the result back to success, and a unit whose result is another one does not become active. */
function isFreshlyActive(name: string, before: string | undefined, now: string | undefined): boolean {
  return startedOnly.test(name) && now === "active" && (resting.has(before) || before === "activating");
}

function isUp(active: string | undefined): boolean {
  return active === "active" || active === "activating";
}

function hex(bytes: Uint8Array): string {
  let digits = "";
  for (const byte of bytes) digits += byte.toString(16).padStart(2, "0");
  return digits;
}

/** systemd's timestamps are microseconds. */
function milliseconds(timestamp_us: bigint): number {
  return Number(timestamp_us / 1000n);
}
