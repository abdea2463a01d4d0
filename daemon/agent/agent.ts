/**
 * The agent: brings this machine's units to their desired state, and publishes their current state.
 *
 * @module
 */

import { Notifier } from "../../runtime/notifier.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { MachineRecord, MachineView, Revision, UnitName, UnitState } from "../../registry/model.ts";
import type { Membership, Registry } from "../../registry/mod.ts";
import type { Systemd, UnitStatus } from "../../systemd/port.ts";
import { reconcile, together } from "../reconcile.ts";
import { inUse } from "./bindings.ts";
import { desired, type DesiredUnit, exclusiveUnits, hashesNeeded, retainedFiles } from "./desired.ts";
import { DisconnectionGuard } from "./disconnection_guard.ts";
import { Executor, type Situation } from "./executor.ts";
import { HealthMonitor, type HealthProbe } from "./health_monitor.ts";
import { adopted, commanded, type IntentMemory } from "./intent.ts";
import { LockKeeper } from "./lock_keeper.ts";
import { LoadErrors } from "./load_errors.ts";
import { type Current, plan, type Step } from "./plan.ts";
import { sameStates, unitStates } from "./unit_states.ts";
import { onDisk, UnitTexts } from "./texts.ts";
import { type Failure, FailureTracker } from "./failures.ts";
import { RepeatedFailures } from "./repeated_failures.ts";
import { awaitedCopies, SettledCopies } from "./settled_copies.ts";

/** Dependencies and timing of an agent. */
export interface AgentOptions {
  readonly registry: Pick<Registry, "watchMachine" | "file">;
  readonly systemd: Systemd;
  readonly memory: IntentMemory;
  readonly membership: Pick<
    Membership,
    "publish" | "lease" | "ttl_ms" | "renewedAt_ms" | "renewals" | "renewEvery" | "locks"
  >;
  /** The machine's current record. */
  readonly machine: () => MachineRecord;
  /** Makes the checks of units with HealthCheck=; without it, none are made. */
  readonly probe?: HealthProbe;
  readonly clock: Clock;
  readonly log: Log;
  /** Interval at which files and systemd are compared with the desired state although nothing has changed, milliseconds. */
  readonly safetyNet_ms: number;
  /** Called after each round, with its duration in milliseconds and whether it failed. */
  readonly observe?: (duration_ms: number, failed: boolean) => void;
  /** Called with each view that a round has used. */
  readonly seen: (view: MachineView) => void;
}

/** The input of one round's decision. */
interface AgentWorld extends Situation {
  /** Units that are left alone in this round. */
  readonly held: ReadonlySet<UnitName>;
  /** Units that must not be started yet. */
  readonly later: ReadonlySet<UnitName>;
  /** Units that others need, although they do not run themselves. */
  readonly inUse: ReadonlySet<UnitName>;
  readonly states: ReadonlyMap<UnitName, UnitState>;
  readonly now_ms: number;
}

type AgentStep = Step | { readonly kind: "publish" };

/** Shortest time between two inventories, milliseconds: the first may itself have systemd reload. */
const recheck_ms = 1_000;

/** One machine's agent. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #wakeup = new Notifier();
  readonly #tracker = new FailureTracker();
  readonly #repeated: RepeatedFailures;
  readonly #settled: SettledCopies;
  readonly #texts: UnitTexts;
  /** Units whose file is missing, with the reason, as they were logged last. */
  #incomplete: ReadonlyMap<UnitName, string> = new Map();
  readonly #loadErrors: LoadErrors;
  readonly #guard: DisconnectionGuard;
  readonly #locks: LockKeeper;
  readonly #health: HealthMonitor | undefined;
  #executor: Executor | undefined;
  #view: MachineView | undefined;
  #published: ReadonlyMap<UnitName, UnitState> | undefined;
  #publication: Promise<void> | undefined;
  #inventoryAt_ms = -Infinity;
  #inventoryInterval_ms: number;
  #last: AgentWorld | undefined;
  #draining = false;
  #hasEnded = false;
  #drained = (_isEmpty: boolean) => {};

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#inventoryInterval_ms = options.safetyNet_ms;
    const read = (hash: string) => options.registry.file(hash);
    this.#texts = new UnitTexts(read, options.clock, () => this.#wakeup.notify());
    this.#loadErrors = new LoadErrors(options.systemd);
    this.#repeated = new RepeatedFailures(options.clock, options.memory.failures);
    this.#settled = new SettledCopies(options.machine().id);
    const { systemd, membership, probe, clock, log } = options;
    const changed = () => this.#wakeup.notify();
    this.#health = probe && new HealthMonitor({ probe, clock, log, changed });
    this.#locks = new LockKeeper({ membership, clock, changed });
    this.#guard = new DisconnectionGuard({
      ...{ systemd, clock, log, changed },
      contact: () => membership,
      record: async (unit, status) => await this.#executor?.recordDisconnected(unit, status, this.#last),
    });
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
        if (units === undefined && this.#loadErrors.hasRefusals) this.#inventoryInterval_ms = recheck_ms;
        this.#wakeup.notify();
      }
    };
    const followLease = async (signal: AbortSignal) => {
      const { membership } = this.#options;
      for (let lease = membership.lease; !signal.aborted;) {
        const seen = membership.renewals.count;
        // The locks went with the old lease: they are taken again at once.
        if (membership.lease !== lease) this.#wakeup.notify();
        lease = membership.lease;
        await membership.renewals.waitPast(seen, signal);
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
      // Counted from the look: retries that have become due since then were not made.
      patience_ms: (world: AgentWorld | undefined) => {
        const now_ms = world?.now_ms ?? clock.monotonic_ms();
        return Math.min(
          this.#options.safetyNet_ms,
          this.#nextInventory_ms(now_ms),
          this.#tracker.nextTry_ms(now_ms),
          this.#repeated.nextTry_ms(now_ms),
          this.#settled.next_ms(now_ms),
          this.#texts.nextTry_ms(clock.monotonic_ms()),
          this.#locks.nextTry_ms(clock.monotonic_ms()),
        );
      },
    };
    try {
      const guard = (signal: AbortSignal) => this.#guard.run(signal);
      const tasks = [follow, listen, followLease, guard, (signal: AbortSignal) => reconcile(loop, signal)];
      const health = this.#health;
      await together(signal, [...tasks, ...health ? [(signal: AbortSignal) => health.run(signal)] : []]);
    } finally {
      this.#hasEnded = true;
      this.#drained(false);
    }
  }

  /** Returns the milliseconds until the next inventory; Infinity before the first one. */
  #nextInventory_ms(now_ms: number): number {
    // The same arithmetic as in #takeInventory, so that an inventory that is due here is due there.
    const left_ms = this.#inventoryInterval_ms - (now_ms - this.#inventoryAt_ms);
    return Number.isFinite(left_ms) ? Math.max(0, left_ms) : Infinity;
  }

  /** The result of the latest look, for dumps of the daemon's state; undefined before the first one. */
  get lastLook(): Pick<AgentWorld, "wanted" | "states" | "texts"> | undefined {
    return this.#last;
  }

  /**
   * Removes every unit from this machine, whatever its desired state. Resolves to true when none is left, to false if
   * {@link run} has ended before that.
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
    // Units with StopWhenDisconnected= are stopped also before there is a view.
    const executor = await this.#takeInventory();
    this.#protect(executor);
    // One view for the whole round: a unit that is wanted by one view and whose lock is judged by the next one, in which it
    // has moved, would be started without its lock.
    const view = this.#view;
    if (!view && !this.#draining) return undefined;
    const { texts, wanted, unreadable, missing } = await this.#desired(executor, view);
    await executor.recordFinished();
    // Copied first: jobs that end while systemd is asked may be missing in its answers.
    const busy = [...executor.busy];
    const ended = new Map(executor.ended);
    const stopped = executor.takeStopped();
    const statuses = await this.#options.systemd.statuses(new Set(executor.files.keys()));
    await executor.recordFailedStops(stopped, wanted, statuses);
    const found = await this.#current(executor, wanted, unreadable, statuses);
    this.#health?.update(found, texts);
    const now_ms = clock.monotonic_ms();
    const current = this.#repeated.update(found, wanted, texts, now_ms);
    await this.#repeated.save(this.#options.log);
    this.#tracker.keepOnly(new Set([...wanted.keys(), ...current.keys()]), wanted);
    const incomplete = this.#withoutFile(wanted, current, missing);
    const backingOff = this.#tracker.held(wanted, (name) => current.has(name), now_ms);
    const overdue = this.#draining ? new Map<UnitName, string>() : this.#guard.overdue();
    const held = new Set([
      ...[...busy, ...executor.busy, ...unreadable, ...backingOff],
      ...[...incomplete.keys(), ...overdue.keys()],
    ]);
    const { id } = this.#options.machine();
    const locks = this.#updateLocks(view, wanted, texts, overdue, (unit) => wanted.has(unit) || current.has(unit));
    const waiting = executor.waitingForOthers({ wanted, current });
    const reasons = [...waiting, ...locks, ...overdue].filter(([_, error]) => error !== "");
    const errors = new Map<UnitName, Failure>([
      ...reasons.map(([name, error]) => [name, { error, tried: false }] as const),
      ...await this.#loadErrors.failures(executor.files, statuses),
      ...this.#tracker.errors(),
      ...this.#repeated.exhausted(),
      ...[...incomplete].map(([name, error]) => [name, { error, tried: true }] as const),
    ]);
    const moreOf = (unit: UnitName) => ({ ...this.#health?.healthOf(unit), ...this.#repeated.failures(unit) });
    const unsettled = unitStates(id, wanted, found, errors, executor.restarting, ended, moreOf);
    const states = this.#settled.mark(unsettled, view && awaitedCopies(view), texts, now_ms);
    if (view) this.#options.seen(view);
    if (this.#draining && current.size === 0) this.#drained(true);
    return this.#last = {
      ...{ wanted, current, texts, held, states, now_ms },
      later: new Set([...waiting.keys(), ...locks.keys()]),
      inUse: inUse({ relations: executor.relations, wanted, current }),
    };
  }

  /** Has the units with StopWhenDisconnected= stopped in time, and the lease renewed often enough for them. */
  #protect({ limits_ms }: Executor): void {
    this.#guard.protect(new Map(limits_ms));
    this.#options.membership.renewEvery(Math.min(...limits_ms.values()) / 3);
  }

  /** Returns the units that must not be started without their lock, with the reason. */
  #updateLocks(
    view: MachineView | undefined,
    wanted: ReadonlyMap<UnitName, DesiredUnit>,
    texts: ReadonlyMap<string, string>,
    overdue: ReadonlyMap<UnitName, string>,
    isHere: (unit: UnitName) => boolean,
  ): ReadonlyMap<UnitName, string> {
    for (const unit of overdue.keys()) this.#locks.confirmAgain(unit);
    const exclusive = view ? exclusiveUnits(view, wanted, texts) : new Map<UnitName, Revision>();
    return this.#locks.update(new Map([...exclusive].filter(([unit]) => !overdue.has(unit))), isHere);
  }

  /** Returns the desired units with their files, the missing files, and the units whose assignment cannot be read. */
  async #desired(executor: Executor, view: MachineView | undefined): Promise<
    Pick<Situation, "texts" | "wanted"> & {
      readonly unreadable: ReadonlySet<UnitName>;
      readonly missing: ReadonlyMap<string, string>;
    }
  > {
    if (!view || this.#draining) {
      return { ...await this.#texts.of(new Set()), wanted: new Map(), unreadable: new Set() };
    }
    const retained = retainedFiles(view, executor.files);
    const { texts, missing } = await this.#texts.of(new Set([...hashesNeeded(view), ...retained.values()]));
    return {
      texts,
      missing,
      wanted: desired(view, this.#options.machine(), texts, retained),
      unreadable: view.unreadable,
    };
  }

  /**
   * Returns the units that cannot be installed because their file is missing, with the reason. They are left alone: an old
   * version runs on, and the file is requested again.
   */
  #withoutFile(
    wanted: ReadonlyMap<UnitName, DesiredUnit>,
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

  #decide(world: AgentWorld): readonly AgentStep[] {
    // The states go with the machine's lease.
    if (this.#draining && world.current.size === 0) return [];
    const steps: AgentStep[] = [...plan(world.wanted, world.current, world.held, world.later, world.inUse)];
    // The last state of a unit that is being removed is not published: it is gone at the next look.
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
      // Not awaited: an outage of the store must not keep a unit from being stopped. The membership repeats the write
      // when the store is back.
      const published = membership.publish(world.states);
      // Publications share a promise until the store has taken them.
      if (published !== this.#publication) {
        published.catch((error) => log("warn", `cannot publish unit states: ${error.message}`));
      }
      this.#publication = published;
    }
    await this.#executor!.carryOut(commands, world);
  }

  /**
   * Reads the units that an earlier daemon has left: the files, and the record of commands. The files are read again after
   * {@link AgentOptions.safetyNet_ms}, since something else may have changed them.
   */
  async #takeInventory(): Promise<Executor> {
    const { systemd, memory, clock, log, safetyNet_ms } = this.#options;
    const now_ms = clock.monotonic_ms();
    if (this.#executor && now_ms - this.#inventoryAt_ms < this.#inventoryInterval_ms) return this.#executor;
    const files = new Map<UnitName, string>();
    await this.#loadErrors.check();
    const texts = await systemd.files();
    for (const [name, text] of texts) {
      const found = onDisk(text);
      files.set(name, found.hash);
      if (!this.#executor && found.hash !== "") this.#texts.add(found.hash, found.text);
    }
    this.#inventoryAt_ms = now_ms;
    this.#inventoryInterval_ms = safetyNet_ms;
    if (this.#executor) {
      this.#executor.files.clear();
      for (const [name, hash] of files) this.#executor.files.set(name, hash);
      return this.#executor;
    }
    // An earlier daemon may have been killed between a change of files and the reload.
    await systemd.reloadIfNeeded();
    await this.#repeated.load();
    const intents = new Map(await memory.load());
    for (const name of intents.keys()) {
      if (files.has(name)) continue;
      await memory.forget(name);
      intents.delete(name);
    }
    if (files.size > 0) log("info", `adopting ${files.size} units that are on this machine already`);
    const ended = () => this.#wakeup.notify();
    const tracker = this.#tracker;
    return this.#executor = new Executor({ systemd, memory, tracker, clock, log, ended }, texts, files, intents);
  }

  async #current(
    executor: Executor,
    wanted: ReadonlyMap<UnitName, DesiredUnit>,
    unreadable: ReadonlySet<UnitName>,
    statuses: ReadonlyMap<UnitName, UnitStatus>,
  ): Promise<ReadonlyMap<UnitName, Current>> {
    const current = new Map<UnitName, Current>();
    await Promise.all([...executor.files].map(async ([name, hash]) => {
      const status = statuses.get(name);
      if (!status) return;
      // The restart to adopt it with is known once its assignment can be read.
      const command = unreadable.has(name) && !executor.intents.has(name)
        ? commanded(adopted(status, 0), status)
        : await executor.commanded(name, status, wanted.get(name));
      current.set(name, { name, hash, status, ...command });
    }));
    return current;
  }
}
