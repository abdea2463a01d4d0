/**
 * systemd alone, over a D-Bus connection that is held open: the lower bound of fleet's times.
 *
 * Units are made as fleet makes them: a file in a directory below /run, linked as a runtime unit, under a name that is new to
 * systemd.
 *
 * @module
 */

import type { Bus, Signal } from "../systemd/dbus/transport.ts";
import { openBusConnector } from "../systemd/dbus/dbus_next.ts";
import { Manager, managerInterface, managerPath, systemdName } from "../systemd/dbus/manager.ts";
import type { Machine } from "../tests/lab/machine.ts";

const directory = "/run/bench";

/** systemd of one machine. */
export class Floor implements Disposable {
  readonly #jobs = new Map<string, (result: string) => void>();
  #bus!: Bus;
  #manager!: Manager;

  private constructor(private readonly machine: Machine) {}

  /** Connects, and listens to JobRemoved. */
  static async open(machine: Machine): Promise<Floor> {
    const floor = new Floor(machine);
    const connector = openBusConnector({ bus: machine.busAddress, timeout_ms: 60_000 });
    floor.#bus = await connector.connect({ signal: (signal) => floor.#onSignal(signal), closed: () => {} });
    floor.#manager = new Manager(floor.#bus);
    const daemon = "org.freedesktop.DBus";
    const rule = `type='signal',sender='${systemdName}',path='${managerPath}',interface='${managerInterface}',` +
      `member='JobRemoved'`;
    await floor.#bus.call({
      ...{ destination: daemon, path: "/org/freedesktop/DBus", interface: daemon },
      ...{ member: "AddMatch", signature: "s", args: [rule] },
    }, () => {});
    await floor.#manager.subscribe();
    Deno.mkdirSync(`${machine.root}${directory}`, { recursive: true });
    return floor;
  }

  /** Writes each unit file, and links all. */
  async install(names: readonly string[], text: string): Promise<void> {
    for (const name of names) await Deno.writeTextFile(`${this.machine.root}${directory}/${name}`, text);
    await this.#manager.linkUnitFiles(names.map((name) => `${directory}/${name}`), true, () => {});
  }

  /** Calls StartUnit for all at once; resolves at the last JobRemoved. Throws if a job fails. */
  async start(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#run("StartUnit", name)));
  }

  /** Calls StopUnit for all at once; resolves at the last JobRemoved. Throws if a job fails. */
  async stop(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#run("StopUnit", name)));
  }

  /** Removes the files and links of {@link install}. */
  async remove(names: readonly string[]): Promise<void> {
    await this.#manager.disableUnitFiles(names);
    for (const name of names) await Deno.remove(`${this.machine.root}${directory}/${name}`);
  }

  [Symbol.dispose](): void {
    this.#bus.close();
  }

  async #run(member: "StartUnit" | "StopUnit", name: string): Promise<void> {
    // The job is registered as its path is read: JobRemoved may be the very next message.
    const ended = await this.#manager.queue(member, name, (job) => {
      const promise = new Promise<string>((resolve) => this.#jobs.set(job, resolve));
      return { promise };
    });
    const result = await ended.promise;
    if (result !== "done") throw new Error(`${member} of ${name} on ${this.machine.name} ended with "${result}"`);
  }

  #onSignal({ args }: Signal): void {
    const job = String(args[1]);
    this.#jobs.get(job)?.(String(args[3]));
    this.#jobs.delete(job);
  }
}
