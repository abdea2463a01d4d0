/**
 * What happens in the cluster, told once and remembered for a while, for any number of readers. It looks at the cluster
 * only while somebody reads; what changed while nobody did is told, as one difference, to whoever comes next.
 *
 * @module
 */

import type { Clock } from "../../../runtime/clock.ts";
import { type Log, messageOf } from "../../../runtime/log.ts";
import type { Cluster, Revision } from "../../../registry/model.ts";
import type { Registry } from "../../../registry/mod.ts";
import { type ApiEvent, changedEntity, changes, withTime } from "./diff.ts";
import { type EventId, isOf, writeEventId } from "./event_id.ts";
import type { Removals } from "./removals.ts";
import { WaitingUnits } from "./pending_events.ts";
import { onceAborted } from "../../../runtime/on_abort.ts";

/** Readers hear something at least this often, so that either side notices when the other is gone. */
export const keepAlive_ms = 15_000;

/** What is remembered: events, and characters of them. */
const maxEvents = 10_000;
const maxCharacters = 8 * 1024 * 1024;

/** Why units wait is worked out so long after a change. */
const settle_ms = 500;

/**
 * It is worked out again after ten times as long as that took, within these limits. A daemon that was not given the
 * processor meanwhile measures seconds for what takes milliseconds, and its readers are not to wait for minutes.
 */
const pause = { factor: 10, most_ms: 2_000 } as const;

/** A change may show this much later than the machine that tells of it says: clocks differ, and views come in turns. */
const timeTolerance_ms = 2000;

/** What changed between one view and the next. */
export interface Batch {
  /** Counts up by one. */
  readonly number: number;
  /** Of the view after it. */
  readonly revision: Revision;
  /** The id of that view. */
  readonly id: string;
  readonly events: readonly ApiEvent[];
  /** When that view was seen, milliseconds since the epoch. */
  readonly time_ms: number;
  /** It came some time after that view: who knows the view may not know this. */
  readonly isLate?: boolean;
}

/** What wakes a reader. It is called often and must be cheap. */
export type Wake = (why: "batch" | "silence" | "end") => void;

/** See the head of this file. */
export class EventBuffer {
  readonly #readers = new Set<Wake>();
  readonly #batches: Batch[] = [];
  #events = 0;
  #characters = 0;
  #nextNumber = 1;
  /** Everything after this revision is remembered. */
  #floor: Revision = 0;
  #latest: Cluster | undefined;
  #isCurrent = false;
  #running: AbortController | undefined;
  #waiting = new WaitingUnits();
  #pause_ms = settle_ms;
  /** The run in which somebody is about to look who waits. */
  #looking: AbortSignal | undefined;

  /** When {@link latest} was seen, by the wall clock. */
  #seen_ms = 0;
  /** Everything that has happened since is remembered. */
  #floor_ms = 0;

  constructor(
    private readonly registry: Registry,
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly removals: Removals,
  ) {}

  /** How many read. */
  get readers(): number {
    return this.#readers.size;
  }

  /** The newest view; undefined while none is known yet. */
  get latest(): Cluster | undefined {
    return this.#isCurrent ? this.#latest : undefined;
  }

  /** Why units wait, as far as it has been told. */
  get waiting(): WaitingUnits {
    return this.#waiting;
  }

  /** The number of the batch that comes next. */
  get nextNumber(): number {
    return this.#nextNumber;
  }

  /** `wake` is called at each batch, in silence, and once at the end, until the reader leaves. */
  join(wake: Wake): void {
    this.#readers.add(wake);
    if (!this.#running) {
      this.#running = new AbortController();
      this.#waiting = new WaitingUnits();
      void this.#run(this.#running.signal);
    }
  }

  leave(wake: Wake): void {
    if (!this.#readers.delete(wake) || this.#readers.size > 0) return;
    this.#running?.abort("nobody reads");
    this.#running = undefined;
    this.#isCurrent = false;
  }

  /** A batch by its number; `lost` if it is forgotten, undefined if it is still to come. */
  batch(number: number): Batch | "lost" | undefined {
    if (number >= this.#nextNumber) return undefined;
    const first = this.#nextNumber - this.#batches.length;
    return this.#batches[number - first] ?? "lost";
  }

  /** The number of the first batch that somebody who knows everything up to `seen` has not heard of, if it is known. */
  resume(seen: EventId): number | undefined {
    const latest = this.latest;
    const { revision } = seen;
    if (!latest || !isOf(seen, latest) || revision < this.#floor || revision > latest.revision) return undefined;
    const missed = this.#batches.findIndex((batch) =>
      batch.revision > revision || batch.isLate === true && batch.revision === revision
    );
    return missed < 0 ? this.#nextNumber : this.#nextNumber - this.#batches.length + missed;
  }

  /**
   * Where to begin for whoever wants to hear of everything since a time of the wall clock: the number of the first batch,
   * and from when on everything is known, if that is later.
   */
  resumeAt(since_ms: number): { readonly number: number; readonly known_ms: number } {
    const first = this.#batches.findIndex(({ time_ms }) => time_ms >= since_ms);
    const number = first < 0 ? this.#nextNumber : this.#nextNumber - this.#batches.length + first;
    return { number, known_ms: Math.max(since_ms, this.#floor_ms) };
  }

  /** Milliseconds since the epoch. */
  get now_ms(): number {
    return this.clock.now_ms();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const views = this.registry.watch(signal)[Symbol.asyncIterator]();
    let next: Promise<IteratorResult<Cluster>> | undefined;
    try {
      while (!signal.aborted) {
        next ??= views.next();
        const result = await withinSilence(next, this.clock, signal);
        if (signal.aborted) break;
        if (result === undefined) {
          this.#wake("silence");
          continue;
        }
        next = undefined;
        if (result.done) break;
        this.#add(result.value);
        void this.#lookWhoWaits(signal);
      }
    } catch (error) {
      if (!signal.aborted) this.log("warn", "event streams end", { error: messageOf(error) });
    } finally {
      await next?.catch((error: unknown) => this.log("debug", "the view had ended", { error: messageOf(error) }));
      await views.return?.();
      if (!signal.aborted) this.#end();
    }
  }

  /** Nobody left, but the view did. */
  #end(): void {
    this.#running?.abort("the view has ended");
    this.#running = undefined;
    this.#isCurrent = false;
    this.#wake("end");
    this.#readers.clear();
  }

  #add(cluster: Cluster): void {
    const before = this.#latest;
    this.#latest = cluster;
    this.#isCurrent = true;
    const [before_ms, now_ms] = [this.#seen_ms, this.clock.now_ms()];
    this.#seen_ms = now_ms;
    if (before === undefined || before.id !== cluster.id || before.revision > cluster.revision) {
      this.#forgetAll(cluster.revision, now_ms);
      return this.#wake("batch");
    }
    const events = [...changes(before, cluster, undefined)].map((event) => this.#timed(event, before_ms, now_ms));
    if (events.length === 0) return this.#wake("batch");
    this.#keep(cluster, { events });
  }

  /** The event with the time at which it happened, which lies between the view before and the one that shows it. */
  #timed(event: ApiEvent, before_ms: number, now_ms: number): ApiEvent {
    const author = event.isGone && event.unit !== undefined ? this.removals.of(event.unit) : undefined;
    const told_ms = author?.at_ms ?? event.at_ms ?? now_ms;
    const isPlausible = told_ms > before_ms - timeTolerance_ms && told_ms <= now_ms;
    const by = author && isPlausible ? `"changed":${JSON.stringify(changedEntity(author))},` : "";
    return { ...event, data: withTime(`{${by}${event.data.slice(1)}`, isPlausible ? told_ms : now_ms) };
  }

  /** In a moment, unless that is to happen anyway: many changes are looked at once. */
  async #lookWhoWaits(signal: AbortSignal): Promise<void> {
    if (this.#looking === signal) return;
    this.#looking = signal;
    await this.clock.sleep(this.#pause_ms, signal);
    if (this.#looking === signal) this.#looking = undefined;
    const { latest } = this;
    if (signal.aborted || !latest) return;
    try {
      const start_ms = this.clock.monotonic_ms();
      const now_ms = this.clock.now_ms();
      const events = this.#waiting.look(latest).map((event) => this.#timed(event, now_ms, now_ms));
      const took_ms = this.clock.monotonic_ms() - start_ms;
      this.#pause_ms = Math.min(pause.most_ms, Math.max(settle_ms, pause.factor * took_ms));
      if (events.length > 0) this.#keep(latest, { events, isLate: true });
    } catch (error) {
      this.log("error", "why units wait cannot be told", { error: messageOf(error) });
    }
  }

  #keep(after: Cluster, batch: Pick<Batch, "events" | "isLate">): void {
    const time_ms = this.clock.now_ms();
    const place = { number: this.#nextNumber++, revision: after.revision, id: writeEventId(after), time_ms };
    this.#batches.push({ ...batch, ...place });
    this.#events += batch.events.length;
    this.#characters += lengthOf(batch.events);
    // The newest stays, however large: those who read along have yet to be told.
    const isTooMuch = () => this.#events > maxEvents || this.#characters > maxCharacters;
    while (this.#batches.length > 1 && isTooMuch()) this.#forgetOldest();
    this.#wake("batch");
  }

  #forgetOldest(): void {
    const oldest = this.#batches.shift();
    if (!oldest) return;
    this.#events -= oldest.events.length;
    this.#characters -= lengthOf(oldest.events);
    this.#floor = oldest.revision + (oldest.isLate ? 1 : 0);
    this.#floor_ms = oldest.time_ms;
  }

  /** Numbers go on, so that a reader of what was before finds it lost. */
  #forgetAll(revision: Revision, now_ms: number): void {
    this.#floor_ms = now_ms;
    this.#batches.length = 0;
    this.#events = 0;
    this.#characters = 0;
    this.#nextNumber += 1;
    this.#floor = revision;
    this.#waiting = new WaitingUnits();
  }

  #wake(why: "batch" | "silence" | "end"): void {
    for (const wake of [...this.#readers]) wake(why);
  }
}

function lengthOf(events: readonly ApiEvent[]): number {
  return events.reduce((sum, { data }) => sum + data.length, 0);
}

/** What `next` gives, or undefined if it has given nothing for {@link keepAlive_ms} or `signal` aborts. */
async function withinSilence<T>(next: Promise<T>, clock: Clock, signal: AbortSignal): Promise<T | undefined> {
  const timer = new AbortController();
  const stop = () => timer.abort("over");
  const callOff = onceAborted([signal], stop);
  try {
    return await Promise.race([next, clock.sleep(keepAlive_ms, timer.signal).then(() => undefined)]);
  } finally {
    callOff();
    stop();
  }
}
