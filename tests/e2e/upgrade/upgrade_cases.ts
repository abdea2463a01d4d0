/** A cluster of the previous release is upgraded, one machine after the other, while a client changes units. */

import assert from "node:assert/strict";
import type { BackupEntity } from "../../../daemon/api/v1/types.ts";
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
  await allSurvived(cluster, client);
  assert.deepEqual(await processes(cluster), before, "no unit was stopped or started");
  const backup = await (await cluster.request(m3!, "GET", "/backup")).json() as BackupEntity;
  assert.deepEqual(backup.metadata, { [m1!.id]: { rack: "7" } });
}
