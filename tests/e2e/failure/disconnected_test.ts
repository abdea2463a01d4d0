/** Units with StopWhenDisconnected=: never two copies, whatever happens to the machine that runs them. */

import assert from "node:assert/strict";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";

const limited = "[X-Fleet]\nStopWhenDisconnected=4s\n";
const beside = "MachineOf=single.service\n";
const units: Readonly<Record<string, string>> = {
  "single.service": `${sleeper}${limited}`,
  // Ignores SIGTERM, and has the long default of TimeoutStopSec=.
  "stubborn.service": `[Service]\nExecStart=/bin/sh -c 'trap "" TERM; while :; do sleep 1; done'\n${limited}${beside}`,
  "ordinary.service": `${sleeper}[X-Fleet]\n${beside}`,
};
const exclusive = ["single.service", "stubborn.service"];
const names = Object.keys(units);

/** True if a process of the unit exists on the machine, by the machine's own control groups. */
function runsOn(machine: Machine, unit: string): boolean {
  try {
    return Deno.readTextFileSync(`${machine.root}/sys/fs/cgroup/system.slice/${unit}/cgroup.procs`).trim() !== "";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || (error as { code?: string }).code === "ENODEV") return false;
    throw error;
  }
}

/** Looks for second copies on all machines every 50 ms, until it is disposed of. */
class CopyWatch implements Disposable {
  readonly #timer: ReturnType<typeof setInterval>;
  readonly violations: string[] = [];
  samples = 0;

  constructor(machines: readonly Machine[]) {
    this.#timer = setInterval(() => {
      this.samples++;
      for (const unit of exclusive) {
        const copies = machines.filter((machine) => runsOn(machine, unit)).map(({ name }) => name);
        if (copies.length > 1) this.violations.push(`${unit} on ${copies.join(" and ")}`);
      }
    }, 50);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** The machine that has all three units, once they are active there and reported. */
async function home(cluster: FleetCluster, asked: Machine): Promise<Machine> {
  const where = await cluster.active(asked, names);
  assert.equal(new Set(where.values()).size, 1, "the units are on one machine");
  return cluster.byId(where.get("single.service")!);
}

async function stoppedOn(machine: Machine): Promise<void> {
  for (const unit of exclusive) {
    await until(`${unit} to end on ${machine.name}, which is cut off`, () => {
      return Promise.resolve(!runsOn(machine, unit) || undefined);
    }, { every_ms: 50 });
  }
}

/** Waits until the units are active on another machine than the one that is cut off. */
async function replaced(cluster: FleetCluster, victim: Machine): Promise<void> {
  const other = cluster.lab.machines.find((machine) => machine !== victim)!;
  await cluster.statesWhere(other, "the units on another machine", (states) =>
    states.length === names.length &&
    states.every((state) => state.machineID !== victim.id && state.systemdActiveState === "active"));
}

/**
 * Ends the unit that ignores SIGTERM once systemd is stopping it: on a machine that reaches the store, fleet does not kill
 * it. `invocation`: the one before the stop.
 */
async function endStubborn(cluster: FleetCluster, machine: Machine, invocation: string): Promise<void> {
  const unit = "stubborn.service";
  await until(`${unit} to be stopping on ${machine.name}`, async () => {
    const { stdout } = await machine.run(["systemctl", "is-active", unit]);
    return stdout.trim() !== "active" || await cluster.invocation(machine, unit) !== invocation || undefined;
  }, { every_ms: 50 });
  if (await cluster.invocation(machine, unit) !== invocation) return;
  await machine.run(["systemctl", "kill", "--signal=SIGKILL", unit]);
}

/** Waits until the units run on one machine each. */
async function settled(cluster: FleetCluster): Promise<void> {
  await cluster.joined(cluster.lab.machines);
  for (const unit of names) {
    await until(`${unit} to run once`, () => {
      return Promise.resolve(cluster.lab.machines.filter((each) => runsOn(each, unit)).length === 1 || undefined);
    });
  }
}

Deno.test("a unit with StopWhenDisconnected= never runs on two machines", async (t) => {
  const conf = { agent_ttl: "10s", engine_reconcile_interval: 0.6 };
  await withFleet({ machines: 3, conf }, async (cluster) => {
    const { lab } = cluster;
    const [m1] = lab.machines as [Machine];
    for (const [name, text] of Object.entries(units)) await cluster.put(m1, name, "launched", text);
    using copies = new CopyWatch(lab.machines);
    const anyOther = (victim: Machine) => lab.machines.find((machine) => machine !== victim)!;
    let victim = await home(cluster, m1);

    await t.step(
      "the machine's cable is cut: the units are stopped and move, an ordinary one keeps running",
      async () => {
        const pid = await cluster.pid(victim, "ordinary.service");
        await victim.partition();
        await stoppedOn(victim);
        await replaced(cluster, victim);
        assert.equal(await cluster.pid(victim, "ordinary.service"), pid, "the ordinary unit was not touched");
        const log = await victim.journal("fleet.service");
        assert.match(log, /stopped because the store has not been reached for 4s \(StopWhenDisconnected=4s\)/);
        assert.match(log, /it has not stopped in time and is killed.*stubborn\.service|stubborn\.service.*is killed/);
        await victim.heal();
        await settled(cluster);
      },
    );

    await t.step(
      "the machine reaches etcd again before its lease expires: the units are started again there",
      async () => {
        victim = await home(cluster, anyOther(victim));
        const before = await Promise.all(names.map((unit) => cluster.invocation(victim, unit)));
        await lab.namespaced(["ip", "route", "add", "blackhole", victim.ip]);
        await until(
          "single.service to be stopped",
          () => Promise.resolve(!runsOn(victim, "single.service") || undefined),
          {
            every_ms: 50,
          },
        );
        await lab.namespaced(["ip", "route", "del", "blackhole", victim.ip]);
        await endStubborn(cluster, victim, before[1]!);
        await settled(cluster);
        assert.equal((await home(cluster, anyOther(victim))).name, victim.name, "the units have not moved");
        const after = await Promise.all(names.map((unit) => cluster.invocation(victim, unit)));
        assert.notEqual(after[0], before[0], "single.service was started again");
        assert.equal(after[2], before[2], "ordinary.service was not touched");
      },
    );

    await t.step("the daemon is killed during the cut: the next one stops the units in time", async () => {
      victim = await home(cluster, anyOther(victim));
      const pid = await cluster.pid(victim, "ordinary.service");
      await victim.partition();
      await victim.must(["systemctl", "kill", "--signal=SIGKILL", "fleet.service"]);
      await stoppedOn(victim);
      await replaced(cluster, victim);
      assert.equal(await cluster.pid(victim, "ordinary.service"), pid, "the ordinary unit was not touched");
      await victim.heal();
      await settled(cluster);
    });

    await t.step("the units move between machines that are present", async () => {
      victim = await home(cluster, anyOther(victim));
      const to = anyOther(victim);
      const invocation = await cluster.invocation(victim, "stubborn.service");
      const labeled = await cluster.fleetctl(m1, "machine", "label", to.id, "single=here");
      assert.equal(labeled.code, 0, labeled.stderr);
      const text = `${units["single.service"]}MachineMetadata=single=here\n`;
      await cluster.put(m1, "single.service", "launched", text);
      await endStubborn(cluster, victim, invocation);
      await until(`the units to run on ${to.name}`, () => {
        return Promise.resolve(names.every((unit) => runsOn(to, unit)) || undefined);
      });
      await settled(cluster);
    });

    await t.step("a unit that no other machine could start stays on its machine when that is back", async () => {
      await cluster.put(m1, "kept.service", "launched", sleeper);
      victim = cluster.byId((await cluster.active(m1, ["kept.service"])).get("kept.service")!);
      const other = anyOther(victim);
      const pid = await cluster.pid(victim, "kept.service");
      for (const machine of lab.machines.filter((machine) => machine !== victim)) {
        await machine.must(["systemctl", "mask", "--runtime", "kept.service"]);
      }
      const isOn = async (test: (id: string | undefined) => boolean) => {
        const unit = (await cluster.units(other)).find(({ name }) => name === "kept.service");
        return unit && test(unit.machineID) || undefined;
      };
      await victim.partition();
      await until("kept.service to be assigned to another machine", () => isOn((id) => id !== victim.id));
      await victim.heal();
      await until("kept.service to be assigned to its machine again", () => isOn((id) => id === victim.id));
      await cluster.joined(lab.machines);
      assert.equal(await cluster.pid(victim, "kept.service"), pid, "it was not touched");
      const { stdout } = await cluster.fleetctl(other, "explain", "kept.service");
      assert.match(stdout, /came back with it before/);
    });

    await t.step("a value that leaves no time for the stop is refused by every machine, with the numbers", async () => {
      await cluster.put(m1, "late.service", "launched", `${sleeper}[X-Fleet]\nStopWhenDisconnected=8s\n`);
      const { stdout } = await cluster.fleetctl(m1, "explain", "late.service");
      const reason =
        "StopWhenDisconnected=8s leaves no time to stop the unit within the machine's agent_ttl=10s: at most 7s";
      assert.ok(stdout.includes(reason), stdout);
    });

    assert.deepEqual(copies.violations, []);
    assert.ok(copies.samples > 100, `${copies.samples} samples`);
  });
});
