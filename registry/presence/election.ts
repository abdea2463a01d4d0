/**
 * The lead over the engines: one key under a short lease. Who creates it leads until it is gone.
 *
 * @module
 */

import { type Clock, retryDelay_ms } from "../../runtime/clock.ts";
import { decodeLeader, encodeLeader } from "../schema/codec.ts";
import { packPlacements, type PlacementBatch } from "../writes/transactions.ts";
import { leaderKey } from "../schema/keys.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import { DeposedError, type Leadership, type Placement } from "../mod.ts";
import type { Leader, Revision } from "../model.ts";
import { watchOwnKeys } from "./own_keys.ts";
import { StoreSession } from "../writes/session.ts";
import { type Compare, type KeyValue, WatchLostError } from "../store/port.ts";
import { aborted } from "../../runtime/on_abort.ts";

export interface CampaignOptions {
  readonly session: StoreSession;
  readonly clock: Clock;
  readonly log: Log;
  readonly ttl_s: number;
}

/** Transactions of one {@link Leadership.apply} that are in flight together. */
const maxInFlight = 8;

/** See {@link import("../mod.ts").Registry.campaign}. A store that is away or wrong is tried again until `signal` aborts. */
export async function* campaign(
  options: CampaignOptions,
  leader: Leader,
  signal: AbortSignal,
): AsyncIterable<Leadership> {
  const { session, clock, log } = options;
  let failing = false;
  while (!signal.aborted) {
    let lead: Lead | undefined;
    try {
      lead = await acquire(options, leader, signal);
      failing = false;
    } catch (error) {
      if (signal.aborted) return;
      const usual = failing || error instanceof WatchLostError;
      log(usual ? "debug" : "warn", "cannot stand for engine leader, trying again", {
        endpoints: session.endpoints,
        error: messageOf(error),
      });
      failing = true;
    }
    if (lead === undefined) {
      await clock.sleep(retryDelay_ms(clock), signal);
      continue;
    }
    try {
      yield lead;
      await lead.over();
    } finally {
      lead.abandon();
    }
  }
}

/** Creates the leader key, or waits until it is gone. Undefined: look again. */
async function acquire(options: CampaignOptions, leader: Leader, signal: AbortSignal): Promise<Lead | undefined> {
  const { session, clock, log, ttl_s } = options;
  const { revision, ranges: [found] } = await session.read([{ key: leaderKey }]);
  const holder = found?.[0];
  if (holder !== undefined) {
    // This machine's key that is not ours: its daemon was killed. It need not run out, since its fence ends with it. A key
    // without a lease is no engine's, and would never run out.
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
  if (succeeded) return new Lead(options, leader, lease, created, sent_ms, signal);
  log("debug", "another engine took the lead first", { machine: leader.machine });
  await session.revoke(lease);
  return undefined;
}

function leaderOf(kv: KeyValue, log: Log): Leader | undefined {
  try {
    return decodeLeader(kv);
  } catch (error) {
    // Written by something else: it is left to run out like any other's.
    log("warn", "who leads the engines cannot be read: nobody else leads until the key is gone", {
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

class Lead implements Leadership {
  readonly #abort = new AbortController();
  readonly #options: CampaignOptions;
  readonly #fence: readonly Compare[];
  /** By the monotonic clock: until then the lease surely lives, counted from when its renewal was sent. */
  #until_ms: number;
  #onOuterAbort: () => void;

  constructor(
    options: CampaignOptions,
    private readonly leader: Leader,
    private readonly lease: string,
    created: Revision,
    sent_ms: number,
    private readonly outer: AbortSignal,
  ) {
    this.#options = options;
    this.#fence = [{ key: leaderKey, create: created }];
    this.#until_ms = sent_ms + options.ttl_s * 1000;
    this.#onOuterAbort = () => this.#depose("the campaign was ended");
    outer.addEventListener("abort", this.#onOuterAbort, { once: true });
    if (outer.aborted) this.#onOuterAbort();
    this.#watchdog();
    this.#renew();
    this.#guard(created);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Resolves when the lead is lost. */
  over(): Promise<void> {
    return aborted(this.signal);
  }

  /** Stops renewing; the lease is left to run out. */
  abandon(): void {
    this.#depose("nobody leads with it any more");
  }

  async apply(
    placements: readonly Placement[],
  ): Promise<{ readonly revision: Revision; readonly refused: readonly Placement[] }> {
    this.#assertLeading();
    const { clock, session } = this.#options;
    const fence = this.#fence.length + StoreSession.ownCompares;
    const batches = packPlacements(placements, fence, clock.now_ms());
    const first = await this.#commitAll(batches);
    // One unit that has moved on must not hold up the others of its transaction.
    const alone = first.failed.filter((batch) => batch.placements.length > 1)
      .flatMap((batch) => batch.placements.flatMap((each) => packPlacements([each], fence, clock.now_ms())));
    const second = await this.#commitAll(alone);
    const refused = [...first.failed.filter((batch) => batch.placements.length === 1), ...second.failed]
      .flatMap((batch) => batch.placements);
    if (refused.length > 0) {
      const { ranges: [found] } = await session.read([{ key: leaderKey }]);
      const { create } = this.#fence[0] as { readonly create: Revision };
      if (found?.[0]?.createRevision !== create) {
        this.#depose("the leader key is not ours any more");
        throw new DeposedError(
          `machine ${this.leader.machine} does not lead any more: ${found?.[0]?.value ?? "nobody"}`,
        );
      }
    }
    return { revision: Math.max(first.revision, second.revision), refused };
  }

  async resign(): Promise<void> {
    this.#depose("it was resigned");
    await this.#options.session.revoke(this.lease);
  }

  #assertLeading(): void {
    // A process that was stopped wakes before its timers do.
    if (this.#options.clock.monotonic_ms() >= this.#until_ms) this.#depose("its lease could not be renewed in time");
    if (this.signal.aborted) {
      throw new DeposedError(`machine ${this.leader.machine} does not lead any more: ${this.signal.reason}`);
    }
  }

  /** Commits all, some in flight together, and waits for each; the first failure of the store is thrown after that. */
  async #commitAll(
    batches: readonly PlacementBatch[],
  ): Promise<{ readonly revision: Revision; readonly failed: readonly PlacementBatch[] }> {
    const failed: PlacementBatch[] = [];
    const errors: unknown[] = [];
    let revision = 0;
    const queue = batches.values();
    const worker = async () => {
      for (const batch of queue) {
        if (errors.length > 0) return;
        try {
          this.#assertLeading();
          const result = await this.#options.session.transact([...this.#fence, ...batch.compares], batch.ops);
          // A refusal wrote nothing: its revision is the whole store's, which no view of ours need ever reach.
          if (!result.succeeded) failed.push(batch);
          else revision = Math.max(revision, result.revision);
        } catch (error) {
          errors.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(maxInFlight, batches.length) }, worker));
    if (errors.length > 0) throw errors[0];
    return { revision, failed };
  }

  /** Ends the lead when the lease may have run out, also while a renewal hangs. */
  async #watchdog(): Promise<void> {
    const { clock } = this.#options;
    while (!this.signal.aborted) {
      const left_ms = this.#until_ms - clock.monotonic_ms();
      if (left_ms <= 0) this.#depose("its lease could not be renewed in time");
      else await clock.sleep(left_ms, this.signal);
    }
  }

  /** Ends the lead when something else has deleted or overwritten the leader key, so that an engine stands for it again. */
  #guard(created: Revision): void {
    const own = {
      ranges: [{ key: leaderKey }],
      keys: () => new Set([leaderKey]),
      owns: (kv: KeyValue) => kv.createRevision === created && kv.lease === this.lease,
      lost: () => this.#depose("its leader key was deleted or overwritten"),
    };
    void watchOwnKeys(own, this.#options, this.signal);
  }

  async #renew(): Promise<void> {
    const { clock, session, log, ttl_s } = this.#options;
    while (!this.signal.aborted) {
      await clock.sleep(ttl_s * 1000 / 3, this.signal);
      while (!this.signal.aborted) {
        const sent_ms = clock.monotonic_ms();
        try {
          const left_s = await session.renew(this.lease, ttl_s * 1000 / 3);
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
    this.outer.removeEventListener("abort", this.#onOuterAbort);
    if (!this.signal.aborted) this.#abort.abort(why);
  }
}
