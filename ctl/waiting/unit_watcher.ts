/**
 * Keeps a view of some units as the cluster sees them: by the server's event stream or, if it has none, by polling.
 *
 * @module
 */

import type {
  MachineEntity,
  MachineEvent,
  StateEvent,
  UnitEntity,
  UnitEvent,
  UnitStateEntity,
} from "../../daemon/api/v1/types.ts";
import { EventMemory, type StreamEvent } from "../api/event_memory.ts";
import { type ApiClient, ApiError, UnreachableError } from "../api/client.ts";
import type { Notifier } from "../../runtime/notifier.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { type Io, reasonOf } from "../terminal/port.ts";
import { stopWhenSilent } from "../api/sse.ts";
import { aborted, onceAborted } from "../../runtime/on_abort.ts";

/** The state of a unit that one machine reports. Optional fields come only from the event stream. */
export type StateView = Omit<StateEvent, "name" | "machineID" | "state"> & { readonly state: UnitStateEntity };

/** The latest view of one unit. */
export interface UnitView {
  /** Undefined before the first view, and once the unit is destroyed. */
  readonly unit?: UnitEntity;
  /** Hash of its newest file; only the event stream has it. */
  readonly hash?: string;
  /** The file that a roll-out has given to some machines in place of {@link hash}; only the event stream has it. */
  readonly next?: UnitEvent["next"];
  /** The latest restart that was requested, 0 if none; only the event stream has it. */
  readonly restart?: number;
  /** True if the unit has existed at some time since the watcher began. */
  readonly seen: boolean;
  /** The reported states, by machine ID. */
  readonly states: ReadonlyMap<string, StateView>;
  /** Number of events about the unit's states, including those that change nothing. */
  readonly stateChanges: number;
}

/** Interval between polls of a server without an event stream, and pause before a stream is opened again. */
const poll_ms = 250;

/** Longest list of unit names, in characters, that is sent as a filter: servers limit request lines. */
const maxFilter = 4000;

/** Watches units until {@link close}. Views are complete once {@link ready} has resolved. */
export class UnitWatcher {
  /** True once the view of every unit is complete. */
  isReady = false;
  readonly #names: readonly string[];
  readonly #stop = new AbortController();
  readonly #views = new Map<string, UnitView>();
  /** Reports what went away while no stream was open. */
  readonly #memory = new EventMemory();
  readonly #machines = new Map<string, MachineEntity>();
  readonly #ready = Promise.withResolvers<void>();
  #hasWarned = false;
  readonly #running: Promise<void>;

  /** Notifies `changes` of each change of a view. */
  constructor(
    private readonly client: ApiClient,
    private readonly io: Io,
    names: readonly string[],
    private readonly changes: Notifier,
  ) {
    this.#names = [...new Set(names)];
    for (const name of this.#names) this.#views.set(name, { seen: false, states: new Map(), stateChanges: 0 });
    this.#running = this.#run();
  }

  /** Resolves once the view of every unit is complete. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** The latest view of a watched unit. */
  view(name: string): UnitView {
    return this.#views.get(name) as UnitView;
  }

  /** A machine, if the event stream has reported it. */
  machine(id: string): MachineEntity | undefined {
    return this.#machines.get(id);
  }

  /** Stops watching. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const stopped = aborted(signal);
    let hasStream = true;
    while (!signal.aborted) {
      try {
        if (hasStream && !await this.#followStream()) hasStream = false;
        // A request that hangs must not hold up close().
        if (!hasStream) await Promise.race([this.#poll(), stopped]);
        this.#hasWarned = false;
      } catch (error) {
        if (signal.aborted) return;
        this.#warn(error);
      }
      await this.io.sleepAtRandom(poll_ms, signal);
    }
  }

  /** Follows one event stream to its end. Returns false if the server has none. */
  async #followStream(): Promise<boolean> {
    const filter = this.#names.join("").length <= maxFilter ? this.#names : [];
    const end = new AbortController();
    const stop = () => end.abort();
    const stopListening = onceAborted([this.#stop.signal], stop);
    try {
      const events = await this.client.events(filter, end.signal);
      if (!events) return false;
      this.#memory.begin(true);
      for await (const event of stopWhenSilent(events, (ms, signal) => this.io.sleep(ms, signal), stop)) {
        const changes = this.#memory.take(event).map((each) => this.#apply(each));
        if (changes.includes(true)) this.changes.notify();
      }
      return true;
    } finally {
      stopListening();
    }
  }

  /** Applies one event. Returns true if a complete view has changed. */
  #apply(event: StreamEvent): boolean {
    switch (event.event) {
      case "unit": {
        const { name, unit, ...more } = JSON.parse(event.data) as UnitEvent;
        const view = this.#views.get(name);
        if (!view) return false;
        this.#views.set(name, viewOfUnit(unit, view, more));
        return this.isReady;
      }
      case "state": {
        const reported = JSON.parse(event.data) as StateEvent;
        const view = this.#views.get(reported.name);
        if (!view) return false;
        const states = new Map(view.states);
        if (reported.state) states.set(reported.machineID, { ...reported, state: reported.state });
        else states.delete(reported.machineID);
        this.#views.set(reported.name, { ...view, states, stateChanges: view.stateChanges + 1 });
        return this.isReady;
      }
      case "machine": {
        const { id, machine } = JSON.parse(event.data) as MachineEvent;
        if (machine) this.#machines.set(id, machine);
        return false;
      }
      case "synced":
        this.#markReady();
        return true;
      default:
        return false;
    }
  }

  /** Requests every unit and its states once. */
  async #poll(): Promise<void> {
    await inParallel(this.#names, async (name) => {
      const unit = await this.client.unit(name);
      const states = new Map<string, StateView>();
      for (const state of await this.client.states(name)) states.set(state.machineID ?? "", { state });
      const view = this.view(name);
      const changes = view.stateChanges + (sameStates(view.states, states) ? 0 : 1);
      this.#views.set(name, { ...viewOfUnit(unit, view), states, stateChanges: changes });
    });
    this.#markReady();
    this.changes.notify();
  }

  #markReady(): void {
    this.isReady = true;
    this.#ready.resolve();
  }

  /** Logs an error, as a warning only if it is the first in a row; the server may be restarting. */
  #warn(error: unknown): void {
    const isNamed = error instanceof ApiError || error instanceof UnreachableError;
    const what = isNamed ? reasonOf(error) : `lost the event stream of ${this.client.endpoint}: ${reasonOf(error)}`;
    this.io.log(this.#hasWarned ? "DEBUG" : "WARN", `${what}; trying again`);
    this.#hasWarned = true;
  }
}

/** Returns the view with another unit, or with none. */
function viewOfUnit(
  unit: UnitEntity | undefined,
  view: UnitView,
  { restart, hash, next }: Pick<UnitEvent, "restart" | "hash" | "next"> = {},
): UnitView {
  const { states, stateChanges } = view;
  return {
    ...{ states, stateChanges, seen: view.seen || unit !== undefined },
    ...(unit ? { unit } : {}),
    ...(unit && restart !== undefined ? { restart } : {}),
    ...(unit && hash !== undefined ? { hash } : {}),
    ...(unit && next !== undefined ? { next } : {}),
  };
}

/** True if a machine has the file that it is to run, or it is unknown which one it has. */
export function hasWantedFile(
  { hash, next }: UnitView,
  { hash: reported, machineID = "" }: Pick<UnitStateEntity, "hash" | "machineID">,
): boolean {
  if (hash === undefined || reported === undefined) return true;
  return reported === (next?.machines.includes(machineID) ? next.hash : hash);
}

function sameStates(before: ReadonlyMap<string, StateView>, after: ReadonlyMap<string, StateView>): boolean {
  return JSON.stringify([...before]) === JSON.stringify([...after]);
}
