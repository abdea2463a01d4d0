/**
 * What fleet asks of systemd on one machine, and nothing about D-Bus.
 *
 * Every implementation passes `tests/contract/systemd_suite.ts`. Names and values are those of
 * org.freedesktop.systemd1(5).
 *
 * @module
 */

/** What systemd says of one unit. */
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
  /** InvocationID as 32 hexadecimal digits; "" if it never ran since systemd loaded it. */
  readonly invocation: string;
  /** StateChangeTimestamp, milliseconds since the epoch; 0 if none. */
  readonly since_ms: number;
  /** NRestarts of a service: how often systemd itself has started it again since it was last started; absent if never. */
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
  /** Not systemd's: the bus was lost before the job's end was seen. Look at the unit instead. */
  | "unknown";

/** A job that systemd has accepted. */
export interface Job {
  readonly unit: string;
  /** Resolves when the job has left systemd's queue. Never rejects. */
  readonly done: Promise<JobResult>;
}

/** Something changed. Names may repeat, and a name may be told that has not changed. */
export interface SystemdChange {
  /** Units of fleet's directory whose status may have changed; undefined: any may have (bus lost and back, reload). */
  readonly units: ReadonlySet<string> | undefined;
}

/** systemd, as an agent needs it. Methods reject with {@link SystemdError}. */
export interface Systemd {
  /** Text of every unit file in fleet's directory, by unit name. Files that are not units are left alone. */
  files(): Promise<ReadonlyMap<string, string>>;
  /**
   * Writes each file (mode 0644, whole or not at all) and links it as a runtime unit; one with an [Install] section that
   * holds options is also enabled. One unit's failure does not hold up the others: it is in the returned map, and its
   * file is gone again. A name under which the machine has another unit is refused with {@link nameTaken} before anything
   * is written, as is an `Alias=` of such a name; a masked one likewise, and a socket with `Accept=yes` without the template of its service.
   */
  install(files: ReadonlyMap<string, string>): Promise<ReadonlyMap<string, SystemdError>>;
  /** Unlinks, disables, forgets the failure of, and removes each; "not loaded" is success. Stop them first. */
  uninstall(names: ReadonlySet<string>): Promise<ReadonlyMap<string, SystemdError>>;
  /**
   * Links and enables again every file of fleet's directory that has lost its link or its enablement, and returns by name
   * why systemd runs another file under a name, or none: code {@link nameTaken} or `org.freedesktop.systemd1.UnitMasked`, or
   * systemd's own where it cannot make a link.
   * Drop-ins of the machine that change a unit of fleet are logged. Until the next call, {@link statuses} says of a taken name what it says of a unit that does not exist.
   */
  check(): Promise<ReadonlyMap<string, SystemdError>>;
  /** What systemd logged when it last loaded a unit's file: unknown options, missing ones. Empty where it cannot be told. */
  loadProblems(name: string): Promise<readonly string[]>;
  /** Reloads systemd's configuration if what was installed or uninstalled since the last reload needs it. */
  reloadIfNeeded(): Promise<boolean>;
  /** StartUnit, mode `replace`. Resolves once systemd has accepted the job. Refuses a name that is taken. */
  start(name: string): Promise<Job>;
  /**
   * StopUnit, mode `replace`. A unit that systemd does not know is stopped already; so is one that rests and refuses to be
   * stopped, and one whose name is taken: the other unit is left alone.
   */
  stop(name: string): Promise<Job>;
  /** RestartUnit, mode `replace`. Refuses a name that is taken. */
  restart(name: string): Promise<Job>;
  /** ResetFailedUnit; "not loaded" is success. */
  resetFailed(name: string): Promise<void>;
  /** Status of each named unit; one that systemd does not know has load `not-found`, active `inactive`, sub `dead`. */
  statuses(names: ReadonlySet<string>): Promise<ReadonlyMap<string, UnitStatus>>;
  /**
   * Tells what changed, coalesced: a slow reader gets one change with all names. The listener is in place when the
   * iterator's first `next()` has been called and {@link ready} resolved. Ends when `signal` aborts; survives a D-Bus
   * that goes and comes back.
   */
  watch(signal: AbortSignal): AsyncIterable<SystemdChange>;
  /** Resolves when the connection stands and signals are subscribed to; rejects if the bus is not there. */
  ready(): Promise<void>;
  /** JobType of the job that runs for this process's own unit right now, for example `stop` or `restart`, if any. */
  ownJob(): Promise<string | undefined>;
  close(): Promise<void>;
}

/** systemd, or the way to it, refused. The message names the unit, path or address. */
export class SystemdError extends Error {
  override name = "SystemdError";
  /** D-Bus error name where there is one, for example `org.freedesktop.systemd1.NoSuchUnit`; `unavailable` if the bus is away. */
  readonly code: string;
  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Code of a {@link SystemdError}: the machine has another unit of this name. */
export const nameTaken = "fleet.NameTaken";

/** Code of a {@link SystemdError}: a socket with `Accept=yes` whose service template is not on the machine. */
export const templateMissing = "fleet.TemplateMissing";

/** What to do about a unit that is masked: a mask is in /etc, or in /run. */
export function maskedMessage(name: string): string {
  return `"${name}" is masked on this machine: systemctl unmask ${name}, or systemctl unmask --runtime ${name}`;
}

/** Codes of refusals that stay until a unit's file or the machine's configuration changes. */
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
]);

/** Whether systemd would refuse the same command again until a unit's file or the machine's configuration changes. */
export function isPermanent(error: unknown): boolean {
  return error instanceof SystemdError && permanentCodes.has(error.code);
}
