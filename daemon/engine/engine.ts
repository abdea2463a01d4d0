/**
 * The engine: keeps every unit on the machine that `schedule` chooses, while this daemon leads.
 *
 * @module
 */

import type { Cluster, MachineId } from "../../registry/model.ts";
import { Notifier } from "../../runtime/notifier.ts";
import type { Clock } from "../../runtime/clock.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import {
  DeposedError,
  type EngineStep,
  type Leadership,
  type LossStep,
  type Placement,
  type Registry,
  type RolloutUpdate,
} from "../../registry/mod.ts";
import { reconcile, together } from "../reconcile.ts";
import { hasSameInput, ScheduleCache } from "./schedule_cache.ts";
import { type Plan, schedule } from "./schedule.ts";
import { type GracePeriods, VanishedMachines } from "./grace_periods.ts";
import { nextLossStep } from "./mass_loss.ts";
import { mayAdvance, RolloutController, type RolloutSteps } from "./rollout/controller.ts";
import { UnusedContents } from "./unused_contents.ts";
import { logMoveStep } from "./drain/log.ts";
import { type MovePlan, noMoves } from "./drain/move_plan.ts";
import { movesMayAdvance, Relocator } from "./drain/relocator.ts";

/** Dependencies and timing of the engine. */
export interface EngineOptions extends GracePeriods {
  readonly registry: Registry;
  readonly machine: MachineId;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Interval of the rounds that run although nothing has changed, milliseconds. */
  readonly safetyNet_ms: number;
  readonly observer?: EngineObserver;
}

/** Callbacks that report the engine's work, for metrics. */
export interface EngineObserver {
  /** Called after a round, with its duration in milliseconds and whether it failed. */
  readonly round: (duration_ms: number, failed: boolean) => void;
  readonly leading: (leads: boolean) => void;
  /** Called after a placement was applied, or was refused because the unit had changed. */
  readonly applied: (kind: "place" | "unplace", refused: boolean) => void;
  /**
   * Called after a look at the cluster, with the number of machines that the engine waits for after a mass loss, and of
   * units that no machine will take.
   */
  readonly waits: (machines: number, units: number) => void;
}

/** The input of one round of the engine, with its plan. */
interface EngineWorld {
  readonly cluster: Cluster;
  readonly plan: Plan;
  /** The next step of a mass loss. */
  readonly loss: LossStep | undefined;
  readonly rollouts: RolloutSteps;
  /** The next steps of moves that operators have requested: none before the plan is carried out. */
  readonly moves: MovePlan;
  /** Milliseconds until the next absent machine counts as gone; 0 if none has a grace period. */
  readonly graceLeft_ms: number;
}

/** The parts of a leader that remember earlier rounds. */
interface Memory {
  readonly vanished: VanishedMachines;
  readonly cache: ScheduleCache;
  readonly rollouts: RolloutController;
  readonly contents: UnusedContents;
  readonly relocator: Relocator;
}

/** Campaigns for leadership, and leads while it is held, until `signal` aborts. */
export async function runEngine(options: EngineOptions, signal: AbortSignal): Promise<void> {
  const { registry, machine, version, log } = options;
  for await (const leadership of registry.campaign(machine, version, signal)) {
    log("info", "engine leadership acquired", { machine });
    options.observer?.leading(true);
    await lead(options, leadership, signal);
    options.observer?.leading(false);
    log("info", "engine leadership ended", { machine });
    if (!signal.aborted) continue;
    // If the store is unreachable now, the lease expires by itself.
    await leadership.resign().catch((error) => {
      log("debug", "cannot resign the engine's leadership: it expires with its lease", { error: messageOf(error) });
    });
  }
}

async function lead(options: EngineOptions, leadership: Leadership, signal: AbortSignal): Promise<void> {
  const { registry, clock, log } = options;
  const wakeup = new Notifier();
  const since_ms = clock.monotonic_ms();
  let cluster: Cluster | undefined;
  let applied = 0;
  const vanished = new VanishedMachines(options);
  const stop = new AbortController();
  const [cache, rollouts, contents] = [new ScheduleCache(), new RolloutController(), new UnusedContents()];
  const relocator = new Relocator();
  const ended = AbortSignal.any([signal, leadership.signal, stop.signal]);
  const follow = async (signal: AbortSignal) => {
    for await (const next of registry.watch(signal)) {
      const before = cluster;
      cluster = next;
      vanished.observe(next, clock.monotonic_ms());
      const advances = !before || mayAdvance(before, next) || movesMayAdvance(before, next);
      if (advances || before.revision < applied || !hasSameInput(before, next)) {
        wakeup.notify();
      }
    }
  };
  const look = (): Promise<EngineWorld | undefined> => {
    // With a view that is older than its own writes, the engine would make the same decisions again.
    if (!cluster || cluster.revision < applied) return Promise.resolve(undefined);
    const quietSince_ms = Math.max(since_ms, registry.awayUntil_ms);
    return Promise.resolve(lookAt(options, cluster, quietSince_ms, { vanished, cache, rollouts, contents, relocator }));
  };
  const loop = {
    name: "engine",
    wakeup,
    clock,
    log,
    look,
    // The steps of a mass loss come alone: the next round sees their result.
    decide: ({ loss, plan, rollouts, moves }: EngineWorld) =>
      loss ? [loss] : [...plan.placements, ...rollouts.updates, ...moves.steps],
    act: async (_steps: readonly unknown[], world: EngineWorld) => {
      try {
        if (world.loss) {
          const revision = await leadership.recordLoss(world.loss);
          applied = Math.max(applied, revision ?? world.cluster.revision + 1);
          if (revision !== undefined) logLoss(log, world.loss, world.cluster);
          return;
        }
        const placements: readonly EngineStep[] = [...world.plan.placements, ...world.moves.steps];
        const done = await leadership.apply(placements);
        const refused = new Set(done.refused);
        // After a refusal, wait for a newer view: the unit has changed.
        applied = Math.max(applied, done.revision, refused.size > 0 ? world.cluster.revision + 1 : 0);
        for (const step of placements) report(options, step, refused.has(step));
        for (const update of world.rollouts.updates) {
          const revision = await leadership.updateRollout(update);
          applied = Math.max(applied, revision ?? world.cluster.revision + 1);
          if (revision !== undefined) logRollout(log, update);
        }
      } catch (error) {
        if (!(error instanceof DeposedError)) throw error;
        log("warn", `engine: ${error.message}`);
        stop.abort();
      }
    },
    observe: options.observer?.round,
    patience_ms: (world: EngineWorld | undefined) => Math.min(options.safetyNet_ms, world ? waitOf(world) : Infinity),
  };
  await together(ended, [follow, (signal) => reconcile(loop, signal)]);
}

/** Returns the milliseconds after which time alone may change the decision. */
function waitOf({ graceLeft_ms, rollouts, moves }: EngineWorld): number {
  return Math.min(graceLeft_ms || Infinity, rollouts.wait_ms, moves.left_ms);
}

/** Reports a step to metrics and log. */
function report({ observer, log }: EngineOptions, step: EngineStep, refused: boolean): void {
  if (step.kind === "place" || step.kind === "unplace") observer?.applied(step.kind, refused);
  if (isPlacement(step)) logPlacement(log, step, refused);
  else logMoveStep(log, step, refused);
}

/** Decides on a view of the cluster. Grace periods do not begin before `quietSince_ms`. */
function lookAt(
  options: EngineOptions,
  cluster: Cluster,
  quietSince_ms: number,
  { vanished, cache, rollouts, contents, relocator }: Memory,
): EngineWorld {
  const { clock, rejoinGrace_ms, massLoss } = options;
  const now_ms = clock.monotonic_ms();
  const wall_ms = clock.now_ms();
  const rejoinLeft_ms = Math.max(0, quietSince_ms + rejoinGrace_ms - now_ms);
  const hasRejoined = rejoinLeft_ms === 0;
  const { recent, held, left_ms } = vanished.at(now_ms, quietSince_ms);
  const loss = hasRejoined ? nextLossStep(cluster, { recent, held }, massLoss, wall_ms) : undefined;
  if (hasRejoined && !loss) vanished.forget(now_ms, quietSince_ms);
  const returned = vanished.returned(now_ms);
  const scheduling = { absentAreGone: hasRejoined && loss?.kind !== "await", vanished: held, returned };
  const scheduled = schedule(cluster, scheduling, cache);
  const plan = { ...scheduled, placements: [...scheduled.placements, ...contents.due(cluster, now_ms)] };
  // While absent machines may rejoin, it is unknown whether no machine takes a unit.
  const unplaced: typeof plan.unplaced = hasRejoined ? plan.unplaced : new Map();
  const { arriving } = relocator;
  const isRejoining = !hasRejoined;
  const updates = rollouts.decide({ cluster, unplaced, now_ms, wall_ms, quietSince_ms, isRejoining, arriving });
  // Requested moves come after everything else, so that they are decided on a cluster at rest.
  const isAtRest = hasRejoined && !loss && updates.updates.length === 0 &&
    scheduled.placements.every(({ kind }) => kind === "forget");
  const moves = isAtRest ? relocator.plan(cluster, scheduling, { wall_ms, monotonic_ms: now_ms }) : noMoves;
  const missing = cluster.massLoss?.machines.filter((id) => !cluster.machines.has(id)) ?? [];
  options.observer?.waits(missing.length, plan.unplaced.size);
  const graceLeft_ms = hasRejoined ? (Number.isFinite(left_ms) ? left_ms : 0) : Math.min(rejoinLeft_ms, left_ms);
  return { cluster, plan, loss, rollouts: updates, moves, graceLeft_ms };
}

function logLoss(log: Log, step: LossStep, { machines, massLoss }: Cluster): void {
  switch (step.kind) {
    case "await": {
      const lost = step.machines.filter((id) => !machines.has(id)).length;
      const until = new Date(step.until_ms).toISOString();
      const what = `${lost} of ${lost + machines.size} machines were lost at once: their units stay where they are ` +
        `until ${until}, unless the machines come back or an operator runs fleetctl accept-loss`;
      return log("warn", what, { machines: listed(step.machines) });
    }
    case "resume":
      return log("info", "all machines that were lost at once are back", { machines: listed(massLoss!.machines) });
    case "give up": {
      const what = "the wait for the machines that were lost at once is over: their units move to other machines";
      return log("warn", what, { machines: listed(step.machines) });
    }
  }
}

function listed(machines: readonly MachineId[]): string {
  const more = machines.length > 5 ? ` and ${machines.length - 5} more` : "";
  return machines.slice(0, 5).join(", ") + more;
}

function isPlacement(step: EngineStep): step is Placement {
  return step.kind === "place" || step.kind === "unplace" || step.kind === "forget";
}

function logPlacement(log: Log, step: Placement, refused: boolean): void {
  if (step.kind === "forget") return;
  if (refused) {
    return log("debug", "a placement was refused: the unit has changed since it was decided", { unit: nameOf(step) });
  }
  if (step.kind === "unplace") {
    return log("info", `unscheduled: ${step.why}`, { unit: step.unit, machine: step.from.machine });
  }
  const { unit, machine, from, why } = step;
  const what = from?.machine === machine ? "assignment updated" : from ? "moved" : "scheduled";
  log("info", `${what}: ${why}`, { unit: unit.name, machine });
}

function logRollout(log: Log, { was, status, reason, states, units = [], forget }: RolloutUpdate): void {
  const { app } = was;
  if (forget) log("info", "the history of an app that has no units any more was deleted", { app });
  if (status !== was.status) {
    const level = status === "rolling-back" || status === "failed" ? "warn" : "info";
    log(level, `roll-out ${status}${reason === undefined ? "" : `: ${reason}`}`, { app });
  }
  for (const change of units) {
    const { kind, was: { name } } = change;
    const machines = kind === "put" && change.next?.unproven.join(" ");
    const what = machines ? "changed on some machines" : kind === "put" ? "changed" : "destroyed";
    log("info", `roll-out: ${what}`, { app, unit: name, ...machines && { machines } });
  }
  for (const [at, state] of states ?? []) {
    const { unit } = was.steps[at]!;
    if (state === "healthy" || state === "undone") log("debug", `roll-out: ${state}`, { app, unit });
  }
}

function nameOf(step: Exclude<Placement, { kind: "forget" }>): string {
  return step.kind === "place" ? step.unit.name : step.unit;
}
