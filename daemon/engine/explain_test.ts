/** Explanations of units in small clusters, compared in full. */

import assert from "node:assert/strict";
import fc from "fast-check";
import "../../tests/support/property_seed.ts";
import { type Cluster, successorId, type UnitState } from "../../registry/model.ts";
import { SimulatedCluster } from "../../tests/scheduling/scenarios/scenario.ts";
import { schedule } from "./schedule.ts";
import { explain, Explainer, type Explanation } from "./explain.ts";

/** A cluster whose agents carry out their assignments at once; `reports` makes their reports differ. */
class TestCluster {
  readonly simulation = new SimulatedCluster();
  readonly #reports = new Map<string, Partial<UnitState>>();
  readonly #silent = new Set<string>();
  led = true;
  hasFiles = true;

  /** A unit with lines of [X-Fleet]. */
  unit(name: string, state: "inactive" | "loaded" | "launched", ...lines: string[]): this {
    this.simulation.unit(
      name,
      state,
      lines.map((line) => {
        const [key = "", ...value] = line.split("=");
        return { section: "X-Fleet", name: key, value: value.join("=") };
      }),
    );
    return this;
  }

  machine(id: string, metadata: Record<string, string> = {}): this {
    this.simulation.machine(id, metadata);
    return this;
  }

  /** Runs the engine once. */
  scheduled(): this {
    this.simulation.apply(schedule(this.simulation.cluster()).placements);
    return this;
  }

  /** Makes a machine's agent report these fields of a unit. */
  reports(machine: string, unit: string, state: Partial<UnitState>): this {
    this.#reports.set(`${machine} ${unit}`, state);
    return this;
  }

  /** Makes a machine's agent report nothing about a unit. */
  silent(machine: string, unit: string): this {
    this.#silent.add(`${machine} ${unit}`);
    return this;
  }

  cluster(): Cluster {
    const cluster = this.simulation.cluster();
    const states = new Map<string, Map<string, UnitState>>();
    const say = (machine: string, name: string) => {
      const unit = cluster.units.get(name);
      if (!unit || !cluster.machines.has(machine) || this.#silent.has(`${machine} ${name}`)) return;
      const running = unit.desiredState === "launched";
      const of = states.get(name) ?? new Map();
      of.set(machine, {
        ...{ unit: name, machine, hash: unit.hash, commanded: unit.desiredState, restart: unit.restart },
        ...{ load: "loaded", active: running ? "active" : "inactive", sub: running ? "running" : "dead", since_ms: 1 },
        ...this.#reports.get(`${machine} ${name}`),
      });
      states.set(name, of);
    };
    for (const { unit, machine } of cluster.targets.values()) say(machine, unit);
    for (const key of this.#reports.keys()) say(...key.split(" ") as [string, string]);
    const files = [...cluster.units.values()].map(({ hash }) => [hash, { hash, text: "", revision: 1 }] as const);
    return {
      ...cluster,
      states,
      files: new Map(this.hasFiles ? files : []),
      ...(this.led && { leader: { machine: "m1", version: "2.0.0" } }),
    };
  }
}

/** Returns an explanation as lines, with every field. */
function describe(explanation: Explanation | undefined): string {
  if (!explanation) return "nothing";
  const { outcome, summary, target, next, machines, notes, warnings } = explanation;
  const lines = [`${outcome}: ${summary}`];
  if (target) lines.push(`target ${target.machine}: ${target.why}`);
  if (next !== undefined) lines.push(`next: ${next}`);
  for (const { id, eligibility, state, pending, reasons } of machines) {
    const report = state ? ` ${[state.active, state.error, state.result].filter(Boolean).join(" ")}` : "";
    lines.push(`${id} ${eligibility}${report}${pending === undefined ? "" : `, ${pending}`}`);
    for (const { rule, reason } of reasons) lines.push(`  ${rule}: ${reason}`);
  }
  lines.push(...notes.map((note) => `note: ${note}`), ...warnings.map((warning) => `warning: ${warning}`));
  return lines.join("\n");
}

const first = "least loaded machine that will take it, with 0 units";

const cases: readonly { name: string; of?: string; stage: (stage: TestCluster) => unknown; expected: string }[] = [
  { name: "a unit that does not exist", stage: (s) => s.machine("m1"), expected: "nothing" },
  {
    name: "a unit that runs: its machine, the reason, and the other eligible machines",
    stage: (s) => s.machine("m1").machine("m2").unit("a.service", "launched").scheduled(),
    expected: `placed: it is on machine m1..., where systemd says active (running)
target m1: ${first}
m1 assigned active
m2 eligible`,
  },
  {
    name: "a unit that no machine takes: every reason, machine by machine",
    stage: (s) =>
      s.machine("m1", { zone: "a" }).machine("m2", { zone: "b", disk: "ssd" }).unit("b.service", "launched").scheduled()
        .unit("a.service", "launched", "MachineMetadata=zone=b", "MachineMetadata=disk=hdd", "Conflicts=b.*"),
    expected: `waiting: none of 2 machines will take it
m1 rejected
  MachineMetadata: local Machine metadata insufficient: needs zone=b, has zone=a
  MachineMetadata: local Machine metadata insufficient: needs disk=hdd, has no disk
  Conflicts: found conflict with locally-scheduled Unit(b.service)
m2 rejected
  MachineMetadata: local Machine metadata insufficient: needs disk=hdd, has disk=ssd`,
  },
  {
    name: "a cluster without machines",
    stage: (s) => s.unit("a.service", "launched"),
    expected: "waiting: there are no machines",
  },
  {
    name: "it fails on its machine, and is started again",
    stage: (s) => {
      s.machine("m1").machine("m2").unit("a.service", "launched", "OnFailure=move").scheduled();
      s.reports("m1", "a.service", { active: "failed", sub: "failed", result: "exit-code", failures: 2 });
    },
    expected: `placed: it is on machine m1..., where systemd says failed (failed)
target m1: ${first}
m1 assigned failed exit-code
m2 eligible
note: machine m1... has started it, and it has failed since (exit-code); fleetctl start a.service starts it again
note: it has failed 2 of 3 times within 10m on machine m1..., where it is started again`,
  },
  {
    name: "it fails on the only machine that takes it",
    stage: (s) => {
      s.machine("m1").machine("m2").unit("a.service", "launched", "OnFailure=move", "MachineID=m1").scheduled();
      s.reports("m1", "a.service", { active: "failed", sub: "failed", result: "exit-code", failures: 3 });
    },
    expected: `placed: it is on machine m1..., where systemd says failed (failed)
target m1: ${first}
m1 assigned failed exit-code
m2 rejected
  MachineID: agent ID "m2" does not match required "m1"
note: machine m1... has started it, and it has failed since (exit-code); fleetctl start a.service starts it again
note: it has failed 3 times within 10m on machine m1..., and stays there: no other machine takes it
warning: MachineID="m1" is not a machine ID: expected 32 hexadecimal digits, or the first 8 of them`,
  },
  {
    name: "it failed too often on its machine, and is about to move",
    stage: (s) => {
      s.machine("m1").machine("m2").unit("a.service", "launched", "OnFailure=move", "MoveAfter=1/1h").scheduled();
      s.reports("m1", "a.service", { active: "failed", sub: "failed", result: "exit-code", failures: 1 });
    },
    expected:
      `placed: it is on machine m1..., where systemd says failed (failed); the engine will move it to machine ` +
      `m2...: it failed 1 time within 1h on machine m1...
target m1: ${first}
next: move it to machine m2...: it failed 1 time within 1h on machine m1...
m1 assigned failed exit-code
m2 eligible
note: machine m1... has started it, and it has failed since (exit-code); fleetctl start a.service starts it again`,
  },
  {
    name: "peers that fit on no machine together",
    stage: (s) => {
      s.machine("m1").unit("a.service", "launched", "MachineOf=b.service", "MemoryReserve=10G");
      s.unit("b.service", "launched", "MachineOf=a.service", "MemoryReserve=10G");
    },
    expected: `waiting: the only machine will not take it
m1 rejected
  MachineOf: required peer Unit(b.service) is not scheduled locally
  MemoryReserve: with its required peers it needs 20 GiB of memory, 16 GiB of 16 GiB are free
note: required peer Unit(b.service) waits, too: the only machine will not take it`,
  },
  {
    name: "another machine is asked for",
    stage: (s) => s.machine("m1").unit("a.service", "loaded", "MachineID=m7"),
    expected: `waiting: the only machine will not take it
m1 rejected
  MachineID: agent ID "m1" does not match required "m7"
warning: MachineID="m7" is not a machine ID: expected 32 hexadecimal digits, or the first 8 of them`,
  },
  {
    name: "a value that cannot be understood, and a key that is not known",
    stage: (s) => s.machine("m1").unit("a.service", "launched", "MachineMetadata=zone", "MachineMetaData=zone=a"),
    expected: `waiting: the only machine will not take it
m1 rejected
  malformed: malformed MachineMetadata "zone": expect key=value, or several as "key1=value1" "key2=value2"
warning: unrecognized requirement in [X-Fleet] section: "MachineMetaData" (did you mean "MachineMetadata"?)
warning: malformed MachineMetadata "zone": expect key=value, or several as "key1=value1" "key2=value2"`,
  },
  {
    name: "values that are probably mistakes",
    stage: (s) => s.machine("m1").unit("a.service", "inactive", "Conflicts=b[ c*", "Global=y"),
    expected: `inactive: its desired state is inactive: no machine should have it
m1 eligible
warning: malformed pattern "b[" in Conflicts: it matches no unit
warning: Global="y" counts as no: expected true, yes, 1, on, t, or false, no, 0, off, f`,
  },
  {
    name: "a cluster without a leader: the next leader's step",
    stage: (s) => {
      s.led = false;
      s.machine("m1").unit("a.service", "launched");
    },
    expected:
      `waiting: no machine leads the engines, so that nothing is placed or moved; the next one will place it on ` +
      `machine m1...: ${first}
next: place it on machine m1...: ${first}
m1 eligible
warning: no machine leads the engines, so that nothing is placed or moved`,
  },
  {
    name: "a unit that is just being placed",
    stage: (s) => s.machine("m1").unit("a.service", "launched"),
    expected: `waiting: the engine is about to place it on machine m1...: ${first}
next: place it on machine m1...: ${first}
m1 eligible`,
  },
  {
    name: "its machine is away, and others would take it",
    stage: (s) => s.machine("m1").machine("m2").unit("a.service", "launched").scheduled().simulation.gone("m1"),
    expected:
      `placed: it is on machine m1..., which is away; unless that comes back in time, the engine will move it to ` +
      `machine m2...: machine m1... went away; ${first}
target m1: ${first}
next: move it to machine m2...: machine m1... went away; ${first}
m1 offline, is away
m2 eligible`,
  },
  {
    name: "its machine is away, and no other machine will take it",
    stage: (s) =>
      s.machine("m1", { zone: "a" }).machine("m2").unit("a.service", "launched", "MachineMetadata=zone=a").scheduled()
        .simulation.gone("m1"),
    expected: `waiting: machine m1... went away; the only machine will not take it
target m1: ${first}
m1 offline, is away
m2 rejected
  MachineMetadata: local Machine metadata insufficient: needs zone=a, has no zone`,
  },
  {
    name: "the peers that it must share a machine with: why each is not there",
    stage: (s) =>
      s.machine("m1").unit("on.service", "launched").scheduled().unit("off.service", "inactive")
        .unit("t@.service", "inactive").unit("stuck.service", "launched", "MachineID=m7").unit(
          "a.service",
          "launched",
          ...["nosuch", "off", "t@", "stuck", "on"].map((peer) => `MachineOf=${peer}.service`),
        ),
    expected: `waiting: the only machine will not take it
m1 rejected
  MachineOf: required peer Unit(nosuch.service) is not scheduled locally
  MachineOf: required peer Unit(off.service) is not scheduled locally
  MachineOf: required peer Unit(t@.service) is not scheduled locally
  MachineOf: required peer Unit(stuck.service) is not scheduled locally
  MachineID: required peer Unit(stuck.service): agent ID "m1" does not match required "m7"
note: required peer Unit(nosuch.service) does not exist
note: required peer Unit(off.service) is inactive
note: required peer Unit(t@.service) is a template
note: required peer Unit(stuck.service) waits, too: the only machine will not take it
note: required peer Unit(on.service) is on machine m1...
warning: MachineOf="t@.service" names a template, which never runs`,
  },
  {
    name: "two units that must be together, and the refusals of each machine",
    stage: (s) =>
      s.machine("m1", { zone: "a" }).machine("m2", { zone: "b" })
        .unit("a.service", "launched", "MachineOf=b.service", "MachineMetadata=zone=a")
        .unit("b.service", "launched", "MachineOf=a.service", "MachineMetadata=zone=b"),
    expected: `waiting: none of 2 machines will take it
m1 rejected
  MachineOf: required peer Unit(b.service) is not scheduled locally
  MachineMetadata: required peer Unit(b.service): local Machine metadata insufficient: needs zone=b, has zone=a
m2 rejected
  MachineMetadata: local Machine metadata insufficient: needs zone=a, has zone=b
  MachineOf: required peer Unit(b.service) is not scheduled locally
note: required peer Unit(b.service) waits, too: none of 2 machines will take it`,
  },
  {
    name: "a cycle in which two units conflict",
    stage: (s) =>
      s.machine("m1").unit("a.service", "launched", "MachineOf=b.service")
        .unit("b.service", "launched", "MachineOf=c.service", "Conflicts=a.*")
        .unit("c.service", "launched", "MachineOf=d.service", "Conflicts=d.*x")
        .unit("d.service", "launched", "MachineOf=a.service", "Conflicts=b.*"),
    expected: `waiting: the only machine will not take it
m1 rejected
  MachineOf: required peer Unit(b.service) is not scheduled locally
  Conflicts: found conflict with required peer Unit(b.service)
  Conflicts: required peer Unit(b.service): found conflict with required peer Unit(d.service)
note: required peer Unit(b.service) waits, too: the only machine will not take it`,
  },
  {
    name: "a template",
    of: "a@.service",
    stage: (s) => s.machine("m1").unit("a@.service", "inactive", "MachineMetadata=rack=%i", "Conflict=b"),
    expected: `template: it is a template: only its instances, a@NAME.service, can run
m1 none
warning: unrecognized requirement in [X-Fleet] section: "Conflict" (did you mean "Conflicts"?)`,
  },
  {
    name: "a template with a value that cannot be understood",
    of: "a@.service",
    stage: (s) => s.unit("a@.service", "inactive", "MachineMetadata=rack"),
    expected: `template: it is a template: only its instances, a@NAME.service, can run
warning: malformed MachineMetadata "rack": expect key=value, or several as "key1=value1" "key2=value2"`,
  },
  {
    name: "an inactive unit: machines that are eligible, and one that still has it",
    stage: (s) =>
      s.machine("m1").machine("m2", { zone: "a" }).machine("m3", { zone: "a" })
        .unit("a.service", "inactive", "MachineMetadata=zone=a").reports("m3", "a.service", { active: "deactivating" }),
    expected: `inactive: its desired state is inactive: no machine should have it
m1 rejected
  MachineMetadata: local Machine metadata insufficient: needs zone=a, has no zone
m2 eligible
m3 eligible deactivating, still has it`,
  },
  {
    name: "a global: machine by machine",
    stage: (s) =>
      s.machine("m1").machine("m2").machine("m3", { zone: "b" }).unit("b.service", "launched", "MachineMetadata=zone=b")
        .scheduled().unit("a.service", "launched", "Global=true", "Conflicts=b.service")
        .reports("m1", "a.service", {}),
    expected: `global: it is global: 2 of 3 machines should have it
m1 assigned active
m2 assigned, has not reported it yet
m3 rejected
  Conflicts: found conflict with locally-scheduled Unit(b.service)`,
  },
  {
    name: "two globals in conflict: the one launched first is there, whatever their names",
    stage: (s) =>
      s.machine("m1").unit("b.service", "launched", "Global=true")
        .unit("a.service", "launched", "Global=true", "Conflicts=b.service"),
    expected: `global: it is global: 0 of 1 machine should have it
m1 rejected
  Conflicts: found conflict with locally-scheduled Unit(b.service)`,
  },
  {
    name: "a global that conflicts with a job and with a global that was launched later",
    stage: (s) =>
      s.machine("m1").unit("b.service", "launched").scheduled()
        .unit("a.service", "launched", "Global=true", "Conflicts=[b-d].service")
        .unit("c.service", "launched", "Global=true"),
    expected: `global: it is global: 0 of 1 machine should have it
m1 rejected
  Conflicts: found conflict with locally-scheduled Unit(b.service)`,
  },
  {
    name: "an inactive global",
    stage: (s) => s.machine("m1").unit("a.service", "inactive", "Global=true"),
    expected: `inactive: its desired state is inactive: no machine should have it
m1 eligible`,
  },
  {
    name: "the agent could not put it in place",
    stage: (s) =>
      s.machine("m1").unit("a.service", "launched").scheduled()
        .reports("m1", "a.service", { commanded: "inactive", active: "inactive", error: "disk full" }),
    expected: `placed: it is placed on machine m1..., which has not put its file in place yet
target m1: ${first}
m1 assigned inactive disk full, has not put its file in place yet`,
  },
  {
    name: "systemd says that it has failed",
    stage: (s) =>
      s.machine("m1").unit("a.service", "launched").scheduled()
        .reports("m1", "a.service", { active: "failed", sub: "failed", result: "exit-code" }),
    expected: `placed: it is on machine m1..., where systemd says failed (failed)
target m1: ${first}
m1 assigned failed exit-code
note: machine m1... has started it, and it has failed since (exit-code); fleetctl start a.service starts it again`,
  },
  {
    name: "a launched unit that is inactive has a reason",
    stage: (s) =>
      s.machine("m1").unit("a.service", "launched").scheduled()
        .reports("m1", "a.service", { active: "inactive", sub: "dead" }),
    expected: `placed: it is on machine m1..., where systemd says inactive (dead)
target m1: ${first}
m1 assigned inactive
note: machine m1... has started it, and it is inactive since: it has ended by itself, or something else than fleet has stopped it; fleetctl start a.service starts it again`,
  },
  {
    name: "its agent has not reported it",
    stage: (s) => s.machine("m1").unit("a.service", "loaded").scheduled().silent("m1", "a.service"),
    expected: `placed: it is placed on machine m1..., which has not reported it yet
target m1: ${first}
m1 assigned, has not reported it yet`,
  },
  {
    name: "an older file is in place",
    stage: (s) => s.machine("m1").unit("a.service", "launched").scheduled().reports("m1", "a.service", { hash: "0" }),
    expected: `placed: it is placed on machine m1..., which does not have its newest file yet
target m1: ${first}
m1 assigned active, does not have its newest file yet`,
  },
  {
    name: "it should be launched, and is only loaded",
    stage: (s) =>
      s.machine("m1").unit("a.service", "launched").scheduled().reports("m1", "a.service", { commanded: "loaded" }),
    expected: `placed: it is placed on machine m1..., which has not started it yet
target m1: ${first}
m1 assigned active, has not started it yet`,
  },
  {
    name: "it should be loaded, and still runs",
    stage: (s) =>
      s.machine("m1").unit("a.service", "loaded").scheduled().reports("m1", "a.service", { commanded: "launched" }),
    expected: `placed: it is placed on machine m1..., which has not stopped it yet
target m1: ${first}
m1 assigned inactive, has not stopped it yet`,
  },
  {
    name: "a restart that the engine has not assigned yet",
    stage: (s) =>
      s.machine("m1").unit("a.service", "launched").scheduled().reports("m1", "a.service", { restart: 0 })
        .simulation.restart("a.service"),
    expected:
      `placed: it is placed on machine m1..., which has not restarted it yet, as requested; the engine will update its` +
      ` assignment to machine m1...
target m1: ${first}
next: update its assignment to machine m1...
m1 assigned active, has not restarted it yet, as requested`,
  },
  {
    name: "it may not stay where it is",
    stage: (s) =>
      s.machine("m1", { zone: "a" }).unit("a.service", "launched", "MachineMetadata=zone=a").scheduled()
        .simulation.label("m1", "zone", "b"),
    expected:
      `placed: it is on machine m1..., where systemd says active (running); the engine will take it off machine ` +
      `m1...: machine m1... is unable to run it: local Machine metadata insufficient: needs zone=a, has zone=b
target m1: ${first}
next: take it off machine m1...: machine m1... is unable to run it: local Machine metadata insufficient: needs ` +
      `zone=a, has zone=b
m1 assigned active
  MachineMetadata: local Machine metadata insufficient: needs zone=a, has zone=b`,
  },
  {
    name: "another replaces it, and it cannot go anywhere",
    of: "b.service",
    stage: (s) =>
      s.machine("m1").unit("b.service", "launched").scheduled().unit("a.service", "launched", "Replaces=b.service")
        .scheduled(),
    expected: `placed: it is on machine m1..., where systemd says active (running)
target m1: ${first}
m1 assigned active
note: Unit(a.service) replaces it, but it cannot move to another machine`,
  },
  {
    name: "it replaces another that cannot go anywhere",
    stage: (s) =>
      s.machine("m1").unit("b.service", "launched").scheduled().unit("a.service", "launched", "Replaces=b.service")
        .scheduled(),
    expected: `placed: it is on machine m1..., where systemd says active (running)
target m1: least loaded machine that will take it, with 1 unit
m1 assigned active
note: it replaces Unit(b.service), which cannot move to another machine`,
  },
  {
    name: "two that replace each other",
    stage: (s) =>
      s.machine("m1").unit("b.service", "launched", "Replaces=?.service")
        .unit("a.service", "launched", "Replaces=b.service").scheduled(),
    expected: `placed: it is on machine m1..., where systemd says active (running)
target m1: least loaded machine that will take it, with 1 unit
m1 assigned active
note: Unit(b.service) and it replace each other, which is as if neither did`,
  },
  {
    name: "a store that has lost the unit's file",
    stage: (s) => {
      s.hasFiles = false;
      s.machine("m1").unit("a.service", "inactive");
    },
    expected: `inactive: its desired state is inactive: no machine should have it
m1 eligible
warning: the store has lost its unit file HASH: submit it again`,
  },
  {
    name: "a unit that cannot be read, on a machine",
    stage: (s) =>
      s.machine("m1").machine("m2").unit("a.service", "launched").scheduled().simulation.corrupt("unit", "a.service"),
    expected:
      `unreadable: its record in the store cannot be read (it is spoilt), so that fleet leaves it alone on machine m1...: put the unit again or destroy it, or upgrade the daemons that are older than the one that wrote it
target m1: ${first}
m1 assigned active
m2 none`,
  },
  {
    name: "a unit that cannot be read, on a machine that is away",
    stage: (s) => {
      s.machine("m1").unit("a.service", "launched").scheduled();
      s.simulation.corrupt("unit", "a.service");
      s.simulation.gone("m1");
    },
    expected:
      `unreadable: its record in the store cannot be read (it is spoilt), so that fleet leaves it alone on machine m1...: put the unit again or destroy it, or upgrade the daemons that are older than the one that wrote it
target m1: ${first}
m1 offline, is away`,
  },
  {
    name: "a global that cannot be read",
    stage: (s) => {
      s.machine("m1").machine("m2").reports("m1", "a.service", { active: "active" });
      s.unit("a.service", "launched", "Global=true").simulation.corrupt("unit", "a.service");
    },
    expected:
      `unreadable: its record in the store cannot be read (it is spoilt), so that fleet leaves it alone: put the unit again or destroy it, or upgrade the daemons that are older than the one that wrote it
m1 none active
m2 none`,
  },
  {
    name: "a unit that conflicts with one that cannot be read",
    of: "b.service",
    stage: (s) => {
      s.machine("m1").unit("a.service", "launched", "Conflicts=b.service").scheduled();
      s.simulation.corrupt("unit", "a.service");
      s.unit("b.service", "launched");
    },
    expected: `waiting: the only machine will not take it
m1 rejected
  Conflicts: found conflict with locally-scheduled Unit(a.service)`,
  },
  {
    name: "a unit whose assignment and target cannot be read",
    stage: (s) => {
      s.machine("m1").unit("a.service", "launched").scheduled();
      s.simulation.corrupt("target", "a.service");
      s.simulation.corrupt("assignment", "a.service");
    },
    expected:
      `placed: it is on machine m1..., where systemd says active (running); the engine will update its assignment to machine m1...
target m1: the machine of its target is uncertain: it is spoilt
next: update its assignment to machine m1...
m1 assigned active
warning: it is spoilt: the engine writes it again, if it can read the unit itself
warning: it is spoilt: the engine writes it again, if it can read the unit itself`,
  },
  {
    name: "a machine whose record cannot be read, with a unit and for another",
    stage: (s) =>
      s.machine("m1").unit("a.service", "launched").scheduled().machine("m2").simulation.corrupt("machine", "m1"),
    expected: `placed: it is on machine m1..., where systemd says active (running)
target m1: ${first}
m1 assigned active
m2 eligible
warning: it is spoilt: units on machine m1... stay, and no other unit is placed there`,
  },
  {
    name: "a machine whose record cannot be read, and an unplaced unit",
    stage: (s) => {
      s.machine("m1").unit("a.service", "launched");
      s.simulation.corrupt("machine", "m1");
    },
    expected: `waiting: the only machine will not take it
m1 rejected
  unreadable: the machine's record cannot be read, so that its units stay and no other unit is placed on it: it is spoilt`,
  },
];

Deno.test("explain: the record of the leader cannot be read", () => {
  const cluster = new TestCluster().machine("m1").unit("a.service", "launched").cluster();
  const leader = { machine: "", version: "", unreadable: "cannot read key leader: it is not JSON" };
  assert.deepEqual(explain({ ...cluster, leader }, "a.service")?.warnings, [
    "cannot read key leader: it is not JSON: the leading machine is not known",
  ]);
});

for (const { name, of = "a.service", stage, expected } of cases) {
  Deno.test(`explain: ${name}`, () => {
    const set = new TestCluster();
    stage(set);
    const cluster = set.cluster();
    const hash = cluster.units.get(of)?.hash ?? "";
    assert.equal(describe(explain(cluster, of)), expected.replaceAll("HASH", hash));
  });
}

/** Random clusters with every option, in any state between the current and the desired one. */
const names = ["a.service", "b.service", "c.service", "d@1.service", "d@.service"];
const name = fc.constantFrom(...names);
const option = fc.oneof(
  fc.constantFrom(
    "Global=true",
    "MachineID=m1",
    "MachineMetadata=zone=a",
    "MachineMetadata=zone=b",
    "MachineMetadata=x",
    "MemoryReserve=10G",
    "CPUReserve=5",
  ),
  name.map((other) => `MachineOf=${other}`),
  name.map((other) => `Conflicts=${other}`),
  name.map((other) => `Replaces=${other}`),
);
const clusters = fc.record({
  machines: fc.uniqueArray(fc.tuple(fc.constantFrom("m1", "m2", "m3"), fc.constantFrom("a", "b")), {
    selector: ([id]) => id,
  }),
  rounds: fc.array(
    fc.uniqueArray(
      fc.tuple(name, fc.constantFrom("inactive", "loaded", "launched"), fc.array(option, { maxLength: 3 })),
      { selector: ([unit]) => unit },
    ),
    { maxLength: 3 },
  ),
  gone: fc.option(fc.constantFrom("m1", "m2")),
});

Deno.test("explain: agrees with the engine about every unit of any cluster, and lists every machine", () => {
  fc.assert(
    fc.property(clusters, ({ machines, rounds, gone }) => {
      const stage = new TestCluster();
      for (const [id, zone] of machines) stage.machine(id, { zone });
      const explainer = new Explainer();
      for (const units of rounds) {
        for (const [unit, state, lines] of units) stage.unit(unit, state as "loaded", ...lines);
        const view = stage.cluster();
        for (const unit of view.units.keys()) {
          const cached = describe(explainer.explain(view, unit));
          assert.equal(cached, describe(explain(view, unit)), `${unit}: the cache changes nothing`);
        }
        stage.scheduled();
      }
      if (gone !== null) stage.simulation.gone(gone);
      const cluster = stage.cluster();
      const plan = schedule(cluster);
      for (const unit of cluster.units.keys()) {
        const { outcome, machines, next } = explain(cluster, unit)!;
        const target = cluster.targets.get(unit);
        const isThere = target !== undefined && cluster.machines.has(target.machine);
        const step = plan.placements.find((step) =>
          step.kind !== "forget" && (step.kind === "place" ? step.unit.name : step.unit) === unit
        );
        assert.equal(next !== undefined, step !== undefined, `${unit}: the next step`);
        if (outcome === "waiting") {
          assert.ok(plan.unplaced.has(unit) || step, `${unit} is unplaced, or about to be placed`);
          for (const each of machines) {
            if (plan.unplaced.has(unit)) {
              assert.notEqual(each.eligibility, "eligible", `${unit}: ${each.id} gives a reason`);
            }
            if (each.eligibility !== "rejected") continue;
            // An unplaced peer is no explanation.
            const peers = new Set([...plan.unplaced.keys()].map((name) => `Unit(${name}) is not scheduled locally`));
            const reasons = each.reasons.filter(({ reason }) => !peers.has(reason.slice(reason.lastIndexOf("Unit("))));
            assert.ok(reasons.length > 0 || step, `${unit}: ${each.id} gives a reason`);
          }
        }
        if (outcome === "placed" && isThere && !step) {
          assert.deepEqual(machines.find(({ id }) => id === target.machine)?.reasons, [], `${unit} may be where it is`);
        }
        for (const id of cluster.machines.keys()) assert.ok(machines.some((each) => each.id === id), `${unit}: ${id}`);
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("explain: the note on a second copy says how it is", () => {
  const notesWith = (state: Partial<UnitState> | undefined) => {
    const stage = new TestCluster().machine("m1").machine("m2").unit("a.service", "launched").scheduled();
    if (state) stage.reports("m2", "a.service", state);
    const cluster = stage.cluster();
    const target = { ...cluster.targets.get("a.service")!, successor: "m2" };
    const copy = { ...cluster.units.get("a.service")!, unit: "a.service", machine: "m2" };
    return explain({
      ...cluster,
      targets: new Map([["a.service", target]]),
      successors: new Map([[successorId("m2", "a.service"), copy]]),
    }, "a.service")?.notes;
  };
  const then = "when that is healthy, the one on machine m1... stops";
  assert.deepEqual(notesWith(undefined), [`its second copy does not have its file on machine m2 yet; ${then}`]);
  assert.deepEqual(notesWith({}), [`a second copy of it runs on machine m2...; ${then}`]);
  assert.deepEqual(
    notesWith({ active: "activating", sub: "start" }),
    [`its second copy is activating (start) on machine m2; ${then}`],
  );
  assert.deepEqual(notesWith({ active: "failed", sub: "failed", result: "exit-code" }), [
    "its second copy failed on machine m2 with result exit-code; it stays on machine m1..., and the move is tried again, " +
    "elsewhere",
  ]);
  assert.deepEqual(notesWith({ active: "failed", sub: "failed", tries: 1 }), [
    "its second copy failed on machine m2; it stays on machine m1..., and unless it becomes healthy within " +
    "HealthyDeadline=, the move is tried again, elsewhere",
  ]);
});

Deno.test("explain: a global unit that a roll-out changes from machine to machine is judged by the file of each machine", () => {
  const cluster = new TestCluster().machine("m1").machine("m2").unit("edge.service", "launched", "Global=true")
    .cluster();
  const unit = cluster.units.get("edge.service")!;
  const { fleetOptions, requirements } = unit;
  const next = { hash: "next", fleetOptions, requirements, machines: ["m1"], unproven: [] };
  const { hash, restart } = unit;
  const running = { hash, restart, commanded: "launched", active: "active", sub: "running" } as UnitState;
  const staged = {
    ...cluster,
    units: new Map([[unit.name, { ...unit, app: "edge", next }]]),
    states: new Map([[unit.name, new Map(["m1", "m2"].map((id) => [id, running]))]]),
  };
  const { notes, machines } = explain(staged, unit.name)!;
  assert.deepEqual(notes, ["a roll-out has given another file of it to m1...; see fleetctl rollout status edge"]);
  assert.deepEqual(machines.map(({ id, pending }) => [id, pending]), [
    ["m1", "does not have its newest file yet"],
    ["m2", undefined],
  ]);
});
