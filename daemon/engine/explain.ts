/**
 * Explains why a unit is on its machine, or on none, by the rules that the engine and the agents decide by. Pure.
 *
 * @module
 */

import { commandLine } from "../../runtime/command_line.ts";
import { counted } from "../../runtime/counted.ts";
import type { Cluster, Leader, Machine, MachineId, Target, Unit, UnitName, UnitState } from "../../registry/model.ts";
import { unrecognizedOption, validateFleetOptions } from "../../registry/requirements.ts";
import { doubtfulValues } from "../../registry/unit_check.ts";
import { isTemplate } from "../../systemd/unit_name.ts";
import { short } from "./classify.ts";
import { moveNotes } from "./drain/notes.ts";
import { stageNotes } from "./rollout/notes.ts";
import { noLeader } from "./pending.ts";
import { ScheduleCache } from "./schedule_cache.ts";
import { type Plan, schedule } from "./schedule.ts";
import { failureNotes } from "../policy/failing.ts";
import { globalsAmong, isActiveGlobal, isActiveJob, versionOn } from "../policy/globals.ts";
import { capacityRefusals, reservationOf } from "../policy/capacity.ts";
import { type EvenCounts, evenCountsIn } from "../policy/spread.ts";
import { conflict, findRefusals, isEligible, type Refusal, replaces } from "../policy/feasibility.ts";
import { precedence } from "../policy/precedence.ts";

/** The results of scheduling for one unit. The entity of explanations in the API describes each. */
export const outcomes = ["placed", "waiting", "global", "inactive", "template", "unreadable"] as const;

type UnitOutcome = typeof outcomes[number];

/** The relations of one machine to a unit. The entity of explanations in the API describes each. */
export const eligibilities = ["assigned", "eligible", "rejected", "offline", "none"] as const;

type Eligibility = typeof eligibilities[number];

/** The explanation of a unit on one machine. */
export interface MachineExplanation {
  readonly id: MachineId;
  /** Absent while the machine is away. */
  readonly machine?: Machine;
  readonly eligibility: Eligibility;
  /** Every reason why the machine refuses the unit or, if it has the unit, may not keep it. */
  readonly reasons: readonly Refusal[];
  /** The state that the machine's agent reports. */
  readonly state?: UnitState;
  /** The machine's pending work, as a clause after "which", for example `has not started it yet`. */
  readonly pending?: string;
}

/** The explanation of a unit. */
export interface Explanation {
  readonly unit: Unit;
  readonly outcome: UnitOutcome;
  /** One sentence, without the unit's name. */
  readonly summary: string;
  readonly target?: Target;
  /** The engine's next step for the unit, if there is one: `move it to machine 454c34ef...: …`. */
  readonly next?: string;
  /** By machine ID: machines that are present, and those that have, or should have, the unit. */
  readonly machines: readonly MachineExplanation[];
  /** Effects of other units on this one. */
  readonly notes: readonly string[];
  /** Settings that are probably mistakes. */
  readonly warnings: readonly string[];
  readonly leader?: Leader;
}

/** The input of an explanation. */
interface ExplainInput {
  readonly cluster: Cluster;
  readonly unit: Unit;
  readonly plan: Plan;
  readonly target: Target | undefined;
  /** Jobs by the machine they are placed on. */
  readonly jobs: ReadonlyMap<MachineId, readonly Unit[]>;
  readonly globals: readonly Unit[];
  /** Returns the instances among which the unit must be even, see {@link evenCountsIn}. */
  readonly instances: () => EvenCounts | undefined;
}

/** Explains units of successive views of one cluster. Keeps the scheduler's cache as long as memory allows. */
export class Explainer {
  #cache: WeakRef<ScheduleCache> | undefined;

  /** See {@link explain}. */
  explain(cluster: Cluster, name: UnitName): Explanation | undefined {
    let cache = this.#cache?.deref();
    if (!cache) {
      cache = new ScheduleCache();
      this.#cache = new WeakRef(cache);
    }
    return explain(cluster, name, cache);
  }
}

/**
 * Explains a unit; undefined if there is none of that name. Absent machines count as gone. `cache` holds results for earlier
 * views.
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
  const jobs = jobsByMachine(cluster);
  const instances = () =>
    evenCountsIn(unit, cluster.machines, (id) => jobs.get(id) ?? [], (machine) => isEligible(unit, machine));
  const input: ExplainInput = { cluster, unit, plan, target, jobs, globals, instances };
  const outcome = outcomeOf(input);
  const machines = machineIds(input).map((id) => explainMachine(input, outcome, id));
  const next = nextStep(input);
  return {
    unit,
    outcome,
    summary: summaryOf(input, outcome, machines, next),
    ...(target && { target }),
    ...(next !== undefined && { next }),
    machines,
    notes: [
      ...moveNotes(cluster, unit, target),
      ...stageNotes(unit),
      ...peerNotes(input, outcome),
      ...replacementNotes(input, next),
      ...idleNotes(input, machines),
      ...failureNotes(cluster, unit, next !== undefined),
    ],
    warnings: warningsOf(input, outcome, next),
    ...(cluster.leader && { leader: cluster.leader }),
  };
}

function jobsByMachine(cluster: Cluster): ReadonlyMap<MachineId, readonly Unit[]> {
  const jobs = new Map<MachineId, Unit[]>();
  for (const { unit: name, machine } of cluster.targets.values()) {
    const unit = cluster.units.get(name);
    if (!unit || !isActiveJob(unit) && (unit.unreadable === undefined || unit.requirements.global)) continue;
    jobs.getOrInsertComputed(machine, () => []).push(unit);
  }
  return jobs;
}

function outcomeOf({ cluster, unit, plan, target }: ExplainInput): UnitOutcome {
  if (unit.unreadable !== undefined) return "unreadable";
  if (isTemplate(unit.name)) return "template";
  if (unit.desiredState === "inactive") return "inactive";
  if (unit.requirements.global) return "global";
  if (plan.unplaced.has(unit.name) && !(target && cluster.machines.has(target.machine))) return "waiting";
  return target ? "placed" : "waiting";
}

function machineIds({ cluster, unit, target }: ExplainInput): MachineId[] {
  const ids = new Set([...cluster.machines.keys(), ...cluster.states.get(unit.name)?.keys() ?? []]);
  if (target) ids.add(target.machine);
  return [...ids].sort();
}

function explainMachine(input: ExplainInput, outcome: UnitOutcome, id: MachineId): MachineExplanation {
  const { cluster, unit } = input;
  const machine = cluster.machines.get(id);
  const state = cluster.states.get(unit.name)?.get(id);
  const { eligibility, reasons } = machine
    ? eligibilityOf(input, outcome, machine)
    : { eligibility: "offline", reasons: [] } as const;
  const isUnknown = outcome === "unreadable";
  const isWanted = eligibility === "assigned" || input.target?.successor === id;
  const pending = machine ? (isUnknown ? undefined : pendingWork(versionOn(unit, id), isWanted, state)) : "is away";
  return {
    id,
    ...(machine && { machine }),
    eligibility,
    reasons,
    ...(state && { state }),
    ...(pending !== undefined && { pending }),
  };
}

function eligibilityOf(
  input: ExplainInput,
  outcome: UnitOutcome,
  machine: Machine,
): { readonly eligibility: Eligibility; readonly reasons: readonly Refusal[] } {
  if (outcome === "template") return { eligibility: "none", reasons: [] };
  const { unit, plan, target } = input;
  if (outcome === "unreadable") {
    return { eligibility: target?.machine === machine.id ? "assigned" : "none", reasons: [] };
  }
  const jobs = input.jobs.get(machine.id) ?? [];
  const globals = globalsAmong(machine, jobs, input.globals);
  if (outcome === "global") {
    if (globals.some((other) => other.name === unit.name)) return { eligibility: "assigned", reasons: [] };
    // Globals launched after this one do not rule it out.
    const before = globals.filter((other) => precedence(other, unit) < 0);
    const reasons = findRefusals(versionOn(unit, machine.id), machine, [...jobs, ...before]);
    return { eligibility: "rejected", reasons };
  }
  const residents = [...jobs, ...globals];
  if (outcome !== "inactive" && target?.machine === machine.id) {
    return { eligibility: "assigned", reasons: findRefusals(unit, machine, residents, "resident") };
  }
  const predicted = outcome === "waiting" ? plan.unplaced.get(unit.name)?.refusals.get(machine.id) : undefined;
  const own = predicted ??
    findRefusals(unit, machine, residents, "newcomer", undefined, { instances: input.instances() });
  const reasons = outcome === "waiting" ? [...own, ...peerRefusals(input, machine, residents)] : own;
  return { eligibility: reasons.length > 0 ? "rejected" : "eligible", reasons };
}

/** Refusals of the peers that an unplaced unit needs: by the machine, and by conflicts between them. */
function peerRefusals({ cluster, unit, plan }: ExplainInput, machine: Machine, residents: readonly Unit[]): Refusal[] {
  const peers = new Set([unit]);
  for (const member of peers) {
    for (const name of member.requirements.machineOf) {
      const peer = cluster.units.get(name);
      if (peer && plan.unplaced.has(name)) peers.add(peer);
    }
  }
  const names = new Set([...peers].map(({ name }) => name));
  const others = [...peers].filter((member) => member !== unit);
  const together = capacityRefusals(reservationOf(peers), machine, reservationOf(residents));
  return [
    ...others.filter((other) => conflict(unit, other)).map((other) => peerConflict(other)),
    ...others.flatMap((member, index) =>
      [
        ...findRefusals(member, machine, residents, "newcomer", names),
        ...others.slice(index + 1).filter((other) => conflict(member, other)).map((other) => peerConflict(other)),
      ].map(({ rule, reason }) => ({ rule, reason: `required peer Unit(${member.name}): ${reason}` }))
    ),
    ...others.length === 0 || machine.unreadable !== undefined
      ? []
      : [...together].map(({ rule, reason }) => ({ rule, reason: `with its required peers it ${reason}` })),
  ];
}

/** The refusal of a unit that conflicts with a peer it needs, on any machine. */
function peerConflict(other: Unit): Refusal {
  return { rule: "Conflicts", reason: `found conflict with required peer Unit(${other.name})` };
}

/** A machine's pending work for a unit, as a clause after "which"; undefined if there is none. */
function pendingWork(unit: Unit, isWanted: boolean, state: UnitState | undefined): string | undefined {
  if (!isWanted) return state && "still has it";
  if (!state) return "has not reported it yet";
  if (state.hash !== unit.hash) return "does not have its newest file yet";
  if (state.commanded === "inactive") return "has not put its file in place yet";
  if (state.commanded !== unit.desiredState) {
    return unit.desiredState === "launched" ? "has not started it yet" : "has not stopped it yet";
  }
  if (unit.desiredState === "launched" && state.restart < unit.restart) return "has not restarted it yet, as requested";
  return undefined;
}

function nextStep({ unit, plan }: ExplainInput): string | undefined {
  for (const step of plan.placements) {
    if (step.kind === "unplace" && step.unit === unit.name) {
      return `take it off machine ${short(step.from.machine)}: ${step.why}`;
    }
    if (step.kind !== "place" || step.unit.name !== unit.name) continue;
    const { from, machine, why } = step;
    if (from?.machine === machine) return `update its assignment to machine ${short(machine)}`;
    return `${from ? "move" : "place"} it ${from ? "to" : "on"} machine ${short(machine)}: ${why}`;
  }
  return undefined;
}

function summaryOf(
  { cluster, unit, plan, target }: ExplainInput,
  outcome: UnitOutcome,
  machines: readonly MachineExplanation[],
  next: string | undefined,
): string {
  switch (outcome) {
    case "unreadable":
      return `its record in the store cannot be read (${unit.unreadable}), so that fleet leaves it alone` +
        `${target ? ` on machine ${short(target.machine)}` : ""}: ${remedy}`;
    case "template":
      return `it is a template: only its instances, ${unit.name.replace("@.", "@NAME.")}, can run`;
    case "inactive":
      return "its desired state is inactive: no machine should have it";
    case "global": {
      const here = machines.filter(({ eligibility }) => eligibility === "assigned").length;
      const { size } = cluster.machines;
      return `it is global: ${here} of ${counted(size, "machine")} should have it`;
    }
    case "waiting":
      return plan.unplaced.get(unit.name)?.summary ?? (cluster.leader ? "the engine is about to" : noLeader) +
          (next === undefined ? "" : cluster.leader ? ` ${next}` : `; the next one will ${next}`);
    case "placed":
      return placedSummary(target!.machine, machines, next);
  }
}

const remedy = "put the unit again or destroy it, or upgrade the daemons that are older than the one that wrote it";

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

/** Notes on the peers that an unplaced unit must share a machine with. */
function peerNotes({ cluster, unit, plan }: ExplainInput, outcome: UnitOutcome): string[] {
  if (outcome !== "waiting") return [];
  return unit.requirements.machineOf.filter((name) => name !== unit.name).map((name) => {
    const peer = cluster.units.get(name);
    const target = cluster.targets.get(name);
    const waiting = plan.unplaced.get(name);
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

/** Notes on machines where the unit was started and does not run. */
function idleNotes({ unit }: ExplainInput, machines: readonly MachineExplanation[]): string[] {
  if (unit.desiredState !== "launched") return [];
  return machines.flatMap(({ id, eligibility, pending, state }) => {
    if (eligibility !== "assigned" || pending !== undefined || !state) return [];
    if (state.active !== "inactive" && state.active !== "failed") return [];
    const what = state.active === "failed"
      ? `it has failed since${state.result === undefined ? "" : ` (${state.result})`}`
      : state.job !== undefined && state.job !== "done"
      ? `systemd's start job ended with "${state.job}"`
      : "it is inactive since: it has ended by itself, or something else than fleet has stopped it";
    const command = commandLine(["fleetctl", "start"], [unit.name]);
    return [`machine ${short(id)} has started it, and ${what}; ${command} starts it again`];
  });
}

/** Notes on Replaces, where it has an effect or might seem to. */
function replacementNotes({ cluster, unit, target, jobs }: ExplainInput, next: string | undefined): string[] {
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

/** True if each unit names the other in Replaces. */
function isMutual(a: Unit, b: Unit): boolean {
  const alone = (unit: Unit) => ({ ...unit, requirements: { ...unit.requirements, replaces: [] } });
  return replaces(a, alone(b)) && replaces(b, alone(a));
}

function warningsOf({ cluster, unit }: ExplainInput, outcome: UnitOutcome, next: string | undefined): string[] {
  const { unknown, malformed } = unit.requirements;
  const warnings = [...unknown.map(unrecognizedOption), ...doubtfulValues(unit.name, unit.fleetOptions)];
  // A template has no instance name, so that its values with specifiers are validated in another way.
  const invalid = outcome === "template" ? validateFleetOptions(unit.name, unit.fleetOptions) : undefined;
  warnings.push(...outcome === "template" ? (invalid === undefined ? [] : [invalid]) : malformed);
  warnings.push(...unreadableAround(cluster, unit));
  if (unit.unreadable === undefined && !cluster.files.has(unit.hash)) {
    warnings.push(`the store has lost its unit file ${unit.hash}: submit it again`);
  }
  if (!cluster.leader && (outcome === "waiting" || next !== undefined)) warnings.push(noLeader);
  return warnings;
}

/** Warnings about other records that cannot be read. */
function unreadableAround({ targets, assignments, machines, leader }: Cluster, { name }: Unit): string[] {
  const target = targets.get(name);
  const machine = target && machines.get(target.machine)?.unreadable;
  return [
    ...[target, assignments.get(name)].flatMap((record) => record?.unreadable ?? [])
      .map((why) => `${why}: the engine writes it again, if it can read the unit itself`),
    ...(machine === undefined
      ? []
      : [`${machine}: units on machine ${short(target!.machine)} stay, and no other unit is placed there`]),
    ...(leader?.unreadable === undefined ? [] : [`${leader.unreadable}: the leading machine is not known`]),
  ];
}
