/**
 * Reads and runs scenario scripts: events in a small cluster, with the engine's and the agents' reactions.
 *
 * | line | effect |
 * |---|---|
 * | `machine ID [quadlet=true] [cpu=N] [memory=N] [resources=NAME=N,...] [key=value]...` | a machine joins; `quadlet=true`: it has podman's generator; `cpu=`, `memory=`: its capacity (8 CPUs and 16G by default), `none` if its version of fleetd does not know reservations |
 * | `gone ID` | the machine is lost |
 * | `departs ID` | the machine leaves the cluster in good order |
 * | `cordon ID WHY`, `uncordon ID` | the machine takes no new jobs, or takes them again |
 * | `drain ID [force] [keep-globals] [deadline=S] [max=N]`, `undrain ID` | a drain begins or is canceled |
 * | `rebalance` | moves are requested: indented lines `UNIT FROM TO` below |
 * | `proposal [N]` | the moves that would even out spread and load are proposed, at most N (10 by default), and requested |
 * | `agents` | every machine starts and stops its units, and publishes their states |
 * | `breaks UNIT ID`, `works UNIT ID` | the unit does not become active on the machine, or does again |
 * | `after S` | so many seconds pass |
 * | `deposes` | another engine takes the lead |
 * | `moves` | the engine plans and carries out one round of requested moves |
 * | `label ID key=value` | dynamic metadata (`key=` hides it) |
 * | `unit NAME STATE` | a unit is created, or its file replaced; indented lines below are its [X-Fleet] options |
 * | `state NAME STATE` | its desired state changes |
 * | `restart NAME` | a restart is requested |
 * | `destroy NAME` | it is destroyed |
 * | `spoil unit\|target\|assignment NAME`, `spoil machine ID` | its record in the store becomes unreadable, until it is written again |
 * | `schedule [grace]` | the engine makes a plan, which is carried out; `grace`: absent machines may come back |
 * | `agent ID` | the machine's agent carries out its steps, pass by pass, until there are none |
 * | `preview` | the effects of the changes in the indented lines below are predicted, and nothing is changed: `put NAME STATE [KEY=VALUE]...` (KEY is an option of [X-Fleet]; without one the file stays), `destroy NAME`, `leave ID` |
 * | `fails NAME TIMES [HOURS]` | the unit's machine reports that systemd has given up on it so often, so many hours after the beginning |
 * | `exits ID NAME` | a unit that runs on a machine ends by itself |
 * | `runs ID NAME` | a unit is started by something else than its agent: a socket, a timer, a person |
 * | `forgets ID` | the machine's agent loses its record of commands; files and processes stay |
 * | `> …` | the expected output of the line above, line by line |
 * | `# …` | a remark |
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { desired, retainedFiles } from "../../../daemon/agent/desired.ts";
import { adopted, commanded } from "../../../daemon/agent/intent.ts";
import { type Current, plan } from "../../../daemon/agent/plan.ts";
import { SettledCopies } from "../../../daemon/agent/settled_copies.ts";
import { ScheduleCache } from "../../../daemon/engine/schedule_cache.ts";
import { type Plan, schedule } from "../../../daemon/engine/schedule.ts";
import { proposeMoves } from "../../../daemon/engine/drain/balance.ts";
import type { MovePlan } from "../../../daemon/engine/drain/move_plan.ts";
import { Relocator } from "../../../daemon/engine/drain/relocator.ts";
import { globalsAmong, isActiveGlobal } from "../../../daemon/policy/globals.ts";
import { type Draft, type Preview, preview } from "../../../daemon/engine/preview.ts";
import {
  type Assignment,
  type Cluster,
  type Cordon,
  type Departure,
  type DesiredState,
  type Drain,
  effectiveMetadata,
  type Machine,
  type MachineRecord,
  type MassLoss,
  type Rebalance,
  successorId,
  type Target,
  type Unit,
  type UnitState,
} from "../../../registry/model.ts";
import { stopsGlobals } from "../../../registry/views/maintenance_view.ts";
import { SharedMap } from "../../../registry/views/shared_map.ts";
import type { EngineStep } from "../../../registry/mod.ts";
import { parseRequirements } from "../../../registry/requirements.ts";
import { parseCpu_m, parseMemory_bytes, parseResources } from "../../../registry/reservation.ts";
import {
  unreadableAssignment,
  unreadableMachine,
  unreadableTarget,
  unreadableUnit,
} from "../../../registry/schema/unreadable.ts";
import { validateFleetOptions } from "../../../registry/requirements.ts";
import { runLines } from "../script.ts";
import { serializeUnitFile, type UnitOption } from "../../../systemd/unit_file.ts";

/**
 * A cluster that tests can change. As in a view of the store, parts that do not change stay the same objects from one
 * {@link cluster} to the next.
 */
export class SimulatedCluster {
  #revision = 0;
  readonly #records = new Map<string, MachineRecord>();
  readonly #dynamic = new Map<string, Record<string, string>>();
  readonly #machines = new SharedMap<string, Machine>();
  readonly #cordons = new Map<string, Cordon>();
  readonly #drains = new SharedMap<string, Drain>();
  readonly #successors = new SharedMap<string, Assignment>();
  #rebalance: Rebalance | undefined;
  /** Units that do not become active, as `unit machine`. */
  readonly #failing = new Set<string>();
  /** The time of the engine's clocks, milliseconds. */
  now_ms = 0;
  #relocator = new Relocator();
  #departed: ReadonlyMap<string, Departure> = new Map();
  #massLoss: MassLoss | undefined;
  readonly #units = new SharedMap<string, Unit>();
  readonly #targets = new SharedMap<string, Target>();
  readonly #assignments = new SharedMap<string, Assignment>();
  /** The cache of this cluster's engine. */
  readonly cache = new ScheduleCache();
  readonly #files: Cluster["files"] = new Map();
  #states: Cluster["states"] = new Map();
  readonly #texts = new Map<string, string>();
  readonly #settled = new Map<string, SettledCopies>();
  /** The units on each machine's disk, as its agent knows them. */
  readonly #disks = new Map<string, Map<string, Current>>();

  get units(): ReadonlyMap<string, Unit> {
    return this.#units.share();
  }

  get targets(): ReadonlyMap<string, Target> {
    return this.#targets.share();
  }

  get machines(): ReadonlyMap<string, Machine> {
    return this.#machines.share();
  }

  cluster(): Cluster {
    return {
      id: "test",
      revision: this.#revision,
      units: this.#units.share(),
      files: this.#files,
      targets: this.#targets.share(),
      assignments: this.#assignments.share(),
      machines: this.#machines.share(),
      departed: this.#departed,
      ...(this.#massLoss && { massLoss: this.#massLoss }),
      ...this.#drains.size > 0 && { drains: this.#drains.share() },
      ...this.#successors.size > 0 && { successors: this.#successors.share() },
      ...this.#rebalance && { rebalance: this.#rebalance },
      dynamicMetadata: new Map(this.#dynamic),
      states: this.#states,
    };
  }

  /** Begins a drain, which cordons the machine. */
  drain(id: string, options: Partial<Drain> = {}): void {
    const total = [...this.targets.values()].filter(({ machine }) => machine === id).length;
    const drain = { machine: id, maxParallel: 10, total, status: "moving", revision: ++this.#revision } as const;
    this.#drains.set(id, { ...drain, ...options });
    this.cordon(id, { why: "it is drained", revision: this.#revision });
  }

  undrain(id: string): void {
    this.#drains.delete(id);
    this.cordon(id, undefined);
  }

  rebalance(moves: Rebalance["moves"] | undefined): void {
    this.#rebalance = moves && { moves, revision: ++this.#revision };
  }

  /** Another engine takes the lead: what the one before has observed is gone. */
  deposes(): void {
    this.#relocator = new Relocator();
  }

  breaks(unit: string, machine: string, isFailing: boolean): void {
    if (isFailing) this.#failing.add(`${unit} ${machine}`);
    else this.#failing.delete(`${unit} ${machine}`);
  }

  /** Plans the moves that are requested. */
  moves(): MovePlan {
    const times = { wall_ms: this.now_ms, monotonic_ms: this.now_ms };
    return this.#relocator.plan(this.cluster(), { absentAreGone: true }, times);
  }

  /** Every machine that is present starts and stops its units, and publishes their states. */
  agents(): void {
    const states = new Map<string, Map<string, UnitState>>();
    const publish = (machine: string, { name, hash, restart, desiredState }: Unit) => {
      const known = this.#states.get(name)?.get(machine);
      const isUp = desiredState === "launched" && !this.#failing.has(`${name} ${machine}`);
      const [active, sub] = isUp
        ? ["active", "running"]
        : desiredState === "launched"
        ? ["failed", "failed"]
        : ["inactive", "dead"];
      const same = known?.hash === hash && known.active === active;
      const state: UnitState = {
        ...{ unit: name, machine, hash, commanded: desiredState, restart, load: "loaded", active, sub },
        since_ms: same ? known.since_ms : this.now_ms,
      };
      states.getOrInsertComputed(name, () => new Map()).set(machine, state);
    };
    const globals = [...this.units.values()].filter(isActiveGlobal);
    for (const machine of this.machines.values()) {
      const here = [...this.#assignments.share().values(), ...this.#successors.share().values()]
        .filter((each) => each.machine === machine.id).flatMap(({ unit }) => this.units.get(unit) ?? []);
      for (const unit of [...here, ...globalsAmong(machine, here, globals)]) publish(machine.id, unit);
      // The agent leaves a unit alone that cannot be read.
      for (const [name, on] of this.#states) {
        const kept = this.units.get(name)?.unreadable === undefined ? undefined : on.get(machine.id);
        if (kept) states.getOrInsertComputed(name, () => new Map()).set(machine.id, kept);
      }
    }
    this.#states = states;
    this.#settleCopies();
  }

  /** The agents of all machines publish which second copies have been healthy for long enough. */
  #settleCopies(): void {
    if (this.#successors.size === 0) return;
    const states = new Map<string, Map<string, UnitState>>();
    for (const machine of this.machines.keys()) {
      const here = [...this.#states].flatMap(([name, on]) =>
        on.has(machine) ? [[name, on.get(machine)!] as const] : []
      );
      const copies = new Map(
        [...this.#successors.share().values()].filter((each) => each.machine === machine)
          .map((copy) => [copy.unit, copy] as const),
      );
      const settled = this.#settled.getOrInsertComputed(machine, () => new SettledCopies(machine));
      for (const [name, state] of settled.mark(new Map(here), copies, this.#texts, this.now_ms)) {
        states.getOrInsertComputed(name, () => new Map()).set(machine, state);
      }
    }
    this.#states = states;
  }

  /** Time passes, for all machines. */
  passes(duration_ms: number): void {
    this.now_ms += duration_ms;
    this.#settleCopies();
  }

  machine(id: string, staticMetadata: Record<string, string>, quadlet = false, capacity: Words = {}): void {
    const capabilities = { disableEngine: false, successors: true as const, ...quadlet && { quadlet } };
    const record = { id, ip: "", incarnation: "1", staticMetadata, capabilities, ...capacityOf(capacity) };
    this.#records.set(id, { ...record, leaseTtl_ms: 30_000, version: "2.0.0" });
    this.#departed = new Map([...this.#departed].filter(([each]) => each !== id));
    this.#look(id);
  }

  gone(id: string): void {
    this.#records.delete(id);
    this.#machines.delete(id);
  }

  departs(id: string, how: Departure): void {
    this.gone(id);
    this.#departed = new Map([...this.#departed, [id, how]]);
  }

  /** Begins the wait after a mass loss of these machines, or ends it if there are none. */
  awaits(machines: readonly string[]): void {
    const loss = { machines, since_ms: 0, until_ms: 300_000, isOver: false, revision: 1 };
    this.#massLoss = machines.length > 0 ? loss : undefined;
  }

  label(id: string, key: string, value: string): void {
    this.#dynamic.set(id, { ...this.#dynamic.get(id), [key]: value });
    this.#look(id);
  }

  cordon(id: string, cordon: Cordon | undefined): void {
    if (cordon) this.#cordons.set(id, cordon);
    else this.#cordons.delete(id);
    this.#look(id);
  }

  #look(id: string): void {
    const record = this.#records.get(id);
    if (!record) return;
    const metadata = effectiveMetadata(record.staticMetadata, this.#dynamic.get(id) ?? {});
    const cordon = this.#cordons.get(id);
    const drain = this.#drains.get(id);
    const flags = { ...cordon && { cordon }, ...drain && stopsGlobals(drain) && { stopsGlobals: true as const } };
    this.#machines.set(id, { ...record, metadata, ...flags });
  }

  unit(name: string, desiredState: DesiredState, fleetOptions: readonly UnitOption[]): void {
    const hash = hashOf(name, fleetOptions);
    const requirements = parseRequirements(name, fleetOptions);
    this.#write({ name, hash, fleetOptions, requirements, desiredState, restart: 0, launchedAt: 0, revision: 0 });
  }

  /** The machine of a unit reports that systemd has given up on it; the report before is gone. */
  fails(name: string, failures: number, at_ms: number): void {
    const { hash, restart } = this.#known(name);
    const { machine } = this.#targets.get(name)!;
    const failed = { load: "loaded", active: "failed", sub: "failed", since_ms: at_ms, failures };
    const state = { unit: name, machine, hash, restart, commanded: "launched" as const, ...failed };
    this.#states = new Map([...this.#states, [name, new Map([[machine, state]])]]);
  }

  state(name: string, desiredState: DesiredState): void {
    this.#write({ ...this.#known(name), desiredState });
  }

  restart(name: string): void {
    this.#write({ ...this.#known(name), restart: this.#revision + 1 });
  }

  destroy(name: string): void {
    this.#units.delete(name);
    this.#unassign(name);
  }

  /** Makes a record in the store unreadable. */
  corrupt(kind: string, name: string): void {
    const unreadable = { revision: ++this.#revision, why: "it is spoilt" };
    const assignment = this.#assignments.get(name);
    switch (kind) {
      case "unit": {
        const { requirements, fleetOptions, ...known } = this.#known(name);
        // Of a global, some machine has reported its state.
        const source = requirements.global && known.desiredState !== "inactive" ? known : assignment;
        const text = source && source.hash !== "" ? serializeUnitFile(fleetOptions) : undefined;
        this.#units.set(name, unreadableUnit(name, requirements.global, unreadable, source, text));
        break;
      }
      case "target":
        this.#targets.set(name, unreadableTarget(name, assignment?.machine ?? "", unreadable));
        break;
      case "assignment":
        this.#assignments.set(name, unreadableAssignment(name, assignment!.machine, unreadable));
        break;
      case "machine":
        this.#machines.set(name, { ...unreadableMachine(name, unreadable), metadata: this.#dynamic.get(name) ?? {} });
        break;
      default:
        throw new Error(`a scenario script cannot spoil a ${kind}`);
    }
  }

  /** Runs one pass of a machine's agent. Returns its steps. */
  pass(id: string): string[] {
    const record = this.#records.get(id);
    if (!record) throw new Error(`the cluster has no machine ${id}`);
    const disk = this.#disks.get(id) ?? new Map<string, Current>();
    this.#disks.set(id, disk);
    const successors = [...this.#successors.share().values()].map((copy) => [copy.unit, copy] as const);
    const assignments = [...successors, ...this.#assignments.share()].filter(([_, assignment]) =>
      assignment.machine === id
    );
    const globals = [...this.units].filter(([_, unit]) => unit.requirements.global);
    const all = [...assignments, ...globals];
    const view = {
      ...{ id: "test", revision: this.#revision, machine: id },
      assignments: new Map(assignments.filter(([_, assignment]) => assignment.unreadable === undefined)),
      globals: new Map(globals.filter(([_, unit]) => unit.unreadable === undefined)),
      unreadable: new Set(all.flatMap(([name, record]) => record.unreadable === undefined ? [] : [name])),
      dynamicMetadata: this.#dynamic.get(id) ?? {},
      ...this.#machines.get(id)?.stopsGlobals && { stopsGlobals: true as const },
    };
    const retained = retainedFiles(view, new Map([...disk].map(([name, { hash }]) => [name, hash])));
    const steps = plan(desired(view, record, this.#texts, retained), disk, view.unreadable);
    return steps.map((step) => {
      const current = disk.get(step.unit);
      if (step.kind === "remove") disk.delete(step.unit);
      else {
        const hash = step.kind === "install" ? step.hash : current!.hash;
        const isUp = step.kind === "start" || step.kind === "restart";
        const restart = isUp ? step.restart : step.kind === "install" ? 0 : current!.restart;
        disk.set(step.unit, onDisk(step.unit, hash, isUp, isUp, restart));
      }
      return `${step.kind} ${step.unit}: ${step.why}`;
    });
  }

  /** A unit on a machine ends, or is started, by itself; the agent's latest command stays in force. */
  setRunning(id: string, name: string, isUp: boolean): void {
    const current = this.#disks.get(id)!.get(name)!;
    this.#disks.get(id)!.set(
      name,
      onDisk(name, current.hash, current.commanded === "launched", isUp, current.restart),
    );
  }

  /** A machine's agent loses its record of commands. */
  forgets(id: string): void {
    const disk = this.#disks.get(id)!;
    for (const [name, current] of disk) {
      const intent = adopted(current.status, this.units.get(name)?.restart ?? 0);
      disk.set(name, { ...current, ...commanded(intent, current.status) });
    }
  }

  apply(placements: readonly EngineStep[]): void {
    for (const step of placements) {
      const revision = ++this.#revision;
      if (step.kind === "unplace") {
        this.#unassign(step.unit);
      } else if (step.kind === "prepare") {
        const { unit: { name, hash, desiredState, restart }, machine, from: { failedMove: _failedMove, ...from } } =
          step;
        this.#targets.set(name, { ...from, successor: machine, revision });
        const copy = { unit: name, machine, hash, desiredState, restart, revision };
        this.#successors.set(successorId(machine, name), copy);
      } else if (step.kind === "abandon") {
        const { successor, ...target } = this.#targets.get(step.unit)!;
        this.#successors.delete(successorId(successor!, step.unit));
        const more = step.failedMove && { failedMove: step.failedMove };
        this.#targets.set(step.unit, { ...target, ...more, revision });
      } else if (step.kind === "withdraw") this.#successors.delete(successorId(step.machine, step.unit));
      else if (step.kind === "drained") {
        this.#drains.set(step.drain.machine, { ...step.drain, status: step.status, revision });
        this.#look(step.drain.machine);
      } else if (step.kind === "rebalanced") this.rebalance(step.moves.length > 0 ? step.moves : undefined);
      else if (step.kind === "place") {
        const { unit, machine, why, failedOn } = step;
        this.#endMove(unit.name);
        const more = failedOn && { failedOn };
        this.#targets.set(unit.name, { unit: unit.name, machine, why, since_ms: 0, revision, ...more });
        const { name, hash, desiredState, restart } = unit;
        this.#assignments.set(name, { unit: name, machine, hash, desiredState, restart, revision });
      }
    }
  }

  #endMove(name: string): void {
    const target = this.#targets.get(name);
    if (target?.successor === undefined) return;
    const { successor, ...rest } = target;
    this.#successors.delete(successorId(successor, name));
    this.#targets.set(name, { ...rest, revision: this.#revision });
  }

  #unassign(name: string): void {
    this.#endMove(name);
    this.#targets.delete(name);
    this.#assignments.delete(name);
  }

  #known(name: string): Unit {
    const unit = this.#units.get(name);
    if (!unit) throw new Error(`the cluster has no unit ${name} yet`);
    return unit;
  }

  #write(unit: Unit): void {
    this.#texts.set(unit.hash, serializeUnitFile(unit.fleetOptions));
    this.#endMove(unit.name);
    const revision = ++this.#revision;
    const before = this.#units.get(unit.name);
    const launched = unit.desiredState === "launched";
    const launchedAt = !launched ? 0 : before && before.launchedAt > 0 ? before.launchedAt : revision;
    this.#units.set(unit.name, { ...unit, launchedAt, revision });
  }
}

/** A machine's capacity in the words of a script. */
type Words = { readonly cpu?: string; readonly memory?: string; readonly resources?: string };

function capacityOf({ cpu = "8", memory = "16G", resources = "" }: Words): Pick<MachineRecord, "capacity"> {
  const counted = parseResources(resources);
  if (cpu === "none" || typeof counted === "string") return {};
  const [cpu_m, memory_bytes] = [parseCpu_m(cpu)!, parseMemory_bytes(memory)!];
  return { capacity: { cpu_m, memory_bytes, reservedCpu_m: 0, reservedMemory_bytes: 0, resources: counted } };
}

function hashOf(name: string, fleetOptions: readonly UnitOption[]): string {
  return createHash("sha1").update(JSON.stringify([name, fleetOptions])).digest("hex");
}

function onDisk(name: string, hash: string, isLaunched: boolean, isUp: boolean, restart: number): Current {
  return {
    ...{ name, hash, restart, commanded: isLaunched ? "launched" : "loaded" },
    status: {
      ...{ name, load: "loaded", active: isUp ? "active" : "inactive", sub: isUp ? "running" : "dead" },
      ...{ result: "success", invocation: "", since_ms: 0 },
    },
  };
}

/** Returns a plan as lines. */
export function planLines(plan: Plan): string[] {
  const lines: string[] = [];
  for (const step of plan.placements) {
    if (step.kind === "unplace") lines.push(`take ${step.unit} off ${step.from.machine}: ${step.why}`);
    if (step.kind !== "place") continue;
    const { unit, machine, from, why } = step;
    if (from?.machine === machine) lines.push(`update ${unit.name} on ${machine}`);
    else if (from) lines.push(`move ${unit.name} from ${from.machine} to ${machine}: ${why}`);
    else lines.push(`place ${unit.name} on ${machine}: ${why}`);
  }
  for (const [unit, { summary, refusals }] of plan.unplaced) {
    lines.push(`${unit} is unplaced: ${summary}`);
    for (const [machine, reasons] of refusals) {
      for (const { reason } of reasons) lines.push(`  ${machine}: ${reason}`);
    }
  }
  return lines.length === 0 ? ["nothing"] : lines;
}

/** Returns the moves that are requested as lines. */
export function moveLines({ steps, units }: MovePlan): string[] {
  const lines = steps.map((step) => {
    switch (step.kind) {
      case "prepare":
        return `start a copy of ${step.unit.name} on ${step.machine}, beside ${step.from.machine}: ${step.why}`;
      case "place":
        return `${
          step.from?.successor === step.machine ? "switch" : "move"
        } ${step.unit.name} from ${step.from?.machine} to ${step.machine}: ${step.why}`;
      case "unplace":
        return `take ${step.unit} off ${step.from.machine}: ${step.why}`;
      case "abandon":
        return `give up the copy of ${step.unit} on ${step.from.successor}: ${step.why}`;
      case "withdraw":
        return `end the copy of ${step.unit} on ${step.machine}`;
      case "drained":
        return `the drain of ${step.drain.machine} is ${step.status}`;
      case "rebalanced":
        return `${step.moves.length} requested moves are left`;
      default:
        throw new Error(`a ${step.kind} is no step of a move`);
    }
  });
  for (const [name, { state, why, stopsFirst, refusals }] of units) {
    if (state === "moving" && why === undefined) continue;
    if (why === undefined && stopsFirst !== undefined) lines.push(`${name} stops first: ${stopsFirst}`);
    if (why !== undefined) lines.push(`${name} is ${state}: ${why}`);
    for (const [machine, reasons] of refusals ?? []) {
      for (const { reason } of reasons) lines.push(`  ${machine}: ${reason}`);
    }
  }
  return lines.length === 0 ? ["nothing"] : lines;
}

/** Runs a script. Returns it with the actual output in place of the expected one. */
export function runScenario(script: string): string {
  const simulation = new SimulatedCluster();
  return runLines(script, (words, below) => runLine(simulation, words, below));
}

function fleetOption(line: string): UnitOption {
  const [name = "", ...value] = line.split("=");
  const section = ["MemoryMax", "MemoryHigh", "CPUQuota"].includes(name) ? "Service" : "X-Fleet";
  return { section, name, value: value.join("=") };
}

function draft(line: string): Draft {
  const [kind, name = "", state, ...options] = line.split(/\s+/);
  if (kind === "leave") return { kind, machine: name };
  if (kind === "destroy") return { kind, name };
  if (options.length > 0) return draftPut(name, state as DesiredState, options.map(fleetOption));
  return { kind: "put", name, desiredState: state as DesiredState };
}

/** Returns the draft of a unit with a new file, which {@link SimulatedCluster.unit} would create. */
export function draftPut(name: string, desiredState: DesiredState, fleetOptions: readonly UnitOption[]): Draft {
  return { kind: "put", name, desiredState, file: { hash: hashOf(name, fleetOptions), text: "", fleetOptions } };
}

/** Returns a preview as lines. */
export function previewLines({ after, effects }: Preview): string[] {
  const lines = [...effects].sort(([a], [b]) => a < b ? -1 : 1).flatMap(([name, list]) =>
    list.map(({ kind, machine, from }) =>
      kind === "move" ? `move ${name} from ${from} to ${machine}` : `${kind} ${name} on ${machine}`
    )
  );
  const unplaced = [...schedule(after).unplaced].map(([name, { summary }]) => `${name} is unplaced: ${summary}`);
  return lines.length + unplaced.length === 0 ? ["nothing"] : [...lines, ...unplaced];
}

function runLine(
  simulation: SimulatedCluster,
  [command, name = "", ...rest]: string[],
  below: readonly string[],
): string[] {
  const pairs = () =>
    Object.fromEntries(rest.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
  switch (command) {
    case "machine": {
      const { quadlet, cpu, memory, resources, ...metadata } = pairs();
      const capacity = { ...cpu && { cpu }, ...memory && { memory }, ...resources && { resources } };
      simulation.machine(name, metadata, quadlet === "true", capacity);
      return [];
    }
    case "gone":
      simulation.gone(name);
      return [];
    case "departs":
      simulation.departs(name, rest[0] === "lost" ? "lost" : "stopped");
      return [];
    case "awaits":
      simulation.awaits(name === "none" ? [] : [name, ...rest]);
      return [];
    case "cordon":
      simulation.cordon(name, { why: rest.join(" "), revision: 1 });
      return [];
    case "drain": {
      const { deadline, max } = pairs();
      simulation.drain(name, {
        ...rest.includes("force") && { force: true },
        ...rest.includes("keep-globals") && { keepsGlobals: true },
        ...deadline !== undefined && { deadlineAt_ms: simulation.now_ms + Number(deadline) * 1000 },
        ...max !== undefined && { maxParallel: Number(max) },
      });
      return [];
    }
    case "undrain":
      simulation.undrain(name);
      return [];
    case "rebalance":
      simulation.rebalance(below.map((line) => {
        const [unit = "", from = "", to = ""] = line.split(" ");
        return { unit, from, to };
      }));
      return [];
    case "agents":
      simulation.agents();
      return [];
    case "proposal": {
      const { moves, spreadBefore, spreadAfter } = proposeMoves(simulation.cluster(), Number(name || 10));
      if (moves.length > 0) simulation.rebalance(moves);
      return [
        ...moves.map(({ unit, from, to }) => `${unit} from ${from} to ${to}`),
        ...spreadBefore.flatMap(({ template, key, value, count }, index) => {
          const after = spreadAfter[index]!.count;
          return count === after ? [] : `${template} in ${key}=${value}: ${count} -> ${after}`;
        }),
      ];
    }
    case "after":
      simulation.passes(Number(name) * 1000);
      return [];
    case "deposes":
      simulation.deposes();
      return [];
    case "breaks":
    case "works":
      simulation.breaks(name, rest[0]!, command === "breaks");
      return [];
    case "moves": {
      const plan = simulation.moves();
      simulation.apply(plan.steps);
      return moveLines(plan);
    }
    case "uncordon":
      simulation.cordon(name, undefined);
      return [];
    case "label":
      for (const [key, value] of Object.entries(pairs())) simulation.label(name, key, value);
      return [];
    case "unit": {
      const options = below.map(fleetOption);
      const refusal = validateFleetOptions(name, options);
      if (refusal !== undefined) return [`refused: ${refusal}`];
      simulation.unit(name, rest[0] as DesiredState, options);
      return [];
    }
    case "state":
      simulation.state(name, rest[0] as DesiredState);
      return [];
    case "restart":
      simulation.restart(name);
      return [];
    case "destroy":
      simulation.destroy(name);
      return [];
    case "spoil":
      simulation.corrupt(name, rest[0]!);
      return [];
    case "preview":
      return previewLines(preview(simulation.cluster(), below.map(draft)));
    case "schedule": {
      const options = { absentAreGone: name !== "grace" };
      const plan = schedule(simulation.cluster(), options, simulation.cache);
      const lines = planLines(plan);
      assert.deepEqual(lines, planLines(schedule(simulation.cluster(), options)), "the cache changes no plan");
      simulation.apply(plan.placements);
      return lines;
    }
    case "agent": {
      const lines: string[] = [];
      for (let pass = 1;; pass++) {
        const steps = simulation.pass(name);
        if (steps.length === 0) return pass === 1 ? ["nothing"] : lines;
        lines.push(...steps.map((step) => `pass ${pass}: ${step}`));
      }
    }
    case "fails":
      simulation.fails(name, Number(rest[0]), 3_600_000 * Number(rest[1] ?? 0));
      return [];
    case "exits":
    case "runs":
      simulation.setRunning(name, rest[0]!, command === "runs");
      return [];
    case "forgets":
      simulation.forgets(name);
      return [];
    default:
      throw new Error(`a scenario script has no command "${command}"`);
  }
}
