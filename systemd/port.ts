/**
 * The port to systemd on one machine. It does not depend on D-Bus.
 *
 * Every implementation passes `tests/contract/systemd_suite.ts`. Names and values are those of
 * org.freedesktop.systemd1(5).
 *
 * @module
 */

/** A unit's status, as systemd reports it. */
export interface UnitStatus {
  readonly name: string;
  /** LoadState, for example `loaded` or `not-found`. */
  readonly load: string;
  /** ActiveState, for example `active`, `activating`, `failed`. */
  readonly active: string;
  /** SubState, for example `running`, `exited`, `dead`. */
  readonly sub: string;
  /** `Result` of the unit's type where it has one; `success` otherwise. */
  readonly result: string;
  /** InvocationID as 32 hexadecimal digits; "" if the unit has not run since systemd loaded it. */
  readonly invocation: string;
  /** StateChangeTimestamp, milliseconds since the epoch; 0 if none. */
  readonly since_ms: number;
  /** NRestarts of a service: automatic restarts since it was last started; absent if there were none. */
  readonly restarts?: number;
}

/** The result string of systemd's JobRemoved signal. */
export type JobResult =
  | "done"
  | "canceled"
  | "timeout"
  | "failed"
  | "dependency"
  | "skipped"
  | "invalid"
  | "assert"
  | "unsupported"
  | "collected"
  | "once"
  /** Not one of systemd's: the bus was lost before the job ended. The unit's status says how it ended. */
  | "unknown";

/** A job that systemd has accepted. */
export interface Job {
  readonly unit: string;
  /** Resolves when the job has left systemd's queue. Never rejects. */
  readonly done: Promise<JobResult>;
}

/** A change of units. It may name units that have not changed, and name them again later. */
export interface SystemdChange {
  /** Units of fleet's directory whose status may have changed; undefined: all of them (after a reload or a lost bus). */
  readonly units: ReadonlySet<string> | undefined;
}

/** The operations of systemd that an agent needs. Methods reject with {@link SystemdError}. */
export interface Systemd {
  /** Returns the text of every unit file in fleet's directory, by unit name. Other files are ignored. */
  files(): Promise<ReadonlyMap<string, string>>;
  /**
   * Writes each file atomically, with mode 0644, and links it as a runtime unit. A unit whose [Install] section has
   * options is enabled as well. Returns the failures by unit: the file of a failed unit is removed again, and the other
   * units are installed. Refused before anything is written: a name or an `Alias=` of another unit on the machine
   * ({@link nameTaken}), a masked unit, and a socket with `Accept=yes` whose service template is missing.
   */
  install(files: ReadonlyMap<string, string>): Promise<ReadonlyMap<string, SystemdError>>;
  /** Disables and unlinks units, resets their failures and removes their files. Units must be stopped first. */
  uninstall(names: ReadonlySet<string>): Promise<ReadonlyMap<string, SystemdError>>;
  /**
   * Links and enables units again that have lost their link or their enablement. Returns, by unit, why systemd does not
   * use fleet's file: {@link nameTaken}, `org.freedesktop.systemd1.UnitMasked`, or systemd's error of a link that cannot
   * be made. Until the next call, {@link statuses} returns `not-found` for a taken name. Logs drop-ins that change fleet's
   * units.
   */
  check(): Promise<ReadonlyMap<string, SystemdError>>;
  /** Returns what systemd logged when it last loaded a unit's file, such as unknown options; empty without a journal. */
  loadProblems(name: string): Promise<readonly string[]>;
  /** Reloads systemd if units that were installed or uninstalled need it. Returns whether it did. */
  reloadIfNeeded(): Promise<boolean>;
  /** StartUnit, mode `replace`. Resolves when systemd has accepted the job. Refuses a taken name. */
  start(name: string): Promise<Job>;
  /**
   * StopUnit, mode `replace`. Succeeds without a job for a unit that does not exist, for an inactive unit with
   * `RefuseManualStop=`, and for a taken name: the other unit is not stopped.
   */
  stop(name: string): Promise<Job>;
  /**
   * KillUnit: sends SIGKILL to all processes of a unit. Succeeds for a unit that does not exist or has no process, and for
   * a taken name: the other unit is not killed. The processes may end later.
   */
  kill(name: string): Promise<void>;
  /** RestartUnit, mode `replace`. Refuses a taken name. */
  restart(name: string): Promise<Job>;
  /**
   * Runs a command as a service of its own, with the user and the groups of the unit `name`. Returns why it has failed;
   * undefined if it has ended with status 0. A command that takes longer than `timeout_ms` is killed, and has failed.
   */
  runAs(name: string, argv: readonly string[], timeout_ms: number): Promise<string | undefined>;
  /** Returns the status of each unit; one that does not exist has load `not-found`, active `inactive`, sub `dead`. */
  statuses(names: ReadonlySet<string>): Promise<ReadonlyMap<string, UnitStatus>>;
  /**
   * Yields changes, coalesced: a slow reader receives one change with all names. Every change is reported that happens
   * after the first `next()` was called and {@link ready} has resolved, also across losses of D-Bus. Ends when `signal`
   * aborts.
   */
  watch(signal: AbortSignal): AsyncIterable<SystemdChange>;
  /** Resolves when the connection is open and subscribed to signals; rejects if the bus is unavailable. */
  ready(): Promise<void>;
  /** Returns JobType of the current job of this process's unit, for example `stop`; undefined without a job. */
  ownJob(): Promise<string | undefined>;
  close(): Promise<void>;
}

/** A refusal of systemd, or a failure to reach it. The message names the unit, path or address. */
export class SystemdError extends Error {
  override name = "SystemdError";
  /** `code`: the D-Bus error name where there is one, such as `org.freedesktop.systemd1.NoSuchUnit`; `unavailable` without a bus. */
  constructor(message: string, readonly code: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Code of a {@link SystemdError}: another unit on the machine has this name. */
export const nameTaken = "fleet.NameTaken";

/** Code of a {@link SystemdError}: a socket with `Accept=yes` whose service template is not on the machine. */
export const templateMissing = "fleet.TemplateMissing";

/** Code of a {@link SystemdError}: a Quadlet file on a machine without podman's generator. */
export const noQuadlet = "fleet.NoQuadlet";

/** Code of a {@link SystemdError}: podman's generator makes no service of a Quadlet file. */
export const quadletRefused = "fleet.QuadletRefused";

/** Code of a {@link SystemdError}: a Quadlet file refers to another one that is not on the machine yet. */
export const quadletMissing = "fleet.QuadletMissing";

/** Returns the message about a masked unit, with what to do for a mask in /etc or in /run. */
export function maskedMessage(name: string): string {
  return `"${name}" is masked on this machine: systemctl unmask ${name}, or systemctl unmask --runtime ${name}`;
}

/** Codes of refusals that repeat until a unit's file or the machine's configuration changes. */
const permanentCodes: ReadonlySet<string> = new Set([
  "org.freedesktop.systemd1.BadUnitSetting",
  "org.freedesktop.systemd1.JobTypeNotApplicable",
  "org.freedesktop.systemd1.LoadFailed",
  "org.freedesktop.systemd1.NoInstallInfo",
  "org.freedesktop.systemd1.OnlyByDependency",
  "org.freedesktop.systemd1.TransactionJobsConflicting",
  "org.freedesktop.systemd1.TransactionOrderIsCyclic",
  "org.freedesktop.systemd1.UnitMasked",
  nameTaken,
  templateMissing,
  noQuadlet,
  quadletRefused,
]);

/** True if systemd would refuse the command again until a unit's file or the machine's configuration changes. */
export function isPermanent(error: unknown): boolean {
  return error instanceof SystemdError && permanentCodes.has(error.code);
}
