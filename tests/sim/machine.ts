/**
 * A simulated machine: its systemd, its state below /run, its network, and the daemon that runs on it, if any.
 *
 * @module
 */

import type { StoreMemory } from "../../registry/mod.ts";
import type { Intent, IntentMemory } from "../../daemon/agent/intent.ts";
import type { LeaseContact } from "../../daemon/policy/disconnection.ts";
import type { BusConnector, MethodCall } from "../../systemd/dbus/transport.ts";
import { DbusSystemd } from "../../systemd/dbus/client.ts";
import { FakeDirectory, FakeMachine } from "../../systemd/testing/fake_systemd.ts";
import { epoch_ms, type SimulatedProcess } from "./process.ts";
import type { Random } from "../support/random.ts";
import type { Timeline } from "./timeline.ts";

/** The state that daemons keep below /run/fleet. A reboot deletes it. */
export class RunDirectory {
  readonly #intents = new Map<string, Intent>();
  #lease: string | undefined;
  #store: StoreMemory | undefined;
  #contact: LeaseContact | undefined;

  constructor(private readonly incarnationId: string) {}

  /** Returns the state as one process sees it: a killed one writes nothing more. `wrote` is called after a write. */
  forProcess(process: SimulatedProcess, wrote: () => void) {
    const write = (work: () => void): Promise<void> => {
      if (!process.alive) return new Promise(() => {});
      work();
      wrote();
      // The write is in place, and the process may be killed before it hears of that.
      return process.alive ? Promise.resolve() : new Promise(() => {});
    };
    const intents: IntentMemory = {
      load: () => Promise.resolve(new Map(this.#intents)),
      save: (unit, intent) => write(() => this.#intents.set(unit, intent)),
      forget: (unit) => write(() => this.#intents.delete(unit)),
    };
    return {
      intents,
      incarnation: () => Promise.resolve(this.incarnationId),
      lease: () => Promise.resolve(this.#lease),
      saveLease: (lease: string | undefined) => write(() => this.#lease = lease),
      store: () => Promise.resolve(this.#store),
      saveStore: (store: StoreMemory | undefined) => write(() => this.#store = store),
      contact: () => Promise.resolve(this.#contact),
      saveContact: ({ renewedAt_ms, ttl_ms }: LeaseContact) => write(() => this.#contact = { renewedAt_ms, ttl_ms }),
    };
  }
}

/** Returns the ID of a machine. */
export const machineId = (index: number): string => `${index}`.repeat(8) + "0".repeat(24);

/** Commands to systemd that are checked. */
const commands: readonly string[] = ["StartUnit", "StopUnit", "RestartUnit", "KillUnit"];

/** A command that a daemon gives to systemd. */
export interface SystemdCommand {
  readonly member: string;
  readonly unit: string;
  /** True if the unit is active at that moment. */
  readonly wasActive: boolean;
}

export class SimulatedMachine {
  readonly id: string;
  readonly ip: string;
  systemd!: FakeMachine;
  run!: RunDirectory;
  /** Metadata of its configuration. */
  metadata: Record<string, string> = {};
  clockOffset_ms = 0;
  /** Until when nothing passes between the machine and the store, and until when messages are slow. */
  cutUntil_ms = 0;
  slowUntil_ms = 0;
  #boots = 0;

  constructor(
    readonly index: number,
    private readonly timeline: Timeline,
    private readonly random: Random,
    /** Called for each command of a daemon, just before systemd gets it. */
    private readonly commanded: (machine: SimulatedMachine, command: SystemdCommand) => void,
  ) {
    this.id = machineId(index);
    this.ip = `10.0.0.${index}`;
    this.boot();
  }

  /** Starts systemd again, without units, files and the state of daemons. */
  boot(): void {
    const slow = this.random.fork();
    // Some jobs take long, so that the agent has to wait for them.
    const later = (work: () => void) => this.timeline.after(slow.chance(0.1) ? slow.between(100, 4_000) : 2, work);
    this.systemd = new FakeMachine(() => Math.floor(this.timeline.now_ms()), later);
    this.run = new RunDirectory(`boot ${++this.#boots} of ${this.id}`);
  }

  /** The wall clock of the machine. */
  wall_ms(): number {
    return epoch_ms + this.timeline.now_ms() + this.clockOffset_ms;
  }

  /** The number of boots. */
  get boots(): number {
    return this.#boots;
  }

  /** Opens systemd for a process. */
  openSystemd(process: SimulatedProcess): DbusSystemd {
    const machine = this.systemd;
    const directory = new FakeDirectory(machine.files);
    const alive = <Args extends unknown[], T>(call: (...args: Args) => Promise<T>) => (...args: Args): Promise<T> =>
      process.alive ? call(...args) : new Promise(() => {});
    return new DbusSystemd({
      connector: this.#connector(machine, process),
      directory: {
        path: directory.path,
        exists: alive(() => directory.exists()),
        names: alive(() => directory.names()),
        list: alive(() => directory.list()),
        write: alive((name: string, text: string) => directory.write(name, text)),
        remove: alive((name: string) => directory.remove(name)),
      },
      pathForSystemd: directory.path,
      log: () => {},
      loadLog: () => Promise.resolve([]),
    });
  }

  /** The bus as one process sees it: replies and signals arrive through the process. */
  #connector(machine: FakeMachine, process: SimulatedProcess): BusConnector {
    const inner = machine.connector();
    return {
      address: inner.address,
      pid: inner.pid,
      pause: (duration_ms, signal) => process.clock.sleep(duration_ms, signal),
      connect: async (events) => {
        const bus = await inner.connect({
          signal: (signal) => process.deliver(() => events.signal(signal)),
          closed: (reason) => process.deliver(() => events.closed(reason)),
        });
        process.onKill(() => bus.close());
        return {
          close: () => bus.close(),
          call: <T>(call: MethodCall, receive: (body: readonly unknown[]) => T) =>
            new Promise<T>((resolve, reject) => {
              const send = () => {
                if (!process.alive) return;
                this.#report(machine, call);
                const received = (body: readonly unknown[]) =>
                  process.deliver(() => {
                    try {
                      resolve(receive(body));
                    } catch (error) {
                      reject(error);
                    }
                  });
                bus.call(call, received).catch((error) => process.deliver(() => reject(error)));
              };
              // Changes take time, so that a daemon can be killed between two of them.
              if (commands.includes(call.member)) this.timeline.after(1, () => send());
              else send();
            }),
        };
      },
    };
  }

  #report(machine: FakeMachine, { member, args }: MethodCall): void {
    if (machine !== this.systemd || !commands.includes(member)) return;
    const unit = String(args[0]);
    this.commanded(this, { member, unit, wasActive: machine.isActive(unit) });
  }
}
