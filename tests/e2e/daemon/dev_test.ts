/** `fleetd --dev` on a real machine without a cluster, as root and as a user. */

import assert from "node:assert/strict";
import { buildFleet } from "../../lab/fleet_cluster.ts";
import { checkFiles } from "../../lab/file_table.ts";
import { withLab } from "../../lab/lab.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";
import { startUserSystemd, userBus } from "../../lab/user_systemd.ts";

/** Starts `fleetd --dev` as a service of a machine, with its output in files. */
async function startDev(
  machine: Machine,
  properties: readonly string[] = [],
  flags: readonly string[] = [],
): Promise<void> {
  // systemd-run returns before the file is truncated: the output of an earlier daemon must not be read.
  await machine.must(["rm", "-f", "/root/output"]);
  await machine.must([
    "systemd-run",
    "--unit=dev",
    "--collect",
    "--property=StandardOutput=truncate:/root/output",
    "--property=StandardError=truncate:/root/logged",
    "--property=KillMode=mixed",
    ...properties,
    "/usr/local/bin/fleetd",
    "--dev",
    ...flags,
  ]);
}

/** Returns the commands that the greeting suggests, in their order. */
function commandsOf(output: string): string[] {
  return output.split("\n").filter((line) => line.startsWith("  ")).map((line) => line.trim());
}

async function greeting(machine: Machine): Promise<string> {
  return await until("the daemon to be ready", async () => {
    const { stdout: output } = await machine.run(["cat", "/root/output"]);
    return output.includes("/fleet/v1/units") ? output : undefined;
  });
}

async function gone(machine: Machine): Promise<void> {
  await until("the daemon to end", async () => {
    const state = await machine.must(["systemctl", "show", "--property=LoadState", "--value", "dev.service"]);
    return state.trim() === "not-found" || undefined;
  });
}

async function asRoot(machine: Machine): Promise<void> {
  const begun_ms = performance.now();
  await startDev(machine);
  const text = await greeting(machine);
  const took_ms = performance.now() - begun_ms;
  assert.ok(took_ms < 3_000, `ready after ${took_ms} ms, on a busy host`);
  const commands = commandsOf(text);
  assert.equal(commands.length, 7, text);
  const output = await machine.sh(`cd /root; ${commands.slice(0, 4).join("\n")}`);
  assert.match(output, /Unit hello\.service launched on [0-9a-f]{8}\.\.\./);
  assert.match(output, /hello\.service\t+[0-9a-f]{8}\.\.\.\S*\t+active\t+running/);
  assert.equal((await machine.must(["systemctl", "is-active", "hello.service"])).trim(), "active");
  const printed = await machine.sh(
    `${commands[0]}; ${commands[5]} >/root/page & until grep key= /root/page; do sleep 0.1; done; kill $!`,
  );
  assert.match(printed, /http:\/\/127\.0\.0\.1:\d+\/ui\/#key=/);
  assert.deepEqual(await tcpPorts(machine), [], "it opens no TCP port unless --listen names one");
  await checkFiles(machine, "root", ["/run/fleet"], ["/run/fleet/dev", "/run/fleet/dev/fleet.sock"]);
  // ^C ends the daemon and its units.
  await machine.must(["systemctl", "kill", "--kill-whom=main", "--signal=INT", "dev.service"]);
  await gone(machine);
  assert.notEqual((await machine.run(["systemctl", "is-active", "hello.service"])).code, 0);
  assert.deepEqual(await leftBehind(machine, "hello"), [], "nothing is left behind");
}

/** Returns the TCP ports on which `fleetd` listens. */
async function tcpPorts(machine: Machine): Promise<string[]> {
  const sockets = await machine.must(["ss", "--tcp", "--listening", "--numeric", "--processes", "--no-header"]);
  const pid = (await machine.must(["systemctl", "show", "--property=MainPID", "--value", "dev.service"])).trim();
  return sockets.split("\n").filter((line) => line.includes(`pid=${pid},`)).map((line) => line.split(/\s+/)[3]!);
}

/** Returns the files below /run and /var/lib that belong to the daemon or its unit. */
async function leftBehind(machine: Machine, unit: string): Promise<string[]> {
  const names = ["-path", "*fleet/dev*", "-o", "-name", "fleet-dev*", "-o", "-name", `${unit}*`];
  const found = await machine.must(["find", "/run", "/var/lib", "/etc/systemd", "-xdev", "(", ...names, ")"]);
  return found.split("\n").filter((path) => path !== "");
}

/** With `--listen` the port is open, and the log warns of it. */
async function tcpPort(machine: Machine): Promise<void> {
  await startDev(machine, [], ["--listen", "127.0.0.1:49153"]);
  await greeting(machine);
  assert.deepEqual(await tcpPorts(machine), ["127.0.0.1:49153"]);
  assert.match(
    await machine.must(["cat", "/root/logged"]),
    /controls the cluster, as root, through the API at 127\.0\.0\.1:49153/,
  );
  await refuseAnother(machine);
  await machine.must(["systemctl", "stop", "dev.service"]);
  await gone(machine);
  assert.deepEqual(await leftBehind(machine, "hello"), []);
}

/** A second daemon is refused and does not disturb the first. */
async function refuseAnother(machine: Machine): Promise<void> {
  const second = await machine.run(["fleetd", "--dev"]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /cannot listen on unix:\/run\/fleet\/dev\/fleet\.sock: another program listens there/);
  await machine.must(["fleetctl", "--endpoint=unix:///run/fleet/dev/fleet.sock", "list-machines"]);
}

/** A killed daemon leaves its units; the next one does not know them and removes them. */
async function afterAKill(machine: Machine): Promise<void> {
  await startDev(machine);
  await greeting(machine);
  await machine.sh("cd /root; export FLEETCTL_ENDPOINT=unix:///run/fleet/dev/fleet.sock; fleetctl start hello.service");
  await machine.must(["systemctl", "kill", "--signal=KILL", "dev.service"]);
  await gone(machine);
  assert.equal((await machine.must(["systemctl", "is-active", "hello.service"])).trim(), "active");
  await startDev(machine);
  await greeting(machine);
  await until("the forgotten unit to be gone", async () => {
    return (await machine.run(["systemctl", "is-active", "hello.service"])).code !== 0 || undefined;
  });
  await machine.must(["systemctl", "stop", "dev.service"]);
  await gone(machine);
}

async function asUser(machine: Machine): Promise<void> {
  // A journal that is kept in memory has the lines of users in the system's journal.
  await machine.must(["usermod", "--append", "--groups=systemd-journal", "core"]);
  const user = await startUserSystemd(machine);
  const env = user.env.map((each) => `--setenv=${each}`);
  await startDev(machine, ["--uid=core", ...env]);
  const [endpoint, make, start, list] = commandsOf(await greeting(machine));
  const output = await user.run("sh", "-c", `cd /home/core; ${[endpoint, make, start, list].join("\n")}`);
  assert.match(output.stdout, /hello\.service\t+[0-9a-f]{8}\.\.\.\S*\t+active\t+running/, output.stderr);
  assert.equal((await user.run("systemctl", "--user", "is-active", "hello.service")).stdout.trim(), "active");
  await checkFiles(machine, "core", ["/run/user/1000/fleet-dev"], ["/run/fleet/dev/fleet.sock", "/run/fleet/units/*"]);
  // journald recognizes a user's unit by its place below user@1000.service, which the lab does not have: only systemd's own
  // lines about the unit are found.
  const unit = "[Service]\\nExecStart=/bin/sleep infinity\\n";
  const read = await user.run(
    "sh",
    "-c",
    `cd /home/core; ${endpoint}; printf '${unit}' >talking.service; fleetctl start talking.service && ` +
      "fleetctl status talking && fleetctl journal --output=cat talking && fleetctl logs talking",
  );
  assert.equal(read.code, 0, read.stderr);
  assert.match(read.stdout, /Active: active \(running\)/);
  assert.match(read.stdout, /^Started talking\.service\.$/m);
  assert.match(read.stdout, /^\d\d:\d\d:\d\d talking\.service Started talking\.service\.$/m);
  await machine.must(["systemctl", "stop", "dev.service"]);
  await gone(machine);
  assert.notEqual((await user.run("systemctl", "--user", "is-active", "hello.service")).code, 0);
  assert.deepEqual(await leftBehind(machine, "hello.service"), []);
}

async function withoutSystemd(machine: Machine): Promise<void> {
  const root = await machine.run(["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /run/systemd; fleetd --dev"]);
  assert.equal(root.code, 1);
  assert.match(root.stderr, /not booted with systemd.*deno task demo/);
  const user = await machine.run(["setpriv", "--reuid=core", "--regid=core", "--clear-groups", "fleetd", "--dev"]);
  assert.equal(user.code, 1);
  assert.match(user.stderr, /this user has no systemd.*XDG_RUNTIME_DIR is not set.*Try as root/);
  const busless = await machine.run([
    ...["setpriv", "--reuid=core", "--regid=core", "--clear-groups"],
    ...["env", "XDG_RUNTIME_DIR=/nonexistent", "fleetd", "--dev"],
  ]);
  assert.equal(busless.code, 1);
  assert.match(busless.stderr, /no user bus at unix:path=\/nonexistent\/bus: install the package dbus-user-session/);
}

Deno.test("fleetd --dev on one machine", async (t) => {
  const dist = await buildFleet();
  await withLab(
    { machines: 1, etcd: 0, files: userBus, fleet: { dist, conf: { registry: "embedded" } } },
    async (lab) => {
      const machine = lab.machine("m1");
      await machine.must(["systemctl", "stop", "fleet.socket", "fleet.service"]);
      await t.step("as root it is ready at once, and the suggested commands work", () => asRoot(machine));
      await t.step("a TCP port is open only if --listen names it", () => tcpPort(machine));
      await t.step("units that a killed daemon has left are removed", () => afterAKill(machine));
      await t.step("as a user it runs units on the user's own systemd", () => asUser(machine));
      await t.step("without systemd it fails with the reason", () => withoutSystemd(machine));
    },
  );
});
