/** A daemon with few rights: the hardened service, the user fleet, and a user's own systemd. */

import assert from "node:assert/strict";
import type { PlanEntity } from "../../../daemon/api/v1/types.ts";
import { fleetctl } from "../../lab/fleet.ts";
import { buildFleet, FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { checkFiles, fileTable } from "../../lab/file_table.ts";
import { withLab } from "../../lab/lab.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";
import { startUserSystemd, userBus } from "../../lab/user_systemd.ts";

const shipped = (name: string) => Deno.readTextFileSync(new URL(`../../../packaging/${name}`, import.meta.url));

/** A unit with an [Install] section is also enabled, which needs another right. */
const installed = `${sleeper}[Install]\nWantedBy=multi-user.target\n`;

/** The daemon has its systemd check the files of a plan, and leaves nothing behind. */
async function checksFiles(machine: Machine): Promise<void> {
  await machine.writeFile("/root/checks/good.service", `[Unit]\nWants=bad.service absent.service\n${sleeper}`);
  await machine.writeFile("/root/checks/bad.service", `${sleeper}Restrat=always\nRestartSec=soon\n`);
  await machine.writeFile("/root/checks/log@.timer", "[Timer]\nOnCalendar=soon\n");
  const { code, stdout, stderr } = await fleetctl(machine, "diff", "--output=json", "/root/checks");
  assert.equal(code, 2, stdout + stderr);
  const { units = [] } = JSON.parse(stdout) as PlanEntity;
  const found = Object.fromEntries(units.map(({ name, warnings = [] }) => [name, warnings.join("\n")]));
  assert.match(found["bad.service"]!, /^systemd: Restrat=always: Unknown key .*\nsystemd: RestartSec=soon: .*soon$/);
  assert.match(found["log@.timer"]!, /^systemd: OnCalendar=soon: /);
  assert.equal(found["good.service"], "");
  assert.equal((await machine.run(["test", "-e", "/run/fleet/verify"])).code, 1);
  assert.doesNotMatch(await machine.journal("fleet.service"), /systemd has not checked/);
}

/** Makes the daemon load, start, restart, replace, enable, check, stop and unload units, also a failed one. */
async function everyOperation(cluster: FleetCluster, machine: Machine): Promise<void> {
  await checksFiles(machine);
  await machine.writeFile("/root/a.service", sleeper);
  await cluster.fleetctl(machine, "start", "/root/a.service");
  const pid = await cluster.pid(machine, "a.service");
  assert.ok(pid > 0);
  await cluster.fleetctl(machine, "restart", "a.service");
  assert.notEqual(await cluster.pid(machine, "a.service"), pid);
  await machine.writeFile("/root/a.service", installed);
  await cluster.fleetctl(machine, "start", "--replace", "/root/a.service");
  await until("the new file to be enabled", async () => {
    const { stdout } = await machine.run(["systemctl", "is-enabled", "a.service"]);
    return stdout.trim() === "enabled-runtime" || undefined;
  });
  await machine.writeFile("/root/fails.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n");
  assert.equal((await machine.run(["fleetctl", "start", "/root/fails.service"])).code, 1);
  await machine.writeFile("/root/checked.service", `${sleeper}[X-Fleet]\nHealthCheck=/bin/true\n`);
  await cluster.fleetctl(machine, "start", "/root/checked.service");
  await until("the health check to pass", async () => {
    const list = ["list-units", "--no-legend", "--fields=health", "checked.service"];
    return (await cluster.fleetctl(machine, ...list)).stdout.trim() === "passing" || undefined;
  });
  await cluster.fleetctl(machine, "stop", "a.service");
  assert.equal((await machine.run(["systemctl", "is-active", "a.service"])).stdout.trim(), "inactive");
  await cluster.fleetctl(machine, "start", "a.service");
  await machine.must(["systemctl", "restart", "fleet.service"]);
  await cluster.joined([machine]);
  await cluster.fleetctl(machine, "destroy", "a.service", "fails.service", "checked.service");
  assert.equal(await machine.must(["ls", "/run/fleet/units"]), "");
  const { stdout } = await machine.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "fails.service"]);
  assert.doesNotMatch(stdout, /failed/);
}

/** Every file that the daemon has created has the mode and the owner of the table in docs/reference/files.md. */
async function createsListedFiles(cluster: FleetCluster, fleetd: string): Promise<void> {
  const [m1] = cluster.lab.machines;
  await m1!.must(["systemctl", "reload", "fleet.service"]);
  await cluster.put(m1!, "a.service", "launched", installed);
  await cluster.put(m1!, `${"x".repeat(247)}.service`, "loaded", sleeper);
  await cluster.active(m1!, ["a.service"]);
  const quadlets = "/run/containers/systemd/fleet";
  // This machine has no podman and no unit with files, no unit has failed there, it has accepted no store, and makes no plan now.
  const absent = [
    `${quadlets}/*`,
    "/run/fleet/failures.json",
    "/run/fleet/keep-units",
    "/run/fleet/files",
    "/run/fleet/files/*",
    "/run/fleet/verify",
  ];
  const present = fileTable().map(({ path }) => path).filter((path) =>
    path.startsWith("/run/") && !path.includes("/dev") && !absent.includes(path)
  );
  const roots = ["/run/fleet", "/run/fleet.sock", quadlets, "/var/lib/fleet"];
  await checkFiles(m1!, fleetd, roots, [...present, "/var/lib/fleet"]);
  // With ProtectSystem=strict, the daemon may write to these two directories as well.
  assert.equal(
    await m1!.sh(
      "find /tmp/systemd-private-*-fleet.service-*/tmp /var/tmp/systemd-private-*-fleet.service-*/tmp -mindepth 1",
    ),
    "",
  );
  for (const { name } of await cluster.units(m1!)) await cluster.destroy(m1!, name!);
  await cluster.statesWhere(m1!, "no unit", (states) => states.length === 0);
}

async function hardened(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const pid = await cluster.pid(m1!, "fleet.service");
  assert.match(await m1!.sh(`grep CapEff /proc/${pid}/status`), /CapEff:\t0+\n/);
  const report = await m1!.must(["systemd-analyze", "security", "fleet.service", "--no-pager"]);
  const exposure = Number(/Overall exposure level for fleet\.service: ([\d.]+)/.exec(report)?.[1]);
  // The exposure level of a service without hardening is 9.6.
  assert.ok(exposure <= 3.5, `exposure ${exposure}`);
  await everyOperation(cluster, m1!);
}

/** A machine with two networks has the address of its default route. */
async function twoNetworks(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  await m1!.sh(
    "ip link add other type bridge; ip link set other up; ip address add 198.51.100.7/24 dev other; " +
      "ip -6 address add 2001:db8::7/64 dev other nodad",
  );
  const cases: readonly (readonly [what: string, change: string, ip: string])[] = [
    ["no default route: towards the store", "ip route delete default", m1!.ip],
    ["through the other network", "ip route add default via 198.51.100.1", "198.51.100.7"],
    [
      "through the first again, which is nearer",
      "ip route delete default; ip route add default via 198.51.100.1 metric 200; ip route add default via 10.77.0.1 metric 100",
      m1!.ip,
    ],
    ["by IPv6 alone", "ip route flush default; ip -6 route add default via 2001:db8::1 dev other", "2001:db8::7"],
  ];
  for (const [what, change, ip] of cases) {
    await m1!.sh(change);
    // Without a restart, the daemon looks up its address once a minute.
    await m1!.must(["systemctl", "restart", "fleet.service"]);
    await until(what, async () => {
      const { machines } = await (await cluster.request(m1!, "GET", "/machines")).json();
      return machines?.[0]?.primaryIP === ip || undefined;
    });
  }
}

/** The log names the process and user of each client on the unix socket. */
async function logsUsers(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  await m1!.sh("chgrp core /run/fleet.sock");
  for (const [as, id] of [["root", 0], ["core", 1000]] as const) {
    const file = `/tmp/of-${as}.service`;
    await m1!.writeFile(file, sleeper);
    const submit = `echo $$; exec fleetctl submit ${file} >/dev/null`;
    const pid = await m1!.must(["setpriv", `--reuid=${as}`, `--regid=${as}`, "--clear-groups", "sh", "-c", submit]);
    const line = new RegExp(
      `an API request was answered component=api peer=unix pid=${pid.trim()} uid=${id} gid=${id} ` +
        `method=PUT path=/fleet/v1/units/of-${as}\\.service code=201$`,
      "m",
    );
    await until(`the line of ${as}`, async () => line.test(await m1!.journal("fleet.service")) || undefined);
    await cluster.fleetctl(m1!, "destroy", `of-${as}.service`);
  }
}

async function asFleet(cluster: FleetCluster): Promise<void> {
  const [m1] = cluster.lab.machines;
  const pid = await cluster.pid(m1!, "fleet.service");
  assert.equal((await m1!.must(["ps", "-o", "user=", "-p", String(pid)])).trim(), "fleet");
  await everyOperation(cluster, m1!);
  await createsListedFiles(cluster, "fleet");
  await logsUsers(cluster);
  // The daemon distinguishes a stop from a restart.
  await cluster.put(m1!, "b.service", "launched", sleeper);
  await cluster.active(m1!, ["b.service"]);
  await m1!.must(["systemctl", "stop", "fleet.socket", "fleet.service"]);
  assert.notEqual((await m1!.run(["systemctl", "is-active", "b.service"])).code, 0);
}

Deno.test("the hardened service", async (t) => {
  await withFleet({ machines: 1 }, async (cluster) => {
    await t.step("has the rights that units need", () => hardened(cluster));
    await t.step("creates files with the listed modes only", () => createsListedFiles(cluster, "root"));
    await t.step("logs the user of a request", () => logsUsers(cluster));
    await t.step("finds its address", () => twoNetworks(cluster));
  });
});

Deno.test("the user fleet has the rights that units need, by the shipped files", async () => {
  const files = {
    "/usr/lib/sysusers.d/fleet.conf": shipped("sysusers/fleet.conf"),
    "/usr/share/polkit-1/rules.d/fleet.rules": shipped("polkit/fleet.rules"),
    "/etc/systemd/system/fleet.service.d/unprivileged.conf": shipped("systemd/fleet-unprivileged.conf"),
    "/etc/systemd/system/sysusers-early.service": `[Unit]
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target fleet.service
[Service]
Type=oneshot
ExecStart=systemd-sysusers
[Install]
WantedBy=sysinit.target
`,
    "/etc/systemd/system/sysinit.target.d/sysusers.conf": "[Unit]\nWants=sysusers-early.service\n",
  };
  await withFleet({ machines: 1, files }, asFleet);
});

Deno.test("systemd_user: units run on a user's own systemd", async () => {
  const dist = await buildFleet();
  const runtime = "/run/user/1000";
  await withLab({ machines: 1, files: userBus, fleet: { dist, conf: {} } }, async (lab) => {
    const [m1] = lab.machines;
    const cluster = new FleetCluster(lab);
    await m1!.must(["systemctl", "stop", "fleet.socket", "fleet.service"]);
    const user = await startUserSystemd(m1!);
    const dropIn = [
      "[Service]",
      "User=core",
      ...user.env.map((each) => `Environment=${each}`),
      "Environment=FLEET_SYSTEMD_USER=true",
      `Environment=FLEET_UNITS_DIRECTORY=${runtime}/fleet/units/`,
      `ReadWritePaths=${runtime}`,
      "",
    ].join("\n");
    await m1!.writeFile("/run/systemd/system/fleet.service.d/user.conf", dropIn);
    await m1!.must(["systemctl", "daemon-reload"]);
    await m1!.must(["systemctl", "start", "fleet.socket", "fleet.service"]);
    await cluster.joined([m1!]);
    await m1!.writeFile("/root/a.service", sleeper);
    await cluster.fleetctl(m1!, "start", "/root/a.service");
    assert.equal((await user.run("systemctl", "--user", "is-active", "a.service")).stdout.trim(), "active");
    assert.notEqual((await m1!.run(["systemctl", "is-active", "a.service"])).code, 0);
    await cluster.fleetctl(m1!, "destroy", "a.service");
    await checksFiles(m1!);
    assert.notEqual((await user.run("systemctl", "--user", "is-active", "a.service")).code, 0);
  });
});
