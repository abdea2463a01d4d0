/**
 * The agent: keeps this machine's units as the cluster wants them, and tells the cluster how they are.
 *
 * @module
 */

import { Notifier } from "../../runtime/notifier.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { MachineRecord, MachineView, UnitName, UnitState } from "../../registry/model.ts";
import type { Membership, Registry } from "../../registry/mod.ts";
import type { Systemd, UnitStatus } from "../../systemd/port.ts";
import { parseUnitFile, serializeUnitFile } from "../../systemd/unit_file.ts";
import { hashUnitFile } from "../../systemd/unit_hash.ts";
import { reconcile, together } from "../reconcile.ts";
import { desired, hashesNeeded, kept, type Wanted } from "./desired.ts";
import { Executor, type Situation } from "./executor.ts";
import { adopted, commanded, type IntentMemory } from "./command.ts";
import { LoadErrors } from "./load_errors.ts";
import { startsAgain } from "./job_results.ts";
import { type Current, plan, type Step } from "./plan.ts";
import { sameStates, unitStates } from "./unit_states.ts";
import { UnitTexts } from "./texts.ts";
import { type Failure, FailureTracker } from "./failures.ts";

/** What an agent needs. */
export interface AgentOptions {
  readonly registry: Pick<Registry, "watchMachine" | "file">;
  readonly systemd: Systemd;
  readonly memory: IntentMemory;
  readonly membership: Pick<Membership, "publish">;
  /** The machine as it is now. */
  readonly machine: () => MachineRecord;
  readonly clock: Clock;
  readonly log: Log;
  /** How often it looks at disk and systemd although nothing has changed, milliseconds. */
  readonly safetyNet_ms: number;
  /** Told how long each round took, milliseconds, and whether it failed. */
  readonly observe?: (duration_ms: number, failed: boolean) => void;
  /** Told of each view that was acted upon. */
  readonly seen: (view: MachineView) => void;
}

interface AgentWorld extends Situation {
  readonly held: ReadonlySet<UnitName>;
  /** Units that are not to be started yet. */
  readonly later: ReadonlySet<UnitName>;
  readonly states: ReadonlyMap<UnitName, UnitState>;
  readonly now_ms: number;
}

type AgentStep = Step | { readonly kind: "publish" };

/** One machine's agent. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #wakeup = new Notifier();
  readonly #tracker = new FailureTracker();
  readonly #texts: UnitTexts;
  /** Units whose file is missing, as far as the log has been told. */
  #incomplete: ReadonlyMap<UnitName, string> = new Map();
  readonly #loadErrors: LoadErrors;
  #executor: Executor | undefined;
  #view: MachineView | undefined;
  #published: ReadonlyMap<UnitName, UnitState> | undefined;
  #publication: Promise<void> | undefined;
  #stockTaken_ms = -Infinity;
  #last: Pick<AgentWorld, "wanted" | "states"> | undefined;
  #draining = false;
  #hasEnded = false;
  #drained = (_isEmpty: boolean) => {};

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#texts = new UnitTexts({
      read: (hash) => options.registry.file(hash),
      clock: options.clock,
      changed: () => this.#wakeup.notify(),
    });
    this.#loadErrors = new LoadErrors(options.systemd);
  }

  /** Runs until `signal` aborts. Units are left as they are. Throws WrongStoreError. */
  async run(signal: AbortSignal): Promise<void> {
    const { registry, systemd, machine, clock, log } = this.#options;
    const follow = async (signal: AbortSignal) => {
      for await (const view of registry.watchMachine(machine().id, signal)) {
        this.#view = view;
        this.#wakeup.notify();
      }
    };
    const listen = async (signal: AbortSignal) => {
      for await (const { units } of systemd.watch(signal)) {
        // After a reload systemd may use other files: an administrator may have removed what was in fleet's way.
        if (units === undefined && this.#loadErrors.hasRefusals) this.#stockTaken_ms = -Infinity;
        this.#wakeup.notify();
      }
    };
    const loop = {
      name: "agent",
      wakeup: this.#wakeup,
      clock,
      log,
      look: () => this.#look(),
      decide: (world: AgentWorld) => this.#decide(world),
      act: (steps: readonly AgentStep[], world: AgentWorld) => this.#act(steps, world),
      observe: this.#options.observe,
      // From when it looked: what has fallen due since then has not been tried.
      patience_ms: (world: AgentWorld | undefined) => {
        const now_ms = world?.now_ms ?? clock.monotonic_ms();
        return Math.min(
          this.#options.safetyNet_ms,
          this.#tracker.nextTry_ms(now_ms),
          this.#texts.nextTry_ms(clock.monotonic_ms()),
        );
      },
    };
    try {
      await together(signal, [follow, listen, (signal) => reconcile(loop, signal)]);
    } finally {
      this.#hasEnded = true;
      this.#drained(false);
    }
  }

  /** What it found when it last looked, for people who ask; undefined if it has not looked yet. */
  get lastLook(): Pick<AgentWorld, "wanted" | "states"> | undefined {
    return this.#last;
  }

  /**
   * Takes every unit off this machine, whatever the cluster wants. Resolves to true when none is left, to false if {@link run}
   * has ended before that.
   */
  drain(): Promise<boolean> {
    this.#draining = true;
    const done = new Promise<boolean>((resolve) => this.#drained = resolve);
    if (this.#hasEnded) this.#drained(false);
    this.#wakeup.notify();
    return done;
  }

  async #look(): Promise<AgentWorld | undefined> {
    const { clock } = this.#options;
    const view = this.#view;
    if (!view && !this.#draining) return undefined;
    const executor = await this.#takeStock();
    const { texts, wanted, unreadable, missing } = await this.#desired(executor);
    // What ends while systemd is looked at may be seen as it was before.
    const busy = [...executor.busy];
    const ended = new Map(executor.ended);
    const stopped = executor.takeStopped();
    const statuses = await this.#options.systemd.statuses(new Set(executor.files.keys()));
    await executor.recordFailedStops(stopped, wanted, statuses);
    const current = await this.#current(executor, wanted, unreadable, statuses);
    const now_ms = clock.monotonic_ms();
    this.#tracker.keepOnly(new Set([...wanted.keys(), ...current.keys()]));
    const incomplete = this.#withoutFile(wanted, current, missing);
    const waitingAgain = this.#waiting(wanted, current, now_ms);
    const held = new Set([...busy, ...executor.busy, ...unreadable, ...waitingAgain, ...incomplete.keys()]);
    const { id } = this.#options.machine();
    const waiting = executor.waitingForOthers({ wanted, current });
    const errors = new Map<UnitName, Failure>([
      ...[...waiting].map(([name, error]) => [name, { error, tried: false }] as const),
      ...await this.#loadErrors.failures(executor.files, statuses),
      ...this.#tracker.errors(),
      ...[...incomplete].map(([name, error]) => [name, { error, tried: true }] as const),
    ]);
    const states = unitStates(id, wanted, current, errors, executor.restarting, ended);
    if (view) this.#options.seen(view);
    if (this.#draining && current.size === 0) this.#drained(true);
    this.#last = { wanted, states };
    return { wanted, current, texts, held, later: new Set(waiting.keys()), states, now_ms };
  }

  /** What ought to be here, with the files it takes, which of them are missing, and units that cannot be judged. */
  async #desired(executor: Executor): Promise<
    Pick<Situation, "texts" | "wanted"> & {
      readonly unreadable: ReadonlySet<UnitName>;
      readonly missing: ReadonlyMap<string, string>;
    }
  > {
    const view = this.#view;
    if (!view || this.#draining) {
      return { ...await this.#texts.of(new Set()), wanted: new Map(), unreadable: new Set() };
    }
    const stay = kept(view, executor.files);
    const { texts, missing } = await this.#texts.of(new Set([...hashesNeeded(view), ...stay.values()]));
    return { texts, missing, wanted: desired(view, this.#options.machine(), texts, stay), unreadable: view.unreadable };
  }

  /**
   * Units that cannot be installed for want of their file, with the reason. They are left as they are: an old version runs
   * on, and the file is asked for again.
   */
  #withoutFile(
    wanted: ReadonlyMap<UnitName, Wanted>,
    current: ReadonlyMap<UnitName, Current>,
    missing: ReadonlyMap<string, string>,
  ): ReadonlyMap<UnitName, string> {
    const units = new Map<UnitName, string>();
    if (missing.size > 0) {
      for (const { name, hash } of wanted.values()) {
        const why = missing.get(hash);
        if (why !== undefined && current.get(name)?.hash !== hash) units.set(name, why);
      }
    }
    for (const [unit, why] of units) {
      if (this.#incomplete.get(unit) !== why) this.#options.log("warn", why, { unit });
    }
    return this.#incomplete = units;
  }

  /** Units whose failed command is not to be given again yet. */
  #waiting(
    wanted: ReadonlyMap<UnitName, Wanted>,
    current: ReadonlyMap<UnitName, Current>,
    now_ms: number,
  ): ReadonlySet<UnitName> {
    const waiting = this.#tracker.waiting(wanted, now_ms);
    // A socket that had no service to start may get it now; once the service runs, systemd will not have the socket.
    const getsMore = [...wanted.keys()].some((name) => !current.has(name) && !waiting.has(name));
    return getsMore ? new Set([...waiting].filter((name) => startsAgain(name) || !current.has(name))) : waiting;
  }

  #decide(world: AgentWorld): readonly AgentStep[] {
    // Leaving the cluster takes the states along.
    if (this.#draining && world.current.size === 0) return [];
    const steps: AgentStep[] = [...plan(world.wanted, world.current, world.held, world.later)];
    // What a unit did last before it is removed is not worth telling: its state is gone at the next look.
    const removed = new Set(steps.flatMap((step) => step.kind === "remove" ? [step.unit] : []));
    const without = (states: ReadonlyMap<UnitName, UnitState> | undefined) =>
      states && new Map([...states].filter(([name]) => !removed.has(name)));
    if (!sameStates(without(this.#published), without(world.states)!)) steps.push({ kind: "publish" });
    return steps;
  }

  async #act(steps: readonly AgentStep[], world: AgentWorld): Promise<void> {
    const { membership, log } = this.#options;
    const commands = steps.filter((step): step is Step => step.kind !== "publish");
    if (commands.length < steps.length) {
      this.#published = world.states;
      // Not waited for: a store that is away must not keep a unit from being stopped. What it refuses now, the
      // membership itself writes when it can.
      const published = membership.publish(world.states);
      // Publications share a promise until the store has taken them.
      if (published !== this.#publication) {
        published.catch((error) => log("warn", `unit states could not be published: ${error.message}`));
      }
      this.#publication = published;
    }
    await this.#executor!.carryOut(commands, world);
  }

  /**
   * What an earlier daemon has left: files on disk, and what was commanded. The files are looked at again now and then,
   * in case somebody else has touched them.
   */
  async #takeStock(): Promise<Executor> {
    const { systemd, memory, clock, log, safetyNet_ms } = this.#options;
    const now_ms = clock.monotonic_ms();
    if (this.#executor && now_ms - this.#stockTaken_ms < safetyNet_ms) return this.#executor;
    const files = new Map<UnitName, string>();
    await this.#loadErrors.check();
    const texts = await systemd.files();
    for (const [name, text] of texts) {
      const found = onDisk(text);
      files.set(name, found.hash);
      if (!this.#executor && found.hash !== "") this.#texts.add(found.hash, found.text);
    }
    this.#stockTaken_ms = now_ms;
    if (this.#executor) {
      this.#executor.files.clear();
      for (const [name, hash] of files) this.#executor.files.set(name, hash);
      return this.#executor;
    }
    // What an earlier daemon has changed, and did not live to reload.
    await systemd.reloadIfNeeded();
    const intents = new Map(await memory.load());
    for (const name of intents.keys()) {
      if (files.has(name)) continue;
      await memory.forget(name);
      intents.delete(name);
    }
    if (files.size > 0) log("info", `taking up ${files.size} units that are on this machine already`);
    const ended = () => this.#wakeup.notify();
    const tracker = this.#tracker;
    return this.#executor = new Executor({ systemd, memory, tracker, clock, log, ended }, texts, files, intents);
  }

  async #current(
    executor: Executor,
    wanted: ReadonlyMap<UnitName, Wanted>,
    unreadable: ReadonlySet<UnitName>,
    statuses: ReadonlyMap<UnitName, UnitStatus>,
  ): Promise<ReadonlyMap<UnitName, Current>> {
    const current = new Map<UnitName, Current>();
    await Promise.all([...executor.files].map(async ([name, hash]) => {
      const status = statuses.get(name);
      if (!status) return;
      // Which restart to adopt it with can be told once its orders can be read.
      const said = unreadable.has(name) && !executor.intents.has(name)
        ? commanded(adopted(status, 0), status)
        : await executor.commanded(name, status, wanted.get(name));
      current.set(name, { name, hash, status, ...said });
    }));
    return current;
  }
}

/** A file as the store would have it. One that cannot be parsed is nobody's version: its hash equals no unit's. */
function onDisk(text: string): { readonly hash: string; readonly text: string } {
  try {
    const serialized = serializeUnitFile(parseUnitFile(text));
    return { hash: hashUnitFile(serialized), text: serialized };
  } catch {
    return { hash: "", text };
  }
}
