/**
 * An in-memory systemd for tests: the D-Bus implementation on a simulated bus.
 *
 * @module
 */

import { SystemdError } from "../port.ts";
import type { Bus, BusConnector, BusEvents, MethodCall } from "../dbus/transport.ts";
import { FakeDbusError, FakeManager } from "./fake_manager.ts";
import { DbusSystemd } from "../dbus/client.ts";
import type { UnitDirectory } from "../unit_directory.ts";
import { validateUnitName } from "../unit_name.ts";

/** Methods that can be made to fail. */
export type FakeCall =
  | "link"
  | "enable"
  | "disable"
  | "resetFailed"
  | "reload"
  | "start"
  | "stop"
  | "kill"
  | "restart"
  | "list";

const members: Readonly<Record<FakeCall, string>> = {
  link: "LinkUnitFiles",
  enable: "EnableUnitFiles",
  disable: "DisableUnitFiles",
  resetFailed: "ResetFailedUnit",
  reload: "Reload",
  start: "StartUnit",
  stop: "StopUnit",
  kill: "KillUnit",
  restart: "RestartUnit",
  list: "ListUnitsByPatterns",
};

/**
 * The simulated machine of a {@link FakeSystemd}. It outlives the daemon: several can be opened on it, one after the other.
 *
 * Services whose command ends in `/false` or contains `exit 1` fail, those with `/true` or `exit 0` succeed, others run.
 */
export class FakeMachine {
  readonly #manager: FakeManager;
  readonly #connections = new Set<FakeConnection>();
  #away = false;
  #waiting: (() => void)[] = [];

  /**
   * `now_ms` returns the time of changes of state, milliseconds since the epoch; by default 1, 2, 3 … `later` runs a job, by
   * default at once.
   */
  constructor(now_ms?: () => number, later: (work: () => void) => void = queueMicrotask) {
    let turn = 0;
    this.#manager = new FakeManager(now_ms ?? (() => ++turn), later, (signal) => {
      for (const connection of this.#connections) connection.deliver(() => connection.events.signal(signal));
    });
  }

  /** The files of fleet's directory, by unit name. Tests may change them, as an administrator would. */
  get files(): Map<string, string> {
    return this.#manager.disk.files;
  }

  /** The links in the runtime directory. Tests may change them, as an administrator would. */
  get links(): Set<string> {
    return this.#manager.disk.links;
  }

  /** Names whose link cannot be made. Tests may change them. */
  get blocked(): Set<string> {
    return this.#manager.disk.blocked;
  }

  /** Runtime links under other names: file by alias. */
  get aliases(): ReadonlyMap<string, string> {
    return this.#manager.disk.aliases;
  }

  /** Files in /etc/systemd/system; undefined: the unit is masked. */
  get adminFiles(): Map<string, string | undefined> {
    return this.#manager.disk.adminFiles;
  }

  /** Returns what systemd logged when it loaded a unit's file. */
  loadLog(name: string): Promise<readonly string[]> {
    const isComplete = /^ExecStart=/m.test(this.files.get(name) ?? "");
    return Promise.resolve(isComplete ? [] : ["Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing"]);
  }

  /** Runtime symlinks `target/unit` that enabling has made. */
  get enabled(): ReadonlySet<string> {
    return this.#manager.disk.wants;
  }

  /** Every D-Bus call so far as `Member name…`. */
  get calls(): readonly string[] {
    return this.#manager.calls;
  }

  /** Removes a unit from a target's runtime `.wants`, as an administrator would. */
  removeWants(target: string, unit: string): void {
    this.#manager.disk.wants.delete(`${target}/${unit}`);
  }

  isActive(name: string): boolean {
    return this.#manager.activeState(name) === "active";
  }

  /** Runs `systemctl start`, `stop` or `daemon-reload` of an administrator. */
  systemctl(member: "StartUnit" | "StopUnit" | "Reload", ...args: string[]): void {
    this.#manager.answer({ destination: "", path: "", interface: "", member, signature: "", args });
  }

  /** The number of reloads so far. */
  get reloads(): number {
    return this.calls.filter((call) => call.startsWith("Reload")).length;
  }

  /** Sets JobType of the job of the daemon's unit. */
  set ownJob(type: string | undefined) {
    this.#manager.ownJob = type;
  }

  /** Makes the next such call for the unit `name` fail. For `reload`, `name` is "". */
  failNext(call: FakeCall, name: string, code = "org.freedesktop.DBus.Error.Failed"): void {
    this.#manager.failNext(members[call], name, new FakeDbusError(code, `made to fail: ${call} ${name}`));
  }

  /** Lets all calls succeed again. */
  failNoMore(): void {
    this.#manager.failNoMore();
  }

  /** Keeps jobs queued from now on. */
  holdJobs(): void {
    this.#manager.holding = true;
  }

  /** Runs the held jobs of one unit. */
  releaseJob(name: string): void {
    this.#manager.release(name);
  }

  /** Runs every held job, and holds no further ones. */
  releaseJobs(): void {
    this.#manager.holding = false;
    this.#manager.release();
  }

  /** Ends a unit's main process. */
  exit(name: string, code: number): void {
    this.#manager.exit(name, code);
  }

  /** Closes all connections and refuses new ones. */
  loseBus(): void {
    this.#away = true;
    for (const connection of [...this.#connections]) connection.end("the bus was taken away");
  }

  /** Accepts connections again. */
  restoreBus(): void {
    this.#away = false;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Returns a connector to this machine's bus. */
  connector(): BusConnector {
    return {
      address: "fake:",
      pid: 1,
      connect: (events) => {
        if (this.#away) return Promise.reject(new SystemdError("cannot connect to D-Bus at fake:", "unavailable"));
        const connection = new FakeConnection(this.#manager, events, () => this.#connections.delete(connection));
        this.#connections.add(connection);
        return Promise.resolve(connection);
      },
      pause: (_, signal) =>
        new Promise((resolve) => {
          if (!this.#away || signal.aborted) return resolve();
          this.#waiting.push(resolve);
          signal.addEventListener("abort", () => resolve());
        }),
    };
  }
}

/** {@link FakeMachine.files} as a directory. */
export class FakeDirectory implements UnitDirectory {
  readonly path = "/run/fleet/units";
  constructor(private readonly files: Map<string, string>) {}

  exists() {
    return Promise.resolve(true);
  }

  names() {
    return Promise.resolve([...this.files.keys()].filter((name) => validateUnitName(name) === undefined).sort());
  }

  async list() {
    return new Map((await this.names()).map((name) => [name, this.files.get(name) ?? ""]));
  }

  write(name: string, text: string) {
    if (validateUnitName(name) !== undefined) return Promise.reject(new Error(`cannot write "${name}"`));
    const changed = this.files.get(name) !== text;
    this.files.set(name, text);
    return Promise.resolve(changed);
  }

  remove(name: string) {
    this.files.delete(name);
    return Promise.resolve();
  }
}

class FakeConnection implements Bus {
  readonly #pending = new Set<(error: SystemdError) => void>();
  #gone = false;

  constructor(
    private readonly manager: FakeManager,
    readonly events: BusEvents,
    private readonly ended: () => void,
  ) {}

  call<T>(call: MethodCall, receive: (body: readonly unknown[]) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#gone) return reject(new SystemdError("D-Bus at fake: is away", "unavailable"));
      this.#pending.add(reject);
      const settle = (work: () => void) =>
        this.deliver(() => {
          this.#pending.delete(reject);
          work();
        });
      // Asynchronous, like a reply from a real bus.
      queueMicrotask(() => {
        if (this.#gone) return;
        try {
          const body = this.manager.answer(call);
          settle(() => resolve(receive(body)));
        } catch (error) {
          if (!(error instanceof FakeDbusError)) throw error;
          settle(() => reject(new SystemdError(error.message, error.code)));
        }
      });
    });
  }

  /** Delivers replies and signals in order. */
  deliver(work: () => void): void {
    queueMicrotask(() => {
      if (!this.#gone) work();
    });
  }

  close(): void {
    this.end("it was closed here");
  }

  end(reason: string): void {
    if (this.#gone) return;
    this.#gone = true;
    this.ended();
    this.events.closed(reason);
    for (const reject of this.#pending) reject(new SystemdError(`D-Bus at fake: is away: ${reason}`, "unavailable"));
    this.#pending.clear();
  }
}

/** {@link DbusSystemd} on a {@link FakeMachine}. */
export class FakeSystemd extends DbusSystemd {
  constructor(readonly machine: FakeMachine = new FakeMachine()) {
    const directory = new FakeDirectory(machine.files);
    super({
      connector: machine.connector(),
      directory,
      pathForSystemd: directory.path,
      log: () => {},
      loadLog: (name) => machine.loadLog(name),
    });
  }
}
