/** `fleetctl import` on real machines: a unit moves from an imitation of fleet 1.0, which runs it in m3's systemd, and back. */

import assert from "node:assert/strict";
import type { UnitEntity, UnitStateEntity } from "../../../daemon/api/v1/types.ts";
import { optionsOf } from "../../lab/fleet_cluster.ts";
import { OldFleet } from "../../support/fleet1/old_fleet.ts";
import { type Case, Home, type Stage } from "./home.ts";

const unit = "moved.service";
const started = "/run/moved-started";
/** A process that takes a second to stop, and that notes when it begins. */
const script = `date +%s%N >${started}; trap "sleep 1; exit 0" TERM; while :; do sleep 0.1; done`;
const file = `[Service]\nKillMode=mixed\nExecStart=/bin/sh -c '${script.replaceAll("%", "%%")}'\n`;

/** Returns the machines on which the unit has processes. */
async function runningOn({ cluster }: Stage): Promise<string[]> {
  const states = await Promise.all(cluster.lab.machines.map(async (machine) => {
    return [machine.name, (await machine.run(["systemctl", "is-active", unit])).stdout.trim()] as const;
  }));
  return states.filter(([, state]) => !["inactive", "failed"].includes(state)).map(([name]) => name);
}

/** Returns an old cluster with one machine, whose copy of the unit is called `old-moved.service` in m3's systemd. */
async function oldFleet(stage: Stage): Promise<OldFleet> {
  const { m3 } = stage;
  const machineID = "0d".repeat(16);
  const state = { name: unit, machineID, systemdActiveState: "active", systemdLoadState: "loaded" };
  const units: UnitEntity[] = [
    { name: unit, machineID, desiredState: "launched", currentState: "launched", options: optionsOf(file) },
  ];
  const states: UnitStateEntity[] = [{ ...state, systemdSubState: "running", hash: "0".repeat(40) }];
  const old = new OldFleet({ all: { units, states, machines: [{ id: machineID, primaryIP: "10.0.0.13" }] } });
  const start = () => m3.must(["systemd-run", "--unit=old-moved", "--property=KillMode=mixed", "sh", "-c", script]);
  old.stop = async () => void await m3.must(["systemctl", "stop", "old-moved"]);
  old.start = async () => {
    assert.deepEqual(await runningOn(stage), [], "the unit has stopped here before it starts there");
    await start();
  };
  await start();
  return old;
}

/** The cases of this file. */
export const importCases: readonly Case[] = [{
  name: "import moves a unit from an old cluster and back, and it never runs in both",
  async run(stage) {
    const { cluster, m1, m3 } = stage;
    const home = await Home.with(stage, ["key", "hosts"]);
    const old = await oldFleet(stage);
    const stop = old.stop;
    let stopped_ns = 0n;
    old.stop = async (name, machine) => {
      const second = await run("--start", "--yes");
      assert.equal(second.code, 1);
      assert.match(
        second.stderr,
        /^another fleetctl import is running with \S+record\.json: wait until it has ended\n$/,
      );
      await stop(name, machine);
      stopped_ns = BigInt((await m3.must(["date", "+%s%N"])).trim());
    };
    const servers = [m1, m3].map(({ root }) => {
      return Deno.serve({ path: `${root}/run/old-fleet.sock`, onListen: () => {} }, (request) => old.handle(request));
    });
    const from = "--from=unix:///run/old-fleet.sock";
    const record = `--record=${home.path}/record.json`;
    const run = (...words: string[]) => home.fleetctl(["import", from, record, ...words, unit]);
    try {
      const imported = await run("--yes");
      assert.deepEqual([imported.code, imported.stderr], [0, ""]);
      assert.deepEqual(await runningOn(stage), []);
      const moved = await run("--start", "--yes");
      assert.deepEqual([moved.code, moved.stderr], [0, ""], moved.stdout);
      assert.match(moved.stdout, /^Unit moved\.service started on 0\d0\d.* here$/m);
      const [machine] = (await cluster.active(m1, [unit])).values();
      const started_ns = BigInt((await cluster.byId(machine!).must(["cat", started])).trim());
      assert.ok(stopped_ns > 0n && started_ns > stopped_ns, `stopped at ${stopped_ns}, started at ${started_ns}`);
      assert.equal(old.units.get(unit)!.desiredState, "inactive");
      const back = await run("--from=ssh://root@10.77.0.13/run/old-fleet.sock", "--back", "--yes");
      assert.deepEqual([back.code, back.stderr], [0, ""], back.stdout);
      await old.idle();
      assert.equal((await m3.must(["systemctl", "is-active", "old-moved"])).trim(), "active");
      assert.deepEqual(await runningOn(stage), []);
    } finally {
      await Promise.all(servers.map((server) => server.shutdown()));
      await m3.run(["systemctl", "stop", "old-moved"]);
    }
    const { code, stderr } = await home.fleetctl(["destroy", unit]);
    assert.equal(code, 0, stderr);
  },
}, {
  name: "import that loses the old cluster prints commands that start the unit, and goes on when it is back",
  async run(stage) {
    const { m1, m3 } = stage;
    const home = await Home.with(stage, []);
    const old = await oldFleet(stage);
    const serve = (signal?: AbortSignal) => {
      const path = `${m1.root}/run/old-fleet.sock`;
      return Deno.serve({ path, onListen: () => {}, ...signal && { signal } }, (request) => old.handle(request));
    };
    const loss = new AbortController();
    const stop = old.stop;
    old.stop = async (name, machine) => {
      loss.abort();
      await stop(name, machine);
    };
    const lost = serve(loss.signal);
    const run = (...words: string[]) => {
      return home.fleetctl([
        "import",
        "--from=unix:///run/old-fleet.sock",
        `--record=${home.path}/record.json`,
        ...words,
      ]);
    };
    const imported = await run("--yes", unit);
    assert.deepEqual([imported.code, imported.stderr], [0, ""]);
    const broken = await run("--start", "--yes", "--timeout=5", unit);
    await Promise.all([lost.finished, old.idle()]);
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /^Unit moved\.service may run nowhere: /m);
    const [, goOn] = /^To go on when the old cluster answers again: (.*)$/m.exec(broken.stderr) ?? [];
    const [, start] = /^ {2}ssh core@10\.0\.0\.13 sudo systemctl stop moved\.service && (.*)$/m.exec(broken.stderr) ??
      [];
    assert.ok(goOn && start, broken.stderr);
    assert.deepEqual(await runningOn(stage), []);
    const started = await home.run(["sh", "-c", start]);
    assert.equal(started.code, 0, started.stderr);
    assert.equal((await runningOn(stage)).length, 1);
    const server = serve();
    try {
      const again = await home.run(["sh", "-c", `${goOn} --yes`]);
      assert.deepEqual([again.code, again.stderr], [0, ""], again.stdout);
      assert.equal(old.units.get(unit)!.desiredState, "inactive");
      assert.equal((await runningOn(stage)).length, 1);
    } finally {
      await server.shutdown();
      await m3.run(["systemctl", "stop", "old-moved"]);
    }
    const { code, stderr } = await home.fleetctl(["destroy", unit]);
    assert.equal(code, 0, stderr);
  },
}];
