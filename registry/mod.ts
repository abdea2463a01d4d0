/**
 * The cluster's memory: all that may be known or changed, and nothing about how it is kept.
 *
 * Every implementation passes `tests/contract/registry_suite.ts`.
 *
 * @module
 */

import type { UnitOption } from "../systemd/unit_file.ts";
import type {
  Authorship,
  Cluster,
  DesiredState,
  MachineId,
  MachineRecord,
  MachineView,
  Revision,
  Target,
  Unit,
  UnitName,
  UnitState,
} from "./model.ts";

/** One unit as the store has it at one moment: what a writer read, and so what its write expects to find. */
export interface UnitRecord {
  readonly name: UnitName;
  readonly unit?: Unit;
  readonly target?: Target;
  readonly text?: string;
}

/** A change asked for by an operator. Each is applied whole, in one transaction, or not at all. */
export type Change =
  | {
    /**
     * Creates or updates a unit. Desired state and restart of a unit that is already placed reach its machine in the
     * same transaction; a new file does too when its [X-Fleet] options are unchanged, else the engine looks again.
     * `inactive` takes the unit off its machine.
     */
    readonly kind: "put";
    /** What was read before; the write fails with {@link ConflictError} if the store no longer says so. */
    readonly was: UnitRecord;
    /** The file's serialised text and hash; left out when only the desired state changes. */
    readonly file?: { readonly hash: string; readonly text: string; readonly fleetOptions: readonly UnitOption[] };
    readonly desiredState: DesiredState;
    /** True: ask for a restart now. */
    readonly restart?: boolean;
    /** True, beside `restart`: a unit that runs is left alone. */
    readonly startOnly?: boolean;
    /** Who asks, if it is known. */
    readonly changed?: Authorship;
  }
  | { readonly kind: "delete"; readonly was: UnitRecord }
  | {
    /** Dynamic metadata; `value: ""` is the tombstone that hides a static key. Unknown machines are accepted. */
    readonly kind: "metadata";
    readonly machine: MachineId;
    readonly key: string;
    readonly value: string;
  };

/** A change the engine decides. Each is applied whole or not at all. */
export type Placement =
  | {
    /** Places a unit, moves it (`from` another machine) or gives its machine the unit's newest wish (`from` the same). */
    readonly kind: "place";
    readonly unit: Unit;
    readonly machine: MachineId;
    /** Where the engine saw it; left out if it saw it nowhere. */
    readonly from?: Target;
    readonly why: string;
  }
  | { readonly kind: "unplace"; readonly unit: UnitName; readonly from: Target; readonly why: string }
  /** Removes the text of a file that no unit refers to, unless it was written again after `revision`. */
  | { readonly kind: "forget"; readonly hash: string; readonly revision: Revision };

/** A daemon's presence: one lease, under which its machine record and unit states live. */
export interface Membership {
  /**
   * Says what all units on this machine do; writes only what differs from what was last written, in as few
   * transactions as fit. Resolves when the store has it. While the store is away it waits; calls made meanwhile
   * replace each other, newest wins.
   */
  publish(states: ReadonlyMap<UnitName, UnitState>): Promise<void>;
  /** Replaces the machine record (metadata or address changed). */
  update(machine: MachineRecord): Promise<void>;
  /**
   * An opaque text to hand to the next {@link Registry.join} after a restart of the daemon; changes when the lease does.
   * Empty once it is given up.
   */
  readonly lease: string;
  /** Gives the lease up: record and states vanish at once, and {@link Cluster.departed} says for a while that it was in good order. */
  leave(): Promise<void>;
}

/** Leadership over the engines, until {@link signal} is aborted. */
export interface Leadership {
  /** Aborted when the lead is lost, or may have been: its lease was not renewed in time by our own clock. */
  readonly signal: AbortSignal;
  /**
   * Applies each placement, fenced by the leader key. Returns those that failed because the world had moved on: look
   * again. Throws {@link DeposedError} when another engine leads.
   */
  apply(
    placements: readonly Placement[],
  ): Promise<{ readonly revision: Revision; readonly refused: readonly Placement[] }>;
  /** Gives the lead up at once. */
  resign(): Promise<void>;
}

/** What a daemon remembers of its store across restarts, to recognise a wrong one. */
export interface StoreMemory {
  readonly id: string;
  readonly revision: Revision;
}

/** All that may be known or changed. */
export interface Registry {
  /**
   * Finds the store: creates its `cluster` id if it is empty and nothing is remembered. Throws {@link WrongStoreError}
   * when it is not the one remembered, {@link StoreUnavailableError} when it does not answer in time. Must have
   * succeeded once before any other call.
   */
  open(remembered: StoreMemory | undefined): Promise<StoreMemory>;
  /** The store's id and the highest revision seen so far. */
  readonly memory: StoreMemory | undefined;
  /**
   * Yields the whole cluster now, then after each change; a slow reader gets the newest only. Survives lost watches,
   * compaction and a store that is away (then it yields nothing until it has a fresh, complete view). Ends when
   * `signal` aborts. Throws {@link WrongStoreError}.
   */
  watch(signal: AbortSignal): AsyncIterable<Cluster>;
  /** The same for the part that concerns one machine. */
  watchMachine(machine: MachineId, signal: AbortSignal): AsyncIterable<MachineView>;
  /**
   * The cluster, at least as new as every write that finished before the call, through whichever daemon.
   * Throws {@link StoreUnavailableError}.
   */
  read(): Promise<Cluster>;
  /** One unit, read from the store itself. */
  unit(name: UnitName): Promise<UnitRecord>;
  /**
   * One unit as this daemon last heard of it, if it follows the whole store anyway; it may be out of date, which a
   * {@link commit} notices.
   */
  peek(name: UnitName): UnitRecord | undefined;
  /** The serialised text of a file, or undefined; kept in memory, since a hash never changes its meaning. */
  file(hash: string): Promise<string | undefined>;
  /** Where a unit is placed now, read from the store itself. */
  target(name: UnitName): Promise<Target | undefined>;
  /**
   * Applies one change. Throws {@link ConflictError} when the store is no longer as `was` says,
   * {@link OutcomeUnknownError} when it is not known whether it was applied.
   */
  commit(change: Change): Promise<Revision>;
  /**
   * Opens this daemon's lease and puts its record. `lease` is what an earlier {@link Membership.lease} of this boot
   * said. The lease is kept alive, and taken again (every key put again) when it was lost, until `signal` aborts, which
   * leaves the lease to run out. Throws {@link DuplicateMachineError}.
   */
  join(machine: MachineRecord, lease: string | undefined, signal: AbortSignal): Promise<Membership>;
  /** Yields each time this daemon takes the lead. Between, it waits for the leader key to vanish. */
  campaign(machine: MachineId, version: string, signal: AbortSignal): AsyncIterable<Leadership>;
  /**
   * When the store last stopped being away, by the monotonic clock in milliseconds; 0 if it has not been away. While
   * it is away, `Infinity`.
   */
  readonly awayUntil_ms: number;
  close(): Promise<void>;
}

/** The store was not as the writer expected: read again and decide anew. */
export class ConflictError extends Error {
  override name = "ConflictError";
}

/** Another engine has the lead. */
export class DeposedError extends Error {
  override name = "DeposedError";
}

/**
 * The store did not answer, or not in time; or it lets nobody in or takes no writes, which somebody else may mend. The
 * message names the endpoints.
 */
export class StoreUnavailableError extends Error {
  override name = "StoreUnavailableError";
  /** True if the store refuses writes since its space is used up. */
  readonly isFull: boolean;
  constructor(message: string, options: StoreUnavailableOptions = {}) {
    super(message, options);
    this.isFull = options.isFull ?? false;
  }
}

interface StoreUnavailableOptions extends ErrorOptions {
  readonly isFull?: boolean;
}

/** The store takes no request of this size. Nothing was written, and asking again does not help. */
export class StoreLimitError extends Error {
  override name = "StoreLimitError";
}

/**
 * A write was sent, and either its answer was lost or a store that is full does not tell: whether it was carried out is
 * not known.
 */
export class OutcomeUnknownError extends StoreUnavailableError {
  override name = "OutcomeUnknownError";
  /**
   * `failure` says what went wrong; the message also what that means. `settled`: what was not carried out by now never
   * will be, so that it is safe to look, and to ask again. Else a member that hangs may carry it out when it goes on.
   */
  constructor(readonly failure: string, readonly settled: boolean, options?: StoreUnavailableOptions) {
    const meaning = settled
      ? "it has been done, or never will be: look, or ask again"
      : "it may have been done, or be done yet";
    super(`${failure} (${meaning})`, options);
  }
}

/** The store is not the one this daemon knows: wiped, restored from an old snapshot, or another prefix. */
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
