/**
 * Reads and runs scenario scripts: small stories about a cluster, with what the engine decides in them.
 *
 * | line | what it does |
 * |---|---|
 * | `machine ID [key=value]...` | a machine joins |
 * | `gone ID` | it goes away without a word |
 * | `departs ID` | it is stopped in good order |
 * | `label ID key=value` | dynamic metadata (`key=` hides it) |
 * | `unit NAME STATE` | a unit is created, or its file replaced; indented lines below are its [X-Fleet] options |
 * | `state NAME STATE` | its desired state changes |
 * | `restart NAME` | a restart is asked for |
 * | `destroy NAME` | it is destroyed |
 * | `spoil unit\|target\|orders NAME`, `spoil machine ID` | what the store holds of it cannot be read, until it is written again |
 * | `schedule [grace]` | the engine decides, and what it decides is done; `grace`: machines that are away may come back |
 * | `agent ID` | the machine's agent does what it should, pass by pass, until there is nothing left to do |
 * | `exits ID NAME` | a unit that runs on a machine ends by itself |
 * | `runs ID NAME` | a unit is started by something else than its agent: a socket, a timer, a person |
 * | `forgets ID` | the machine's agent begins anew without memory of what it has commanded; files and processes stay |
 * | `> …` | what is expected of the line above, line by line |
 * | `# …` | a remark |
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { desired, kept } from "../../../daemon/agent/desired.ts";
import { adopted, commanded } from "../../../daemon/agent/command.ts";
import { type Current, plan } from "../../../daemon/agent/plan.ts";
import { ScheduleCache } from "../../../daemon/engine/schedule_cache.ts";
import { type Plan, schedule } from "../../../daemon/engine/schedule.ts";
import {
  type Assignment,
  type Cluster,
  type DesiredState,
  effectiveMetadata,
  type Machine,
  type MachineRecord,
  type Target,
  type Unit,
} from "../../../registry/model.ts";
import { SharedMap } from "../../../registry/views/cluster_view.ts";
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
 * A cluster that can be changed, for stories. As in a view of the store, what does not change stays the same object from
 * one {@link cluster} to the next.
 */
export class Story {
  #revision = 0;
  readonly #records = new Map<string, MachineRecord>();
  readonly #dynamic = new Map<string, Record<string, string>>();
  readonly #machines = new SharedMap<string, Machine>();
  #departed: ReadonlySet<string> = new Set();
  readonly #units = new SharedMap<string, Unit>();
  readonly #targets = new SharedMap<string, Target>();
  readonly #assignments = new SharedMap<string, Assignment>();
  /** What the engine of this story remembers. */
  readonly memo = new ScheduleCache();
  readonly #files: Cluster["files"] = new Map();
  readonly #texts = new Map<string, string>();
  /** What is on each machine's disk, as its agent knows it. */
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
      id: "story",
      revision: this.#revision,
      epoch: 1,
      units: this.#units.share(),
      files: this.#files,
      targets: this.#targets.share(),
      assignments: this.#assignments.share(),
      machines: this.#machines.share(),
      departed: this.#departed,
      dynamicMetadata: new Map(this.#dynamic),
      states: new Map(),
    };
  }

  machine(id: string, staticMetadata: Record<string, string>): void {
    const record = { id, ip: "", incarnation: "1", staticMetadata, capabilities: { disableEngine: false } };
    this.#records.set(id, { ...record, version: "2.0.0" });
    this.#departed = new Set([...this.#departed].filter((each) => each !== id));
    this.#look(id);
  }

  gone(id: string): void {
    this.#records.delete(id);
    this.#machines.delete(id);
  }

  departs(id: string): void {
    this.gone(id);
    this.#departed = new Set([...this.#departed, id]);
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
    const hash = createHash("sha1").update(JSON.stringify([name, fleetOptions])).digest("hex");
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

  /** What the store holds of something cannot be read any more. */
  spoil(kind: string, name: string): void {
    const unreadable = { revision: ++this.#revision, why: "it is spoilt" };
    const orders = this.#assignments.get(name);
    switch (kind) {
      case "unit": {
        const { requirements, fleetOptions, ...known } = this.#known(name);
        // Every machine tells of its globals at once.
        const told = requirements.global && known.desiredState !== "inactive" ? known : orders;
        const text = told && told.hash !== "" ? serializeUnitFile(fleetOptions) : undefined;
        this.#units.set(name, unreadableUnit(name, requirements.global, unreadable, told, text));
        break;
      }
      case "target":
        this.#targets.set(name, unreadableTarget(name, orders?.machine ?? "", unreadable));
        break;
      case "orders":
        this.#assignments.set(name, unreadableAssignment(name, orders!.machine, unreadable));
        break;
      case "machine":
        this.#machines.set(name, { ...unreadableMachine(name, unreadable), metadata: this.#dynamic.get(name) ?? {} });
        break;
      default:
        throw new Error(`a scenario script cannot spoil a ${kind}`);
    }
  }

  /** One pass of a machine's agent. Returns what it did, step by step. */
  pass(id: string): string[] {
    const record = this.#records.get(id);
    if (!record) throw new Error(`the story has no machine ${id}`);
    const disk = this.#disks.get(id) ?? new Map<string, Current>();
    this.#disks.set(id, disk);
    const assignments = [...this.#assignments.share()].filter(([_, orders]) => orders.machine === id);
    const globals = [...this.units].filter(([_, unit]) => unit.requirements.global);
    const all = [...assignments, ...globals];
    const view = {
      ...{ id: "story", revision: this.#revision, epoch: 1, machine: id },
      assignments: new Map(assignments.filter(([_, orders]) => orders.unreadable === undefined)),
      globals: new Map(globals.filter(([_, unit]) => unit.unreadable === undefined)),
      unreadable: new Set(all.flatMap(([name, record]) => record.unreadable === undefined ? [] : [name])),
      dynamicMetadata: this.#dynamic.get(id) ?? {},
    };
    const stay = kept(view, new Map([...disk].map(([name, { hash }]) => [name, hash])));
    const steps = plan(desired(view, record, this.#texts, stay), disk, view.unreadable);
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

  /** A unit on a machine ends, or is started, by itself; what was commanded stays. */
  becomes(id: string, name: string, isUp: boolean): void {
    const current = this.#disks.get(id)!.get(name)!;
    this.#disks.get(id)!.set(
      name,
      onDisk(name, current.hash, current.commanded === "launched", isUp, current.restart),
    );
  }

  /** A machine's agent knows no more than what is there. */
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
    if (!unit) throw new Error(`the story has no unit ${name} yet`);
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

function onDisk(name: string, hash: string, isLaunched: boolean, isUp: boolean, restart: number): Current {
  return {
    ...{ name, hash, restart, commanded: isLaunched ? "launched" : "loaded" },
    status: {
      ...{ name, load: "loaded", active: isUp ? "active" : "inactive", sub: isUp ? "running" : "dead" },
      ...{ result: "success", invocation: "", since_ms: 0 },
    },
  };
}

/** Tells a plan line by line. */
export function tellPlan(plan: Plan): string[] {
  const lines: string[] = [];
  for (const step of plan.placements) {
    if (step.kind === "unplace") lines.push(`take ${step.unit} off ${step.from.machine}: ${step.why}`);
    if (step.kind !== "place") continue;
    const { unit, machine, from, why } = step;
    if (from?.machine === machine) lines.push(`tell ${machine} about ${unit.name}`);
    else if (from) lines.push(`move ${unit.name} from ${from.machine} to ${machine}: ${why}`);
    else lines.push(`place ${unit.name} on ${machine}: ${why}`);
  }
  for (const [unit, { summary, refusals }] of plan.waiting) {
    lines.push(`${unit} waits: ${summary}`);
    for (const [machine, reasons] of refusals) {
      for (const { reason } of reasons) lines.push(`  ${machine}: ${reason}`);
    }
  }
  return lines.length === 0 ? ["nothing"] : lines;
}

/** Runs a script, and returns it with what really happens in place of what was expected. */
export function runScenario(script: string): string {
  const story = new Story();
  const out: string[] = [];
  const lines = script.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    if (line.startsWith(">")) continue;
    out.push(line);
    if (line.trim() === "" || line.startsWith("#")) continue;
    const options: UnitOption[] = [];
    while (lines[at + 1]?.startsWith(" ")) {
      const option = lines[++at]!;
      out.push(option);
      const [name = "", ...value] = option.trim().split("=");
      options.push({ section: "X-Fleet", name, value: value.join("=") });
    }
    out.push(...perform(story, line.trim().split(/\s+/), options).map((told) => `> ${told}`.trimEnd()));
  }
  return out.join("\n");
}

function perform(story: Story, [command, name = "", ...rest]: string[], options: readonly UnitOption[]): string[] {
  const pairs = () => Object.fromEntries(rest.map((pair) => pair.split("=") as [string, string]));
  switch (command) {
    case "machine":
      story.machine(name, pairs());
      return [];
    case "gone":
      story.gone(name);
      return [];
    case "departs":
      story.departs(name);
      return [];
    case "label":
      for (const [key, value] of Object.entries(pairs())) story.label(name, key, value);
      return [];
    case "unit": {
      const refusal = validateFleetOptions(name, options);
      if (refusal !== undefined) return [`refused: ${refusal}`];
      story.unit(name, rest[0] as DesiredState, options);
      return [];
    }
    case "state":
      story.state(name, rest[0] as DesiredState);
      return [];
    case "restart":
      story.restart(name);
      return [];
    case "destroy":
      story.destroy(name);
      return [];
    case "spoil":
      story.spoil(name, rest[0]!);
      return [];
    case "schedule": {
      const options = { absentAreGone: name !== "grace" };
      const plan = schedule(story.cluster(), options, story.memo);
      const told = tellPlan(plan);
      assert.deepEqual(told, tellPlan(schedule(story.cluster(), options)), "what is remembered changes nothing");
      story.apply(plan.placements);
      return told;
    }
    case "agent": {
      const told: string[] = [];
      for (let pass = 1;; pass++) {
        const steps = story.pass(name);
        if (steps.length === 0) return pass === 1 ? ["nothing"] : told;
        told.push(...steps.map((step) => `pass ${pass}: ${step}`));
      }
    }
    case "exits":
    case "runs":
      story.becomes(name, rest[0]!, command === "runs");
      return [];
    case "forgets":
      story.forgets(name);
      return [];
    default:
      throw new Error(`a scenario script has no command "${command}"`);
  }
}
