/**
 * Reads and runs scenario scripts: events in a small cluster, with the engine's and the agents' reactions.
 *
 * | line | effect |
 * |---|---|
 * | `machine ID [quadlet=true] [key=value]...` | a machine joins; `quadlet=true`: it has podman's generator |
 * | `gone ID` | the machine is lost |
 * | `departs ID` | the machine leaves the cluster in good order |
 * | `label ID key=value` | dynamic metadata (`key=` hides it) |
 * | `unit NAME STATE` | a unit is created, or its file replaced; indented lines below are its [X-Fleet] options |
 * | `state NAME STATE` | its desired state changes |
 * | `restart NAME` | a restart is requested |
 * | `destroy NAME` | it is destroyed |
 * | `spoil unit\|target\|assignment NAME`, `spoil machine ID` | its record in the store becomes unreadable, until it is written again |
 * | `schedule [grace]` | the engine makes a plan, which is carried out; `grace`: absent machines may come back |
 * | `agent ID` | the machine's agent carries out its steps, pass by pass, until there are none |
 * | `preview` | the effects of the changes in the indented lines below are predicted, and nothing is changed: `put NAME STATE [KEY=VALUE]...` (KEY is an option of [X-Fleet]; without one the file stays), `destroy NAME`, `leave ID` |
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
import { ScheduleCache } from "../../../daemon/engine/schedule_cache.ts";
import { type Plan, schedule } from "../../../daemon/engine/schedule.ts";
import { type Draft, type Preview, preview } from "../../../daemon/engine/preview.ts";
import {
  type Assignment,
  type Cluster,
  type Departure,
  type DesiredState,
  effectiveMetadata,
  type Machine,
  type MachineRecord,
  type MassLoss,
  type Target,
  type Unit,
} from "../../../registry/model.ts";
import { SharedMap } from "../../../registry/views/shared_map.ts";
import type { Placement } from "../../../registry/mod.ts";
import { parseRequirements } from "../../../registry/requirements.ts";
import {
  unreadableAssignment,
  unreadableMachine,
  unreadableTarget,
  unreadableUnit,
} from "../../../registry/schema/unreadable.ts";
import { validateFleetOptions } from "../../../registry/requirements.ts";
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
  #departed: ReadonlyMap<string, Departure> = new Map();
  #massLoss: MassLoss | undefined;
  readonly #units = new SharedMap<string, Unit>();
  readonly #targets = new SharedMap<string, Target>();
  readonly #assignments = new SharedMap<string, Assignment>();
  /** The cache of this cluster's engine. */
  readonly cache = new ScheduleCache();
  readonly #files: Cluster["files"] = new Map();
  readonly #texts = new Map<string, string>();
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
      dynamicMetadata: new Map(this.#dynamic),
      states: new Map(),
    };
  }

  machine(id: string, staticMetadata: Record<string, string>, quadlet = false): void {
    const capabilities = { disableEngine: false, ...quadlet && { quadlet } };
    const record = { id, ip: "", incarnation: "1", staticMetadata, capabilities };
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

  #look(id: string): void {
    const record = this.#records.get(id);
    if (!record) return;
    const metadata = effectiveMetadata(record.staticMetadata, this.#dynamic.get(id) ?? {});
    this.#machines.set(id, { ...record, metadata });
  }

  unit(name: string, desiredState: DesiredState, fleetOptions: readonly UnitOption[]): void {
    const hash = hashOf(name, fleetOptions);
    const requirements = parseRequirements(name, fleetOptions);
    this.#write({ name, hash, fleetOptions, requirements, desiredState, restart: 0, launchedAt: 0, revision: 0 });
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
    const assignments = [...this.#assignments.share()].filter(([_, assignment]) => assignment.machine === id);
    const globals = [...this.units].filter(([_, unit]) => unit.requirements.global);
    const all = [...assignments, ...globals];
    const view = {
      ...{ id: "test", revision: this.#revision, machine: id },
      assignments: new Map(assignments.filter(([_, assignment]) => assignment.unreadable === undefined)),
      globals: new Map(globals.filter(([_, unit]) => unit.unreadable === undefined)),
      unreadable: new Set(all.flatMap(([name, record]) => record.unreadable === undefined ? [] : [name])),
      dynamicMetadata: this.#dynamic.get(id) ?? {},
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

  apply(placements: readonly Placement[]): void {
    for (const step of placements) {
      const revision = ++this.#revision;
      if (step.kind === "unplace") {
        this.#unassign(step.unit);
      } else if (step.kind === "place") {
        const { unit, machine, why } = step;
        this.#targets.set(unit.name, { unit: unit.name, machine, why, since_ms: 0, revision });
        const { name, hash, desiredState, restart } = unit;
        this.#assignments.set(name, { unit: name, machine, hash, desiredState, restart, revision });
      }
    }
  }

  #unassign(name: string): void {
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
    const revision = ++this.#revision;
    const before = this.#units.get(unit.name);
    const launched = unit.desiredState === "launched";
    const launchedAt = !launched ? 0 : before && before.launchedAt > 0 ? before.launchedAt : revision;
    this.#units.set(unit.name, { ...unit, launchedAt, revision });
  }
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

/** Runs a script. Returns it with the actual output in place of the expected one. */
export function runScenario(script: string): string {
  const simulation = new SimulatedCluster();
  const out: string[] = [];
  const lines = script.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    if (line.startsWith(">")) continue;
    out.push(line);
    if (line.trim() === "" || line.startsWith("#")) continue;
    const below: string[] = [];
    while (lines[at + 1]?.startsWith(" ")) {
      out.push(lines[++at]!);
      below.push(lines[at]!.trim());
    }
    out.push(...runLine(simulation, line.trim().split(/\s+/), below).map((result) => `> ${result}`.trimEnd()));
  }
  return out.join("\n");
}

function fleetOption(line: string): UnitOption {
  const [name = "", ...value] = line.split("=");
  return { section: "X-Fleet", name, value: value.join("=") };
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
  const pairs = () => Object.fromEntries(rest.map((pair) => pair.split("=") as [string, string]));
  switch (command) {
    case "machine": {
      const { quadlet, ...metadata } = pairs();
      simulation.machine(name, metadata, quadlet === "true");
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
