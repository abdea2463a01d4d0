/**
 * A bounded buffer of what has changed in the cluster, shared by all readers of event streams. It watches the cluster only
 * while it has readers, or records for the leading engine, which watches the cluster anyway. Changes that happen without a
 * reader are reported to the next one as a single difference; after {@link idle_ms} without a reader the buffer forgets
 * everything, and the next reader begins with the present.
 *
 * @module
 */

import type { Clock } from "../../../runtime/clock.ts";
import { type Log, messageOf } from "../../../runtime/log.ts";
import type { Authorship, Cluster, Revision, UnitName } from "../../../registry/model.ts";
import type { Registry } from "../../../registry/mod.ts";
import { changedEntity } from "../v1/entities.ts";
import { type ApiEvent, changes, withTime } from "./diff.ts";
import { type EventId, isOf, writeEventId } from "./event_id.ts";
import { PendingEvents } from "./pending_events.ts";
import { onceAborted } from "../../../runtime/on_abort.ts";

/** The longest silence on a stream, so that either side notices when the other has vanished. */
export const keepAlive_ms = 15_000;

/** The time for which the buffer keeps its contents without readers; the registry keeps its copy of the store as long. */
export const idle_ms = 60_000;

/** The capacity: events, and characters of their data. */
const maxEvents = 10_000;
const maxCharacters = 8 * 1024 * 1024;

/** The delay between a change and the evaluation of why units wait. */
const settle_ms = 500;

/**
 * The next evaluation is delayed by `factor` times the duration of the last one, within {@link settle_ms} and `most_ms`: a
 * process that was not scheduled meanwhile measures seconds for milliseconds of work, and readers must not wait for minutes.
 */
const pause = { factor: 10, most_ms: 2_000 } as const;

/** The most that a reported time may lie before the view that shows it: clocks differ, and views are batched. */
const timeTolerance_ms = 2000;

/** The changes between one view of the cluster and the next. */
export interface Batch {
  /** The revision of the later view. */
  readonly revision: Revision;
  /** The event id of the later view. */
  readonly id: string;
  readonly events: readonly ApiEvent[];
  /** The time at which the later view was seen, milliseconds since the epoch. */
  readonly time_ms: number;
  /** True if the batch was added some time after its view: a reader that has seen the view may have missed the batch. */
  readonly isLate?: boolean;
}

/** The reason for waking a reader: a new view, {@link keepAlive_ms} since the last keep-alive, or the end of the watch. */
export type WakeReason = "batch" | "keep-alive" | "end";

/** Wakes a reader. It is called often and must be cheap. */
export type Wake = (why: WakeReason) => void;

/** See the head of this file. */
export class EventBuffer {
  readonly #readers = new Set<Wake>();
  #isRecording = false;
  readonly #batches: Batch[] = [];
  #events = 0;
  #characters = 0;
  #nextNumber = 1;
  /** The buffer holds every change after this revision. */
  #floor: Revision = 0;
  /** The buffer holds every change since this time of the wall clock. */
  #floor_ms = 0;
  #latest: Cluster | undefined;
  /** The time at which {@link #latest} was seen, by the wall clock. */
  #seen_ms = 0;
  #isCurrent = false;
  #running: AbortController | undefined;
  /** Aborted when a reader joins before everything is forgotten. */
  #idle: AbortController | undefined;
  #pending = new PendingEvents();
  #pause_ms = settle_ms;
  /** The run in which an evaluation of why units wait is due. */
  #evaluating: AbortSignal | undefined;

  /** `closing`: aborted when no reader will ever join again. */
  constructor(
    private readonly registry: Registry,
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly removals: ReadonlyMap<UnitName, Authorship>,
    private readonly closing?: AbortSignal,
  ) {}

  /** The number of readers. */
  get readers(): number {
    return this.#readers.size;
  }

  /** The newest view; undefined until the watch has delivered one. */
  get latest(): Cluster | undefined {
    return this.#isCurrent ? this.#latest : undefined;
  }

  /** The latest reports of waiting units. */
  get pending(): PendingEvents {
    return this.#pending;
  }

  /** The time of the wall clock since which the buffer holds every change; undefined while it holds nothing. */
  get complete_ms(): number | undefined {
    return this.#latest && this.#floor_ms;
  }

  /** The number of the next batch. */
  get nextNumber(): number {
    return this.#nextNumber;
  }

  /** Calls `wake` at each batch, every {@link keepAlive_ms}, and once at the end, until the reader leaves. */
  join(wake: Wake): void {
    this.#readers.add(wake);
    this.#start();
  }

  leave(wake: Wake): void {
    if (this.#readers.delete(wake)) this.#stopIfUnused();
  }

  /**
   * Keeps what happens without readers too, or ends that: the daemon of the leading engine, which watches the cluster anyway,
   * does it for every other.
   */
  record(isOn: boolean): void {
    this.#isRecording = isOn;
    if (isOn) this.#start();
    else this.#stopIfUnused();
  }

  #start(): void {
    this.#idle?.abort();
    if (this.#running) return;
    this.#running = new AbortController();
    this.#pending = new PendingEvents();
    void this.#run(this.#running.signal);
    void this.#keepAlive(this.#running.signal);
  }

  #stopIfUnused(): void {
    if (this.#running && this.#readers.size === 0 && !this.#isRecording) this.#stop();
  }

  /** Returns a batch by its number: `lost` if the buffer no longer holds it, undefined if it is still to come. */
  batch(number: number): Batch | "lost" | undefined {
    if (number >= this.#nextNumber) return undefined;
    const first = this.#nextNumber - this.#batches.length;
    return this.#batches[number - first] ?? "lost";
  }

  /** Returns the number of the first batch after the event `seen`; undefined if the buffer does not reach back to it. */
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
   * Returns the number of the first batch since a time of the wall clock, and the time from which on the buffer holds every
   * change, which may be later than `since_ms`.
   */
  resumeAt(since_ms: number): { readonly number: number; readonly known_ms: number } {
    const first = this.#batches.findIndex(({ time_ms }) => time_ms >= since_ms);
    const number = first < 0 ? this.#nextNumber : this.#nextNumber - this.#batches.length + first;
    return { number, known_ms: Math.max(since_ms, this.#floor_ms) };
  }

  async #run(signal: AbortSignal): Promise<void> {
    try {
      for await (const cluster of this.registry.watch(signal)) {
        if (signal.aborted) return;
        this.#add(cluster);
        void this.#evaluatePending(signal);
      }
    } catch (error) {
      if (signal.aborted) this.log("debug", "the watch had failed before it was ended", { error: messageOf(error) });
      else this.log("warn", "event streams end: the watch has failed", { error: messageOf(error) });
    } finally {
      if (!signal.aborted) this.#end();
    }
  }

  /** A reader whose filter leaves out every change of a busy cluster is kept alive as well. */
  async #keepAlive(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.clock.sleep(keepAlive_ms, signal);
      if (signal.aborted) return;
      this.#wake("keep-alive");
    }
  }

  /** Ends all streams after the watch has ended by itself. */
  #end(): void {
    const readers = [...this.#readers];
    this.#readers.clear();
    this.#stop();
    for (const wake of readers) wake("end");
  }

  #stop(): void {
    this.#running?.abort();
    this.#running = undefined;
    this.#isCurrent = false;
    void this.#forgetWhenIdle();
  }

  async #forgetWhenIdle(): Promise<void> {
    const idle = this.#idle = new AbortController();
    const callOff = onceAborted([this.closing], () => idle.abort());
    await this.clock.sleep(idle_ms, idle.signal);
    callOff();
    if (!idle.signal.aborted) this.#forgetAll();
  }

  #add(cluster: Cluster): void {
    const [before, before_ms, now_ms] = [this.#latest, this.#seen_ms, this.clock.now_ms()];
    const follows = before !== undefined && before.id === cluster.id && before.revision <= cluster.revision;
    if (!follows) {
      this.#forgetAll();
      this.#floor = cluster.revision;
      this.#floor_ms = now_ms;
    }
    this.#latest = cluster;
    this.#seen_ms = now_ms;
    this.#isCurrent = true;
    const events = follows
      ? [...changes(before, cluster, undefined)].map((event) => this.#timed(event, before_ms, now_ms))
      : [];
    if (events.length > 0) this.#keep(cluster, { events });
    else this.#wake("batch");
  }

  /** Adds to an event the time at which it happened, which lies between the view before it and the view that shows it. */
  #timed(event: ApiEvent, before_ms: number, now_ms: number): ApiEvent {
    const author = event.isGone && event.unit !== undefined ? this.removals.get(event.unit) : undefined;
    const reported_ms = author?.at_ms ?? event.at_ms ?? now_ms;
    const isPlausible = reported_ms > before_ms - timeTolerance_ms && reported_ms <= now_ms;
    const by = author && isPlausible ? `"changed":${JSON.stringify(changedEntity(author))},` : "";
    return { ...event, data: withTime(`{${by}${event.data.slice(1)}`, isPlausible ? reported_ms : now_ms) };
  }

  /** Evaluates why units wait after a delay, unless an evaluation is due anyway: many changes share one. */
  async #evaluatePending(signal: AbortSignal): Promise<void> {
    if (this.#evaluating === signal) return;
    this.#evaluating = signal;
    await this.clock.sleep(this.#pause_ms, signal);
    if (this.#evaluating === signal) this.#evaluating = undefined;
    const { latest } = this;
    if (signal.aborted || !latest) return;
    try {
      const start_ms = this.clock.monotonic_ms();
      const now_ms = this.clock.now_ms();
      const events = this.#pending.update(latest).map((event) => this.#timed(event, now_ms, now_ms));
      const took_ms = this.clock.monotonic_ms() - start_ms;
      this.#pause_ms = Math.min(pause.most_ms, Math.max(settle_ms, pause.factor * took_ms));
      if (events.length > 0) this.#keep(latest, { events, isLate: true });
    } catch (error) {
      this.log("error", "cannot evaluate why units wait", { error: messageOf(error) });
    }
  }

  #keep(view: Cluster, { events, isLate = false }: Pick<Batch, "events" | "isLate">): void {
    this.#nextNumber++;
    this.#batches.push({
      revision: view.revision,
      id: writeEventId(view),
      events,
      time_ms: this.clock.now_ms(),
      isLate,
    });
    this.#events += events.length;
    this.#characters += lengthOf(events);
    // The newest batch stays, however large: readers that keep up have not read it yet.
    const isFull = () => this.#events > maxEvents || this.#characters > maxCharacters;
    while (this.#batches.length > 1 && isFull()) this.#forgetOldest();
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

  /** Skips a number, so that a reader that has not read everything finds the next batch lost. */
  #forgetAll(): void {
    this.#latest = undefined;
    this.#batches.length = 0;
    this.#events = 0;
    this.#characters = 0;
    this.#nextNumber += 1;
    this.#pending = new PendingEvents();
  }

  #wake(why: WakeReason): void {
    for (const wake of [...this.#readers]) wake(why);
  }
}

function lengthOf(events: readonly ApiEvent[]): number {
  return events.reduce((sum, { data }) => sum + data.length, 0);
}
