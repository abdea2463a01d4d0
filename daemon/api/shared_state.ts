/**
 * What goes on when a reload replaces the handler of the API: answers that are open still count, and who comes back is
 * told what was missed.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { Registry } from "../../registry/mod.ts";
import { ResponseBudget } from "./http/answers.ts";
import { EventBuffer } from "./events/event_buffer.ts";
import { CountLimit } from "./http/places.ts";
import { Removals } from "./events/removals.ts";

/** Event streams open at once; each holds a connection. */
export const maxStreams = 1_500;

/** Journals and states of units asked for at once, each of a process of its own or over a connection. */
export const maxQuestions = 64;

/** See the head of this file. */
export class SharedState {
  readonly streams = new CountLimit(maxStreams);
  readonly questions = new CountLimit(maxQuestions);
  readonly answers = new ResponseBudget();
  readonly removals = new Removals();
  readonly #feeds = new WeakMap<Registry, EventBuffer>();

  /** What happens in the cluster, as one registry sees it; `clock` and `log` are those of whoever asks first. */
  feed(registry: Registry, clock: Clock, log: Log): EventBuffer {
    const feed = this.#feeds.get(registry) ?? new EventBuffer(registry, clock, log, this.removals);
    this.#feeds.set(registry, feed);
    return feed;
  }
}
