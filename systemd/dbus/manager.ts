/**
 * Typed calls of org.freedesktop.systemd1.Manager(5), as far as they are used.
 *
 * @module
 */

import type { Bus, Variant } from "./transport.ts";
import { unitObjectPath } from "./object_path.ts";

export const systemdName = "org.freedesktop.systemd1";
export const managerPath = "/org/freedesktop/systemd1";
export const managerInterface = "org.freedesktop.systemd1.Manager";
export const unitInterface = "org.freedesktop.systemd1.Unit";
export const serviceInterface = "org.freedesktop.systemd1.Service";
export const propertiesInterface = "org.freedesktop.DBus.Properties";

/** A reload reads every unit file of the machine again. */
const reloadTimeout_ms = 180_000;

/** The columns of ListUnits() that are used here. */
export interface UnitRow {
  readonly name: string;
  readonly load: string;
  readonly active: string;
  readonly sub: string;
}

/** The part of a connection that calls need. */
export type Caller = Pick<Bus, "call">;

/** With more names, all units are listed: systemd matches each pattern against each unit. */
const maxPatterns = 16;

/** systemd's manager object. Every method rejects with `SystemdError`. */
export class Manager {
  constructor(private readonly bus: Caller) {}

  #call<T>(
    member: string,
    signature: string,
    args: readonly unknown[],
    receive: (body: readonly unknown[]) => T,
    timeout_ms?: number,
  ): Promise<T> {
    const method = { destination: systemdName, path: managerPath, interface: managerInterface, member, signature };
    return this.bus.call({ ...method, args, ...(timeout_ms !== undefined && { timeout_ms }) }, receive);
  }

  /** Subscribes to signals: systemd sends none on a bus without a subscriber. */
  subscribe(): Promise<void> {
    return this.#call("Subscribe", "", [], () => {});
  }

  /** Links files outside the search path into the runtime directory. `force`: replaces links to other files. */
  linkUnitFiles(paths: readonly string[], force: boolean, receive: () => void): Promise<void> {
    return this.#call("LinkUnitFiles", "asbb", [paths, true, force], receive);
  }

  /** Enables one unit until the next boot. */
  enableUnitFile(name: string): Promise<{ carriesInstallInfo: boolean; changed: boolean }> {
    return this.#call("EnableUnitFiles", "asbb", [[name], true, true], ([carries, changes]) => ({
      carriesInstallInfo: carries === true,
      changed: (changes as unknown[]).length > 0,
    }));
  }

  /** Removes every runtime symlink to the units' files, the link itself included. */
  disableUnitFiles(names: readonly string[]): Promise<void> {
    return this.#call("DisableUnitFiles", "asb", [names, true], () => {});
  }

  resetFailedUnit(name: string): Promise<void> {
    return this.#call("ResetFailedUnit", "s", [name], () => {});
  }

  reload(): Promise<void> {
    return this.#call("Reload", "", [], () => {}, reloadTimeout_ms);
  }

  /** Queues a job, mode `replace`; `receive` is given its object path. */
  queue<T>(member: "StartUnit" | "StopUnit" | "RestartUnit", name: string, receive: (job: string) => T): Promise<T> {
    return this.#call(member, "ss", [name, "replace"], ([job]) => receive(String(job)));
  }

  /** Starts a unit without a file, mode `fail`; `receive` is given the object path of its job. */
  startTransient<T>(
    name: string,
    properties: Readonly<Record<string, Variant>>,
    receive: (job: string) => T,
  ): Promise<T> {
    const args = [name, "fail", Object.entries(properties), []];
    return this.#call("StartTransientUnit", "ssa(sv)a(sa(sv))", args, ([job]) => receive(String(job)));
  }

  /** Sends SIGKILL to all processes of a unit. */
  killUnit(name: string): Promise<void> {
    return this.#call("KillUnit", "ssi", [name, "all", 9], () => {});
  }

  /** Returns the rows of the units that systemd has in memory. Loads no unit. */
  listLoaded<T>(names: readonly string[], receive: (rows: ReadonlyMap<string, UnitRow>) => T): Promise<T> {
    const wanted = new Set(names);
    const patterns = names.length <= maxPatterns ? names : [];
    return this.#call("ListUnitsByPatterns", "asas", [[], patterns], ([rows]) => {
      const found = new Map<string, UnitRow>();
      for (const row of rows as unknown[][]) if (wanted.has(String(row[0]))) found.set(String(row[0]), unitRow(row));
      return receive(found);
    });
  }

  /** Returns one row for each name, in order. Loads units that are not in memory. A row has the unit's primary name. */
  listByNames<T>(names: readonly string[], receive: (rows: readonly UnitRow[]) => T): Promise<T> {
    return this.#call("ListUnitsByNames", "as", [names], ([rows]) => receive((rows as unknown[][]).map(unitRow)));
  }

  /** Returns UnitFileState of the units that have a file, a link or a mask. Reads files, loads no unit. */
  listUnitFiles(names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const wanted = new Set(names);
    const patterns = names.length <= maxPatterns ? names : [];
    return this.#call("ListUnitFilesByPatterns", "asas", [[], patterns], ([rows]) => {
      const named = (rows as string[][]).map(([path, state]) =>
        [path!.slice(path!.lastIndexOf("/") + 1), state!] as const
      );
      return new Map(named.filter(([name]) => wanted.has(name)));
    });
  }

  /** Reads a property of a unit. Loads a unit that is not in memory. */
  unitProperty<T>(name: string, iface: string, property: string, receive: (value: unknown) => T): Promise<T> {
    return this.#property(unitObjectPath(name), iface, property, receive);
  }

  /**
   * Returns JobType of the job of the unit that a process belongs to; undefined without a job. `pid` must not be 0, which
   * means the caller: it crashes a systemd 252 that runs in a container and cannot see the caller.
   */
  async jobOfProcess(pid: number): Promise<string | undefined> {
    const path = await this.#call("GetUnitByPID", "u", [pid], ([unit]) => String(unit));
    const [id, job] = await this.#property(path, unitInterface, "Job", (value) => value as [number, string]);
    if (id === 0) return undefined;
    return await this.#property(job, "org.freedesktop.systemd1.Job", "JobType", String);
  }

  #property<T>(path: string, iface: string, property: string, receive: (value: unknown) => T): Promise<T> {
    const args = [iface, property];
    return this.bus.call(
      { destination: systemdName, path, interface: propertiesInterface, member: "Get", signature: "ss", args },
      ([variant]) => receive((variant as Variant).value),
    );
  }
}

function unitRow(row: readonly unknown[]): UnitRow {
  return { name: String(row[0]), load: String(row[2]), active: String(row[3]), sub: String(row[4]) };
}
