/** A restored, renamed or wiped store, and keys deleted by hand: no unit is stopped until an operator accepts the store. */

import assert from "node:assert/strict";
import { EtcdServer } from "../../lab/etcd.ts";
import { fleetctl } from "../../lab/fleet.ts";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import type { Machine } from "../../lab/machine.ts";
import { must, until } from "../../lab/process.ts";

/** Returns the main process of a unit on each machine, 0 where the unit does not run. */
function pids(cluster: FleetCluster, unit: string): Promise<number[]> {
  return Promise.all(cluster.lab.machines.map((machine) => cluster.pid(machine, unit)));
}

/** Waits until a machine's daemon refuses its store, in the API, the journal and the status, for the reason `why`. */
async function refusesStore(cluster: FleetCluster, machine: Machine, why: RegExp): Promise<void> {
  await until(`${machine.name} to refuse its store`, async () => {
    const response = await cluster.request(machine, "GET", "/units");
    return (response.status === 503 && why.test(await response.text())) || undefined;
  });
  // A request may find out first: the journal and the status follow.
  await until(`${machine.name} to report it in its journal and its status`, async () => {
    const status = await machine.must(["systemctl", "show", "--property=StatusText", "--value", "fleet.service"]);
    const isLogged = /No unit is touched.*fleetctl accept-store/.test(await machine.journal("fleet.service"));
    return (isLogged && why.test(status)) || undefined;
  });
}

/** Deletes keys that only daemons write with etcdctl(1): each is written again, and the unit is not touched. */
async function deletedByHand(cluster: FleetCluster): Promise<void> {
  const { lab } = cluster;
  const [m1, m2] = lab.machines;
  await cluster.put(m1!, "kept.service", "launched", `${sleeper}[X-Fleet]\nMachineID=${m2!.id}\n`);
  await cluster.active(m1!, ["kept.service"]);
  const before = [await cluster.pid(m2!, "kept.service"), await cluster.invocation(m2!, "kept.service")];
  const prefix = "/_coreos.com/fleet";
  const state = `${prefix}/state/${m2!.id}/kept.service`;
  for (
    const key of [`${prefix}/machine/${m2!.id}`, state, `${prefix}/leader`, `${prefix}/assign/${m2!.id}/kept.service`]
  ) {
    await cluster.leader();
    assert.match(await lab.etcd.must("del", key), /^1$/m, key);
    await until(`${key} to be written again`, async () => {
      return (await lab.etcd.must("get", "--keys-only", key)).includes(key) || undefined;
    });
  }
  await lab.etcd.must("del", "--prefix", `${prefix}/machine/`);
  await cluster.joined(lab.machines);
  await cluster.statesWhere(m1!, "kept.service to be active", ([one, ...rest]) => {
    return one?.systemdActiveState === "active" && rest.length === 0;
  });
  const now = [await cluster.pid(m2!, "kept.service"), await cluster.invocation(m2!, "kept.service")];
  assert.deepEqual(now, before, "the unit was not touched");
  assert.match(await m2!.journal("fleet.service"), /keys of this machine were deleted or overwritten.*machine\//);
  await cluster.destroy(m1!, "kept.service");
}

async function assignmentDeletedWithoutDaemon(cluster: FleetCluster): Promise<void> {
  const { lab } = cluster;
  const leader = await cluster.leader();
  const other = lab.machines.find((machine) => machine !== leader)!;
  await cluster.put(leader, "held.service", "launched", `${sleeper}[X-Fleet]\nMachineID=${other.id}\n`);
  await cluster.active(leader, ["held.service"]);
  const process =
    async () => [await cluster.pid(other, "held.service"), await cluster.invocation(other, "held.service")];
  const before = await process();
  const signal = (machine: Machine, name: string) =>
    machine.must(["systemctl", "kill", `--signal=${name}`, "fleet.service"]);
  // The engine is stopped so that the assignment is still missing when the next daemon reads the store.
  await signal(leader, "STOP");
  await signal(other, "STOP");
  const key = `/_coreos.com/fleet/assign/${other.id}/held.service`;
  assert.match(await lab.etcd.must("del", key), /^1$/m);
  await signal(other, "KILL");
  await until("the next daemon to wait for the assignment, or to stop the unit", async () => {
    const waits = /assignments to this machine are missing.*held\.service/.test(await other.journal("fleet.service"));
    return waits || (await cluster.pid(other, "held.service")) === 0 || undefined;
  });
  await signal(leader, "CONT");
  await until(`${key} to be written again`, async () => {
    return (await lab.etcd.must("get", "--keys-only", key)).includes(key) || undefined;
  });
  await cluster.joined(lab.machines);
  await cluster.active(leader, ["held.service"]);
  assert.deepEqual(await process(), before, "the unit was not touched");
  await cluster.destroy(leader, "held.service");
}

async function targetsDeletedByHand(cluster: FleetCluster): Promise<void> {
  const { lab } = cluster;
  const [m1] = lab.machines;
  const all = ["t1.service", "t2.service", "t3.service", "t4.service", "t5.service"];
  for (const name of all) await cluster.put(m1!, name, "launched", sleeper);
  await cluster.active(m1!, all);
  // With these two destroyed, a placement by load would move other units.
  for (const name of ["t1.service", "t3.service"]) await cluster.destroy(m1!, name);
  const names = ["t2.service", "t4.service", "t5.service"];
  const before = await Promise.all(names.map((name) => pids(cluster, name)));
  const prefix = "/_coreos.com/fleet/target/";
  assert.match(await lab.etcd.must("del", "--prefix", prefix), /^3$/m);
  await until("targets to be written again", async () => {
    const keys = await lab.etcd.must("get", "--prefix", "--keys-only", prefix);
    return names.every((name) => keys.includes(name)) || undefined;
  });
  await cluster.active(m1!, names);
  assert.deepEqual(await Promise.all(names.map((name) => pids(cluster, name))), before, "no unit was touched");
  for (const name of names) await cluster.destroy(m1!, name);
  for (const machine of lab.machines) await cluster.statesWhere(machine, "no unit", (states) => states.length === 0);
}

async function restored(cluster: FleetCluster): Promise<void> {
  const { lab } = cluster;
  const [m1, m2] = lab.machines;
  for (const name of ["a.service", "b.service"]) await cluster.put(m1!, name, "launched", sleeper);
  await cluster.active(m1!, ["a.service", "b.service"]);
  const dir = lab.etcd.members[0]!.dir;
  await lab.etcd.stop();
  await must(["cp", "-a", `${dir}/data`, `${dir}/backup`]);
  await lab.etcd.start();
  await cluster.joined(lab.machines);
  await cluster.put(m1!, "late.service", "launched", sleeper);
  // Each machine has seen the latest revision, so that none mistakes the backup for the current store.
  for (const machine of lab.machines) await cluster.active(machine, ["late.service"]);
  const before = [await pids(cluster, "a.service"), await pids(cluster, "b.service")];
  const late = await pids(cluster, "late.service");

  await lab.etcd.stop();
  await must(["rm", "-rf", `${dir}/data`]);
  await must(["mv", `${dir}/backup`, `${dir}/data`]);
  await lab.etcd.start();
  for (const machine of lab.machines) await refusesStore(cluster, machine, /the store has gone back/);
  assert.deepEqual([await pids(cluster, "a.service"), await pids(cluster, "b.service")], before);
  assert.deepEqual(
    await pids(cluster, "late.service"),
    late,
    "a unit that the restored store does not contain is not touched either",
  );
  // A restarted daemon still refuses the store.
  await m2!.must(["systemctl", "restart", "fleet.service"]);
  await refusesStore(cluster, m2!, /the store has gone back/);

  for (const machine of lab.machines) {
    const { stdout } = await cluster.fleetctl(machine, "accept-store");
    assert.match(
      stdout,
      /^Accepted the same store \(\w+\) at the earlier revision \d+, in place of \w+ at revision \d+\n$/,
    );
  }
  await cluster.joined(lab.machines);
  await cluster.active(m1!, ["a.service", "b.service"]);
  await until("the unit that the accepted store does not contain to be stopped", async () => {
    return (await pids(cluster, "late.service")).every((pid) => pid === 0) || undefined;
  });
  assert.deepEqual(
    [await pids(cluster, "a.service"), await pids(cluster, "b.service")],
    before,
    "the units kept running",
  );
}

/** Runs the commands of the block of docs/guides/operate.md that contains `word`, in the network of the lab's etcd. */
async function asDocumented(cluster: FleetCluster, dir: string, word: string, further = ""): Promise<void> {
  const page = Deno.readTextFileSync(new URL("../../../docs/guides/operate.md", import.meta.url));
  const block = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1]!).find((one) => one.includes(word));
  const env = { ETCDCTL_API: "3", ETCDCTL_ENDPOINTS: cluster.lab.etcd.endpoints };
  const commands = block!.replace("$renaming snapshot save", `${further}\n$&`);
  const { code, stdout, stderr } = await cluster.lab.namespaced([
    "sh",
    "-ec",
    `ip link set lo up; cd ${dir}; ${commands}`,
  ], { env });
  assert.equal(code, 0, `${commands}\n${stdout}${stderr}`);
}

async function renamed(cluster: FleetCluster): Promise<void> {
  const { lab } = cluster;
  const [m1] = lab.machines;
  const kept = ["old1.service", "old2.service"];
  for (const name of kept) await cluster.put(m1!, name, "launched", sleeper);
  await cluster.active(m1!, kept);
  const { dir, name, endpoint } = lab.etcd.members[0]!;
  await asDocumented(cluster, dir, "etcdctl snapshot save fleet.db");
  await cluster.put(m1!, "young.service", "launched", sleeper);
  await cluster.active(m1!, [...kept, "young.service"]);
  const before = await Promise.all([...kept, "young.service"].map((unit) => pids(cluster, unit)));

  await lab.etcd.stop();
  // The revision passes the highest one that the machines have seen, as it would after writes or with --bump-revision.
  const writes = "for n in $(seq 40); do $renaming put filler $n; done";
  await asDocumented(cluster, dir, "fleet-renamed.db", writes);
  await must(["rm", "-rf", `${dir}/data`]);
  const peer = endpoint.replace(/\d+$/, "2380");
  await must([
    ...["etcdctl", "snapshot", "restore", `${dir}/fleet-renamed.db`, "--name", name, "--data-dir", `${dir}/data`],
    ...["--initial-cluster", `${name}=${peer}`, "--initial-advertise-peer-urls", peer],
  ], { env: { ETCDCTL_API: "3" } });
  await lab.etcd.start();
  for (const machine of lab.machines) {
    await refusesStore(cluster, machine, /not the one this machine knows.*found [0-9a-f]{32}/);
  }
  const now = await Promise.all([...kept, "young.service"].map((unit) => pids(cluster, unit)));
  assert.deepEqual(now, before, "a unit that the restored store does not contain is not touched either");
  for (const machine of lab.machines) await cluster.fleetctl(machine, "accept-store");
  await cluster.joined(lab.machines);
  await until("the unit that the accepted store does not contain to be stopped", async () => {
    return (await pids(cluster, "young.service")).every((pid) => pid === 0) || undefined;
  });
  await cluster.active(m1!, kept);
  assert.deepEqual(
    await Promise.all(kept.map((unit) => pids(cluster, unit))),
    before.slice(0, 2),
    "the units kept running",
  );
  for (const unit of kept) await cluster.destroy(m1!, unit);
  for (const machine of lab.machines) await cluster.statesWhere(machine, "no unit", (states) => states.length === 0);
}

async function wiped(cluster: FleetCluster): Promise<void> {
  const { lab } = cluster;
  const [m1, m2] = lab.machines;
  const before = [await pids(cluster, "a.service"), await pids(cluster, "b.service")];
  const refusal = await fleetctl(m1!, "accept-store");
  assert.deepEqual(refusal, {
    code: 1,
    stdout: "",
    stderr: "Nothing to accept: this machine's store is the one it knows (HTTP 409)\n",
  });
  await lab.etcd.wipe();
  for (const machine of lab.machines) {
    await refusesStore(cluster, machine, /not the one this machine knows.*found none/);
  }
  assert.deepEqual([await pids(cluster, "a.service"), await pids(cluster, "b.service")], before);

  assert.match((await cluster.fleetctl(m1!, "accept-store")).stdout, /^Accepted an empty store, in place of \w+ /);
  await cluster.joined([m1!]);
  await until("m1 to stop all units, as the empty store requires", async () => {
    const here = [await cluster.pid(m1!, "a.service"), await cluster.pid(m1!, "b.service")];
    return here.every((pid) => pid === 0) || undefined;
  });
  const there = [await cluster.pid(m2!, "a.service"), await cluster.pid(m2!, "b.service")];
  assert.deepEqual(
    there,
    before.map((each) => each[1]),
    "the units of m2, which has not accepted the store, keep running",
  );
  // m1 has given the store an id in the meantime.
  await refusesStore(cluster, m2!, /found [0-9a-f]{32}/);
  assert.match((await cluster.fleetctl(m2!, "accept-store")).stdout, /^Accepted store [0-9a-f]{32} at revision \d+, /);
  await cluster.joined(lab.machines);
  await cluster.put(m2!, "new.service", "launched", sleeper);
  await cluster.active(m1!, ["new.service"]);
  for (const name of ["a.service", "b.service"]) {
    await until(`${name} to be gone`, async () => (await pids(cluster, name)).every((pid) => pid === 0) || undefined);
  }
}

/** Each machine puts its units into an empty store; a backup brings the rest. */
async function keptAfterLoss(cluster: FleetCluster): Promise<void> {
  const { lab } = cluster;
  const [m1, m2] = lab.machines;
  const label = [{ op: "add", path: `/${m2!.id}/metadata/disk`, value: { value: "ssd" } }];
  assert.equal((await cluster.request(m1!, "PATCH", "/machines", label)).status, 204);
  const on = (machine: Machine) => `${sleeper}[X-Fleet]\nMachineID=${machine.id}\n`;
  await cluster.put(m1!, "first.service", "launched", on(m1!));
  await cluster.put(m1!, "second.service", "launched", on(m2!));
  await cluster.put(m1!, "labeled.service", "launched", `${sleeper}[X-Fleet]\nMachineMetadata=disk=ssd\n`);
  await cluster.put(m1!, "both.service", "launched", `${sleeper}[X-Fleet]\nGlobal=true\n`);
  await cluster.put(m1!, "idle.service", "loaded", on(m2!));
  await cluster.put(m1!, "stored.service", "inactive", sleeper);
  await cluster.put(m1!, "made@.service", "inactive", sleeper);
  const jobs = ["first.service", "second.service", "labeled.service"];
  await cluster.active(m1!, jobs);
  assert.equal((await cluster.request(m1!, "POST", "/units/second.service/restart")).status, 204);
  await cluster.statesWhere(m1!, "the global unit on both machines, and the loaded one", (states) => {
    const active = states.filter((state) => state.name === "both.service" && state.systemdActiveState === "active");
    return active.length === 2 && states.some(({ name }) => name === "idle.service");
  });
  await until("the restart to be carried out", async () => {
    const { restart, machines } = await (await cluster.request(m1!, "GET", "/units/second.service/explain")).json();
    return machines.some((one: { restart?: number }) => one.restart === restart) || undefined;
  });
  await m1!.sh("rm -rf /root/saved");
  await cluster.fleetctl(m1!, "backup", "/root/saved");
  const running = [...jobs, "both.service", "new.service"];
  const invocations = () =>
    Promise.all(running.flatMap((name) => lab.machines.map((machine) => cluster.invocation(machine, name))));
  const before = await invocations();

  await lab.etcd.wipe();
  for (const machine of lab.machines) await refusesStore(cluster, machine, /not the one this machine knows/);
  // Nothing that is needed is in the memory of a daemon.
  await m2!.must(["systemctl", "kill", "--signal=KILL", "fleet.service"]);
  await refusesStore(cluster, m2!, /not the one this machine knows/);
  assert.match(
    (await cluster.fleetctl(m1!, "accept-store", "--keep-units")).stdout,
    /^Accepted an empty store, .* The units of the machine are kept\n$/,
  );
  await cluster.joined([m1!]);
  await refusesStore(cluster, m2!, /found [0-9a-f]{32}/);
  await cluster.fleetctl(m2!, "accept-store", "--keep-units");
  await cluster.joined(lab.machines);
  await cluster.active(m1!, [...jobs, "new.service"]);
  assert.deepEqual(await invocations(), before, "every unit kept running");

  const dryRun = await fleetctl(m1!, "restore", "--dry-run", "/root/saved");
  assert.equal(dryRun.code, 2, dryRun.stderr);
  assert.match(dryRun.stdout, /units: 2 to create, 6 unchanged\./);
  assert.match(dryRun.stdout, /^\+ create made@\.service, inactive\n\+ create stored\.service, inactive$/m);
  await cluster.fleetctl(m1!, "restore", "/root/saved");
  const again = await fleetctl(m1!, "restore", "--dry-run", "/root/saved");
  assert.deepEqual([again.code, again.stderr], [0, ""]);
  assert.deepEqual(await invocations(), before, "the restore restarted nothing");
  // The new store begins with revision 1: its requests are not taken for earlier ones.
  await cluster.fleetctl(m1!, "restart", "second.service", "first.service");
  const now = await invocations();
  const restarted = running.filter((_, at) => now[2 * at] !== before[2 * at] || now[2 * at + 1] !== before[2 * at + 1]);
  assert.deepEqual(restarted, ["first.service", "second.service"]);
}

/** Moves the cluster to an etcd that knows nothing of it. The last step: the lab knows only the etcd that it began with. */
async function movedToEmptyEtcd(cluster: FleetCluster): Promise<void> {
  const { lab } = cluster;
  const [m1] = lab.machines;
  await m1!.sh("rm -rf /root/saved");
  await cluster.fleetctl(m1!, "backup", "/root/saved");
  const running = ["first.service", "second.service", "labeled.service", "both.service", "new.service"];
  const processes = () => Promise.all(running.map((name) => pids(cluster, name)));
  const before = await processes();
  const dir = `${lab.dir}/other`;
  await Deno.mkdir(dir);
  const address = lab.network.hosts(1)[0]!;
  const ports = { client_port: 12379, peer_port: 12380 };
  const other = await EtcdServer.start({ name: "other", dir, address, netns: lab.network.path, ...ports });
  try {
    for (const machine of lab.machines) {
      const conf = `s|^etcd_servers=.*|etcd_servers="${other.endpoint}"|`;
      await machine.sh(`sed -i '${conf}' /etc/fleet/fleet.conf; systemctl reload fleet.service`);
    }
    for (const machine of lab.machines) await refusesStore(cluster, machine, /not the one this machine knows/);
    await lab.etcd.stop();
    for (const machine of lab.machines) await cluster.fleetctl(machine, "accept-store", "--keep-units");
    await cluster.joined(lab.machines);
    await cluster.active(m1!, running.filter((name) => name !== "both.service"));
    await cluster.fleetctl(m1!, "restore", "/root/saved");
    const dryRun = await fleetctl(m1!, "restore", "--dry-run", "/root/saved");
    assert.deepEqual([dryRun.code, dryRun.stderr], [0, ""], dryRun.stdout);
    assert.deepEqual(await processes(), before, "no unit was touched");
  } finally {
    await other.stop("SIGKILL");
  }
}

Deno.test("keys deleted by hand, and a store that is not the one that the machines know", async (t) => {
  await withFleet({ machines: 2 }, async (cluster) => {
    await t.step(
      "keys that daemons write are written again after they are deleted by hand",
      () => deletedByHand(cluster),
    );
    await t.step(
      "a unit whose assignment is deleted while its daemon is down is not touched",
      () => assignmentDeletedWithoutDaemon(cluster),
    );
    await t.step("units whose targets are deleted by hand stay where they are", () => targetsDeletedByHand(cluster));
    await t.step("a store restored from a renamed backup is refused by all machines", () => renamed(cluster));
    await t.step(
      "units keep running while a store restored from a backup is refused and accepted",
      () => restored(cluster),
    );
    await t.step("each machine stops its units only after it has accepted the wiped store", () => wiped(cluster));
    await t.step(
      "units keep running when machines put them into an empty store, and a backup brings the rest",
      () => keptAfterLoss(cluster),
    );
    await t.step("a cluster moves to an empty etcd, and no unit is touched", () => movedToEmptyEtcd(cluster));
  });
});
