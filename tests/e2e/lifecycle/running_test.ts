/** Agents and systemd on real machines: every type of unit, restarts, new versions, and units that fail. */

import assert from "node:assert/strict";
import type { ExplanationEntity, MachineExplanationEntity } from "../../../daemon/api/v1/types.ts";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";

type Files = Readonly<Record<string, readonly [state: "loaded" | "launched", text: string]>>;

async function put(cluster: FleetCluster, files: Files): Promise<void> {
  const home = cluster.machine("m1");
  await Promise.all(Object.entries(files).map(([name, [state, text]]) => cluster.put(home, name, state, text)));
}

async function destroy(cluster: FleetCluster, names: Iterable<string>): Promise<void> {
  const home = cluster.machine("m1"), all = [...names];
  await Promise.all(all.map((name) => cluster.destroy(home, name)));
  await cluster.statesWhere(home, "the units to be gone", (states) => !states.some(({ name }) => all.includes(name)));
}

/** Returns the part of each machine in a unit's explanation. */
async function machinesOf(cluster: FleetCluster, unit: string): Promise<readonly MachineExplanationEntity[]> {
  const response = await cluster.request(cluster.machine("m1"), "GET", `/units/${unit}/explain`);
  return (await response.json() as ExplanationEntity).machines ?? [];
}

/** Waits until a unit has a state on exactly one machine. Returns the machine. */
async function becomes(cluster: FleetCluster, unit: string, active: string, sub?: string): Promise<Machine> {
  const states = await cluster.statesWhere(cluster.machine("m1"), `${unit} to be ${active}`, (all) => {
    const ours = all.filter(({ name }) => name === unit);
    return ours.length === 1 && ours[0]!.systemdActiveState === active &&
      (sub === undefined || ours[0]!.systemdSubState === sub);
  });
  return cluster.byId(states.find(({ name }) => name === unit)!.machineID!);
}

/** Waits until a machine reports an error of a unit. */
async function complains(cluster: FleetCluster, unit: string, reason: RegExp): Promise<void> {
  let last: unknown;
  await until(`${unit} to have a reason like ${reason}`, async () => {
    last = await machinesOf(cluster, unit);
    return (last as MachineExplanationEntity[]).some(({ error }) => reason.test(error ?? "")) ? true : undefined;
  }).catch((error) => {
    throw new Error(`${error.message}; last: ${JSON.stringify(last)}`, { cause: error });
  });
}

/** A service that records its starts and stops in a file. */
const recording = (word: string, more = "") =>
  `[Service]\nExecStartPre=/bin/sh -c 'echo start-${word} >>/root/record.%n'\nExecStart=/bin/sleep infinity\n` +
  `ExecStop=/bin/sh -c 'echo stop-${word} >>/root/record.%n'\n${more}`;

async function recordOf(machine: Machine, unit: string): Promise<string> {
  return (await machine.must(["cat", `/root/record.${unit}`])).trim().replaceAll("\n", " ");
}

async function enabled(cluster: FleetCluster): Promise<void> {
  await put(cluster, { "in.service": ["launched", `${sleeper}[Install]\nWantedBy=multi-user.target\n`] });
  const machine = await becomes(cluster, "in.service", "active");
  // Without such a section a unit is only linked.
  await put(cluster, { "not-in.service": ["loaded", sleeper] });
  const beside = await becomes(cluster, "not-in.service", "inactive");
  assert.equal((await beside.run(["systemctl", "is-enabled", "not-in.service"])).stdout.trim(), "linked-runtime");
  const link = ["test", "-L", "/run/systemd/system/multi-user.target.wants/in.service"];
  assert.equal((await machine.run(link)).code, 0, "multi-user.target wants the unit");
  assert.equal((await machine.run(["systemctl", "is-enabled", "in.service"])).stdout.trim(), "enabled-runtime");
  await destroy(cluster, ["in.service", "not-in.service"]);
  assert.notEqual((await machine.run(link)).code, 0, "multi-user.target no longer wants the unit");
}

/** Units that start services which are only loaded. */
async function starters(cluster: FleetCluster): Promise<void> {
  const loaded = (with_unit: string): readonly ["loaded", string] => [
    "loaded",
    `[Unit]\nDescription=started by another\n[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nMachineOf=${with_unit}\n`,
  ];
  const files: Files = {
    "by-timer.timer": ["launched", "[Timer]\nOnActiveSec=100ms\nAccuracySec=1ms\n"],
    "by-timer.service": loaded("by-timer.timer"),
    "by-socket.socket": ["launched", "[Socket]\nListenStream=127.0.0.1:7777\n"],
    "by-socket.service": loaded("by-socket.socket"),
    "by-path.path": ["launched", "[Path]\nPathExists=/root/go\n"],
    "by-path.service": loaded("by-path.path"),
    "by-target.target": ["loaded", "[Unit]\nWants=by-target.service\nAfter=by-target.service\n"],
    "by-target.service": loaded("by-target.target"),
  };
  await put(cluster, files);
  await becomes(cluster, "by-timer.service", "active");
  const listener = await becomes(cluster, "by-socket.socket", "active", "listening");
  await becomes(cluster, "by-socket.service", "inactive");
  await listener.must(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/7777"]);
  assert.equal(await becomes(cluster, "by-socket.service", "active"), listener);
  const watcher = await becomes(cluster, "by-path.path", "active", "waiting");
  await becomes(cluster, "by-path.service", "inactive");
  await watcher.writeFile("/root/go", "");
  assert.equal(await becomes(cluster, "by-path.service", "active"), watcher);
  await becomes(cluster, "by-target.service", "inactive");
  await cluster.put(cluster.machine("m1"), "by-target.target", "launched");
  await becomes(cluster, "by-target.target", "active");
  await becomes(cluster, "by-target.service", "active");
  await destroy(cluster, Object.keys(files));
}

/** All units are placed before the daemon's first round; it starts them in systemd's order. */
async function allAtOnce(cluster: FleetCluster): Promise<void> {
  const leader = await cluster.leader();
  const machine = cluster.lab.machines.find((each) => each !== leader)!;
  const there = `[X-Fleet]\nMachineID=${machine.id}\n`;
  const ready = "/bin/sh -c 'sleep 0.5; echo ready >>/root/record.after.service'";
  const units: Readonly<Record<string, string>> = {
    "both.service": `${sleeper}${there}`,
    "both.socket": `[Socket]\nListenStream=127.0.0.1:7778\n${there}`,
    "after.service": `[Unit]\nAfter=zlast.service\n${recording("after", there)}`,
    "zlast.service": `[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=${ready}\n${there}`,
  };
  await machine.must(["systemctl", "kill", "--signal=SIGSTOP", "fleet.service"]);
  for (const [name, text] of Object.entries(units)) await cluster.put(leader, name, "launched", text);
  await until("all to be placed", async () => {
    const placed = (await cluster.units(leader)).filter((unit) => unit.machineID === machine.id);
    return placed.length === Object.keys(units).length ? true : undefined;
  });
  await machine.must(["systemctl", "kill", "--signal=SIGKILL", "fleet.service"]);
  await until("its daemon to be back", () => cluster.units(cluster.machine("m1")));
  for (const name of Object.keys(units)) await becomes(cluster, name, "active");
  assert.equal(await recordOf(machine, "after.service"), "ready start-after");
  await destroy(cluster, Object.keys(units));
}

/** A socket without its service cannot be started; with the service it is started, before the service. */
async function socketFirst(cluster: FleetCluster): Promise<void> {
  await put(cluster, { "s.socket": ["launched", "[Socket]\nListenStream=127.0.0.1:7779\n"] });
  await complains(cluster, "s.socket", /start job ended with "failed"/);
  await put(cluster, { "s.service": ["launched", `${sleeper}[X-Fleet]\nMachineOf=s.socket\n`] });
  await becomes(cluster, "s.socket", "active");
  await becomes(cluster, "s.service", "active");
  await destroy(cluster, ["s.socket", "s.service"]);
}

/** Units of every accepted type run, or have a reason why they cannot. */
async function everyType(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  const beside = "[X-Fleet]\nMachineOf=a2.service\n";
  const files: Files = {
    "a.service": ["launched", `${sleeper}${beside}`],
    "a.socket": ["launched", `[Socket]\nListenFIFO=/run/a.fifo\nService=a2.service\n${beside}`],
    "a2.service": ["loaded", sleeper],
    "a.timer": ["launched", `[Timer]\nOnActiveSec=1h\nUnit=a.service\n${beside}`],
    "a.path": ["launched", `[Path]\nPathExists=/nowhere\nUnit=a.service\n${beside}`],
    "a.target": ["launched", "[Unit]\nDescription=a target\n"],
    "a.slice": ["launched", "[Slice]\nMemoryHigh=100M\n"],
    "mnt-a.mount": ["launched", "[Mount]\nWhat=tmpfs\nWhere=/mnt/a\nType=tmpfs\n"],
  };
  await put(cluster, files);
  for (const name of Object.keys(files)) {
    if (name === "a2.service") await becomes(cluster, name, "inactive");
    else await becomes(cluster, name, "active");
  }
  const mounted = await becomes(cluster, "mnt-a.mount", "active", "mounted");
  assert.equal((await mounted.run(["mountpoint", "-q", "/mnt/a"])).code, 0);
  await destroy(cluster, Object.keys(files));
  assert.notEqual((await mounted.run(["mountpoint", "-q", "/mnt/a"])).code, 0, "it is unmounted");

  // These cannot run here: there is no such device, no swap space, and no automounter in a container.
  await put(cluster, {
    "dev-nothing.device": ["launched", "[Unit]\nJobRunningTimeoutSec=500ms\n"],
    "nothing.swap": ["launched", "[Swap]\nWhat=/nothing\n"],
    "mnt-auto.automount": ["launched", "[Automount]\nWhere=/mnt/auto\n"],
    "mnt-other.mount": ["launched", "[Mount]\nWhat=tmpfs\nWhere=/mnt/elsewhere\nType=tmpfs\n"],
  });
  await complains(cluster, "dev-nothing.device", /unsupported|timeout/);
  await complains(cluster, "nothing.swap", /./);
  await complains(cluster, "mnt-auto.automount", /./);
  await complains(cluster, "mnt-other.mount", /bad unit file setting/);
  await destroy(cluster, ["dev-nothing.device", "nothing.swap", "mnt-auto.automount", "mnt-other.mount"]);
  for (const name of ["a.scope", "a.snapshot", "a.busname"]) {
    const options = [{ section: "Unit", name: "Description", value: "never" }];
    const refused = await cluster.request(home, "PUT", `/units/${name}`, { desiredState: "launched", options });
    assert.equal(refused.status, 400);
    assert.match(await refused.text(), /cannot be run/);
  }
}

/** Names at the limits of their length, and names with a special meaning for systemd. */
async function oddNames(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  const long = "l".repeat(247);
  const prefix = "p".repeat(199);
  const names = [
    `${long}.service`,
    `${prefix}@${"i".repeat(40)}1.service`,
    `${prefix}@${"i".repeat(40)}2.service`,
    "a..b.service",
    "dash\\x2ddash@x@y.z.service",
    "-.service",
  ];
  await put(cluster, Object.fromEntries(names.map((name) => [name, ["launched", sleeper] as const])));
  for (const name of names) await becomes(cluster, name, "active", "running");
  for (const name of [`${long}l.service`, ".hidden.service", "-.slice"]) {
    const options = [{ section: "Service", name: "ExecStart", value: "/bin/sleep infinity" }];
    const refused = await cluster.request(home, "PUT", `/units/${name}`, { desiredState: "launched", options });
    assert.equal(refused.status, 400, name);
    assert.match(await refused.text(), /cannot be run: systemd /);
  }
  // A slice's name is a path of slices: this one has a nameless part.
  await put(cluster, { "a--b.slice": ["launched", "[Slice]\nMemoryHigh=100M\n"] });
  await complains(cluster, "a--b.slice", /./);
  await destroy(cluster, [...names, "a--b.slice"]);
}

/** A failed unit does not affect others. */
async function failures(cluster: FleetCluster): Promise<void> {
  await put(cluster, {
    "bad-path.service": ["launched", "[Service]\nExecStart=not/absolute\n"],
    "bad-program.service": ["launched", "[Service]\nExecStart=/nowhere\n"],
    "bad-exit.service": ["launched", "[Service]\nType=oneshot\nExecStart=/bin/false\n"],
    "bad-file.service": ["launched", "[Nonsense]\nThis=that\n"],
    "bad-install.service": ["launched", `${sleeper}[Install]\nDescription=nowhere\n`],
    "bad-need.service": ["launched", `[Unit]\nRequires=bad-exit.service\nAfter=bad-exit.service\n${sleeper}`],
    "manual.service": ["launched", `[Unit]\nRefuseManualStart=yes\n${sleeper}`],
    "good.service": ["launched", sleeper],
  });
  await becomes(cluster, "good.service", "active");
  await complains(cluster, "bad-path.service", /bad unit file setting/);
  await complains(cluster, "bad-file.service", /bad unit file setting/);
  await complains(cluster, "bad-install.service", /Install/);
  await complains(cluster, "manual.service", /manual\.service.*refused|refused.*manual\.service/i);
  await complains(cluster, "bad-exit.service", /failed/);
  await becomes(cluster, "bad-exit.service", "failed");
  await becomes(cluster, "bad-program.service", "failed");
  const [program] = await machinesOf(cluster, "bad-program.service").then((all) => all.filter(({ state }) => state));
  assert.equal(program?.result, "exit-code");
  // A better file is tried at once, however long the pause before the next attempt is.
  await cluster.put(cluster.machine("m1"), "bad-path.service", "launched", sleeper);
  await becomes(cluster, "bad-path.service", "active");
  const [healed] = await machinesOf(cluster, "bad-path.service").then((all) => all.filter(({ state }) => state));
  assert.equal(healed?.error, undefined);
  await destroy(cluster, [
    ...["bad-path.service", "bad-program.service", "bad-exit.service", "bad-file.service", "bad-install.service"],
    ...["bad-need.service", "manual.service", "good.service"],
  ]);
}

/** A busy mount stays with an error, and is unmounted when it is free. */
async function busy(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  await put(cluster, { "mnt-busy.mount": ["launched", "[Mount]\nWhat=tmpfs\nWhere=/mnt/busy\nType=tmpfs\n"] });
  const machine = await becomes(cluster, "mnt-busy.mount", "active", "mounted");
  const hold = "exec 3>/mnt/busy/held && exec sleep infinity";
  await machine.must(["systemd-run", "--unit=holder", "/bin/sh", "-c", hold]);
  await until(
    "the mount to be busy",
    async () => (await machine.run(["test", "-e", "/mnt/busy/held"])).code === 0 || undefined,
  );
  await cluster.put(home, "mnt-busy.mount", "loaded");
  await complains(cluster, "mnt-busy.mount", /it is active \(mounted\) after a stop job that ended with "failed"/);
  await machine.must(["systemctl", "stop", "holder.service"]);
  // systemd remembers that the first unmounting failed.
  await becomes(cluster, "mnt-busy.mount", "failed");
  assert.notEqual((await machine.run(["mountpoint", "-q", "/mnt/busy"])).code, 0, "it is unmounted");
  await destroy(cluster, ["mnt-busy.mount"]);
}

async function newVersion(cluster: FleetCluster): Promise<void> {
  await put(cluster, { "v.service": ["launched", recording("one")] });
  const machine = await becomes(cluster, "v.service", "active");
  await put(cluster, { "v.service": ["launched", recording("two")] });
  await until("the new version to run", async () => {
    return (await recordOf(machine, "v.service")).endsWith("start-two") ? true : undefined;
  });
  assert.equal(await recordOf(machine, "v.service"), "start-one stop-one start-two");
  assert.equal(await becomes(cluster, "v.service", "active"), machine);
  await destroy(cluster, ["v.service"]);
  assert.equal(await recordOf(machine, "v.service"), "start-one stop-one start-two stop-two");
}

async function restart(cluster: FleetCluster, unit: string): Promise<void> {
  const response = await cluster.request(cluster.machine("m1"), "POST", `/units/${unit}/restart`);
  assert.equal(response.status, 204, await response.text());
}

/** Waits until every machine that has the unit has carried out its latest restart. */
async function restarted(cluster: FleetCluster, unit: string): Promise<void> {
  await until(`${unit} to be restarted`, async () => {
    const machines = (await machinesOf(cluster, unit)).filter(({ eligibility }) => eligibility === "assigned");
    const done = machines.every(({ pending, state }) =>
      pending === undefined && state?.systemdActiveState === "active"
    );
    return machines.length > 0 && done ? true : undefined;
  });
}

async function restartsOnce(cluster: FleetCluster): Promise<void> {
  await put(cluster, {
    "r.service": ["launched", recording("r")],
    "bystander.service": ["launched", sleeper],
    "g.service": ["launched", recording("g", "[X-Fleet]\nGlobal=true\n")],
  });
  const machine = await becomes(cluster, "r.service", "active");
  const beside = await becomes(cluster, "bystander.service", "active");
  const pid = await cluster.pid(beside, "bystander.service");
  await restart(cluster, "r.service");
  await restarted(cluster, "r.service");
  assert.equal(await recordOf(machine, "r.service"), "start-r stop-r start-r");
  await restart(cluster, "g.service");
  await restarted(cluster, "g.service");
  for (const each of cluster.lab.machines) {
    assert.equal(await recordOf(each, "g.service"), "start-g stop-g start-g", each.name);
  }
  assert.equal(await cluster.pid(beside, "bystander.service"), pid);
  await destroy(cluster, ["r.service", "g.service", "bystander.service"]);
}

/** Kills the daemon while systemd restarts the unit. */
async function restartSurvives(cluster: FleetCluster): Promise<void> {
  const slow = recording("k", "ExecStop=/bin/sleep 1\n");
  await put(cluster, { "k.service": ["launched", slow] });
  const machine = await becomes(cluster, "k.service", "active");
  await restart(cluster, "k.service");
  await until("the restart to be in progress", async () => {
    const { stdout } = await machine.run(["systemctl", "is-active", "k.service"]);
    return stdout.trim() === "deactivating" ? true : undefined;
  });
  await machine.must(["systemctl", "kill", "--signal=SIGKILL", "fleet.service"]);
  await restarted(cluster, "k.service");
  assert.equal(await recordOf(machine, "k.service"), "start-k stop-k start-k");

  // A daemon that has lost its command log leaves running units alone, restarted or not.
  const pid = await cluster.pid(machine, "k.service");
  const kill = (signal: string) => `systemctl kill --signal=${signal} fleet.service`;
  await machine.must([
    "sh",
    "-c",
    `${kill("SIGSTOP")}; rm /run/fleet/intents.jsonl; gone=$?; ${kill("SIGKILL")}; exit $gone`,
  ]);
  await until("its API to answer", () => cluster.units(cluster.machine("m1")));
  // When the daemon has started a new unit, it has looked at the others too.
  await put(cluster, { "behind.service": ["launched", `${sleeper}[X-Fleet]\nMachineID=${machine.id}\n`] });
  await becomes(cluster, "behind.service", "active");
  await restarted(cluster, "k.service");
  assert.equal(await cluster.pid(machine, "k.service"), pid);
  await destroy(cluster, ["k.service", "behind.service"]);
}

/** A oneshot that has finished is not run again when the daemon is. */
async function finished(cluster: FleetCluster): Promise<void> {
  const once = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo ran >>/root/record.%n'\n";
  await put(cluster, { "once.service": ["launched", once] });
  await until("it to have run", async () => {
    const [state] = (await machinesOf(cluster, "once.service")).filter(({ state }) => state);
    return state?.currentState === "launched" && state.state?.systemdActiveState === "inactive" ? true : undefined;
  });
  const state = (await machinesOf(cluster, "once.service")).find(({ state }) => state)!;
  const machine = cluster.byId(state.machineID);
  for (const command of [["restart"], ["kill", "--signal=SIGKILL"]]) {
    const pid = await cluster.pid(machine, "fleet.service");
    await machine.must(["systemctl", ...command, "fleet.service"]);
    await until("the daemon to be back", async () => {
      const now = await cluster.pid(machine, "fleet.service");
      return now > 0 && now !== pid ? true : undefined;
    });
    await until("its API to answer", () => cluster.units(cluster.machine("m1")));
    // When the daemon has started a new unit, it has looked at the others too.
    const probe = `probe-${command[0]}.service`;
    await put(cluster, { [probe]: ["launched", `${sleeper}[X-Fleet]\nMachineID=${machine.id}\n`] });
    await becomes(cluster, probe, "active");
    assert.equal(await recordOf(machine, "once.service"), "ran", `after the daemon's ${command[0]}`);
    await destroy(cluster, [probe]);
  }
  await destroy(cluster, ["once.service"]);
}

/** A unit of the administrator with the same name is neither reported nor stopped, and no link of fleet is left beside it. */
async function namesOfOthers(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  const here = `[X-Fleet]\nMachineID=${m1.id}\n`;
  await m1.writeFile("/etc/systemd/system/shadowed.service", "[Service]\nExecStart=/bin/sleep 9999\n");
  await m1.sh("systemctl daemon-reload; systemctl start shadowed.service; systemctl mask masked.service");
  await m1.sh("ln -s /lib/systemd/system/ssh.service /etc/systemd/system/aliased.service; systemctl daemon-reload");
  const pid = await cluster.pid(m1, "shadowed.service");
  const names = ["shadowed.service", "masked.service", "aliased.service"];
  await put(cluster, Object.fromEntries(names.map((name) => [name, ["launched", `${sleeper}${here}`]])));
  await put(cluster, { "claims.service": ["launched", `${sleeper}[Install]\nAlias=ssh.service\n${here}`] });
  await complains(cluster, "claims.service", /its Alias=ssh\.service is refused: .*lib\/systemd\/system\/ssh\.service/);
  await complains(cluster, "shadowed.service", /systemd uses \/etc\/systemd\/system\/shadowed\.service/);
  await complains(cluster, "masked.service", /masked on this machine: systemctl unmask masked\.service/);
  await complains(cluster, "aliased.service", /aliased\.service/);
  const sshFile = await m1.sh("systemctl show --value -p FragmentPath ssh.service");
  assert.match(sshFile, /^\/(usr\/)?lib\/systemd\/system\/ssh\.service/, "the distribution's unit was replaced");
  await destroy(cluster, [...names, "claims.service"]);
  assert.equal(await cluster.pid(m1, "shadowed.service"), pid, "the administrator's unit was touched");
  for (const name of names) {
    assert.equal((await m1.run(["test", "-L", `/run/systemd/system/${name}`])).code, 1, `${name} has left a link`);
  }
  await m1.sh(
    `systemctl stop shadowed.service; cd /etc/systemd/system; rm ${names.join(" ")}; systemctl daemon-reload`,
  );
}

/** A unit that systemd will never start has systemd's reason. */
async function neverStarted(cluster: FleetCluster): Promise<void> {
  const files: Files = {
    "typo.service": ["launched", "[Service]\nExecStrat=/bin/sleep infinity\n"],
    "empty.service": ["loaded", "[Unit]\nDescription=Lacks a [Service] section\n"],
    "by-dependency.service": ["launched", `[Unit]\nRefuseManualStart=yes\n${sleeper}`],
    "echo.socket": ["launched", "[Socket]\nListenStream=127.0.0.1:7272\nAccept=yes\n"],
  };
  await put(cluster, files);
  await complains(cluster, "typo.service", /line 2: Unknown key.*ExecStrat.*Service has no ExecStart=/);
  await complains(cluster, "empty.service", /Service has no ExecStart=/);
  await complains(cluster, "by-dependency.service", /refuse manual start/);
  await complains(cluster, "echo.socket", /echo@\.service/);
  // The advice in the error helps.
  for (const each of cluster.lab.machines) {
    const template = "[Service]\nStandardInput=socket\nExecStart=/bin/cat\n";
    await each.writeFile("/etc/systemd/system/echo@.service", template);
  }
  const listens = await becomes(cluster, "echo.socket", "active", "listening");
  const echo = "exec 3<>/dev/tcp/127.0.0.1/7272 && echo hello >&3 && head -n1 <&3";
  assert.equal((await listens.run(["bash", "-c", echo])).stdout, "hello\n");
  await destroy(cluster, Object.keys(files));
  for (const each of cluster.lab.machines) {
    await each.sh("rm /etc/systemd/system/echo@.service; systemctl daemon-reload");
  }
}

/** Lost links are made again, and a unit that refuses to be stopped can be removed once it has ended. */
async function mended(cluster: FleetCluster): Promise<void> {
  await put(cluster, { "lost.service": ["launched", sleeper] });
  const machine = await becomes(cluster, "lost.service", "active");
  await machine.sh("systemctl disable --runtime lost.service; systemctl daemon-reload");
  const response = await cluster.request(cluster.machine("m1"), "POST", "/units/lost.service/restart");
  assert.equal(response.status, 204);
  await restarted(cluster, "lost.service");
  await machine.must(["test", "-L", "/run/systemd/system/lost.service"]);
  const refuses = `[Unit]\nRefuseManualStop=yes\n${sleeper}`;
  await put(cluster, { "refuses.service": ["launched", refuses] });
  const other = await becomes(cluster, "refuses.service", "active");
  await cluster.destroy(cluster.machine("m1"), "refuses.service");
  await until("the daemon to say why the unit stays", async () => {
    return /refuses\.service.*refuse manual start\/stop/.test(await other.journal("fleet.service")) || undefined;
  });
  await other.must(["systemctl", "kill", "--signal=SIGKILL", "refuses.service"]);
  await destroy(cluster, ["lost.service"]);
  await cluster.statesWhere(cluster.machine("m1"), "the dead unit to be removed", (states) => states.length === 0);
}

Deno.test("agents and systemd", async (t) => {
  await withFleet({ machines: 2 }, async (cluster) => {
    await t.step("a unit with [Install] is enabled", () => enabled(cluster));
    await t.step("timers, sockets, paths and targets start loaded services", () => starters(cluster));
    await t.step("units that refer to each other start in systemd's order", () => allAtOnce(cluster));
    await t.step("a socket may come before its service", () => socketFirst(cluster));
    await t.step("units of every type run, or have the reason why not", () => everyType(cluster));
    await t.step("names at the limits of their length are usable", () => oddNames(cluster));
    await t.step("a unit that fails has the reason and delays no other", () => failures(cluster));
    await t.step("a busy mount is stopped when it is free", () => busy(cluster));
    await t.step("a new version: stop, replace, start", () => newVersion(cluster));
    await t.step("a restart is done once, where the unit is", () => restartsOnce(cluster));
    await t.step("a restart survives a killed daemon", () => restartSurvives(cluster));
    await t.step("a finished unit is not run again", () => finished(cluster));
    await t.step("a unit with the name of one that the machine has is refused", () => namesOfOthers(cluster));
    await t.step("units that systemd will never start have the reason", () => neverStarted(cluster));
    await t.step("lost links are made again, and an ended unit that refuses stops is removed", () => mended(cluster));
    for (const machine of cluster.lab.machines) {
      assert.equal((await machine.run(["ls", "/run/fleet/units"])).stdout, "", `${machine.name} is left clean`);
    }
  });
});
