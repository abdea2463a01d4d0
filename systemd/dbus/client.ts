/**
 * The implementation of {@link Systemd} over D-Bus.
 *
 * @module
 */

import { type Job, type JobResult, nameTaken, type SystemdChange, SystemdError, type UnitStatus } from "../port.ts";
import type { GeneratingSystemd } from "../quadlet/client.ts";
import type { UnitDirectory } from "../unit_directory.ts";
import { templateOf } from "../unit_name.ts";
import type { BusConnector, Signal, Variant } from "./transport.ts";
import type { Log } from "../../runtime/log.ts";
import { ChangeFeed } from "./change_feed.ts";
import { DropIns } from "./drop_ins.ts";
import { Installer, named } from "./installer.ts";
import { PendingJobs } from "./pending_jobs.ts";
import type { LoadLog } from "./load_log.ts";
import { Manager } from "./manager.ts";
import { subscribe } from "./signals.ts";
import { Ownership, unitMasked } from "./ownership.ts";
import { ReconnectingBus } from "./reconnecting.ts";
import { StatusCache } from "./status_cache.ts";
import { TransientCommands } from "./transient_commands.ts";
import { notFoundStatus, readStatuses } from "./status_reader.ts";

/** The parts of a {@link DbusSystemd}. */
export interface DbusSystemdParts {
  readonly connector: BusConnector;
  readonly directory: UnitDirectory;
  /** The same directory, as systemd sees it. */
  readonly pathForSystemd: string;
  /** fleet's directory of files that a generator makes units of, if there is one. */
  readonly generatedFrom?: string;
  readonly log: Log;
  readonly loadLog: LoadLog;
}

const noSuchUnit = "org.freedesktop.systemd1.NoSuchUnit";
const noSuchProcess = "org.freedesktop.systemd1.NoSuchProcess";
const noUnitForPid = "org.freedesktop.systemd1.NoUnitForPID";
const unknownObject = "org.freedesktop.DBus.Error.UnknownObject";
const badUnitSetting = "org.freedesktop.systemd1.BadUnitSetting";
const onlyByDependency = "org.freedesktop.systemd1.OnlyByDependency";

/** {@link Systemd} over org.freedesktop.systemd1(5). */
export class DbusSystemd implements GeneratingSystemd {
  readonly #pid: number;
  readonly #directory: UnitDirectory;
  readonly #session: ReconnectingBus;
  readonly #manager: Manager;
  readonly #installer: Installer;
  readonly #ownership: Ownership;
  readonly #dropIns: DropIns;
  readonly #loadLog: LoadLog;
  /** Names that belong to other units, as {@link check} found. */
  #taken: ReadonlySet<string> = new Set();
  readonly #cache = new StatusCache();
  readonly #changes = new ChangeFeed();
  readonly #jobs = new PendingJobs();
  readonly #commands: TransientCommands;

  constructor({ connector, directory, pathForSystemd, generatedFrom, log, loadLog }: DbusSystemdParts) {
    this.#loadLog = loadLog;
    this.#pid = connector.pid;
    this.#directory = directory;
    this.#session = new ReconnectingBus(connector, {
      subscribe: async (bus) => {
        await subscribe(bus);
        this.#cache.track(await directory.names());
      },
      signal: (signal) => this.#signal(signal),
      lost: () => {
        this.#cache.clear();
        this.#jobs.lost();
      },
      back: () => this.#changes.notifyAll(),
      log,
    });
    this.#manager = new Manager(this.#session);
    this.#commands = new TransientCommands(this.#manager, this.#jobs);
    this.#dropIns = new DropIns(this.#manager, (message) => log("info", message));
    const cache = this.#cache;
    const ownership = this.#ownership = new Ownership(this.#manager, pathForSystemd, generatedFrom);
    this.#installer = new Installer({ manager: this.#manager, directory, pathForSystemd, cache, ownership });
  }

  ready(): Promise<void> {
    return this.#session.ready();
  }

  async files(): Promise<ReadonlyMap<string, string>> {
    try {
      const files = await this.#directory.list();
      this.#cache.track(files.keys());
      return files;
    } catch (cause) {
      throw new SystemdError((cause as Error).message, "file", { cause });
    }
  }

  async install(files: ReadonlyMap<string, string>): Promise<ReadonlyMap<string, SystemdError>> {
    await this.#session.standing(); // Fails before any file is touched.
    return await this.#installer.install(files);
  }

  async uninstall(names: ReadonlySet<string>): Promise<ReadonlyMap<string, SystemdError>> {
    await this.#session.standing();
    return await this.#installer.uninstall(names);
  }

  async check(): Promise<ReadonlyMap<string, SystemdError>> {
    await this.#session.standing();
    const files = await this.files();
    try {
      const unlinked = await this.#installer.relink(files);
      await this.#installer.reloadIfNeeded();
      const refusals = await this.#ownership.refusals(files.keys(), new Set(files.keys()));
      for (const [name, failure] of unlinked) if (!refusals.has(name)) refusals.set(name, failure);
      this.#taken = new Set([...refusals].filter(([_, { code }]) => code === nameTaken).map(([name]) => name));
      await this.#dropIns.look(new Set([...files.keys()].filter((name) => !refusals.has(name))));
      return refusals;
    } catch (error) {
      throw named("cannot compare fleet's unit files with what systemd has", error);
    }
  }

  track(names: Iterable<string>): void {
    this.#cache.track(names);
  }

  untrack(name: string): void {
    this.#cache.untrack(name);
  }

  async reload(): Promise<void> {
    await this.#session.standing();
    await this.#installer.reload();
  }

  resetFailed(name: string): Promise<void> {
    return this.#installer.resetFailed(name);
  }

  async foreignUnits(names: ReadonlySet<string>): Promise<ReadonlyMap<string, SystemdError>> {
    await this.#session.standing();
    return await this.#ownership.refusals(names, names);
  }

  loadProblems(name: string): Promise<readonly string[]> {
    return this.#loadLog(name);
  }

  async reloadIfNeeded(): Promise<boolean> {
    await this.#session.standing();
    return await this.#installer.reloadIfNeeded();
  }

  start(name: string): Promise<Job> {
    return this.#queue("StartUnit", "start", name);
  }

  restart(name: string): Promise<Job> {
    return this.#queue("RestartUnit", "restart", name);
  }

  async stop(name: string): Promise<Job> {
    try {
      return await this.#queue("StopUnit", "stop", name);
    } catch (error) {
      const { code } = error as SystemdError;
      const isStopped = code === noSuchUnit || code === nameTaken ||
        code === onlyByDependency && await this.#rests(name);
      if (!isStopped) throw error;
      return { unit: name, done: Promise.resolve("done") };
    }
  }

  async kill(name: string): Promise<void> {
    if ((await this.#refusal(name, false))?.code === nameTaken) return;
    try {
      await this.#manager.killUnit(name);
    } catch (error) {
      const { code } = error as SystemdError;
      if (code !== noSuchUnit && code !== noSuchProcess) throw named(`cannot kill "${name}"`, error);
    }
  }

  async #rests(name: string): Promise<boolean> {
    const status = (await this.statuses(new Set([name]))).get(name);
    return status?.active === "inactive" || status?.active === "failed";
  }

  async #queue(member: "StartUnit" | "RestartUnit" | "StopUnit", verb: string, name: string): Promise<Job> {
    const queue = () => this.#manager.queue(member, name, (job) => this.#jobs.add(job, name));
    try {
      const refusal = await this.#refusal(name, member !== "StopUnit");
      // A unit of fleet's that was masked later can be stopped.
      if (refusal && !(member === "StopUnit" && refusal.code === unitMasked)) throw refusal;
      try {
        return await queue();
      } catch (error) {
        if (member === "StopUnit" || !this.#cache.tracks(name)) throw error;
        if ((error as SystemdError).code !== noSuchUnit) throw error;
        // The link may be gone. Or systemd has not seen the file: it looks for new files when the time of a directory has
        // changed, and on kernels with coarse file times two links within one tick change it only once.
        const failure = (await this.#installer.relink(await this.files())).get(name);
        if (failure) throw failure;
        await this.#installer.reload();
        return await queue();
      }
    } catch (error) {
      throw named(`cannot ${verb} "${name}"`, await this.#explained(name, error));
    }
  }

  /**
   * Returns why the name is not fleet's; undefined if it is. `mend` links the unit again first: systemd uses the
   * template's file for an instance that has lost its link, and a file that blocked the link may be gone.
   */
  async #refusal(name: string, mend: boolean): Promise<SystemdError | undefined> {
    const refusal = await this.#ownership.refusal(name);
    if (!refusal || !mend || !this.#cache.tracks(name)) return refusal;
    if (templateOf(name) === undefined && !this.#ownership.hasForeignLink(name)) return refusal;
    await this.#installer.relink(await this.files());
    await this.#installer.reloadIfNeeded();
    return await this.#ownership.refusal(name);
  }

  /** Adds the bad settings to an error about them: the D-Bus error does not name them, systemd's log does. */
  async #explained(name: string, error: unknown): Promise<unknown> {
    if (!(error instanceof SystemdError) || error.code !== badUnitSetting) return error;
    const problems = await this.#loadLog(name);
    if (problems.length === 0) return error;
    const message = `${error.message.replace(/\.$/, "")} (${problems.join("; ")})`;
    return new SystemdError(message, error.code, { cause: error });
  }

  async runAs(name: string, argv: readonly string[], timeout_ms: number): Promise<string | undefined> {
    await this.#session.standing();
    return await this.#commands.runAs(name, argv, timeout_ms);
  }

  async statuses(names: ReadonlySet<string>): Promise<ReadonlyMap<string, UnitStatus>> {
    await this.#session.standing(); // The cache is valid only while signals arrive.
    const tracked = new Set<string>(), others = new Set<string>();
    for (const name of names) (this.#cache.tracks(name) ? tracked : others).add(name);
    const kept = await readStatuses(this.#manager, this.#cache, tracked);
    for (const name of this.#taken) if (kept.has(name)) kept.set(name, notFoundStatus(name));
    if (others.size === 0) return kept;
    return new Map([...kept, ...await readStatuses(this.#manager, new StatusCache(), others)]);
  }

  watch(signal: AbortSignal): AsyncIterable<SystemdChange> {
    return this.#changes.watch(signal);
  }

  async ownJob(): Promise<string | undefined> {
    try {
      return await this.#manager.jobOfProcess(this.#pid);
    } catch (error) {
      const { code } = error as SystemdError;
      if (code === noUnitForPid || code === unknownObject) return undefined;
      throw named("cannot find the job of this process's own unit", error);
    }
  }

  close(): Promise<void> {
    return this.#session.close();
  }

  #signal({ path, member, args }: Signal): void {
    if (member === "PropertiesChanged") {
      const name = this.#cache.changed(path, args[1] as Record<string, Variant>);
      if (name !== undefined) this.#changes.notify(name);
    } else if (member === "JobRemoved") {
      this.#jobs.removed(String(args[1]), args[3] as JobResult);
    } else if (member === "Reloading" && args[0] === false) {
      this.#cache.reloaded();
      this.#dropIns.reloaded();
      this.#changes.notifyAll();
    } else if (member === "NameOwnerChanged" && args[1] !== "") {
      this.#session.restart(); // systemd has left the bus: signals were missed.
    }
  }
}
