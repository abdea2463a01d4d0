/**
 * A daemon's presence: its machine record and unit states, bound to one lease.
 *
 * One worker reconciles the store with the desired keys. Whenever the content of the store is uncertain (a lost response, a
 * lost lease, a compare that failed), it reads its own keys again first.
 *
 * @module
 */

import { longestRetry_ms, retryDelay_ms } from "../../runtime/clock.ts";
import { encodeState } from "../schema/codec.ts";
import { decodeMachine, encodeMachine } from "../schema/machine.ts";
import { departedKey, machineKey, stateKey, statePrefix } from "../schema/keys.ts";
import { messageOf } from "../../runtime/log.ts";
import { DuplicateMachineError, type Membership, StoreUnavailableError, WrongStoreError } from "../mod.ts";
import type { MachineRecord, Revision, UnitName, UnitState } from "../model.ts";
import { type LeaseOptions, watchOwnKeys } from "./own_keys.ts";
import { type KeyValue, maxTransactionOps, type Op } from "../store/port.ts";
import { MachineLease } from "./machine_lease.ts";
import { StoredLocks } from "./unit_locks.ts";
import { Notifier } from "../../runtime/notifier.ts";
import { onceAborted } from "../../runtime/on_abort.ts";

/** Lifetime of the mark of an orderly shutdown: longer than a new leader needs to take over and to read the cluster. */
const departure_s = 60;

/** See {@link import("../mod.ts").Registry.join}. Waits during an outage of the store. */
export async function joinCluster(
  options: LeaseOptions,
  machine: MachineRecord,
  lease: string | undefined,
  signal: AbortSignal,
): Promise<Membership> {
  const membership = new LeaseMembership(options, machine, lease, signal);
  try {
    await membership.settled("join");
    membership.guard();
  } catch (error) {
    membership.stop(error);
    throw error;
  }
  return membership;
}

/** The machine's record has changed since it was read. */
class RecordConflict extends Error {}

/** The keys of this machine that the store is known to hold. */
interface StoredKeys {
  /** Mod-revision of the machine record; 0 if there is none. */
  revision: Revision;
  /** The record's text, if it is bound to this process's lease. */
  record: string | undefined;
  /** The text of each state; undefined if the state is not bound to this process's lease. */
  readonly states: Map<UnitName, string | undefined>;
}

/** A change of one key, and what it changes in {@link StoredKeys}. */
interface Write {
  readonly op: Op;
  readonly apply: (revision: Revision) => void;
}

/** The number of writes that a change of the machine's record consists of. */
const recordWrites = 2;

/** A call that waits until the store holds its keys. */
interface Waiter extends PromiseWithResolvers<void> {
  /** Count of the notifier that a reconciliation has to start at or after. */
  count: number;
}

class LeaseMembership implements Membership {
  readonly #options: LeaseOptions;
  readonly #stop = new AbortController();
  readonly #notifier = new Notifier();
  readonly #lease: MachineLease;
  readonly renewals = new Notifier();
  readonly locks: StoredLocks;
  #renewedAt_ms = -Infinity;
  readonly #worker: Promise<void>;
  #machine: MachineRecord;
  /** Desired text of each unit's state; undefined until read from the store or given to {@link publish}. */
  #desired: ReadonlyMap<UnitName, string> | undefined;
  #stored: StoredKeys | undefined;
  /** Counts how often `#stored` was found to be outdated. */
  #invalidations = 0;
  /** By kind, the waiter that all pending calls share: their number must not grow during an outage. */
  readonly #waiters = new Map<"join" | "publish" | "update", Waiter>();
  #failing = false;
  /** True if the latest attempt failed because the record had changed since it was read. */
  #conflicted = false;
  /** Keys that another program has deleted or overwritten, and that have not been written again yet. */
  #lost: readonly string[] = [];
  /** True once this process has written the machine's record. */
  #tookOver = false;
  /** Keys that this process has written, or found as its own, under the current lease. */
  #written = new Set<string>();

  constructor(options: LeaseOptions, machine: MachineRecord, lease: string | undefined, outer: AbortSignal) {
    this.#options = options;
    this.#machine = machine;
    this.#lease = new MachineLease({
      ...options,
      // Without its record the machine is absent, whatever lease it has.
      renewed: () => this.#stored?.record === undefined || this.#confirmPresence(),
      expired: () => this.#invalidate(),
    }, lease ?? "");
    this.locks = new StoredLocks(options.session, machine.id);
    const stopListening = onceAborted([outer], () => this.stop(outer.reason));
    onceAborted([this.#stop.signal], stopListening);
    this.#worker = this.#work();
    void this.#lease.keepAlive(this.#stop.signal);
  }

  get lease(): string {
    return this.#lease.id;
  }

  get ttl_ms(): number {
    return this.#options.ttl_s * 1000;
  }

  get renewedAt_ms(): number {
    return this.#renewedAt_ms;
  }

  renewEvery(interval_ms: number): void {
    this.#lease.renewEvery(interval_ms);
  }

  /** Records that the store had the machine's record when the lease was last renewed. */
  #confirmPresence(): void {
    this.#renewedAt_ms = this.#lease.since_ms;
    this.renewals.notify();
  }

  publish(states: ReadonlyMap<UnitName, UnitState>): Promise<void> {
    this.#desired = new Map(Array.from(states, ([name, state]) => [name, encodeState(state)]));
    return this.settled("publish");
  }

  update(machine: MachineRecord): Promise<void> {
    this.#machine = machine;
    return this.settled("update");
  }

  async leave(): Promise<void> {
    this.stop(new Error(`machine ${this.#machine.id} has left the cluster`));
    await this.#worker;
    // The store may revoke it late.
    const lease = this.#lease.giveUp();
    await this.#markDeparted();
    if (lease !== "") await this.#options.session.revoke(lease);
  }

  /**
   * Replaces the machine's record by the mark of an orderly shutdown, in one transaction: an engine that sees the machine
   * gone sees the mark, and moves its units at once, without a grace period.
   */
  async #markDeparted(): Promise<void> {
    const { session } = this.#options;
    const { id } = this.#machine;
    if (this.#stored === undefined) return;
    const mark = { put: departedKey(id), value: "stopped", lease: await session.grant(departure_s) };
    await session.transact([{ key: machineKey(id), mod: this.#stored.revision }], [{ delete: machineKey(id) }, mark]);
  }

  /** Ends all work and rejects pending calls with `reason`. The lease is left to expire. */
  stop(reason: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(reason);
    this.#reject(reason);
  }

  /**
   * Watches the keys of this machine, and writes those again that another program has deleted or overwritten: an operator,
   * or an etcd member that led before it was paused and now revokes leases that its successor has renewed
   * (etcd-io/etcd#15247).
   */
  guard(): void {
    const { id } = this.#machine;
    void watchOwnKeys(
      {
        ranges: [{ key: machineKey(id) }, { prefix: statePrefix(id) }],
        keys: () => new Set([machineKey(id), ...[...this.#desired?.keys() ?? []].map((name) => stateKey(id, name))]),
        owns: (kv) => kv.lease === this.#lease.id,
        lost: (keys) => {
          this.#lost = [...new Set([...this.#lost, ...keys])];
          this.#invalidate();
        },
      },
      this.#options,
      this.#stop.signal,
    );
  }

  /** Makes the worker read this machine's keys again. */
  #invalidate(): void {
    this.#stored = undefined;
    this.#invalidations++;
    this.#notifier.notify();
  }

  /** Resolves when the store holds the keys desired now, or newer ones. */
  settled(kind: "join" | "publish" | "update"): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.reject(this.#stop.signal.reason);
    this.#notifier.notify();
    const waiter = this.#waiters.getOrInsertComputed(kind, () => ({ count: 0, ...Promise.withResolvers<void>() }));
    waiter.count = this.#notifier.count;
    return waiter.promise;
  }

  #reject(error: unknown): void {
    for (const waiter of this.#waiters.values()) waiter.reject(error);
    this.#waiters.clear();
  }

  async #work(): Promise<void> {
    const { clock } = this.#options;
    const signal = this.#stop.signal;
    let failures = 0;
    for (let done = 0; !signal.aborted;) {
      const count = this.#notifier.count;
      if (done === count) {
        await this.#notifier.waitPast(done, signal);
        continue;
      }
      try {
        await this.#reconcile();
        done = count;
        failures = 0;
        if (this.#renewedAt_ms < this.#lease.since_ms) this.#confirmPresence();
        this.#succeeded(count);
      } catch (error) {
        this.#stored = undefined;
        if (!signal.aborted) this.#failed(error);
        await clock.sleep(retryDelay_ms(clock, failures++, longestRetry_ms.ofPresence), signal);
      }
    }
  }

  #succeeded(count: number): void {
    if (this.#failing) this.#options.log("info", "this machine is present in the cluster again");
    this.#failing = false;
    this.#conflicted = false;
    for (const [kind, waiter] of this.#waiters) {
      if (waiter.count > count) continue;
      this.#waiters.delete(kind);
      waiter.resolve();
    }
  }

  #failed(error: unknown): void {
    const { log, session } = this.#options;
    // The next attempt reads the record again and finds the cause, for example an expired lease.
    if (error instanceof RecordConflict && !this.#conflicted && !this.#failing) {
      this.#conflicted = true;
      return;
    }
    log("warn", "this machine's presence could not be written, trying again", {
      endpoints: session.endpoints,
      error: messageOf(error),
    });
    this.#failing = true;
    if (error instanceof DuplicateMachineError || error instanceof WrongStoreError) this.#reject(error);
  }

  /** Writes the keys in which the store differs from the desired ones, in as few transactions as fit. */
  async #reconcile(): Promise<void> {
    const invalidations = this.#invalidations;
    const stored = this.#stored ?? await this.#readOwnKeys();
    // Keys that were lost during the read may be in its result: the next pass reads them again.
    if (invalidations === this.#invalidations) this.#stored = stored;
    const lease = this.#lease.id;
    const record = encodeMachine(this.#machine);
    const desired = this.#desired ?? new Map<UnitName, string>();
    const key = machineKey(this.#machine.id);
    const writes: Write[] = [];
    const isCurrent = stored.record === record;
    if (!isCurrent || !this.#tookOver) {
      const apply = (revision: Revision) => {
        stored.record = record;
        stored.revision = revision;
      };
      writes.push({ op: { put: key, value: record, lease }, apply });
      writes.push({ op: { delete: departedKey(this.#machine.id) }, apply: () => {} });
    }
    for (const [name, value] of desired) {
      if (stored.states.get(name) === value) continue;
      const op = { put: stateKey(this.#machine.id, name), value, lease };
      writes.push({ op, apply: () => stored.states.set(name, value) });
    }
    for (const name of stored.states.keys()) {
      if (desired.has(name)) continue;
      writes.push({ op: { delete: stateKey(this.#machine.id, name) }, apply: () => stored.states.delete(name) });
    }
    // A full store takes nothing, but this machine is present in it.
    if (isCurrent && !this.#tookOver && writes.length === recordWrites) {
      return await this.#write(writes, stored).catch((error) => {
        if (!(error instanceof StoreUnavailableError && error.isFull)) throw error;
      });
    }
    await this.#write(writes, stored);
  }

  /** Writes keys if the machine's record has not changed since it was read. */
  async #write(writes: readonly Write[], stored: StoredKeys): Promise<void> {
    const key = machineKey(this.#machine.id);
    for (let start = 0; start < writes.length; start += maxTransactionOps) {
      const part = writes.slice(start, start + maxTransactionOps);
      const compare = { key, mod: stored.revision };
      const { succeeded, revision } = await this.#options.session.transact([compare], part.map((write) => write.op));
      if (!succeeded) {
        throw new RecordConflict(`the record of machine ${this.#machine.id} was changed by another writer`);
      }
      for (const { op, apply } of part) {
        apply(revision);
        if ("put" in op) this.#written.add(op.put);
        else this.#written.delete(op.delete);
      }
    }
    if (this.#tookOver || writes.length === 0) return;
    // An earlier daemon of this machine may have sent writes that the store carries out late. They compare the record's
    // revision, so that they are refused from now on. Those that came before are found by another read.
    this.#tookOver = true;
    this.#invalidate();
  }

  /** Reads this machine's keys, checks that no other machine has the same ID, and renews or takes the lease. */
  async #readOwnKeys(): Promise<StoredKeys> {
    const { session } = this.#options;
    const { id, ip, incarnation } = this.#machine;
    const { ranges: [records, states = []] } = await session.read([
      { key: machineKey(id) },
      { prefix: statePrefix(id) },
    ]);
    const kv = records?.[0];
    const holder = kv && this.#decode(kv);
    const sameBoot = holder?.incarnation === incarnation;
    if (holder && !sameBoot && holder.ip !== ip) throw new DuplicateMachineError(id, holder.ip);
    // States of the same boot are kept until this daemon publishes its own; those of an earlier boot are void.
    const prefix = statePrefix(id).length;
    this.#desired ??= new Map(sameBoot ? states.map((state) => [state.key.slice(prefix), state.value]) : []);
    await this.#keepLease();
    const text = (each: KeyValue) => each.lease === this.#lease.id ? each.value : undefined;
    this.#logLost([...records ?? [], ...states]);
    return {
      revision: kv?.modRevision ?? 0,
      record: kv && text(kv),
      states: new Map(states.map((state) => [state.key.slice(prefix), text(state)])),
    };
  }

  /**
   * Logs which keys another program has deleted or overwritten: not those that this process deleted, wrote again or has not
   * written yet, nor those that were deleted with an expired lease.
   */
  #logLost(found: readonly KeyValue[]): void {
    const own = new Set(found.filter((kv) => kv.lease === this.#lease.id).map((kv) => kv.key));
    const lost = this.#lost.filter((key) => this.#written.has(key) && !own.has(key));
    this.#lost = [];
    this.#written = own;
    if (lost.length === 0) return;
    this.#options.log("warn", "keys of this machine were deleted or overwritten in the store, writing them again", {
      machine: this.#machine.id,
      keys: lost.length > 3 ? `${lost.slice(0, 3).join(", ")} and ${lost.length - 3} more` : lost.join(", "),
    });
  }

  #decode(kv: KeyValue): MachineRecord | undefined {
    try {
      return decodeMachine(this.#machine.id, kv);
    } catch (error) {
      this.#options.log("error", "this machine's record cannot be read and is replaced", { error: messageOf(error) });
      return undefined;
    }
  }

  /**
   * Renews the lease, or takes a new one if it has expired or has another TTL. To be called after the keys have been read:
   * then keys that were deleted with the lease are not taken for keys that another program has deleted.
   */
  async #keepLease(): Promise<void> {
    const found = await this.#lease.ensure();
    if (found === "renewed") return;
    this.#written.clear();
    if (found !== "expired") return;
    const what =
      "this machine's lease has expired and its keys were deleted with it: writing them again under a new lease";
    this.#options.log("warn", what, { machine: this.#machine.id });
  }
}
