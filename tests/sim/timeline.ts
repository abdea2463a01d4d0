/**
 * Simulated time: events in the order of their times. Time moves only when all code that an event has started waits for
 * another event.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** The time that a simulated part sees, and the way to wait. */
export interface Timeline {
  /** Milliseconds since the beginning of the simulation. */
  now_ms(): number;
  /** Runs `work` after a time. Returns a function that cancels it. */
  after(delay_ms: number, work: () => void): () => void;
}

interface Event {
  readonly at_ms: number;
  /** Orders events of the same time. */
  readonly number: number;
  work: (() => void) | undefined;
}

/** A timeline that a driver advances. */
export class SimulatedTimeline implements Timeline {
  /** A binary heap: the earliest event first. */
  readonly #heap: Event[] = [];
  #now_ms = 0;
  #count = 0;

  now_ms(): number {
    return this.#now_ms;
  }

  /** The number of events so far. */
  get events(): number {
    return this.#count;
  }

  after(delay_ms: number, work: () => void): () => void {
    const event: Event = { at_ms: this.#now_ms + inTicks(delay_ms), number: this.#count++, work };
    if (Number.isFinite(event.at_ms)) this.#push(event);
    return () => event.work = undefined;
  }

  /** Runs all events up to a time. `checkpoint` is called after each, once no code can run on without another event. */
  async runUntil(end_ms: number, checkpoint: () => void): Promise<void> {
    await this.#settle();
    for (let event = this.#heap[0]; event !== undefined && event.at_ms <= end_ms; event = this.#heap[0]) {
      this.#pop();
      if (event.work === undefined) continue;
      this.#now_ms = event.at_ms;
      event.work();
      await this.#settle();
      checkpoint();
    }
    this.#now_ms = end_ms;
  }

  /** Ends the simulation. Events that are left never run. */
  close(): void {
    this.#heap.length = 0;
  }

  /**
   * Resolves in a later turn of the event loop: microtasks, and those that they queue, have all run by then. A message
   * channel does not do: Deno may receive a message in the turn in which it was sent.
   */
  #settle(): Promise<void> {
    return new Promise((resolve) => void setImmediate(resolve));
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, event)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

/**
 * Returns a delay as a multiple of 2^-10 ms, at least as long: sums of such times are exact, so that a wait until some moment
 * never ends just before it.
 */
function inTicks(delay_ms: number): number {
  return Math.ceil(Math.max(0, delay_ms) * 1024) / 1024;
}

function isBefore(a: Event, b: Event): boolean {
  return a.at_ms < b.at_ms || a.at_ms === b.at_ms && a.number < b.number;
}
