/**
 * The state of the API that outlives its handler, which a reload replaces: limits continue to count requests in
 * progress, and clients that reconnect get the events that they have missed.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { Registry } from "../../registry/mod.ts";
import type { Authorship, UnitName } from "../../registry/model.ts";
import { Budget } from "../../runtime/budget.ts";
import { serial } from "../../runtime/serial.ts";
import { NewestMap } from "../../runtime/newest_map.ts";
import { ResponseBudget } from "./http/response_budget.ts";
import { EventBuffer } from "./events/event_buffer.ts";

/** Event streams open at once; each holds a connection. */
export const maxStreams = 1_500;

/** Requests for journals and statuses in progress at once. Each has a process or a connection to another machine. */
export const maxMachineRequests = 64;

/** Deletions whose authors are remembered; the event of a deletion follows within moments. */
const maxRemovals = 1_000;

/** The state that successive handlers share. */
export class SharedState implements Disposable {
  readonly streams = new Budget(maxStreams);
  readonly machineRequests = new Budget(maxMachineRequests);
  /** Runs the checks of unit files by systemd-analyze, one at a time. */
  readonly verification = serial();
  readonly responses = new ResponseBudget();
  /** The authors of deletions made through this daemon: the store keeps nothing of a destroyed unit. */
  readonly removals: Map<UnitName, Authorship> = new NewestMap(maxRemovals);
  readonly #closing = new AbortController();
  readonly #events = new WeakMap<Registry, EventBuffer>();

  /** Returns the event buffer of one registry; `clock` and `log` are those of the first call. */
  events(registry: Registry, clock: Clock, log: Log): EventBuffer {
    const open = () => new EventBuffer(registry, clock, log, this.removals, this.#closing.signal);
    return this.#events.getOrInsertComputed(registry, open);
  }

  /** Ends the timers of all buffers; to be called when the API is closed. */
  [Symbol.dispose](): void {
    this.#closing.abort();
  }
}
