/**
 * Leader election of the engines: one key bound to a short lease. The engine that creates the key leads until it is gone.
 *
 * @module
 */

import { jittered_ms, longestRetry_ms, retryDelay_ms } from "../../runtime/clock.ts";
import { decodeLeader, encodeLeader } from "../schema/codec.ts";
import { updateTransaction } from "../writes/rollouts.ts";
import { packPlacements, type PlacementBatch } from "../writes/transactions.ts";
import { leaderKey } from "../schema/keys.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import { DeposedError, type EngineStep, type Leadership, type LossStep, type RolloutUpdate } from "../mod.ts";
import type { Leader, Revision } from "../model.ts";
import { writeLossStep } from "./mass_loss.ts";
import { type LeaseOptions, renewalInterval_ms, watchOwnKeys } from "./own_keys.ts";
import { StoreSession } from "../writes/session.ts";
import { type Compare, type KeyValue, WatchLostError } from "../store/port.ts";
import { aborted, onceAborted } from "../../runtime/on_abort.ts";
import { inParallel } from "../../runtime/parallel.ts";

/** Transactions of one {@link Leadership.apply} that are in flight together. */
const maxInFlight = 8;

/** See {@link import("../mod.ts").Registry.campaign}. Retries while the store is unavailable or wrong, until `signal` aborts. */
export async function* campaign(
  options: LeaseOptions,
  leader: Leader,
  signal: AbortSignal,
): AsyncIterable<Leadership> {
  const { session, clock, log } = options;
  let failures = 0;
  while (!signal.aborted) {
    let leadership: LeaseLeadership | undefined;
    try {
      leadership = await acquire(options, leader, signal);
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      failures++;
      const level = error instanceof WatchLostError ? "debug" : "warn";
      log(level, "cannot take part in the election of the engine leader, trying again", {
        endpoints: session.endpoints,
        error: messageOf(error),
      });
    }
    if (leadership === undefined) {
      // After the lead was lost, the engine whose pause ends first takes it; the others only read that it is taken.
      await clock.sleep(retryDelay_ms(clock, failures, longestRetry_ms.ofPresence), signal);
      continue;
    }
    try {
      yield leadership;
      await leadership.lost();
    } finally {
      leadership.abandon();
    }
  }
}

/** Creates the leader key. Returns undefined if another engine did first, or after waiting until its key is gone. */
async function acquire(
  options: LeaseOptions,
  leader: Leader,
  signal: AbortSignal,
): Promise<LeaseLeadership | undefined> {
  const { session, clock, log, ttl_s } = options;
  const { revision, ranges: [found] } = await session.read([{ key: leaderKey }]);
  const holder = found?.[0];
  if (holder !== undefined) {
    // Another daemon of this machine created the key and was killed: deleting the key at once is safe, because its
    // transactions compare the key. A key without a lease was not written by an engine, and would never expire.
    if (holder.lease !== "" && leaderOf(holder, log)?.machine !== leader.machine) {
      await vanished(session, revision, signal);
      return undefined;
    }
    await session.transact([{ key: leaderKey, mod: holder.modRevision }], [{ delete: leaderKey }]);
  }
  const sent_ms = clock.monotonic_ms();
  const lease = await session.grant(ttl_s);
  const put = { put: leaderKey, value: encodeLeader(leader), lease };
  const { succeeded, revision: created } = await session.transact([{ key: leaderKey, create: 0 }], [put]);
  if (succeeded) return new LeaseLeadership(options, leader, lease, created, sent_ms, signal);
  log("debug", "another engine took the lead first", { machine: leader.machine });
  await session.revoke(lease);
  return undefined;
}

function leaderOf(kv: KeyValue, log: Log): Leader | undefined {
  try {
    return decodeLeader(kv);
  } catch (error) {
    // The key is left to expire like that of another machine.
    log("warn", "the leader's record cannot be read: no engine can take over until its key is gone", {
      error: messageOf(error),
    });
    return undefined;
  }
}

/** Resolves when the leader key is gone, or is bound to no lease any more. */
async function vanished(session: StoreSession, after: Revision, signal: AbortSignal): Promise<void> {
  for await (const batch of session.watch([{ key: leaderKey }], after, signal)) {
    if (batch.events.some((event) => event.kind === "delete" || event.kv.lease === "")) return;
  }
}

class LeaseLeadership implements Leadership {
  readonly #abort = new AbortController();
  readonly #fence: readonly Compare[];
  /** Earliest expiry of the lease, by the monotonic clock: its TTL counted from the time the renewal was sent. */
  #until_ms: number;

  constructor(
    private readonly options: LeaseOptions,
    private readonly leader: Leader,
    private readonly lease: string,
    created: Revision,
    sent_ms: number,
    outer: AbortSignal,
  ) {
    this.#fence = [{ key: leaderKey, create: created }];
    this.#until_ms = sent_ms + options.ttl_s * 1000;
    const stopListening = onceAborted([outer], () => this.#depose("the campaign was ended"));
    onceAborted([this.signal], stopListening);
    this.#watchdog();
    this.#renew();
    this.#guard(created);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Resolves when leadership is lost. */
  lost(): Promise<void> {
    return aborted(this.signal);
  }

  /** Stops renewing the lease, which is left to expire. */
  abandon(): void {
    this.#depose("the leadership was abandoned");
  }

  async apply(
    placements: readonly EngineStep[],
  ): Promise<{ readonly revision: Revision; readonly refused: readonly EngineStep[] }> {
    this.#assertLeading();
    const { clock } = this.options;
    const fence = this.#fence.length + StoreSession.ownCompares;
    const batches = packPlacements(placements, fence, clock.now_ms());
    const first = await this.#commitAll(batches);
    // A refused placement must not block the others of its transaction.
    const single = first.failed.filter((batch) => batch.placements.length > 1)
      .flatMap((batch) => batch.placements.flatMap((each) => packPlacements([each], fence, clock.now_ms())));
    const second = await this.#commitAll(single);
    const refused = [...first.failed.filter((batch) => batch.placements.length === 1), ...second.failed]
      .flatMap((batch) => batch.placements);
    if (refused.length > 0) await this.#assertKeyHeld();
    return { revision: Math.max(first.revision, second.revision), refused };
  }

  async recordLoss(step: LossStep): Promise<Revision | undefined> {
    this.#assertLeading();
    return await writeLossStep(this.options.session, this.#fence, step);
  }

  async updateRollout(update: RolloutUpdate): Promise<Revision | undefined> {
    this.#assertLeading();
    const { compares, ops } = updateTransaction(update);
    const { succeeded, revision } = await this.options.session.transact([...this.#fence, ...compares], ops);
    if (succeeded) return revision;
    await this.#assertKeyHeld();
    return undefined;
  }

  async resign(): Promise<void> {
    this.#depose("it resigned");
    await this.options.session.revoke(this.lease);
  }

  #assertLeading(): void {
    // After a process was suspended, this code can run before the watchdog's timer fires.
    if (this.options.clock.monotonic_ms() >= this.#until_ms) this.#depose("its lease could not be renewed in time");
    if (this.signal.aborted) {
      throw new DeposedError(`machine ${this.leader.machine} does not lead any more: ${this.signal.reason}`);
    }
  }

  /** Throws {@link DeposedError} if another engine leads: the reason why the store refused a write may be the fence. */
  async #assertKeyHeld(): Promise<void> {
    const { ranges: [found] } = await this.options.session.read([{ key: leaderKey }]);
    const { create } = this.#fence[0] as { readonly create: Revision };
    if (found?.[0]?.createRevision === create) return;
    this.#depose("another engine has the leader key");
    throw new DeposedError(
      `machine ${this.leader.machine} does not lead any more: the leader key is ${found?.[0]?.value ?? "gone"}`,
    );
  }

  /** Commits all batches, at most {@link maxInFlight} at once. Throws the store's first failure after all have ended. */
  async #commitAll(
    batches: readonly PlacementBatch[],
  ): Promise<{ readonly revision: Revision; readonly failed: readonly PlacementBatch[] }> {
    const results = await inParallel(batches, (batch) => {
      this.#assertLeading();
      return this.options.session.transact([...this.#fence, ...batch.compares], batch.ops);
    }, maxInFlight);
    // A refused batch wrote nothing: its revision is the store's, and this engine need not wait for a view of it.
    const revisions = results.filter(({ succeeded }) => succeeded).map(({ revision }) => revision);
    return { revision: Math.max(0, ...revisions), failed: batches.filter((_, at) => !results[at]!.succeeded) };
  }

  /** Ends the leadership when the lease may have expired, also while a renewal hangs. */
  async #watchdog(): Promise<void> {
    const { clock } = this.options;
    while (!this.signal.aborted) {
      const left_ms = this.#until_ms - clock.monotonic_ms();
      if (left_ms <= 0) this.#depose("its lease could not be renewed in time");
      else await clock.sleep(left_ms, this.signal);
    }
  }

  /** Ends the leadership when another program has deleted or overwritten the leader key, so that a new election starts. */
  #guard(created: Revision): void {
    const own = {
      ranges: [{ key: leaderKey }],
      keys: () => new Set([leaderKey]),
      owns: (kv: KeyValue) => kv.createRevision === created && kv.lease === this.lease,
      lost: () => this.#depose("its leader key was deleted or overwritten"),
    };
    void watchOwnKeys(own, this.options, this.signal);
  }

  async #renew(): Promise<void> {
    const { clock, session, log } = this.options;
    const every_ms = renewalInterval_ms(this.options);
    while (!this.signal.aborted) {
      await clock.sleep(jittered_ms(clock, every_ms), this.signal);
      while (!this.signal.aborted) {
        const sent_ms = clock.monotonic_ms();
        try {
          const left_s = await session.renew(this.lease, every_ms);
          if (left_s <= 0) this.#depose("its lease is gone");
          else this.#until_ms = sent_ms + left_s * 1000;
          break;
        } catch (error) {
          log("debug", "the leader's lease could not be renewed, trying again", { error: messageOf(error) });
          await clock.sleep(retryDelay_ms(clock), this.signal);
        }
      }
    }
  }

  #depose(why: string): void {
    if (!this.signal.aborted) this.#abort.abort(why);
  }
}
