/** Each option of [X-Fleet] on real machines: where units go, and that those it does not concern stay untouched. */

import assert from "node:assert/strict";
import type { ExplanationEntity, PlanEntity, PlannedUnitEntity } from "../../../daemon/api/v1/types.ts";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { fleetctl } from "../../lab/fleet.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";
import { capacity, failureMoves } from "./capacity_cases.ts";
import { attachedFiles, movedFiles, restoredFiles, secretAndRefusedFiles } from "./attached_files_cases.ts";

/** A unit file that runs for ever, with lines of [X-Fleet]. */
const wanting = (...lines: readonly string[]) => `${sleeper}[X-Fleet]\n${lines.join("\n")}\n`;

async function launch(cluster: FleetCluster, units: Readonly<Record<string, string>>): Promise<Map<string, Machine>> {
  const home = cluster.machine("m1");
  for (const [name, text] of Object.entries(units)) await cluster.put(home, name, "launched", text);
  return await homes(cluster, Object.keys(units));
}

/** Waits until units are active, each on one machine alone; returns which. */
async function homes(cluster: FleetCluster, names: readonly string[]): Promise<Map<string, Machine>> {
  const where = await cluster.active(cluster.machine("m1"), names);
  return new Map(names.map((name) => [name, cluster.byId(where.get(name)!)]));
}

/** Waits until a unit is active on exactly these machines. */
async function runsOn(cluster: FleetCluster, unit: string, machines: readonly Machine[]): Promise<void> {
  const wanted = machines.map((machine) => machine.id).sort().join();
  await cluster.statesWhere(cluster.machine("m1"), `${unit} on ${machines.map(({ name }) => name)}`, (all) => {
    const there = all.filter(({ name }) => name === unit);
    return there.map(({ machineID }) => machineID!).sort().join() === wanted &&
      there.every((state) => state.systemdActiveState === "active");
  });
}

async function destroy(cluster: FleetCluster, ...names: readonly string[]): Promise<void> {
  const home = cluster.machine("m1");
  await Promise.all(names.map((name) => cluster.destroy(home, name)));
  await cluster.statesWhere(home, "the units to be gone", (all) => !all.some(({ name }) => names.includes(name)));
}

/** Sets, or with "" hides, metadata of a machine. */
async function label(cluster: FleetCluster, machine: Machine, key: string, value: string): Promise<void> {
  const path = `/${machine.id}/metadata/${key}`;
  const patch = value === "" ? { op: "remove", path } : { op: "add", path, value };
  const response = await cluster.request(cluster.machine("m1"), "PATCH", "/machines", [patch]);
  assert.equal(response.status, 204, await response.text());
}

/** Waits until a unit has no machine, with a reason of this rule on every machine. */
async function waits(cluster: FleetCluster, unit: string, rule: string): Promise<void> {
  const home = cluster.machine("m1");
  await until(`${unit} to wait because of ${rule}`, async () => {
    const response = await cluster.request(home, "GET", `/units/${unit}/explain`);
    const { outcome, machines } = await response.json() as ExplanationEntity;
    const everywhere = machines?.every(({ reasons }) => reasons?.some((reason) => reason.rule === rule));
    return outcome === "waiting" && everywhere ? true : undefined;
  });
}

async function machineId(cluster: FleetCluster): Promise<void> {
  const [m2, m3] = [cluster.machine("m2"), cluster.machine("m3")];
  const where = await launch(cluster, {
    "full.service": wanting(`MachineID=${m2.id}`),
    "short.service": wanting(`MachineID=${m3.id.slice(0, 8)}`),
  });
  assert.equal(where.get("full.service"), m2);
  assert.equal(where.get("short.service"), m3);
  await cluster.put(m2, "nowhere.service", "launched", wanting("MachineID=ffffffff"));
  await waits(cluster, "nowhere.service", "MachineID");
  await destroy(cluster, "full.service", "short.service", "nowhere.service");
}

async function machineMetadata(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  const template = wanting("MachineMetadata=region=%i", "MachineMetadata=role=web");
  await home.writeFile("/root/at@.service", template);
  await cluster.fleetctl(home, "submit", "/root/at@.service");
  await cluster.fleetctl(home, "start", "at@us.service", "at@eu.service");
  const where = await homes(cluster, ["at@us.service", "at@eu.service"]);
  // m1 and m3 are in the US, m2 is in Europe; all but m4 serve the web.
  const us = where.get("at@us.service")!;
  assert.ok(us.name === "m1" || us.name === "m3", us.name);
  assert.equal(where.get("at@eu.service")?.name, "m2");
  const pid = await cluster.pid(cluster.machine("m2"), "at@eu.service");

  // Metadata that is set on a running machine counts as that of its configuration.
  const other = cluster.machine(us.name === "m1" ? "m3" : "m1");
  await label(cluster, us, "region", "ap");
  await runsOn(cluster, "at@us.service", [other]);
  await label(cluster, other, "role", "");
  await waits(cluster, "at@us.service", "MachineMetadata");
  await cluster.statesWhere(home, "no machine to run it", (all) => !all.some(({ name }) => name === "at@us.service"));
  await label(cluster, other, "role", "web");
  await runsOn(cluster, "at@us.service", [other]);
  await label(cluster, us, "region", "us");
  assert.equal(await cluster.pid(cluster.machine("m2"), "at@eu.service"), pid, "another instance is not touched");

  // Either will do.
  const either = await launch(cluster, { "or.service": wanting('MachineMetadata="region=ap" "region=eu"') });
  assert.equal(either.get("or.service")?.name, "m2");
  await destroy(cluster, "at@us.service", "at@eu.service", "at@.service", "or.service");
}

async function machineOf(cluster: FleetCluster): Promise<void> {
  const [m2, m3] = [cluster.machine("m2"), cluster.machine("m3")];
  await label(cluster, m2, "host", "yes");
  const names = ["lead.service", "next.service", "last.service", "left.service", "right.service"];
  const where = await launch(cluster, {
    // Units with MachineOf= wait for a unit that does not exist yet.
    "last.service": wanting("MachineOf=next.service"),
    "next.service": wanting("MachineOf=lead.service"),
    "lead.service": wanting("MachineMetadata=host=yes"),
    "left.service": wanting("MachineOf=right.service", "MachineOf=lead.service"),
    "right.service": wanting("MachineOf=left.service"),
  });
  for (const name of names) assert.equal(where.get(name), m2, name);
  await label(cluster, m3, "host", "yes");
  await label(cluster, m2, "host", "");
  for (const name of names) await runsOn(cluster, name, [m3]);
  await destroy(cluster, "lead.service");
  for (const name of names.slice(1)) await waits(cluster, name, "MachineOf");
  await destroy(cluster, ...names.slice(1));
  await label(cluster, m3, "host", "");
}

async function conflicts(cluster: FleetCluster): Promise<void> {
  const apart = wanting("Conflicts=c@*.service");
  const instances = ["c@1.service", "c@2.service", "c@3.service"];
  const where = await launch(cluster, Object.fromEntries(instances.map((name) => [name, apart])));
  assert.equal(new Set(where.values()).size, 3, "each is on another machine");
  // This unit names no conflict; the others name it.
  await cluster.put(cluster.machine("m1"), "c@4.service", "launched", sleeper);
  await waits(cluster, "c@4.service", "Conflicts");
  const free = where.get("c@2.service")!;
  await destroy(cluster, "c@2.service");
  await runsOn(cluster, "c@4.service", [free]);
  await destroy(cluster, "c@1.service", "c@3.service", "c@4.service");
}

async function replaces(cluster: FleetCluster): Promise<void> {
  const victim = (await launch(cluster, { "old.service": sleeper })).get("old.service")!;
  await label(cluster, victim, "chosen", "yes");
  const replacer = wanting("Replaces=old.service", "MachineMetadata=chosen=yes");
  assert.equal((await launch(cluster, { "new.service": replacer })).get("new.service"), victim);
  const pid = await cluster.pid(victim, "new.service");
  await until("the replaced unit to have moved", async () => {
    const where = await homes(cluster, ["old.service", "new.service"]);
    return where.get("old.service") !== victim && where.get("new.service") === victim ? true : undefined;
  });
  assert.equal(await cluster.pid(victim, "new.service"), pid, "the replacing unit is not restarted");
  await destroy(cluster, "old.service", "new.service");

  // Without another machine for the replaced unit, both units stay.
  await launch(cluster, { "old.service": wanting("MachineMetadata=chosen=yes") });
  const before = await cluster.pid(victim, "old.service");
  await launch(cluster, { "new.service": replacer });
  // When this later unit runs, the engine has considered the replacing unit too.
  await launch(cluster, { "behind.service": sleeper });
  const where = await homes(cluster, ["old.service", "new.service"]);
  assert.deepEqual([...where.values()], [victim, victim]);
  assert.equal(await cluster.pid(victim, "old.service"), before);
  await destroy(cluster, "old.service", "new.service", "behind.service");
  await label(cluster, victim, "chosen", "");
}

async function globals(cluster: FleetCluster): Promise<void> {
  const [m1, m2, m3, m4] = ["m1", "m2", "m3", "m4"].map((name) => cluster.machine(name)) as [
    Machine,
    Machine,
    Machine,
    Machine,
  ];
  await cluster.put(m1, "every.service", "launched", wanting("Global=true"));
  await cluster.put(m1, "web.service", "launched", wanting("Global=true", "MachineMetadata=role=web"));
  await cluster.put(m1, "idle.service", "loaded", wanting("Global=true", "MachineMetadata=region=eu"));
  await cluster.put(m1, "idle.service", "inactive");
  await runsOn(cluster, "every.service", [m1, m2, m3]);
  await runsOn(cluster, "web.service", [m1, m2, m3]);
  const pids = await Promise.all([m1, m2, m3].map((machine) => cluster.pid(machine, "every.service")));

  // A global unit that is launched later does not run beside a unit with which it conflicts.
  const job = (await launch(cluster, { "job.service": sleeper })).get("job.service")!;
  await cluster.put(m1, "shy.service", "launched", wanting("Global=true", "Conflicts=job.service"));
  await runsOn(cluster, "shy.service", [m1, m2, m3].filter((machine) => machine !== job));

  // A machine that joins runs every global unit that it is eligible for, until it leaves.
  await m4.boot();
  await cluster.joined([m1, m2, m3, m4]);
  await runsOn(cluster, "every.service", [m1, m2, m3, m4]);
  await runsOn(cluster, "web.service", [m1, m2, m3]);
  await label(cluster, m4, "role", "web");
  await runsOn(cluster, "web.service", [m1, m2, m3, m4]);
  await m4.powerCut();
  await cluster.joined([m1, m2, m3]);
  await runsOn(cluster, "every.service", [m1, m2, m3]);
  const now = await Promise.all([m1, m2, m3].map((machine) => cluster.pid(machine, "every.service")));
  assert.deepEqual(now, pids, "units on the other machines are not touched");

  await destroy(cluster, "job.service");
  await runsOn(cluster, "shy.service", [m1, m2, m3]);
  await destroy(cluster, "every.service", "web.service", "idle.service", "shy.service");
}

/** Makes a plan by fleetctl, whose exit status is 2 if there are changes and 0 if there are none. */
async function planned(
  cluster: FleetCluster,
  changes: boolean,
  ...args: string[]
): Promise<Map<string, PlannedUnitEntity>> {
  const { code, stdout, stderr } = await fleetctl(cluster.machine("m1"), ...args, "--output=json");
  assert.equal(code, changes ? 2 : 0, stdout + stderr);
  const { units = [] } = JSON.parse(stdout) as PlanEntity;
  return new Map(units.map((unit) => [unit.name, unit]));
}

/** Returns the effects of a plan on units by name, each as `start m1`. */
function effects(cluster: FleetCluster, plan: ReadonlyMap<string, PlannedUnitEntity>): Record<string, string[]> {
  return Object.fromEntries([...plan].flatMap(([name, { effects = [] }]) => {
    const texts = effects.map(({ effect, machineID }) => `${effect} ${cluster.byId(machineID).name}`);
    return texts.length === 0 ? [] : [[name, texts]];
  }));
}

async function plans(cluster: FleetCluster): Promise<void> {
  const [m1, m3] = [cluster.machine("m1"), cluster.machine("m3")];
  await m1.writeFile("/root/shop/web@.service", wanting("Instances=2", "Conflicts=web@*.service"));
  await m1.writeFile("/root/shop/db.service", wanting("MachineMetadata=region=eu"));
  await m1.writeFile("/root/shop/README", "The shop.\n");
  const names = ["db.service", "web@1.service", "web@2.service"];

  // The units start where the plan says.
  const first = await planned(cluster, true, "diff", "/root/shop");
  assert.deepEqual([...first.keys()], ["db.service", "web@.service", "web@1.service", "web@2.service"]);
  await cluster.fleetctl(m1, "submit", "/root/shop/web@.service");
  // One after the other, as in the plan: of units that are started at once, any may be launched first.
  for (const name of names) await cluster.fleetctl(m1, "start", `/root/shop/${name}`);
  const where = await homes(cluster, names);
  const started = Object.fromEntries(names.map((name) => [name, [`start ${where.get(name)!.name}`]]));
  assert.deepEqual(effects(cluster, first), started);
  const unchanged = await planned(cluster, true, "diff", "/root/shop");
  assert.deepEqual(
    [...new Set([...unchanged.values()].map(({ change }) => change))],
    ["adopt"],
    "no unit has an owner",
  );

  // A changed file restarts the unit, another number of instances leaves those that run.
  await m1.writeFile("/root/shop/db.service", wanting("MachineMetadata=region=eu", "Conflicts=nothing.service"));
  await m1.writeFile("/root/shop/web@.service", wanting("Instances=4", "Conflicts=web@*.service"));
  const grown = await planned(cluster, true, "diff", "/root/shop");
  const free = ["m1", "m2", "m3"].find((name) => ![1, 2].some((i) => where.get(`web@${i}.service`)!.name === name))!;
  const third = grown.get("web@3.service")!.waiting === undefined ? "web@3.service" : "web@4.service";
  assert.deepEqual(effects(cluster, grown), { "db.service": ["restart m2"], [third]: [`start ${free}`] });

  // The units of a machine that leaves move where the plan says; a conflict leaves one without a machine.
  await cluster.put(m1, "mover.service", "launched", wanting(`MachineMetadata=region=us`));
  const from = (await homes(cluster, ["mover.service"])).get("mover.service")!;
  const leaving = from === m1 ? m1 : m3;
  const left = await planned(cluster, true, "plan", "leave", leaving.id.slice(0, 8));
  const [moved] = left.get("mover.service")!.effects!;
  assert.deepEqual([moved!.effect, moved!.from], ["move", leaving.id]);
  await leaving.must(["systemctl", "stop", "fleet.socket", "fleet.service"]);
  const other = leaving === m1 ? m3 : m1;
  await cluster.statesWhere(
    other,
    "mover.service to have moved",
    (all) =>
      all.some(({ name, machineID, systemdActiveState }) =>
        name === "mover.service" && machineID === moved!.machineID && systemdActiveState === "active"
      ),
  );
  await leaving.must(["systemctl", "start", "fleet.socket", "fleet.service"]);
  await cluster.joined(["m1", "m2", "m3"].map((name) => cluster.machine(name)));
  await destroy(cluster, "mover.service", "web@.service", ...names);
}

async function versions(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  const run = (seconds: number) => `[Service]\nExecStart=/bin/sleep ${seconds}\n`;
  const command = async (machine: Machine) => {
    const show = ["systemctl", "show", "--value", "--property=ExecStart", "versioned.service"];
    return /sleep (\d+)/.exec(await machine.must(show))?.[1];
  };
  for (const seconds of [1001, 1002]) {
    await m1.writeFile("/root/versioned.service", run(seconds));
    await cluster.fleetctl(m1, "start", "--replace", "/root/versioned.service");
  }
  const machine = (await homes(cluster, ["versioned.service"])).get("versioned.service")!;
  assert.equal(await command(machine), "1002");
  const ofUsers = ["--no-legend", "--fields=version,by", "--filter=by=uid 0"];
  const { stdout } = await cluster.fleetctl(m1, "history", ...ofUsers, "versioned.service");
  assert.equal(stdout, "2\tuid 0\n1\tuid 0\n");
  assert.equal((await cluster.fleetctl(m1, "cat", "--at=1", "versioned.service")).stdout, run(1001));

  await cluster.fleetctl(m1, "rollback", "versioned.service");
  assert.equal((await homes(cluster, ["versioned.service"])).get("versioned.service"), machine, "it stays where it is");
  assert.equal(await command(machine), "1001");
  await cluster.fleetctl(m1, "rollback", "versioned.service");
  assert.equal(await command(machine), "1002", "a second rollback comes back");
  await destroy(cluster, "versioned.service");
}

Deno.test("options of [X-Fleet]", async (t) => {
  const machines = [
    { metadata: "region=us,role=web" },
    { metadata: "region=eu,role=web", conf: { resources: "gpu=1", reserved_memory: "64M" } },
    { metadata: "region=us,role=web" },
    { metadata: "region=ap", on: false },
  ];
  await withFleet({ machines, conf: { agent_ttl: "5s" } }, async (cluster) => {
    await t.step("MachineID is full or short", () => machineId(cluster));
    await t.step(
      "MachineMetadata chooses the machines of instances, also when it changes",
      () => machineMetadata(cluster),
    );
    await t.step("MachineOf places and moves a group together", () => machineOf(cluster));
    await t.step("Conflicts hold whichever unit names the other", () => conflicts(cluster));
    await t.step("Replaces moves the replaced unit if another machine takes it", () => replaces(cluster));
    await t.step("Global units follow machines that join and leave", () => globals(cluster));
    await t.step("a unit waits while others have reserved what it needs", () => capacity(cluster));
    await t.step("a unit that keeps failing on one machine moves to another one", () => failureMoves(cluster));
    await t.step("units start, restart and move where a plan says", () => plans(cluster));
    await t.step("a unit goes back to an older version, and forth", () => versions(cluster));
    await t.step("File= delivers files, and a changed file is a new version", () => attachedFiles(cluster));
    await t.step("files that were deleted or changed are restored", () => restoredFiles(cluster));
    await t.step("files move with their unit, and go with it", () => movedFiles(cluster));
    await t.step("an encrypted secret is delivered; a large file is refused", () => secretAndRefusedFiles(cluster));
  });
});
