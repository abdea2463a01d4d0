/**
 * A simulated systemd without processes, with the interface of org.freedesktop.systemd1(5). It loads and unloads units
 * and reads files when systemd 252 does, as `tests/contract/systemd_suite.ts` checks.
 *
 * @module
 */

import type { JobResult } from "../port.ts";
import type { MethodCall, Signal, Variant } from "../dbus/transport.ts";
import { FakeFiles } from "./fake_files.ts";
import { type FakeBehavior, fakeBehavior } from "./fake_unit.ts";
import { managerInterface, managerPath, unitInterface } from "../dbus/manager.ts";
import { unitObjectPath, unitPathPrefix } from "../dbus/object_path.ts";

type JobType = "start" | "stop" | "restart";

interface LoadedUnit {
  readonly name: string;
  load: string;
  /** FragmentPath. */
  path: string;
  text: string | undefined;
  behavior: FakeBehavior;
  active: string;
  sub: string;
  result: string;
  invocation: string;
  since_ms: number;
}

interface FakeJob {
  readonly path: string;
  readonly type: JobType;
  readonly unit: LoadedUnit;
  /** True if the job has started; it ends with the unit's command. */
  running: boolean;
}

/** A D-Bus error reply. */
export class FakeDbusError extends Error {
  constructor(readonly code: string, message: string) {
    super(message);
  }
}

const noSuchUnit = "org.freedesktop.systemd1.NoSuchUnit";
const ownUnit = "fleet.service";

/** The state of a simulated systemd. */
export class FakeManager {
  readonly disk = new FakeFiles();
  /** All calls as `Member name…`, in order. */
  readonly calls: string[] = [];
  /** JobType of the job of this process's unit. */
  ownJob: string | undefined;
  /** True: jobs stay queued until {@link release}. */
  holding = false;
  readonly #memory = new Map<string, LoadedUnit>();
  /** {@link FakeFiles.wants} as it was at the latest reload. */
  #knownWants = new Set<string>();
  readonly #jobs = new Map<string, FakeJob>();
  readonly #failures: { member: string; name: string; error: FakeDbusError }[] = [];
  #jobId = 0;
  #invocation = 0;

  /** `later` runs work in a later turn of systemd's event loop; `emit` sends a signal. */
  constructor(
    private readonly now_ms: () => number,
    private readonly later: (work: () => void) => void,
    private readonly emit: (signal: Signal) => void,
  ) {}

  /** Makes the next call of a member for a unit fail. */
  failNext(member: string, name: string, error: FakeDbusError): void {
    this.#failures.push({ member, name, error });
  }

  /** Lets all calls succeed again. */
  failNoMore(): void {
    this.#failures.length = 0;
  }

  /** Returns the reply to a call. Throws {@link FakeDbusError}. */
  answer(call: MethodCall): unknown[] {
    const names = call.args.flat().filter((arg) => typeof arg === "string").map((arg) => arg.replace(/^.*\/(?=.)/, ""));
    this.calls.push([call.member, ...names].join(" "));
    const index = this.#failures.findIndex((it) =>
      it.member === call.member && (it.name === "" || names.includes(it.name))
    );
    if (index >= 0) throw this.#failures.splice(index, 1)[0]!.error;
    try {
      return this.#dispatch(call);
    } finally {
      this.#collect();
    }
  }

  #dispatch({ path, member, args }: MethodCall): unknown[] {
    const [first] = args;
    switch (member) {
      case "LinkUnitFiles":
        return this.#link(first as string[], args[2] === true);
      case "EnableUnitFiles":
        return this.#enable((first as string[])[0]!);
      case "DisableUnitFiles":
        return this.#disable(first as string[]);
      case "ResetFailedUnit":
        return this.#resetFailed(String(first));
      case "Reload":
        return this.#reload();
      case "StartUnit":
      case "RestartUnit":
        return [this.#start(String(first), member === "StartUnit" ? "start" : "restart")];
      case "StartTransientUnit":
        return [this.#startTransient(String(first), new Map(args[2] as [string, Variant][]))];
      case "StopUnit":
        return [this.#stop(this.#loaded(String(first)))];
      case "KillUnit":
        return this.#kill(this.#loaded(String(first)));
      case "ListUnitsByPatterns":
        return [[...this.#memory.values()].filter((unit) => matches(args[1] as string[], unit.name)).map(row)];
      case "ListUnitFilesByPatterns":
        return [this.disk.list().filter(([path]) => matches(args[1] as string[], path!.replace(/^.*\//, "")))];
      case "ListUnitsByNames":
        return [(first as string[]).map((name) => row(this.#load(name)))];
      case "Get":
        return [this.#property(path, String(args[1]))];
      case "GetUnitByPID":
        return [unitObjectPath(ownUnit)];
      default:
        return [];
    }
  }

  #stop(unit: LoadedUnit): string {
    if (unit.behavior.refusesManualStop) throw onlyByDependency(unit.name);
    return this.#queue(unit, "stop");
  }

  #link(paths: readonly string[], force: boolean): unknown[] {
    const names = paths.map((path) => path.slice(path.lastIndexOf("/") + 1));
    for (const [index, name] of names.entries()) {
      if (!this.disk.files.has(name)) throw new FakeDbusError(noSuchUnit, `Unit file ${paths[index]} does not exist.`);
      if (this.disk.blocked.has(name)) {
        throw new FakeDbusError(
          "org.freedesktop.systemd1.UnitExists",
          `File /run/systemd/system/${name} already exists.`,
        );
      }
      const alias = this.disk.aliases.get(name);
      if (!force && alias !== undefined) {
        throw new FakeDbusError(
          "org.freedesktop.systemd1.UnitExists",
          `File /run/systemd/system/${name} already exists and is a symlink to /run/fleet/units/${alias}.`,
        );
      }
    }
    for (const name of names) {
      this.disk.aliases.delete(name);
      this.disk.links.add(name);
    }
    return [[]];
  }

  #enable(name: string): unknown[] {
    const text = this.disk.files.get(name);
    if (text === undefined) throw new FakeDbusError(noSuchUnit, `Unit file ${name} does not exist.`);
    const { added, carriesInstallInfo } = this.disk.enable(name, text);
    return [carriesInstallInfo, added.map((link) => ["symlink", link, name])];
  }

  #disable(names: readonly string[]): unknown[] {
    if (!names.some((name) => this.disk.links.has(name) || this.disk.files.has(name))) {
      throw new FakeDbusError(noSuchUnit, `Unit file ${names[0]} does not exist.`);
    }
    for (const name of names) this.disk.disable(name);
    return [[]];
  }

  #resetFailed(name: string): unknown[] {
    const unit = this.#loaded(name);
    if (unit.active === "failed") this.#enter(unit, "inactive", "dead", "success");
    return [];
  }

  #reload(): unknown[] {
    this.emit(signal(managerPath, managerInterface, "Reloading", [true]));
    this.#knownWants = new Set(this.disk.wants);
    for (const unit of this.#memory.values()) this.#read(unit);
    for (const link of this.#knownWants) this.#load(link.slice(link.indexOf("/") + 1));
    this.emit(signal(managerPath, managerInterface, "Reloading", [false]));
    return [];
  }

  #start(name: string, type: JobType): string {
    if (/^[^@]*@\.[a-z]+$/.test(name)) {
      const message = `Unit name ${name} is missing the instance name.`;
      throw new FakeDbusError("org.freedesktop.DBus.Error.InvalidArgs", message);
    }
    const unit = this.#load(name);
    if (unit.load === "not-found") throw new FakeDbusError(noSuchUnit, `Unit ${name} not found.`);
    if (unit.load === "bad-setting") {
      const message = `Unit ${name} has a bad unit file setting.`;
      throw new FakeDbusError("org.freedesktop.systemd1.BadUnitSetting", message);
    }
    if (unit.load === "masked") {
      throw new FakeDbusError("org.freedesktop.systemd1.UnitMasked", `Unit ${name} is masked.`);
    }
    if (unit.behavior.refusesManualStart) throw onlyByDependency(name);
    const job = this.#queue(unit, type);
    for (const wanted of unit.behavior.wants) {
      const other = this.#load(wanted);
      if (other.load === "loaded" && other.active !== "active") this.#queue(other, "start");
    }
    return job;
  }

  /** Starts a oneshot service without a file. A command that would run on meets its timeout at once. */
  #startTransient(name: string, properties: ReadonlyMap<string, Variant>): string {
    if (this.#memory.has(name)) {
      throw new FakeDbusError("org.freedesktop.systemd1.UnitExists", `Unit ${name} was already loaded.`);
    }
    const [[, argv]] = properties.get("ExecStart")!.value as [[string, readonly string[]]];
    const text = `[Service]\nType=oneshot\nExecStart=${argv.join(" ")}\n`;
    const behavior = fakeBehavior(name, text);
    const rest = { active: "inactive", sub: "dead", result: "success", invocation: "", since_ms: 0 };
    const unit: LoadedUnit = { name, load: "loaded", path: "", text, behavior, ...rest };
    this.#memory.set(name, unit);
    const job = this.#queue(unit, "start");
    this.later(() => {
      if (unit.active !== "activating") return;
      this.#enter(unit, "failed", "failed", "timeout");
      const running = this.#jobs.get(name);
      if (running) this.#remove(running, "failed");
    });
    return job;
  }

  /** Queues a job, mode `replace`: an equal job is shared, a different one cancels the job in the queue. */
  #queue(unit: LoadedUnit, type: JobType): string {
    const queued = this.#jobs.get(unit.name);
    if (queued?.type === type) return queued.path;
    if (queued) this.#remove(queued, "canceled");
    const job: FakeJob = { path: `/org/freedesktop/systemd1/job/${++this.#jobId}`, type, unit, running: false };
    this.#jobs.set(unit.name, job);
    this.later(() => {
      if (!this.holding) this.#run(job);
    });
    return job.path;
  }

  /** Runs the held jobs of one unit, or of all. */
  release(name?: string): void {
    for (const job of [...this.#jobs.values()]) if (name === undefined || job.unit.name === name) this.#run(job);
  }

  #run(job: FakeJob): void {
    const { unit, type } = job;
    if (this.#jobs.get(unit.name) !== job || job.running) return;
    if (type === "stop") {
      if (unit.active !== "inactive" && unit.active !== "failed") this.#enter(unit, "inactive", "dead", "success");
      this.#remove(job, "done");
    } else if (type === "start" && unit.active === "active") {
      this.#remove(job, "done");
    } else {
      this.#launch(job);
    }
    this.#collect();
  }

  #launch(job: FakeJob): void {
    const { unit } = job;
    const { activeSub, command, oneshot, serves } = unit.behavior;
    if (serves !== undefined) {
      // "Socket service … not loaded, refusing", and "… already active, refusing".
      const service = this.#load(serves);
      if (service.load !== "loaded" || service.active === "active") return this.#remove(job, "failed");
    }
    unit.invocation = (++this.#invocation).toString(16).padStart(32, "0");
    if (!oneshot) {
      this.#enter(unit, "active", activeSub, "success");
      this.#remove(job, "done");
      // The end of a process concerns no later one of its unit.
      const { invocation } = unit;
      const isSame = () => this.#memory.get(unit.name)?.invocation === invocation;
      if (command !== "runs") this.later(() => isSame() && this.exit(unit.name, command === "fails" ? 1 : 0));
    } else {
      job.running = true;
      this.#enter(unit, "activating", "start", "success");
      if (command !== "runs") this.exit(unit.name, command === "fails" ? 1 : 0);
    }
  }

  /** Ends all processes of a unit. A stop job that waits for them ends as well. */
  #kill(unit: LoadedUnit): unknown[] {
    if (unit.active === "inactive" || unit.active === "failed") return [];
    const job = this.#jobs.get(unit.name);
    if (job?.type === "stop") this.#run(job);
    else this.#enter(unit, "failed", "failed", "signal");
    if (job && job.type !== "stop") this.#remove(job, "failed");
    return [];
  }

  activeState(name: string): string {
    return this.#memory.get(name)?.active ?? "inactive";
  }

  /** Ends the unit's process. */
  exit(name: string, code: number): void {
    const unit = this.#memory.get(name);
    if (unit?.active !== "active" && unit?.active !== "activating") return;
    if (code !== 0) this.#enter(unit, "failed", "failed", "exit-code");
    else if (unit.behavior.remainAfterExit) this.#enter(unit, "active", "exited", "success");
    else this.#enter(unit, "inactive", "dead", "success");
    const job = this.#jobs.get(name);
    if (job?.running) this.#remove(job, code === 0 ? "done" : "failed");
    this.#collect();
  }

  #remove(job: FakeJob, result: JobResult): void {
    this.#jobs.delete(job.unit.name);
    const id = Number(job.path.slice(job.path.lastIndexOf("/") + 1));
    this.emit(signal(managerPath, managerInterface, "JobRemoved", [id, job.path, job.unit.name, result]));
  }

  #enter(unit: LoadedUnit, active: string, sub: string, result: string): void {
    Object.assign(unit, { active, sub, result, since_ms: this.now_ms() });
    const properties: Record<string, Variant> = {
      ActiveState: { signature: "s", value: active },
      SubState: { signature: "s", value: sub },
      InvocationID: { signature: "ay", value: bytes(unit.invocation) },
      StateChangeTimestamp: { signature: "t", value: BigInt(unit.since_ms) * 1000n },
    };
    const args = [unitInterface, properties, []];
    this.emit(signal(unitObjectPath(unit.name), "org.freedesktop.DBus.Properties", "PropertiesChanged", args));
  }

  /** Returns a unit in memory. Throws NoSuchUnit. */
  #loaded(name: string): LoadedUnit {
    const unit = this.#memory.get(name);
    if (!unit) throw new FakeDbusError(noSuchUnit, `Unit ${name} not loaded.`);
    return unit;
  }

  /** Returns a unit, loading it if it is not in memory. A unit without a file is looked for again. */
  #load(name: string): LoadedUnit {
    let unit = this.#memory.get(name);
    if (!unit) {
      const rest = { active: "inactive", sub: "dead", result: "success", invocation: "", since_ms: 0 };
      unit = { name, load: "not-found", path: "", text: undefined, behavior: fakeBehavior(name, ""), ...rest };
      this.#memory.set(name, unit);
    }
    if (unit.load === "not-found") this.#read(unit);
    return unit;
  }

  #read(unit: LoadedUnit): void {
    const { name } = unit;
    const found = this.disk.find(name);
    unit.path = found?.path ?? "";
    unit.text = found?.text;
    unit.behavior = fakeBehavior(name, unit.text ?? "");
    unit.load = unit.text !== undefined ? unit.behavior.load : found ? "masked" : "not-found";
  }

  /** Unloads inactive units that no other unit refers to. */
  #collect(): void {
    const referred = new Set([...this.#knownWants].map((link) => link.slice(link.indexOf("/") + 1)));
    for (const { active, behavior } of this.#memory.values()) {
      if (active !== "inactive") { for (const name of behavior.wants) referred.add(name); }
    }
    for (const { name, active } of this.#memory.values()) {
      if (active === "inactive" && !referred.has(name) && !this.#jobs.has(name)) this.#memory.delete(name);
    }
  }

  #property(path: string, property: string): Variant {
    if (path.startsWith("/org/freedesktop/systemd1/job/")) return { signature: "s", value: this.ownJob };
    if (path === unitObjectPath(ownUnit)) {
      const job = this.ownJob === undefined ? [0, "/"] : [1, "/org/freedesktop/systemd1/job/1"];
      return { signature: "(uo)", value: job };
    }
    const unit = this.#load(unitName(path));
    if (property === "Result") return { signature: "s", value: unit.result };
    if (property === "FragmentPath") return { signature: "s", value: unit.path };
    if (property === "DropInPaths") return { signature: "as", value: [] };
    if (property === "LoadState") return { signature: "s", value: unit.load };
    if (property === "ActiveState") return { signature: "s", value: unit.active };
    if (property === "UnitFileState") return { signature: "s", value: this.disk.state(unit.name) };
    if (property === "User" || property === "Group") return { signature: "s", value: "" };
    if (property === "SupplementaryGroups") return { signature: "as", value: [] };
    if (property === "DynamicUser") return { signature: "b", value: false };
    if (property === "Transient") return { signature: "b", value: unit.path === "" && unit.load === "loaded" };
    if (property === "ExecMainStatus") return { signature: "i", value: 1 };
    if (property === "NRestarts") return { signature: "u", value: 0 };
    if (property === "InvocationID") return { signature: "ay", value: bytes(unit.invocation) };
    if (property === "StateChangeTimestamp") return { signature: "t", value: BigInt(unit.since_ms) * 1000n };
    return { signature: "b", value: unit.load !== "not-found" && unit.text !== this.disk.find(unit.name)?.text };
  }
}

function onlyByDependency(name: string): FakeDbusError {
  const message = `Operation refused, unit ${name} may be requested by dependency only ` +
    "(it is configured to refuse manual start/stop).";
  return new FakeDbusError("org.freedesktop.systemd1.OnlyByDependency", message);
}

function signal(path: string, iface: string, member: string, args: readonly unknown[]): Signal {
  return { path, interface: iface, member, args };
}

/** Returns the columns of ListUnits(). */
function row({ name, load, active, sub }: LoadedUnit): unknown[] {
  return [name, name, load, active, sub, "", unitObjectPath(name), 0, "", "/"];
}

function matches(patterns: readonly string[], name: string): boolean {
  return patterns.length === 0 || patterns.includes(name);
}

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16));
}

/** The reverse of {@link unitObjectPath}. */
function unitName(path: string): string {
  const label = path.slice(unitPathPrefix.length);
  return label.replace(/_([0-9a-f]{2})/g, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
}
