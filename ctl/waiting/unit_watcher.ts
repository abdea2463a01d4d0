/**
 * Keeps a view of some units as the cluster sees them: by the server's event stream where it has one, by asking again
 * and again where it has none.
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
import { type ApiClient, ApiError, UnreachableError } from "../api/client.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { type Io, reasonOf } from "../terminal/port.ts";
import type { ServerEvent } from "../api/sse.ts";
import { aborted } from "../../runtime/on_abort.ts";

/** What one machine says of a unit. */
export interface StateView {
  readonly state: UnitStateEntity;
  /** Why the agent's latest command failed, or systemd's result; only the stream tells. */
  readonly error?: string;
  /** The command will fail again until the unit's file or the machine's configuration changes; only the stream tells. */
  readonly permanent?: boolean;
  /** What systemd made of the latest start, where the unit is not active then; only the stream tells. */
  readonly job?: string;
  /** systemd's result, where it is not success; only the stream tells. */
  readonly result?: string;
  /** How often systemd itself has started the unit again; only the stream tells. */
  readonly restarts?: number;
  /** The latest restart that was carried out; only the stream tells. */
  readonly restart?: number;
  /** When the active state was entered, by the machine's clock, 0 if never; only the stream tells. */
  readonly since_ms?: number;
}

/** What is known of one unit. */
export interface UnitView {
  /** Undefined while nothing is known, or once the unit is gone. */
  readonly unit?: UnitEntity;
  /** Hash of its newest file; only the stream tells. */
  readonly hash?: string;
  /** The latest restart that was asked for, 0 if none; only the stream tells. */
  readonly restart?: number;
  /** True if the unit was there at some time since we look. */
  readonly seen: boolean;
  /** What each machine that has it says. */
  readonly states: ReadonlyMap<string, StateView>;
  /** Grows with every message about one of its states, also one that says nothing new. */
  readonly stateChanges: number;
}

/** How often a server that cannot be followed is asked, and how long to wait before following anew. */
const poll_ms = 250;

/** A stream that has been silent for this long may be dead: it is opened again. */
const silence_ms = 30_000;

/** Names are sent along while the request line stays below what servers accept; more units than that follow everything. */
const maxFilter = 4000;

/** Follows units until {@link close}. Views are complete once {@link ready} has resolved. */
export class UnitWatcher {
  readonly #client: ApiClient;
  readonly #io: Io;
  readonly #names: readonly string[];
  readonly #stop = new AbortController();
  readonly #views = new Map<string, UnitView>();
  readonly #machines = new Map<string, MachineEntity>();
  readonly #ready = Promise.withResolvers<void>();
  #isReady = false;
  #changed = Promise.withResolvers<void>();
  #complained = false;
  readonly #running: Promise<void>;

  constructor(client: ApiClient, io: Io, names: readonly string[]) {
    this.#client = client;
    this.#io = io;
    this.#names = [...new Set(names)];
    for (const name of this.#names) this.#views.set(name, { seen: false, states: new Map(), stateChanges: 0 });
    this.#running = this.#run();
  }

  /** Resolves once the present is known. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** True once the present is known. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Resolves at the next change after this call. */
  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** What is known of a followed unit. */
  view(name: string): UnitView {
    return this.#views.get(name) as UnitView;
  }

  /** A machine, if the stream has told of it. */
  machine(id: string): MachineEntity | undefined {
    return this.#machines.get(id);
  }

  /** Stops following. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const stopped = aborted(signal);
    let streams = true;
    while (!signal.aborted) {
      try {
        if (streams && !await this.#stream()) streams = false;
        // A request that hangs does not keep anyone who has stopped looking.
        if (!streams) await Promise.race([this.#poll(), stopped]);
        this.#complained = false;
      } catch (error) {
        if (signal.aborted) return;
        this.#complain(error);
      }
      await this.#io.sleep(poll_ms, signal);
    }
  }

  /** Follows one stream to its end. False if the server has none. */
  async #stream(): Promise<boolean> {
    const filter = this.#names.join("").length <= maxFilter ? this.#names : [];
    const end = new AbortController();
    const stop = () => end.abort();
    this.#stop.signal.addEventListener("abort", stop);
    try {
      const events = await this.#client.events(filter, end.signal);
      if (!events) return false;
      await this.#read(events, stop);
      return true;
    } finally {
      this.#stop.signal.removeEventListener("abort", stop);
    }
  }

  /** Reads a stream to its end; calls `stop` when it has been silent for too long. */
  async #read(events: AsyncIterable<ServerEvent>, stop: () => void): Promise<void> {
    let timer = new AbortController();
    const watchSilence = () => {
      timer.abort();
      timer = new AbortController();
      const { signal: stopped } = timer;
      void this.#io.sleep(silence_ms, stopped).then(() => stopped.aborted || stop());
    };
    const present = new Present();
    try {
      watchSilence();
      for await (const event of events) {
        watchSilence();
        if (this.#apply(event, present)) this.#notify();
      }
    } finally {
      timer.abort();
    }
  }

  /** Applies one event; true if there is something to look at. */
  #apply(event: ServerEvent, present: Present): boolean {
    switch (event.event) {
      case "unit": {
        const { name, unit, restart, hash } = JSON.parse(event.data) as UnitEvent;
        const view = this.#views.get(name);
        if (!view) return false;
        present.units.add(name);
        this.#views.set(name, viewOfUnit(unit, view, restart, hash));
        return this.#isReady;
      }
      case "state": {
        const said = JSON.parse(event.data) as StateEvent;
        const view = this.#views.get(said.name);
        if (!view) return false;
        present.states.add(stateKey(said.name, said.machineID));
        const states = new Map(view.states);
        if (said.state) states.set(said.machineID, stateView(said, said.state));
        else states.delete(said.machineID);
        this.#views.set(said.name, { ...view, states, stateChanges: view.stateChanges + 1 });
        return this.#isReady;
      }
      case "machine": {
        const { id, machine } = JSON.parse(event.data) as MachineEvent;
        if (machine) this.#machines.set(id, machine);
        return false;
      }
      case "synced":
        this.#forgetAllBut(present);
        this.#markReady();
        return true;
      default:
        return false;
    }
  }

  /** After a stream was lost: what the new one's present did not mention is gone. */
  #forgetAllBut(present: Present): void {
    for (const [name, view] of this.#views) {
      const states = new Map([...view.states].filter(([machine]) => present.states.has(stateKey(name, machine))));
      const unit = present.units.has(name) ? view.unit : undefined;
      this.#views.set(name, { ...viewOfUnit(unit, view, view.restart, view.hash), states });
    }
  }

  /** Asks for every unit once. */
  async #poll(): Promise<void> {
    await inParallel(this.#names, async (name) => {
      const unit = await this.#client.unit(name);
      const states = new Map<string, StateView>();
      for (const state of await this.#client.states(name)) states.set(state.machineID ?? "", { state });
      const view = this.view(name);
      const changes = view.stateChanges + (sameStates(view.states, states) ? 0 : 1);
      this.#views.set(name, { ...viewOfUnit(unit, view), states, stateChanges: changes });
    });
    this.#markReady();
    this.#notify();
  }

  #markReady(): void {
    this.#isReady = true;
    this.#ready.resolve();
  }

  #notify(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve();
  }

  /** A lost or refusing server is asked again, since it may be restarting; but it is said, once each time. */
  #complain(error: unknown): void {
    const known = error instanceof ApiError || error instanceof UnreachableError;
    const level = this.#complained ? "DEBUG" : "WARN";
    const what = known ? reasonOf(error) : `lost sight of ${this.#client.endpoint}: ${reasonOf(error)}`;
    this.#io.log(level, `${what}; trying again`);
    this.#complained = true;
  }
}

/** What a new stream has said before `synced`. */
class Present {
  readonly units = new Set<string>();
  readonly states = new Set<string>();
}

/** The view with another unit in it, or none. */
function viewOfUnit(
  unit: UnitEntity | undefined,
  view: UnitView,
  restart?: number,
  hash?: string,
): UnitView {
  const { states, stateChanges } = view;
  return {
    ...{ states, stateChanges, seen: view.seen || unit !== undefined },
    ...(unit ? { unit } : {}),
    ...(unit && restart !== undefined ? { restart } : {}),
    ...(unit && hash !== undefined ? { hash } : {}),
  };
}

function stateView(
  { job, error, permanent, result, restart, restarts, since }: StateEvent,
  state: UnitStateEntity,
): StateView {
  return {
    state,
    ...(job === undefined ? {} : { job }),
    ...(error === undefined ? {} : { error }),
    ...(permanent === undefined ? {} : { permanent }),
    ...(result === undefined ? {} : { result }),
    ...(restart === undefined ? {} : { restart }),
    ...(restarts === undefined ? {} : { restarts }),
    ...(since === undefined ? {} : { since_ms: since }),
  };
}

function stateKey(name: string, machine: string): string {
  return `${machine}/${name}`;
}

function sameStates(before: ReadonlyMap<string, StateView>, after: ReadonlyMap<string, StateView>): boolean {
  return JSON.stringify([...before]) === JSON.stringify([...after]);
}
