/**
 * The port to the cluster's data: every read and every change. It does not depend on how the data is stored.
 *
 * Every implementation passes `tests/contract/registry_suite.ts`.
 *
 * @module
 */

import type { FailedOn } from "./failed_on.ts";
import type { MaintenanceChange, MoveStep } from "./move_step.ts";
import type { Notifier } from "../runtime/notifier.ts";
import type { UnitOption } from "../systemd/unit_file.ts";
import type { ContentName } from "./attached_files.ts";
import type {
  App,
  AppName,
  Authorship,
  Cluster,
  DesiredState,
  MachineId,
  MachineRecord,
  MachineView,
  MassLoss,
  NextVersion,
  Revision,
  Rollout,
  RolloutStatus,
  RolloutStep,
  StepState,
  StoredContent,
  Target,
  Unit,
  UnitDelta,
  UnitName,
  UnitState,
} from "./model.ts";

export type { MaintenanceChange, MoveStep } from "./move_step.ts";

/** A unit's records in the store, as a writer read them. A write compares them with the store. */
export interface UnitRecord {
  readonly name: UnitName;
  readonly unit?: Unit;
  readonly target?: Target;
  readonly text?: string;
}

/** A unit file that is put into the store. */
export interface NewFile {
  readonly hash: string;
  /** Its serialized text. */
  readonly text: string;
  /** The options of its [X-Fleet] section. */
  readonly fleetOptions: readonly UnitOption[];
}

/** A unit file that is in the store already. */
export interface StoredFile extends Omit<NewFile, "text"> {
  /** The revision at which it was written. The write fails with {@link ConflictError} if the store has another one. */
  readonly revision: Revision;
}

/** A change of one unit. */
export type UnitChange =
  | {
    /**
     * Creates or updates a unit. The same transaction updates the assignment of a unit that is already placed: with the
     * desired state, the restart, and a new file if its [X-Fleet] options are unchanged. Otherwise the engine decides
     * again. `inactive` removes the unit from its machine.
     */
    readonly kind: "put";
    /** The record that was read before. The write fails with {@link ConflictError} if the store has another one. */
    readonly was: UnitRecord;
    /** The new file; omitted if only the desired state changes. */
    readonly file?: NewFile | StoredFile;
    readonly desiredState: DesiredState;
    /** True: requests a restart. */
    readonly restart?: boolean;
    /** True, with `restart`: starts the unit, and does not restart a running one. */
    readonly startOnly?: boolean;
    /** The author of the change, if known. */
    readonly changed?: Authorship;
    /** The contents that `file` names. The write fails with {@link ConflictError} if the store has lost one. */
    readonly contents?: readonly StoredContent[];
    /** The machine that has the unit already, which is its target if it has none. No effect on global and inactive units. */
    readonly placed?: Pick<Target, "machine" | "why" | "since_ms">;
    /** The app that the unit belongs to from now on. Omitted: it belongs to the same one as before, if to any. */
    readonly app?: AppName;
    /** The file of some machines; null: none. Omitted: as before, but none if the unit gets another file or is inactive. */
    readonly next?: NextVersion | null;
  }
  | { readonly kind: "delete"; readonly was: UnitRecord };

/** A change that an operator requests. Each is applied completely, in one transaction, or not at all. */
export type Change =
  | UnitChange
  /** Stores a content, which unit files can name from then on. Unless one does, it is deleted after a while. */
  | { readonly kind: "content"; readonly name: ContentName; readonly base64: string }
  | {
    /** Sets dynamic metadata; `value: ""` is a tombstone that hides a static key. Unknown machines are accepted. */
    readonly kind: "metadata";
    readonly machine: MachineId;
    readonly key: string;
    readonly value: string;
  }
  | MaintenanceChange
  /** Ends the wait after a mass loss: the engine gives up the machines that are missing. */
  | { readonly kind: "accept loss"; readonly was: MassLoss };

/** A roll-out that an operator begins. Its steps are in the order in which they are to be carried out. */
export interface RolloutStart
  extends Pick<Rollout, "app" | "what" | "changed" | "maxParallel" | "rollback" | "isUndo"> {
  readonly steps: readonly (UnitDelta & Pick<RolloutStep, "planned">)[];
  /** The texts of the files of its steps that the store may not have, by hash. */
  readonly files: ReadonlyMap<string, string>;
  /** The contents that the files name. The start fails with {@link ConflictError} if the store has lost one. */
  readonly contents?: readonly StoredContent[];
  /** The roll-out that it replaces; omitted if the app has none. */
  readonly was?: Rollout;
}

/** A change of a roll-out's progress. It is applied completely, in one transaction, or not at all. */
export interface RolloutUpdate {
  /** The roll-out as it was read. The update is refused if the store has another one. */
  readonly was: Rollout;
  readonly status: RolloutStatus;
  readonly reason?: string;
  /** The new states of steps, by their index; the other ones stay as they are. */
  readonly states?: ReadonlyMap<number, StepState>;
  /** Changes of the units of {@link states}: at most {@link maxUnitChanges}. */
  readonly units?: readonly UnitChange[];
  /** The app's record as it was read, to which an ended roll-out is added; omitted if there is none. */
  readonly app?: App;
  /** True: deletes the roll-out, which has ended, and the record of its app. */
  readonly forget?: true;
}

/** The largest number of units that one {@link RolloutUpdate} may change. */
export const maxUnitChanges = 30;

/** A change that the engine decides. Each is applied completely or not at all. */
export type Placement =
  | {
    /** Places a unit, moves it (`from` another machine), or updates its assignment (`from` the same machine). */
    readonly kind: "place";
    readonly unit: Unit;
    readonly machine: MachineId;
    /** The unit's target when the engine decided; omitted if it had none. */
    readonly from?: Target;
    readonly why: string;
    /** The machines that it has left because it failed there. */
    readonly failedOn?: FailedOn;
  }
  | { readonly kind: "unplace"; readonly unit: UnitName; readonly from: Target; readonly why: string }
  /**
   * Deletes the text of a unit file that no unit refers to or, with `size_bytes`, a content that no unit file names, unless
   * it was written again after `revision`.
   */
  | { readonly kind: "forget"; readonly hash: string; readonly size_bytes?: number; readonly revision: Revision };

/** Everything that the engine writes while it leads. */
export type EngineStep = Placement | MoveStep;

/** The answer to a request for a lock. */
export type LockOutcome =
  | { readonly kind: "locked" }
  /** Another machine has the lock. */
  | { readonly kind: "held"; readonly machine: MachineId }
  /** The store has another assignment than the requested one, or has changed meanwhile: look again. */
  | { readonly kind: "outdated" };

/** The locks of units that may run only once in the cluster, as one machine sees them. */
export interface UnitLocks {
  /** Takes the lock of a unit for a lease, if the unit's assignment to this machine still has `revision`. */
  take(unit: UnitName, revision: Revision, lease: string): Promise<LockOutcome>;
  /** Gives up the lock of a unit, if this machine has it. */
  release(unit: UnitName): Promise<void>;
  /** Reads which units this machine has the lock of. */
  held(): Promise<readonly UnitName[]>;
}

/** A step of the engine about a mass loss, see {@link MassLoss}. */
export type LossStep =
  /** Records the lost machines. `grace_s`: begins a wait, which the store ends after so many seconds. */
  | (Pick<MassLoss, "machines" | "since_ms" | "until_ms"> & { readonly kind: "await"; readonly grace_s?: number })
  /** Ends the wait, since all machines are back. */
  | { readonly kind: "resume" }
  /** Marks machines that are still missing as lost, and ends the wait. */
  | { readonly kind: "give up"; readonly machines: readonly MachineId[] };

/** A daemon's presence in the cluster: its machine record and unit states, bound to one lease. */
export interface Membership {
  /** TTL of the lease, milliseconds. */
  readonly ttl_ms: number;
  /**
   * Start of the latest call that renewed the lease while the store had the machine's record, milliseconds of the monotonic
   * clock: the record certainly exists for `ttl_ms` from then on, unless another program or a fault of the store deletes it.
   * Minus infinity before the first one.
   */
  readonly renewedAt_ms: number;
  /** Notified after each renewal of the lease. */
  readonly renewals: Notifier;
  /** Renews the lease at least every `interval_ms` from now on; Infinity: as often as its TTL needs. */
  renewEvery(interval_ms: number): void;
  /** The locks of units that may run only once in the cluster. */
  readonly locks: UnitLocks;
  /**
   * Publishes the states of all units on this machine. Writes only differences from the last states, in as few
   * transactions as possible. Resolves when the store has them. While the store is unavailable it waits, and a later call
   * replaces an earlier one.
   */
  publish(states: ReadonlyMap<UnitName, UnitState>): Promise<void>;
  /** Replaces the machine record, after its metadata or address changed. */
  update(machine: MachineRecord): Promise<void>;
  /**
   * The lease, an opaque text for {@link Registry.join} after a restart of the daemon. It changes with the lease, and is
   * empty after {@link leave}.
   */
  readonly lease: string;
  /** Revokes the lease: the record and states are deleted at once, and {@link Cluster.departed} lists the machine for a while. */
  leave(): Promise<void>;
}

/** The leadership among engines, until {@link signal} aborts. */
export interface Leadership {
  /** Aborted when the leadership is lost, or may be: its lease was not renewed in time by this machine's clock. */
  readonly signal: AbortSignal;
  /**
   * Applies placements, fenced by the leader key. Returns those that were refused because the store had changed: the
   * engine must plan again. Throws {@link DeposedError} if another engine leads.
   */
  apply(
    placements: readonly EngineStep[],
  ): Promise<{ readonly revision: Revision; readonly refused: readonly EngineStep[] }>;
  /**
   * Records a step of a mass loss, fenced by the leader key. Returns undefined if the store refused it: another engine
   * leads, or a machine that was to be given up is back.
   */
  recordLoss(step: LossStep): Promise<Revision | undefined>;
  /** Updates a roll-out, fenced by the leader key. Returns undefined if the store refused it: look again. */
  updateRollout(update: RolloutUpdate): Promise<Revision | undefined>;
  /** Gives up the leadership at once. */
  resign(): Promise<void>;
}

/** The identity of a store, which a daemon keeps across restarts to recognize a wrong store. */
export interface StoreMemory {
  readonly id: string;
  readonly revision: Revision;
}

/** Reads and changes the cluster's data. */
export interface Registry {
  /**
   * Opens the store. Creates the `cluster` ID of an empty store if nothing is remembered. Must succeed once before any
   * other call. Throws {@link WrongStoreError} if the store is not the remembered one, and {@link StoreUnavailableError}
   * if it does not answer in time.
   */
  open(remembered: StoreMemory | undefined): Promise<StoreMemory>;
  /** The store's ID and the highest revision seen so far. */
  readonly memory: StoreMemory | undefined;
  /**
   * Yields the whole cluster now, then after each change; a slow reader gets the newest only. Continues after lost
   * watches, compaction and outages of the store: it yields nothing until it has a complete view again. Ends when `signal`
   * aborts. Throws {@link WrongStoreError}.
   */
  watch(signal: AbortSignal): AsyncIterable<Cluster>;
  /** Yields the part of the cluster that concerns one machine, as {@link watch} does. */
  watchMachine(machine: MachineId, signal: AbortSignal): AsyncIterable<MachineView>;
  /**
   * Reads the cluster. The read includes every change by an operator and every step of a roll-out that finished before the
   * call, through any daemon; it may not include the last placements by the engine. Throws {@link StoreUnavailableError}.
   */
  read(): Promise<Cluster>;
  /** Reads one unit from the store, not from the cache. */
  unit(name: UnitName): Promise<UnitRecord>;
  /**
   * Returns one unit from the cache; undefined if the cache is closed. It may be stale, which {@link commit} detects.
   */
  peek(name: UnitName): UnitRecord | undefined;
  /** Returns the serialized text of a file; undefined if there is none. Texts are cached: a hash identifies its text. */
  file(hash: string): Promise<string | undefined>;
  /** Returns the content of attached files in base64; undefined if the store does not have it. */
  content(name: ContentName): Promise<string | undefined>;
  /**
   * Applies one change. Throws {@link ConflictError} if the store no longer has what `was` says, and
   * {@link OutcomeUnknownError} if it is unknown whether the change was applied.
   */
  commit(change: Change): Promise<Revision>;
  /**
   * Stores the files of a roll-out and then the roll-out, which the leader carries out. Returns its ID. Throws
   * {@link ConflictError} if the app has another roll-out than `was`, {@link RolloutEndedError} if another client ends it
   * at once, and as {@link commit} does. If it throws, the roll-out may stay behind as `preparing`; it changes no unit, and
   * the leader ends it after a while.
   */
  startRollout(start: RolloutStart): Promise<Pick<Rollout, "id" | "revision">>;
  /** Changes a roll-out as an operator requests. Throws as {@link commit} does. */
  updateRollout(update: RolloutUpdate): Promise<Revision>;
  /**
   * Joins the cluster: takes a lease and writes the machine record. `lease`: an earlier {@link Membership.lease} of this
   * boot, which is kept if it is alive. The lease is renewed, and replaced with all its keys after a loss, until `signal`
   * aborts; then it expires. Throws {@link DuplicateMachineError}.
   */
  join(machine: MachineRecord, lease: string | undefined, signal: AbortSignal): Promise<Membership>;
  /** Yields each time this daemon becomes the leader. Otherwise it waits for the leader key to be deleted. */
  campaign(machine: MachineId, version: string, signal: AbortSignal): AsyncIterable<Leadership>;
  /**
   * The end of the store's last outage, milliseconds of the monotonic clock; 0 without one, `Infinity` during one.
   */
  readonly awayUntil_ms: number;
  /** Ends all work. The store stays open: it may serve another registry. */
  close(): Promise<void>;
}

/** The store has changed since the writer read it: the writer must read and decide again. */
export class ConflictError extends Error {
  override name = "ConflictError";
}

/** Another client has ended a roll-out before all of its files were stored: it must not begin again by itself. */
export class RolloutEndedError extends Error {
  override name = "RolloutEndedError";
}

/** This engine does not lead any more. */
export class DeposedError extends Error {
  override name = "DeposedError";
}

/**
 * The store did not answer in time, refused the credentials, or accepts no writes. An operator can repair that. The message
 * names the endpoints.
 */
export class StoreUnavailableError extends Error {
  override name = "StoreUnavailableError";
  /** True if the store refuses writes because its space is used up. */
  readonly isFull: boolean;
  constructor(message: string, options: StoreUnavailableOptions = {}) {
    super(message, options);
    this.isFull = options.isFull ?? false;
  }
}

interface StoreUnavailableOptions extends ErrorOptions {
  readonly isFull?: boolean;
}

/** The request is too large for the store. Nothing was written, and a retry fails as well. */
export class StoreLimitError extends Error {
  override name = "StoreLimitError";
}

/** It is unknown whether a write was applied: its response was lost, or a full store did not report it. */
export class OutcomeUnknownError extends StoreUnavailableError {
  override name = "OutcomeUnknownError";
  /**
   * `failure`: what went wrong; the message adds what that means. `settled`: a write that has not been applied by now never
   * will be, so that it is safe to read and to retry. Otherwise a member of etcd that hangs may apply it later.
   */
  constructor(readonly failure: string, readonly settled: boolean, options?: StoreUnavailableOptions) {
    const meaning = settled
      ? "the change was applied or never will be: check, or repeat the request"
      : "the change may have been applied, or may still be applied";
    super(`${failure} (${meaning})`, options);
  }
}

/** The store is not the one that this daemon knows: it was wiped or restored, or has another prefix. */
export class WrongStoreError extends Error {
  override name = "WrongStoreError";
  constructor(readonly expected: StoreMemory, readonly found: { id?: string; revision: Revision }) {
    super(
      found.id === expected.id
        ? `the store has gone back: it was at revision ${expected.revision} and now is at ${found.revision}`
        : `the store is not the one this machine knows: expected cluster id ${expected.id}, found ${
          found.id ?? "none"
        }`,
    );
  }
}

/** Another machine with the same machine ID is present. */
export class DuplicateMachineError extends Error {
  override name = "DuplicateMachineError";
  constructor(readonly machine: MachineId, readonly holder: string) {
    super(
      `machine ID ${machine} is already present at ${holder || "an unknown address"}: two machines must not share one`,
    );
  }
}
