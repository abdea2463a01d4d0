/** Failures of daemons, machines, networks and stores: which units move, which stop, and which must not be touched. */

import assert from "node:assert/strict";
import type { UnitStateEntity } from "../../../daemon/api/v1/types.ts";
import { EventStream } from "../../lab/event_stream.ts";
import type { EtcdServer } from "../../lab/etcd.ts";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { apiSocket, fleetctl } from "../../lab/fleet.ts";
import type { Machine } from "../../lab/machine.ts";
import { must, until } from "../../lab/process.ts";
import { replaceMembers } from "../etcd/member_cases.ts";

const names = (count: number) => Array.from({ length: count }, (_, index) => `u${index + 1}.service`);

/** The machine and main process of each unit, which must not change when no unit may be touched. */
async function fingerprint(cluster: FleetCluster, units: ReadonlyMap<string, string>): Promise<string[]> {
  const lines = await Promise.all([...units].map(async ([unit, id]) => {
    const machine = cluster.byId(id);
    const [pid, invocation] = await Promise.all([cluster.pid(machine, unit), cluster.invocation(machine, unit)]);
    assert.ok(pid > 0, `${unit} runs on ${machine.name}`);
    return `${unit} ${machine.name} ${pid} ${invocation}`;
  }));
  return lines.sort();
}

async function launch(cluster: FleetCluster, count: number): Promise<Map<string, string>> {
  const home = cluster.machine("m1");
  await Promise.all(names(count).map((name) => cluster.put(home, name, "launched", sleeper)));
  return await cluster.active(home, names(count));
}

/** Waits until every daemon reports every unit on its machine. */
async function allReport(cluster: FleetCluster, where: ReadonlyMap<string, string>): Promise<void> {
  for (const machine of cluster.lab.machines) {
    await cluster.statesWhere(machine, `${machine.name} to see every unit where it is`, (states) => {
      return states.length === where.size && states.every((state) => where.get(state.name) === state.machineID);
    });
  }
}

async function daemonKilled(cluster: FleetCluster): Promise<void> {
  const where = await launch(cluster, 6);
  const before = await fingerprint(cluster, where);
  for (
    const [how, command] of [
      ["killed", ["systemctl", "kill", "--signal=SIGKILL", "fleet.service"]],
      ["restarted", ["systemctl", "restart", "fleet.service"]],
      ["terminated", ["systemctl", "kill", "--signal=SIGTERM", "fleet.service"]],
    ] as const
  ) {
    const pids = await Promise.all(cluster.lab.machines.map((machine) => cluster.pid(machine, "fleet.service")));
    await Promise.all(cluster.lab.machines.map((machine) => machine.must(command)));
    await until(`every daemon to be ${how} and back`, async () => {
      const now = await Promise.all(cluster.lab.machines.map((machine) => cluster.pid(machine, "fleet.service")));
      return now.every((pid, index) => pid > 0 && pid !== pids[index]) ? true : undefined;
    });
    await cluster.joined(cluster.lab.machines);
    await allReport(cluster, where);
    assert.deepEqual(await fingerprint(cluster, where), before, `units after the daemons were ${how}`);
  }
  // A change made while a daemon is paused is carried out by the next daemon.
  const m2 = cluster.machine("m2");
  const [victim] = [...where].find(([, id]) => id === m2.id)!;
  await m2.must(["systemctl", "kill", "--signal=SIGSTOP", "fleet.service"]);
  await cluster.destroy(cluster.machine("m1"), victim);
  await m2.must(["systemctl", "kill", "--signal=SIGKILL", "fleet.service"]);
  await until(`${victim} to be stopped`, async () => {
    return (await m2.run(["systemctl", "is-active", "--quiet", victim])).code !== 0 ? true : undefined;
  });
}

async function daemonStopped(cluster: FleetCluster): Promise<void> {
  const [m1, m2] = cluster.lab.machines;
  const where = await launch(cluster, 6);
  const theirs = [...where].filter(([, id]) => id === m2!.id).map(([name]) => name);
  await m2!.must(["systemctl", "stop", "fleet.socket", "fleet.service"]);
  for (const name of theirs) {
    const { code } = await m2!.run(["systemctl", "is-active", "--quiet", name]);
    assert.notEqual(code, 0, `${name} was not stopped before the daemon ended`);
  }
  const now = await cluster.active(m1!, names(6), 20_000);
  assert.ok([...now.values()].every((id) => id !== m2!.id));
  for (const [name, id] of where) if (id !== m2!.id) assert.equal(now.get(name), id, `${name} stayed`);
  await m2!.must(["systemctl", "start", "fleet.socket", "fleet.service"]);
  await cluster.joined(cluster.lab.machines);
  assert.deepEqual(await cluster.active(m1!, names(6)), now, "nothing moves back");
}

/** Follows the event streams of all daemons. */
async function followed(cluster: FleetCluster) {
  const opened = new AsyncDisposableStack();
  const { machines } = cluster.lab;
  const streams = await Promise.all(machines.map(async (machine) => opened.use(await EventStream.open(machine))));
  return {
    /** Fails unless the daemons of all running machines report these machines of the units within two seconds. */
    report: async (where: ReadonlyMap<string, string>) => {
      const left = streams.filter(({ machine }) => machine.running);
      await Promise.all(left.map((stream) => stream.reports(where, 2_000)));
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function machineLost(cluster: FleetCluster): Promise<void> {
  const where = await launch(cluster, 9);
  const leader = await cluster.leader();
  const victim = cluster.lab.machines.find((machine) => machine !== leader)!;
  const stayed = new Map([...where].filter(([, id]) => id !== victim.id));
  const before = await fingerprint(cluster, stayed);
  await using streams = await followed(cluster);
  await victim.powerCut();
  const now = await movedAway(cluster, victim.id, 9);
  await streams.report(now);
  assert.deepEqual(await fingerprint(cluster, stayed), before, "the others' units were not touched");
  await victim.boot();
  await cluster.joined(cluster.lab.machines);
  assert.deepEqual(await cluster.active(leader, names(9)), now, "nothing moves back");
}

/** Waits until every unit is active on another machine than the one that went. */
async function movedAway(
  cluster: FleetCluster,
  gone: string,
  count: number,
  home = cluster.lab.machines.find((machine) => machine.running && machine.id !== gone)!,
): Promise<Map<string, string>> {
  const elsewhere = (states: readonly UnitStateEntity[]) =>
    states.length === count &&
    states.every((state) => state.machineID !== gone && state.systemdActiveState === "active");
  const states = await cluster.statesWhere(home, "all units on the machines that are left", elsewhere);
  return new Map(states.map((state) => [state.name, state.machineID!]));
}

async function leaderLost(cluster: FleetCluster): Promise<void> {
  const leader = await cluster.leader();
  const [a, b] = cluster.lab.machines.filter((machine) => machine !== leader);
  const where = await launch(cluster, 6);
  const [toStop] = [...where].find(([, id]) => id === a!.id)!;
  await using streams = await followed(cluster);
  await leader.powerCut();
  // A stop needs no leader; a start waits for the next leader.
  await cluster.put(b!, toStop, "loaded");
  await until(`${toStop} to be stopped without a leader`, async () => {
    return (await a!.run(["systemctl", "is-active", "--quiet", toStop])).code !== 0 ? true : undefined;
  }, { deadline_ms: 5_000 });
  await cluster.put(b!, "new.service", "launched", sleeper);
  await cluster.active(b!, ["new.service"]);
  const others = [...names(6).filter((name) => name !== toStop), "new.service"];
  const states = await cluster.statesWhere(b!, "the units of the lost leader on the others", (states) => {
    const active = states.filter((state) => state.systemdActiveState === "active").map((state) => state.name);
    return states.every((state) => state.machineID !== leader.id) && active.sort().join() === others.sort().join();
  });
  await streams.report(new Map(states.map(({ name, machineID }) => [name, machineID!])));
  await leader.boot();
  await cluster.joined(cluster.lab.machines);
}

async function massLost(cluster: FleetCluster): Promise<void> {
  const leader = await cluster.leader();
  const victims = cluster.lab.machines.filter((machine) => machine !== leader);
  const where = await launch(cluster, 6);
  const stayed = new Map([...where].filter(([, id]) => id === leader.id));
  const [theirs] = [...where].find(([, id]) => id === victims[0]!.id)!;
  const before = await fingerprint(cluster, stayed);
  const loss = async () => await (await cluster.request(leader, "GET", "/loss")).json() as { missing?: string[] };
  await Promise.all(victims.map((machine) => machine.powerCut()));
  // As if their leases ended in the same moment: otherwise the units of the first may move before the second is missed.
  await cluster.lab.etcd.members[0]!.deleteTogether(victims.map(({ id }) => `/_coreos.com/fleet/machine/${id}`));
  const missing = victims.map(({ id }) => id).sort();
  await until("the engine to wait for the machines that were lost at once", async () => {
    return (await loss()).missing?.join() === missing.join() || undefined;
  });
  const { stdout: why } = await cluster.fleetctl(leader, "explain", theirs);
  assert.match(why, /2 of 3 machines were lost at once, so that the engine waits for them until/);
  const { stdout: checks } = await cluster.fleetctl(leader, "doctor", "--no-ssh");
  assert.match(checks, /warn +machines: 2 of 3 machines were lost at once/);
  assert.match(
    await leader.journal("fleet.service"),
    /2 of 3 machines were lost at once: their units stay where they are/,
  );
  const metrics = await must(["curl", "--silent", "--unix-socket", apiSocket(leader), "http://localhost/metrics"]);
  assert.match(metrics, /^fleet_engine_missing_machines 2$/m);
  // A leader of a later term waits on.
  await leader.must(["systemctl", "restart", "fleet.service"]);
  await until("the next leader", async () => {
    return (await leader.journal("fleet.service")).match(/engine leadership acquired/g)!.length > 1 || undefined;
  });
  assert.deepEqual((await loss()).missing, missing);
  // The units of a machine that comes back start there again, and nothing has moved.
  await victims[0]!.boot();
  await cluster.joined([leader, victims[0]!]);
  const own = [...where].filter(([, id]) => id === victims[0]!.id).map(([name]) => name);
  for (const [name, id] of (await cluster.active(leader, own))) assert.equal(id, where.get(name), `${name} stayed`);
  const targets = new Map((await cluster.units(leader)).map(({ name, machineID }) => [name, machineID]));
  for (const [name, id] of where) assert.equal(targets.get(name), id, `${name} keeps its place`);
  assert.deepEqual(await fingerprint(cluster, stayed), before, "the others' units were not touched");
  // An operator ends the wait for the other one.
  await cluster.fleetctl(leader, "accept-loss");
  await movedAway(cluster, victims[1]!.id, 6, leader);
  assert.deepEqual(await fingerprint(cluster, stayed), before, "the others' units were not touched");
  assert.equal((await loss()).missing, undefined);
  await victims[1]!.boot();
  await cluster.joined(cluster.lab.machines);
}

async function leaderStopped(cluster: FleetCluster): Promise<void> {
  // The leader of a new term still gives absent machines a grace, as its successor will.
  for (let round = 0; round < 3; round++) {
    const leader = await cluster.leader();
    const [a] = cluster.lab.machines.filter((machine) => machine !== leader);
    const where = await launch(cluster, 6);
    const theirs = [...where].filter(([, id]) => id === leader.id).map(([name]) => name);
    assert.ok(theirs.length > 0, `${leader.name} runs no unit`);
    await leader.must(["systemctl", "stop", "fleet.socket", "fleet.service"]);
    await movedAway(cluster, leader.id, 6);
    // The reason shows that the engine waited for no grace.
    for (const name of theirs) {
      const { stdout } = await cluster.fleetctl(a!, "explain", name);
      assert.match(stdout, /was stopped and left the cluster/);
    }
    await leader.must(["systemctl", "start", "fleet.socket", "fleet.service"]);
    await cluster.joined(cluster.lab.machines);
    for (const name of names(6)) await cluster.destroy(a!, name);
    await cluster.statesWhere(a!, "no unit left", (states) => states.length === 0);
  }
}

async function partitioned(cluster: FleetCluster): Promise<void> {
  const where = await launch(cluster, 6);
  const leader = await cluster.leader();
  const victim = cluster.lab.machines.find((machine) => machine !== leader)!;
  const theirs = [...where].filter(([, id]) => id === victim.id).map(([name]) => name);
  await victim.partition();
  await movedAway(cluster, victim.id, 6);
  // The machine cannot know that its units have moved, so it must not stop them.
  for (const name of theirs) assert.ok(await cluster.pid(victim, name) > 0, `${name} still runs on ${victim.name}`);
  await victim.heal();
  await until("the copies on the machine that was cut off to be stopped", async () => {
    const pids = await Promise.all(theirs.map((name) => cluster.pid(victim, name)));
    return pids.every((pid) => pid === 0) ? true : undefined;
  });
  await cluster.joined(cluster.lab.machines);
  await cluster.active(leader, names(6));
}

async function cutOffFromEtcd(cluster: FleetCluster): Promise<void> {
  const { lab } = cluster;
  // etcd's responses are lost, so that neither side notices the cut. The second cut lasts until gRPC gives the connection
  // up, so that a new one is being opened when the network is back.
  for (const more_ms of [0, 5_000]) {
    const leader = await cluster.leader();
    const where = await launch(cluster, 6);
    const victim = lab.machines.find((machine) => machine !== leader)!;
    const theirs = [...where].filter(([, id]) => id === victim.id).map(([name]) => name);
    assert.ok(theirs.length > 0, `${victim.name} runs no unit`);
    await victim.loseEtcd();
    await movedAway(cluster, victim.id, 6, leader);
    const moved_ms = performance.now();
    await until("the cut to be long enough", () => {
      return Promise.resolve(performance.now() - moved_ms >= more_ms || undefined);
    });
    await victim.reachEtcd();
    const healed_ms = performance.now();
    await until("the second copies to be stopped", async () => {
      const { stdout } = await victim.run(["systemctl", "is-active", ...theirs]);
      return !/^(active|deactivating)$/m.test(stdout) || undefined;
    }, { every_ms: 20 });
    const took_ms = Math.round(performance.now() - healed_ms);
    assert.ok(took_ms < 1_000, `second copies ran for ${took_ms} ms after the cut had healed`);
    await cluster.joined(lab.machines);
    for (const name of names(6)) await cluster.destroy(leader, name);
    await cluster.statesWhere(leader, "no unit left", (states) => states.length === 0);
  }
}

async function storePaused(cluster: FleetCluster): Promise<void> {
  const { etcd } = cluster.lab;
  const where = await launch(cluster, 6);
  const leader = await cluster.leader();
  const slow = `${sleeper}ExecStop=/bin/sleep 12\n[X-Fleet]\nMachineID=${leader.id}\n`;
  await cluster.put(leader, "slow.service", "launched", slow);
  await cluster.active(leader, ["slow.service"]);
  const before = await fingerprint(cluster, where);
  await cluster.destroy(leader, "slow.service");
  await until("slow.service to be stopping", async () => {
    const { stdout } = await leader.run(["systemctl", "is-active", "slow.service"]);
    return stdout.trim() === "deactivating" || undefined;
  });
  await etcd.pause();
  // Three times agent_ttl: every lease has expired when the store goes on.
  const paused_ms = performance.now();
  await until("three times agent_ttl to pass", () => {
    return Promise.resolve(performance.now() - paused_ms > 15_000 ? true : undefined);
  });
  const output = await fleetctl(cluster.machine("m1"), "list-units");
  assert.equal(output.code, 1);
  assert.match(output.stderr, /unable to communicate with etcd/);
  const status = () => leader.must(["systemctl", "show", "--property=StatusText", "--value", "fleet.service"]);
  assert.match(await status(), /^not a member of the cluster: this machine's lease was not renewed for 5s; units keep/);
  const checks = await fleetctl(cluster.machine("m1"), "doctor", "--no-ssh");
  assert.match(checks.stdout, /FAIL +store: not a member of the cluster: this machine's lease was not renewed/);
  // The stop job ends long after the watch was lost: the agent needs no store to finish a removal.
  await until("slow.service to be removed while the store is away", async () => {
    return (await leader.run(["test", "-e", "/run/fleet/units/slow.service"])).code !== 0 || undefined;
  });
  assert.deepEqual(await fingerprint(cluster, where), before, "while the store is away");
  await etcd.resume();
  await cluster.joined(cluster.lab.machines);
  await until("the status to say that the machine is a member", async () => {
    return (await status()).trim() === "member of the cluster" || undefined;
  });
  await allReport(cluster, where);
  // Longer than any grace: a unit that was going to move would have moved.
  const back_ms = performance.now();
  await until("the grace to be over", () => {
    return Promise.resolve(performance.now() - back_ms > 4_000 ? true : undefined);
  });
  await allReport(cluster, where);
  assert.deepEqual(await fingerprint(cluster, where), before, "after the store has come back");
  await cluster.put(cluster.machine("m1"), "after.service", "launched", sleeper);
  await cluster.active(cluster.machine("m2"), ["after.service"]);
}

async function storeRestarted(cluster: FleetCluster): Promise<void> {
  const { etcd } = cluster.lab;
  const where = await launch(cluster, 6);
  const before = await fingerprint(cluster, where);
  await etcd.stop();
  await etcd.start();
  await etcd.compact();
  await cluster.joined(cluster.lab.machines);
  await allReport(cluster, where);
  assert.deepEqual(await fingerprint(cluster, where), before);
  await cluster.put(cluster.machine("m3"), "after.service", "launched", sleeper);
  await cluster.active(cluster.machine("m1"), ["after.service"]);
}

async function storeWiped(cluster: FleetCluster): Promise<void> {
  const where = await launch(cluster, 6);
  const before = await fingerprint(cluster, where);
  await cluster.lab.etcd.wipe();
  for (const machine of cluster.lab.machines) {
    await until(`${machine.name} to report that the store is not the one it knows`, async () => {
      const response = await cluster.request(machine, "GET", "/units");
      return response.status === 503 && /store/.test(await response.text()) ? true : undefined;
    });
    await until(`${machine.name} to log that no unit is touched`, async () => {
      return /No unit is touched/.test(await machine.journal("fleet.service")) ? true : undefined;
    });
  }
  assert.deepEqual(await fingerprint(cluster, where), before, "nothing stops");
  // A restart of the daemon makes no difference.
  await cluster.machine("m1").must(["systemctl", "restart", "fleet.service"]);
  await until("the restarted daemon to report it", async () => {
    const response = await cluster.request(cluster.machine("m1"), "GET", "/units");
    return /the store/.test(await response.text()) ? true : undefined;
  });
  assert.deepEqual(await fingerprint(cluster, where), before, "nothing stops");
}

const scenarios: readonly (readonly [string, (cluster: FleetCluster) => Promise<void>])[] = [
  ["a daemon that is killed, restarted or terminated leaves units running", daemonKilled],
  ["a daemon that is stopped removes its units first, and they move", daemonStopped],
  [
    "units of a machine that loses power move, and every daemon's event stream reports their machines",
    machineLost,
  ],
  ["a leader that loses power is replaced; stops do not wait for a leader", leaderLost],
  ["two of three machines that lose power at once are waited for until an operator gives them up", massLost],
  ["a leader that is stopped in good order has its units moved without a grace", leaderStopped],
  ["a machine that is cut off stops no unit until it has a view of the store again", partitioned],
  ["a machine that was cut off from etcd stops second copies within a second of the network's return", cutOffFromEtcd],
  ["a store that is restarted and compacted is found again", storeRestarted],
  ["a store that hangs for longer than agent_ttl moves no unit", storePaused],
  ["a store that was wiped stops no unit, and every daemon reports it", storeWiped],
];

/** Collects the events of machines' streams, by machine, until it is disposed of. */
async function followEvents(
  machines: readonly Machine[],
): Promise<Disposable & { readonly texts: Map<Machine, string> }> {
  const texts = new Map(machines.map((machine) => [machine, ""]));
  const stop = new AbortController();
  const clients = machines.map((machine) => {
    const client = Deno.createHttpClient({ proxy: { transport: "unix", path: apiSocket(machine) } });
    const read = async () => {
      const response = await fetch("http://localhost/fleet/v1/events", { client, signal: stop.signal });
      for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
        texts.set(machine, texts.get(machine) + text);
      }
    };
    // A stream that ends brings no more events, which fails the test.
    read().catch(() => {});
    return client;
  });
  await until("every event stream to be synced", () => {
    return Promise.resolve([...texts.values()].every((text) => text.includes("event: synced")) || undefined);
  });
  for (const machine of machines) texts.set(machine, "");
  return {
    texts,
    [Symbol.dispose]() {
      stop.abort();
      for (const client of clients) client.close();
    },
  };
}

/** Cuts a machine's power, perhaps while an etcd member hangs: every other daemon's event stream reports that it is gone. */
async function powerCutReported(cluster: FleetCluster, victim: Machine, hangs?: number): Promise<void> {
  const { etcd, machines } = cluster.lab;
  const rest = machines.filter((machine) => machine !== victim);
  {
    using streams = await followEvents(rest);
    if (hangs !== undefined) etcd.pause(hangs);
    await victim.powerCut();
    const asked = etcd.members.find((_, at) => at !== hangs)!;
    await until("etcd to end the lease of the machine that lost power", async () => {
      return (await asked.must("get", `/_coreos.com/fleet/machine/${victim.id}`)).trim() === "" || undefined;
    });
    const gone = new RegExp(`event: machine\ndata: .*${victim.id}`);
    await until(`the event streams of ${rest.map(({ name }) => name).join()} to report that it is gone`, () => {
      return Promise.resolve([...streams.texts.values()].every((text) => gone.test(text)) || undefined);
    }, { deadline_ms: 4_000 });
  }
  if (hangs !== undefined) etcd.resume(hangs);
  await victim.boot();
  await cluster.joined(machines);
}

/** Asserts that no unit is touched by `harm`, and that every unit is reported on its machine. */
async function untouched(cluster: FleetCluster, what: string, harm: () => Promise<void>): Promise<void> {
  const where = await launch(cluster, 12);
  const before = await fingerprint(cluster, where);
  await harm();
  await cluster.joined(cluster.lab.machines);
  await allReport(cluster, where);
  assert.deepEqual(await fingerprint(cluster, where), before, what);
  for (const name of names(12)) await cluster.destroy(cluster.machine("m1"), name);
  await cluster.statesWhere(cluster.machine("m1"), "no unit left", (states) => states.length === 0);
}

Deno.test("a lost lease of a healthy machine moves no unit", async (t) => {
  const conf = { agent_ttl: "5s", engine_reconcile_interval: 0.6 };
  await withFleet({ machines: 3, etcd: 3, conf }, async (cluster) => {
    const { etcd, machines } = cluster.lab;
    await t.step("leases that etcd revokes, as a leader that was paused does when it goes on", async () => {
      await untouched(cluster, "a revoked lease", async () => {
        for (const machine of machines) {
          const key = `/_coreos.com/fleet/machine/${machine.id}`;
          const { kvs: [{ lease }] } = JSON.parse(
            (await etcd.must("get", key, "--write-out=json")).replace(/"lease":(\d+)/, '"lease":"$1"'),
          );
          await etcd.must("lease", "revoke", BigInt(lease).toString(16));
          await until(`${machine.name} to have another lease`, async () => {
            const record = await etcd.must("get", key, "--write-out=json");
            return record.includes('"lease":') && !record.includes(lease) || undefined;
          });
        }
      });
    });
    await t.step("an etcd leader that hangs for longer than agent_ttl", async () => {
      await untouched(cluster, "a paused leader", async () => {
        const leader = await etcd.leader();
        etcd.pause(leader);
        const paused_ms = performance.now();
        await until("agent_ttl to pass twice", () => {
          return Promise.resolve(performance.now() - paused_ms > 10_000 || undefined);
        });
        etcd.resume(leader);
        // Longer than the grace of a machine that vanishes: a unit that was going to move would have moved.
        const resumed_ms = performance.now();
        await until("the grace to be over", () => {
          return Promise.resolve(performance.now() - resumed_ms > 3_000 || undefined);
        });
      });
    });
    // The last step: the lab knows only the members that it began with.
    await t.step("a member of etcd that is replaced, and a move of the cluster to another etcd", async () => {
      const members: EtcdServer[] = [];
      try {
        await untouched(cluster, "the members were replaced", async () => {
          members.push(...await replaceMembers(cluster));
        });
      } finally {
        for (const member of members) await member.stop("SIGKILL");
      }
    });
  });
});

Deno.test("every daemon's event stream reports a machine that loses power", async (t) => {
  const conf = { agent_ttl: "5s", engine_reconcile_interval: 0.6 };
  await withFleet({ machines: 3, etcd: 3, conf }, async (cluster) => {
    const others = async () => {
      const leader = await cluster.leader();
      return cluster.lab.machines.filter((machine) => machine !== leader);
    };
    await t.step("a machine that follows", async () => powerCutReported(cluster, (await others())[0]!));
    await t.step("the machine that leads", async () => powerCutReported(cluster, await cluster.leader()));
    for (const at of [0, 1, 2]) {
      await t.step(`while member ${at} of etcd hangs`, async () => {
        await powerCutReported(cluster, (await others())[0]!, at);
      });
    }
  });
});

// Each on a cluster of its own, so that a failure affects no other test.
for (const [title, run] of scenarios) {
  Deno.test(title, () => withFleet({ machines: 3, conf: { agent_ttl: "5s", engine_reconcile_interval: 0.6 } }, run));
}
