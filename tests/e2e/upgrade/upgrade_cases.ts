/** A cluster of the previous release is upgraded, one machine after the other, while a client changes units. */

import assert from "node:assert/strict";
import type { BackupEntity, DrainsEntity, RolloutEntity } from "../../../daemon/api/v1/types.ts";
import { type FleetCluster, optionsOf, sleeper } from "../../lab/fleet_cluster.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";
import { unpackPreviousRelease } from "./previous_release.ts";

const stable = Array.from({ length: 9 }, (_, index) => `s${index + 1}.service`);
const everywhere = "everywhere.service", labeled = "labeled.service";

/** The path of the program of each release on a machine. */
const programs = { previous: "/usr/local/lib/fleet-previous/fleetd", present: "/usr/local/lib/fleet/fleetd" } as const;
type Release = keyof typeof programs;

/** Returns the release that runs on a machine: the previous one cannot make backups. */
async function releaseOn(cluster: FleetCluster, machine: Machine): Promise<Release> {
  const { status } = await cluster.request(machine, "GET", "/backup");
  assert.ok(status === 200 || status === 404, `GET /backup on ${machine.name}: ${status}`);
  return status === 200 ? "present" : "previous";
}

/** Replaces the program of a machine and restarts its daemon, and waits until it is a member that sees all others. */
async function install(cluster: FleetCluster, machine: Machine, release: Release): Promise<void> {
  await machine.sh(`ln -sfn ${programs[release]} /usr/local/bin/fleetd; systemctl restart fleet.service`);
  await cluster.joined([machine, ...cluster.lab.machines.filter((other) => other !== machine)]);
  assert.equal(await releaseOn(cluster, machine), release);
}

/** Turns the lab into a new cluster of the previous release. Only m1 and m2 have engines. */
async function previousCluster(cluster: FleetCluster): Promise<void> {
  const { lab } = cluster;
  for (const machine of lab.machines) {
    await machine.sh("systemctl stop fleet.service; rm -rf /run/fleet/*; mkdir -p /usr/local/lib/fleet-previous");
    await unpackPreviousRelease(`${machine.root}/usr/local/lib/fleet-previous`);
    await machine.sh(`ln -sfn ${programs.previous} /usr/local/bin/fleetd`);
  }
  await cluster.machine("m3").sh("echo 'disable_engine=true' >>/etc/fleet/fleet.conf");
  await lab.etcd.wipe();
  for (const machine of lab.machines) await machine.sh("systemctl start fleet.service");
  await cluster.joined(lab.machines);
  for (const machine of lab.machines) assert.equal(await releaseOn(cluster, machine), "previous");
}

/** Returns the processes of the stable units, by machine, as systemd has them. */
async function processes(cluster: FleetCluster): Promise<Readonly<Record<string, string>>> {
  const show = ["systemctl", "show", "--property=Id,MainPID,InvocationID", ...stable, everywhere, labeled];
  const all = cluster.lab.machines.map(async (machine) => [machine.name, await machine.must(show)] as const);
  return Object.fromEntries(await Promise.all(all));
}

/** Changes that the client makes at least after each exchange of a program. */
const changesEach = 5;

/** A client that changes units through all machines in turn, and knows what was acknowledged. */
class Client {
  /** The acknowledged desired state by unit; undefined for a unit that was destroyed. */
  readonly expected = new Map<string, string | undefined>();
  changes = 0;
  #stopped = false;
  readonly #running: Promise<void>;

  constructor(private readonly cluster: FleetCluster) {
    this.#running = this.#run();
  }

  /** Waits until some more changes have been acknowledged. */
  async progress(): Promise<void> {
    const enough = this.changes + changesEach;
    await until("the client to make more changes", () => Promise.resolve(this.changes > enough || undefined));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    const states = ["launched", "loaded", "launched", undefined];
    while (!this.#stopped) {
      const turn = this.changes++;
      await this.#change(`c${turn % 7}.service`, states[turn % states.length], turn);
      // The pace of a person who types, so that daemons have time for other work.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Repeats a change through one machine after the other until it is acknowledged. */
  async #change(name: string, desiredState: string | undefined, turn: number): Promise<void> {
    const { lab: { machines } } = this.cluster;
    const [method, body] = desiredState === undefined
      ? ["DELETE", undefined]
      : ["PUT", { desiredState, options: optionsOf(sleeper) }];
    let attempt = 0;
    await until(`${method} ${name} to be acknowledged`, async () => {
      const machine = machines[(turn + attempt++) % machines.length]!;
      const { status } = await this.cluster.request(machine, method, `/units/${name}`, body).catch(() =>
        Response.error()
      );
      return status >= 200 && status < 300 || (method === "DELETE" && status === 404) || undefined;
    });
    this.expected.set(name, desiredState);
  }
}

/** Starts a unit that only one machine may run, so that the leader and this machine have to work together. */
async function startOn(cluster: FleetCluster, machine: Machine, name: string): Promise<void> {
  await cluster.put(cluster.lab.machines[0]!, name, "launched", `${sleeper}[X-Fleet]\nMachineID=${machine.id}\n`);
  const where = await cluster.active(machine, [name]);
  assert.equal(where.get(name), machine.id);
}

/** Begins a roll-out of one unit. */
async function rollOut(cluster: FleetCluster, machine: Machine): Promise<{ status: number; text: string }> {
  const units = [{ name: "rolled-out.service", desiredState: "launched", options: optionsOf(sleeper) }];
  const answer = await cluster.request(machine, "POST", "/apps/upgraded", { units, rollback: true });
  return { status: answer.status, text: await answer.text() };
}

/** Every acknowledged change is in the cluster, and systemd runs what it should. */
async function allSurvived(cluster: FleetCluster, { expected }: Client): Promise<void> {
  const [m1] = cluster.lab.machines;
  const units = new Map((await cluster.units(m1!)).map((unit) => [unit.name, unit.desiredState]));
  for (const [name, desiredState] of expected) assert.equal(units.get(name), desiredState, name);
  const names = [...expected.keys()];
  await until("systemd to run exactly the changed units that are launched", async () => {
    const counts = await Promise.all(names.map(async (name) => {
      const pids = await Promise.all(cluster.lab.machines.map((machine) => cluster.pid(machine, name)));
      return pids.filter((pid) => pid > 0).length === (expected.get(name) === "launched" ? 1 : 0);
    }));
    return counts.every((isRight) => isRight) || undefined;
  });
}

const cordonReason = "its disk is failing";

/** Stores data that the previous release does not know through an upgraded machine, and writes it again through an old one. */
async function storeNewData(cluster: FleetCluster, upgraded: Machine, old: Machine, cordoned: Machine): Promise<void> {
  await cluster.fleetctl(upgraded, "cordon", `--why=${cordonReason}`, cordoned.id);
  const options = "[X-Fleet]\nMemoryReserve=16M\nOnFailure=move\nMoveAfter=3/10m\n";
  await cluster.put(upgraded, "reserved.service", "launched", sleeper + options);
  await cluster.active(upgraded, ["reserved.service"]);
  await cluster.put(old, "reserved.service", "loaded");
  await cluster.put(old, "reserved.service", "launched");
}

/** All of {@link storeNewData} is there after the upgrade, and in force. */
async function newDataIsKept(cluster: FleetCluster, home: Machine, cordoned: Machine): Promise<void> {
  const { stdout } = await cluster.fleetctl(home, "list-machines", "--no-legend", "--full", "--fields=machine,cordon");
  assert.match(stdout, new RegExp(`^${cordoned.id}\t+.*${cordonReason}`, "m"));
  await cluster.put(home, "late.service", "launched", sleeper);
  assert.notEqual((await cluster.active(home, ["late.service"])).get("late.service"), cordoned.id);
  await cluster.destroy(home, "late.service");
  const { stdout: text } = await cluster.fleetctl(home, "cat", "reserved.service");
  assert.match(text, /^MemoryReserve=16M\nOnFailure=move\nMoveAfter=3\/10m$/m);
  await cluster.active(home, ["reserved.service"]);
}

/**
 * Replaces the program on each machine while a drain moves a unit, a roll-out is paused, and another machine is cordoned: all
 * of it stays as it is, and goes on afterwards. `cordoned` is that machine.
 */
async function operationsGoOn(cluster: FleetCluster, cordoned: Machine): Promise<void> {
  const [m1, , m3] = cluster.lab.machines as [Machine, Machine, Machine];
  const open = cluster.lab.machines.find((machine) => machine !== cordoned && machine !== m3)!;
  const slow = "slow.service", held = "held.service";
  const patient = `${sleeper}[X-Fleet]\nMinHealthyTime=30min\nHealthyDeadline=40min\n`;
  // Both other machines are cordoned for a moment, so that the unit gets the machine that is drained then.
  await cluster.fleetctl(m1, "cordon", open.id);
  await cluster.put(m1, slow, "launched", patient);
  assert.equal((await cluster.active(m1, [slow])).get(slow), m3.id);
  await cluster.fleetctl(m1, "uncordon", open.id);
  const units = [{ name: held, desiredState: "launched", options: optionsOf(`${patient}MachineID=${open.id}\n`) }];
  assert.equal((await cluster.request(m1, "POST", "/apps/paused", { units, rollback: true })).status, 201);
  await cluster.active(m1, [held]);
  await cluster.fleetctl(m1, "rollout", "pause", "paused");
  await cluster.fleetctl(m1, "drain", "--yes", "--no-wait", m3.id);

  const drain = async (home: Machine) => {
    const { drains } = await (await cluster.request(home, "GET", "/drains")).json() as DrainsEntity;
    return drains.find(({ machineID }) => machineID === m3.id);
  };
  /** Waits until only the slow unit, which has a second copy, and those that fit nowhere are left on the drained machine. */
  const halfDone = async (home: Machine) => {
    await until("the drain to wait for one unit", async () => {
      const { units = [], status } = await drain(home) ?? {};
      const left = units.map(({ name, state }) => `${name} ${state}`).sort();
      return status === "moving" && left.join() === `new-leader.service blocked,${slow} moving`;
    }, { deadline_ms: 60_000 });
    // A unit that has moved has left the other machine when it is active on one only.
    await cluster.active(home, [...stable, labeled, held, "reserved.service"]);
    await cluster.statesWhere(home, "both copies to run", (states) => {
      return states.filter(({ name, systemdActiveState }) => name === slow && systemdActiveState === "active")
        .length === 2;
    });
  };
  const running = async () => {
    const names = [...stable, labeled, held, "reserved.service", slow];
    const show = ["systemctl", "show", "--property=Id,MainPID,InvocationID", ...names];
    const all = await Promise.all(cluster.lab.machines.map((machine) => machine.must(show)));
    return all.map((text) => text.split("\n\n").filter((unit) => !/^MainPID=0$/m.test(unit)));
  };
  await halfDone(m1);
  const before = await running();
  const leader = await cluster.leader();
  for (const machine of [leader, ...cluster.lab.machines.filter((other) => other !== leader)]) {
    await install(cluster, machine, "present");
    await halfDone(machine);
    assert.deepEqual(await running(), before, "nothing was stopped or started");
    const rollout = await (await cluster.request(machine, "GET", "/apps/paused/rollout")).json() as RolloutEntity;
    assert.equal(rollout.status, "paused");
    await newDataIsKept(cluster, machine, cordoned);
  }
  await cluster.fleetctl(m1, "rollout", "abort", "paused");
  for (const name of [slow, "new-leader.service"]) await cluster.destroy(m1, name);
  await until("the drain to end", async () => (await drain(m1))?.status === "done", { deadline_ms: 60_000 });
  assert.equal((await cluster.active(m1, [...stable, labeled, held])).get(labeled), m1.id);
}

/** The last step of a lab with three machines and no units: it makes a cluster of its own of them. */
export async function rollingUpgrade(cluster: FleetCluster): Promise<void> {
  await previousCluster(cluster);
  const [m1, , m3] = cluster.lab.machines;
  const label = [{ op: "add", path: `/${m1!.id}/metadata/rack`, value: { value: "7" } }];
  assert.equal((await cluster.request(m1!, "PATCH", "/machines", label)).status, 204);
  for (const name of stable) await cluster.put(m1!, name, "launched", sleeper);
  await cluster.put(m1!, labeled, "launched", `${sleeper}[X-Fleet]\nMachineMetadata=rack=7\n`);
  await cluster.put(m1!, everywhere, "launched", `${sleeper}[X-Fleet]\nGlobal=true\n`);
  await cluster.active(m1!, [...stable, labeled]);
  await cluster.statesWhere(m1!, "the global unit on each machine", (states) => {
    return states.filter(({ name, systemdActiveState }) => name === everywhere && systemdActiveState === "active")
      .length === 3;
  });
  const before = await processes(cluster);
  const leader = await cluster.leader();
  const other = cluster.lab.machines.find((machine) => machine !== leader && machine !== m3)!;
  const client = new Client(cluster);
  const replace = async (machine: Machine, release: Release) => {
    await install(cluster, machine, release);
    await client.progress();
  };
  try {
    // The leader is of the previous release, as long as it keeps its lease; the agent is of the present one.
    await replace(other, "present");
    await startOn(cluster, other, "old-leader.service");
    assert.deepEqual(await processes(cluster), before);
    // An engine of the previous release would delete the files of a roll-out.
    const refused = await rollOut(cluster, other);
    assert.equal(refused.status, 409, refused.text);
    assert.match(refused.text, new RegExp(`machine ${leader.id} runs fleet .* does not know roll-outs`));
    await storeNewData(cluster, other, m3!, leader);

    // The leader is of the present release, the agent of the previous one.
    await replace(leader, "present");
    await startOn(cluster, m3!, "new-leader.service");
    assert.deepEqual(await processes(cluster), before);
    // An upgrade that is taken back.
    await replace(other, "previous");
    await startOn(cluster, other, "back.service");
    await replace(other, "present");
    await replace(m3!, "present");
  } finally {
    await client.stop();
  }
  const begun = await rollOut(cluster, m3!);
  assert.equal(begun.status, 201, begun.text);
  await until("the roll-out to be done", async () => {
    const rollout = await (await cluster.request(m1!, "GET", "/apps/upgraded/rollout")).json() as RolloutEntity;
    return rollout.status === "done" || undefined;
  });
  await allSurvived(cluster, client);
  assert.deepEqual(await processes(cluster), before, "no unit was stopped or started");
  const backup = await (await cluster.request(m3!, "GET", "/backup")).json() as BackupEntity;
  assert.deepEqual(backup.metadata, { [m1!.id]: { rack: "7" } });
  await newDataIsKept(cluster, m1!, leader);
  await operationsGoOn(cluster, leader);
}
