/**
 * systemd alone, asked over a D-Bus connection that is held open: the floor under anything fleet can do.
 *
 * Units are of the kind fleet makes: a file in a directory below /run, linked as a runtime unit, of a name that systemd
 * has never heard.
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
    const door = openBusConnector({ bus: machine.busAddress, timeout_ms: 60_000 });
    floor.#bus = await door.connect({ signal: (signal) => floor.#told(signal), closed: () => {} });
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

  /** Puts unit files in place: writes each, and links all. */
  async install(names: readonly string[], text: string): Promise<void> {
    for (const name of names) await Deno.writeTextFile(`${this.machine.root}${directory}/${name}`, text);
    await this.#manager.linkUnitFiles(names.map((name) => `${directory}/${name}`), true, () => {});
  }

  /** StartUnit of all at once; resolves at the last JobRemoved. Throws if one does not end well. */
  async start(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#run("StartUnit", name)));
  }

  /** StopUnit of all at once; resolves at the last JobRemoved. Throws if one does not end well. */
  async stop(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#run("StopUnit", name)));
  }

  /** Takes away what {@link install} put there. */
  async remove(names: readonly string[]): Promise<void> {
    await this.#manager.disableUnitFiles(names);
    for (const name of names) await Deno.remove(`${this.machine.root}${directory}/${name}`);
  }

  [Symbol.dispose](): void {
    this.#bus.close();
  }

  async #run(member: "StartUnit" | "StopUnit", name: string): Promise<void> {
    // The job is noted as its path is read: JobRemoved may be the very next message.
    const ended = await this.#manager.queue(member, name, (job) => {
      const promise = new Promise<string>((resolve) => this.#jobs.set(job, resolve));
      return { promise };
    });
    const result = await ended.promise;
    if (result !== "done") throw new Error(`${member} of ${name} on ${this.machine.name} ended with "${result}"`);
  }

  #told({ args }: Signal): void {
    const job = String(args[1]);
    this.#jobs.get(job)?.(String(args[3]));
    this.#jobs.delete(job);
  }
}
