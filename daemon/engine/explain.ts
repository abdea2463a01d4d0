/**
 * Why a unit is where it is, or is not: what the engine and the agents decide by, told instead of done. Pure.
 *
 * @module
 */

import type { Cluster, Leader, Machine, MachineId, Target, Unit, UnitName, UnitState } from "../../registry/model.ts";
import { unrecognizedOption, validateFleetOptions } from "../../registry/requirements.ts";
import { doubtfulValues } from "../../registry/unit_check.ts";
import { isTemplate } from "../../systemd/unit_name.ts";
import { ScheduleCache } from "./schedule_cache.ts";
import { type Plan, schedule } from "./schedule.ts";
import { globalsAmong, isActiveGlobal, isActiveJob } from "../policy/globals.ts";
import { conflict, placement, precedence, type Refusal, replaces } from "../policy/feasibility.ts";

/** What kind of place a unit has. */
export type Outcome =
  /** It has a machine. */
  | "placed"
  /** It is wanted, and has no machine that is there. */
  | "waiting"
  /** Every machine that will take it is to have it. */
  | "global"
  /** It is wanted nowhere. */
  | "inactive"
  /** Only its instances can be wanted. */
  | "template"
  /** The store's record of it cannot be read. */
  | "unreadable";

/** What one machine is to a unit. */
export type Eligibility =
  /** It is to have the unit. */
  | "assigned"
  /** It would take it. */
  | "eligible"
  /** It will not: there are reasons. */
  | "rejected"
  /** It is to have the unit, and is not present. */
  | "offline"
  /** It is not asked: the unit is a template, or cannot be read. */
  | "none";

/** Everything there is to say of a unit and one machine. */
export interface MachineExplanation {
  readonly id: MachineId;
  /** Absent while the machine is away. */
  readonly machine?: Machine;
  readonly eligibility: Eligibility;
  /** Every reason why it will not take the unit or, where the unit is already, may not keep it. */
  readonly reasons: readonly Refusal[];
  /** What the machine's agent says. */
  readonly state?: UnitState;
  /** What the machine has not done yet: follows "which", for example `has not started it yet`. */
  readonly pending?: string;
}

/** Everything there is to say of a unit. */
export interface Explanation {
  readonly unit: Unit;
  readonly outcome: Outcome;
  /** One sentence, without the unit's name. */
  readonly summary: string;
  readonly target?: Target;
  /** What the engine would do about it now, if there is anything: `move it to machine 454c34ef...: …`. */
  readonly next?: string;
  /** By machine ID: those that are present, and those that have, or are to have, the unit. */
  readonly machines: readonly MachineExplanation[];
  /** What other units have to do with it. */
  readonly notes: readonly string[];
  /** What is probably not meant as it is. */
  readonly warnings: readonly string[];
  readonly leader?: Leader;
}

/** What the explanation of one unit is drawn from. */
interface Scene {
  readonly cluster: Cluster;
  readonly unit: Unit;
  readonly plan: Plan;
  readonly target: Target | undefined;
  /** Jobs by the machine they are placed on. */
  readonly jobs: ReadonlyMap<MachineId, readonly Unit[]>;
  readonly globals: readonly Unit[];
}

/** Explains units of one cluster, view after view, and remembers what the engine would do while there is memory for it. */
export class Explainer {
  #memo: WeakRef<ScheduleCache> | undefined;

  /** See {@link explain}. */
  explain(cluster: Cluster, name: UnitName): Explanation | undefined {
    let cache = this.#memo?.deref();
    if (!cache) {
      cache = new ScheduleCache();
      this.#memo = new WeakRef(cache);
    }
    return explain(cluster, name, cache);
  }
}

/**
 * Explains a unit; undefined if there is none of that name. Machines that are away are taken to be gone. `memo` saves what
 * was worked out for earlier views.
 */
export function explain(
  cluster: Cluster,
  name: UnitName,
  cache: ScheduleCache = new ScheduleCache(),
): Explanation | undefined {
  const unit = cluster.units.get(name);
  if (!unit) return undefined;
  const plan = schedule(cluster, { absentAreGone: true }, cache);
  const globals = [...cluster.units.values()]
    .filter((unit) => isActiveGlobal(unit) || unit.unreadable !== undefined && unit.requirements.global);
  const found = cluster.targets.get(name);
  const target = found?.machine === "" ? undefined : found;
  const scene: Scene = { cluster, unit, plan, target, jobs: jobsByMachine(cluster), globals };
  const outcome = outcomeOf(scene);
  const machines = machineIds(scene).map((id) => explainMachine(scene, outcome, id));
  const next = nextStep(scene);
  return {
    unit,
    outcome,
    summary: summaryOf(scene, outcome, machines, next),
    ...(target && { target }),
    ...(next !== undefined && { next }),
    machines,
    notes: [...peerNotes(scene, outcome), ...replacementNotes(scene, next), ...idleNotes(scene, machines)],
    warnings: warningsOf(scene, outcome, next),
    ...(cluster.leader && { leader: cluster.leader }),
  };
}

function jobsByMachine(cluster: Cluster): ReadonlyMap<MachineId, readonly Unit[]> {
  const jobs = new Map<MachineId, Unit[]>();
  for (const { unit: name, machine } of cluster.targets.values()) {
    const unit = cluster.units.get(name);
    if (!unit || !isActiveJob(unit) && (unit.unreadable === undefined || unit.requirements.global)) continue;
    const there = jobs.get(machine);
    if (there) there.push(unit);
    else jobs.set(machine, [unit]);
  }
  return jobs;
}

function outcomeOf({ cluster, unit, plan, target }: Scene): Outcome {
  if (unit.unreadable !== undefined) return "unreadable";
  if (isTemplate(unit.name)) return "template";
  if (unit.desiredState === "inactive") return "inactive";
  if (unit.requirements.global) return "global";
  if (plan.waiting.has(unit.name) && !(target && cluster.machines.has(target.machine))) return "waiting";
  return target ? "placed" : "waiting";
}

function machineIds({ cluster, unit, target }: Scene): MachineId[] {
  const ids = new Set([...cluster.machines.keys(), ...cluster.states.get(unit.name)?.keys() ?? []]);
  if (target) ids.add(target.machine);
  return [...ids].sort();
}

function explainMachine(scene: Scene, outcome: Outcome, id: MachineId): MachineExplanation {
  const { cluster, unit } = scene;
  const machine = cluster.machines.get(id);
  const state = cluster.states.get(unit.name)?.get(id);
  const { eligibility, reasons } = machine
    ? stand(scene, outcome, machine)
    : { eligibility: "offline", reasons: [] } as const;
  const isUnknown = outcome === "unreadable";
  const pending = machine ? (isUnknown ? undefined : unfinished(unit, eligibility === "assigned", state)) : "is away";
  return {
    id,
    ...(machine && { machine }),
    eligibility,
    reasons,
    ...(state && { state }),
    ...(pending !== undefined && { pending }),
  };
}

function stand(
  scene: Scene,
  outcome: Outcome,
  machine: Machine,
): { readonly eligibility: Eligibility; readonly reasons: readonly Refusal[] } {
  if (outcome === "template") return { eligibility: "none", reasons: [] };
  const { unit, plan, target } = scene;
  if (outcome === "unreadable") {
    return { eligibility: target?.machine === machine.id ? "assigned" : "none", reasons: [] };
  }
  const jobs = scene.jobs.get(machine.id) ?? [];
  const globals = globalsAmong(machine, jobs, scene.globals);
  if (outcome === "global") {
    if (globals.some((other) => other.name === unit.name)) return { eligibility: "assigned", reasons: [] };
    // Those that are after it have no say.
    const before = globals.filter((other) => precedence(other, unit) < 0);
    return { eligibility: "rejected", reasons: placement(unit, machine, [...jobs, ...before]).refusals };
  }
  const residents = [...jobs, ...globals];
  if (outcome !== "inactive" && target?.machine === machine.id) {
    return { eligibility: "assigned", reasons: placement(unit, machine, residents, "resident").refusals };
  }
  const foreseen = outcome === "waiting" ? plan.waiting.get(unit.name)?.refusals.get(machine.id) : undefined;
  const own = foreseen ?? placement(unit, machine, residents).refusals;
  const reasons = outcome === "waiting" ? [...own, ...companyRefusals(scene, machine, residents)] : own;
  return { eligibility: reasons.length > 0 ? "rejected" : "eligible", reasons };
}

/** What a machine has against those that a waiting unit can only come with, and they against each other. */
function companyRefusals({ cluster, unit, plan }: Scene, machine: Machine, residents: readonly Unit[]): Refusal[] {
  const company = new Set([unit]);
  for (const member of company) {
    for (const name of member.requirements.machineOf) {
      const peer = cluster.units.get(name);
      if (peer && plan.waiting.has(name)) company.add(peer);
    }
  }
  const names = new Set([...company].map(({ name }) => name));
  const others = [...company].filter((member) => member !== unit);
  return [
    ...others.filter((other) => conflict(unit, other)).map((other) => apart(other)),
    ...others.flatMap((member, index) =>
      [
        ...placement(member, machine, residents, "newcomer", names).refusals,
        ...others.slice(index + 1).filter((other) => conflict(member, other)).map((other) => apart(other)),
      ].map(({ rule, reason }) => ({ rule, reason: `required peer Unit(${member.name}): ${reason}` }))
    ),
  ];
}

/** What is against a unit that comes with another, wherever they go. */
function apart(other: Unit): Refusal {
  return { rule: "Conflicts", reason: `found conflict with required peer Unit(${other.name})` };
}

/** What a machine has still to do about a unit; undefined if nothing. Follows "which". */
function unfinished(unit: Unit, isWanted: boolean, state: UnitState | undefined): string | undefined {
  if (!isWanted) return state && "still has it";
  if (!state) return "has not reported it yet";
  if (state.hash !== unit.hash) return "does not have its newest file yet";
  if (state.commanded === "inactive") return "has not put its file in place yet";
  if (state.commanded !== unit.desiredState) {
    return unit.desiredState === "launched" ? "has not started it yet" : "has not stopped it yet";
  }
  if (unit.desiredState === "launched" && state.restart < unit.restart) return "has not restarted it yet, as was asked";
  return undefined;
}

function nextStep({ unit, plan }: Scene): string | undefined {
  for (const step of plan.placements) {
    if (step.kind === "unplace" && step.unit === unit.name) {
      return `take it off machine ${short(step.from.machine)}: ${step.why}`;
    }
    if (step.kind !== "place" || step.unit.name !== unit.name) continue;
    const { from, machine, why } = step;
    if (from?.machine === machine) return `give machine ${short(machine)} its newest orders`;
    return `${from ? "move" : "place"} it ${from ? "to" : "on"} machine ${short(machine)}: ${why}`;
  }
  return undefined;
}

function summaryOf(
  { cluster, unit, plan, target }: Scene,
  outcome: Outcome,
  machines: readonly MachineExplanation[],
  next: string | undefined,
): string {
  switch (outcome) {
    case "unreadable":
      return `the store holds what cannot be read (${unit.unreadable}), so that it is left as it is` +
        `${target ? ` on machine ${short(target.machine)}` : ""}: ${remedy}`;
    case "template":
      return `it is a template: only its instances, ${unit.name.replace("@.", "@NAME.")}, can run`;
    case "inactive":
      return "its desired state is inactive: no machine is to have it";
    case "global": {
      const here = machines.filter(({ eligibility }) => eligibility === "assigned").length;
      const { size } = cluster.machines;
      const verb = here === 1 || size === 1 ? "is" : "are";
      return `it is global: ${here} of ${plural(size, "machine")} ${verb} to have it`;
    }
    case "waiting":
      return plan.waiting.get(unit.name)?.summary ?? (cluster.leader ? "the engine is about to" : noLeader) +
          (next === undefined ? "" : cluster.leader ? ` ${next}` : `; the next one will ${next}`);
    case "placed":
      return placedSummary(target!.machine, machines, next);
  }
}

const remedy = "put the unit again or destroy it, or upgrade the daemons that are older than the one that wrote it";

const noLeader = "no machine leads the engines, so that nothing is placed or moved";

function placedSummary(
  id: MachineId,
  machines: readonly MachineExplanation[],
  next: string | undefined,
): string {
  const { eligibility, state, pending } = machines.find((each) => each.id === id)!;
  if (eligibility === "offline") {
    return `it is on machine ${short(id)}, which is away; unless that comes back in time, the engine will ` +
      (next ?? "look for another machine");
  }
  const soon = next === undefined ? "" : `; the engine will ${next}`;
  if (pending !== undefined) return `it is placed on machine ${short(id)}, which ${pending}${soon}`;
  return `it is on machine ${short(id)}, where systemd says ${state!.active} (${state!.sub})${soon}`;
}

/** How it is with the units that a waiting one must be beside. */
function peerNotes({ cluster, unit, plan }: Scene, outcome: Outcome): string[] {
  if (outcome !== "waiting") return [];
  return unit.requirements.machineOf.filter((name) => name !== unit.name).map((name) => {
    const peer = cluster.units.get(name);
    const target = cluster.targets.get(name);
    const waiting = plan.waiting.get(name);
    if (!peer) return `required peer Unit(${name}) does not exist`;
    if (isTemplate(name)) return `required peer Unit(${name}) is a template`;
    if (peer.desiredState === "inactive") return `required peer Unit(${name}) is inactive`;
    if (peer.requirements.global) return `required peer Unit(${name}) is global`;
    if (waiting) return `required peer Unit(${name}) waits, too: ${waiting.summary}`;
    return target
      ? `required peer Unit(${name}) is on machine ${short(target.machine)}`
      : `required peer Unit(${name}) is about to be placed`;
  });
}

/** Where the unit was started and does not run. */
function idleNotes({ unit }: Scene, machines: readonly MachineExplanation[]): string[] {
  if (unit.desiredState !== "launched") return [];
  return machines.flatMap(({ id, eligibility, pending, state }) => {
    if (eligibility !== "assigned" || pending !== undefined || !state) return [];
    if (state.active !== "inactive" && state.active !== "failed") return [];
    const what = state.active === "failed"
      ? `it has failed since${state.result === undefined ? "" : ` (${state.result})`}`
      : state.job !== undefined && state.job !== "done"
      ? `systemd's start job ended with "${state.job}"`
      : "it is inactive since: it has ended by itself, or systemd or somebody on that machine has stopped it";
    return [`machine ${short(id)} has started it, and ${what}; fleetctl start ${unit.name} starts it again`];
  });
}

/** Who replaces whom, where that has an effect or might be thought to. */
function replacementNotes({ cluster, unit, target, jobs }: Scene, next: string | undefined): string[] {
  const notes: string[] = [];
  if (unit.requirements.replaces.length > 0) {
    for (const other of cluster.units.values()) {
      if (other.requirements.replaces.length === 0 || !isMutual(unit, other)) continue;
      notes.push(`Unit(${other.name}) and it replace each other, which is as if neither did`);
    }
  }
  if (!target || next !== undefined) return notes;
  for (const other of jobs.get(target.machine) ?? []) {
    if (replaces(other, unit)) notes.push(`Unit(${other.name}) replaces it, but it cannot move to another machine`);
    if (replaces(unit, other)) notes.push(`it replaces Unit(${other.name}), which cannot move to another machine`);
  }
  return notes;
}

/** Whether each would replace the other, if the other did not. */
function isMutual(a: Unit, b: Unit): boolean {
  const alone = (unit: Unit) => ({ ...unit, requirements: { ...unit.requirements, replaces: [] } });
  return replaces(a, alone(b)) && replaces(b, alone(a));
}

function warningsOf({ cluster, unit }: Scene, outcome: Outcome, next: string | undefined): string[] {
  const { unknown, malformed } = unit.requirements;
  const warnings = [...unknown.map(unrecognizedOption), ...doubtfulValues(unit.name, unit.fleetOptions)];
  // A template's own instance is empty, which is no fault of its values.
  const invalid = outcome === "template" ? validateFleetOptions(unit.name, unit.fleetOptions) : undefined;
  warnings.push(...outcome === "template" ? (invalid === undefined ? [] : [invalid]) : malformed);
  warnings.push(...unreadableAround(cluster, unit));
  if (unit.unreadable === undefined && !cluster.files.has(unit.hash)) {
    warnings.push(`the store has lost its unit file ${unit.hash}: submit it again`);
  }
  if (!cluster.leader && (outcome === "waiting" || next !== undefined)) warnings.push(noLeader);
  return warnings;
}

/** What cannot be read beside the unit itself. */
function unreadableAround({ targets, assignments, machines, leader }: Cluster, { name }: Unit): string[] {
  const target = targets.get(name);
  const machine = target && machines.get(target.machine)?.unreadable;
  return [
    ...[target, assignments.get(name)].flatMap((record) => record?.unreadable ?? [])
      .map((why) => `${why}: the engine writes it anew, if it can read the unit itself`),
    ...(machine === undefined
      ? []
      : [`${machine}: what runs on machine ${short(target!.machine)} stays, nobody comes`]),
    ...(leader?.unreadable === undefined ? [] : [`${leader.unreadable}: who leads the engines is not known`]),
  ];
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function short(id: MachineId): string {
  return `${id.slice(0, 8)}...`;
}
