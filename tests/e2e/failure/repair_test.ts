/** Links, files and enablement that an administrator has changed: fleet mends its own, and reports and keeps the rest. */

import assert from "node:assert/strict";
import type { ExplanationEntity } from "../../../daemon/api/v1/types.ts";
import { type FleetCluster, sleeper, withFleet } from "../../lab/fleet_cluster.ts";
import { until } from "../../lab/process.ts";

const links = "/run/systemd/system", files = "/run/fleet/units", wants = `${links}/multi-user.target.wants`;
const text = `${sleeper}[Install]\nWantedBy=multi-user.target\n`;

/** A change by an administrator: a shell command with UNIT for the unit's name. */
interface Change {
  readonly unit: string;
  readonly command: string;
  /** The error that the machine's agent reports; left out where fleet mends the change. */
  readonly reported?: RegExp;
  /** The path at which the administrator's own file, directory or link must stay. */
  readonly kept?: string;
}

const foreign = "printf '[Service]\\nExecStart=/bin/sleep 7777\\n' >";
const changes: readonly Change[] = [
  { unit: "untouched.service", command: "true" },
  { unit: "unlinked.service", command: `rm ${links}/UNIT` },
  { unit: "instance@unlinked.service", command: `rm ${links}/UNIT` },
  { unit: "disabled.service", command: "systemctl disable --runtime UNIT" },
  { unit: "unwanted.service", command: `rm ${wants}/UNIT` },
  { unit: "erased.service", command: `rm ${files}/UNIT` },
  { unit: "edited.service", command: `${foreign}${files}/UNIT` },
  {
    unit: "elsewhere.service",
    command: `${foreign}/root/UNIT; ln -sfn /root/UNIT ${links}/UNIT`,
    reported: /\/run\/systemd\/system\/elsewhere\.service already exists and is a symlink to \/root\/.*: remove that/,
    kept: links,
  },
  {
    unit: "instance@elsewhere.service",
    command: `${foreign}/root/UNIT; ln -sfn /root/UNIT ${links}/UNIT`,
    reported:
      /\/run\/systemd\/system\/instance@elsewhere\.service already exists and is a symlink to \/root\/.*: remove that/,
    kept: links,
  },
  {
    unit: "other.service",
    command: `ln -sfn /lib/systemd/system/systemd-journald.service ${links}/UNIT`,
    reported: /\/run\/systemd\/system\/other\.service already exists and is a symlink to .*journald.*: remove that/,
    kept: links,
  },
  {
    unit: "dangling.service",
    command: `ln -sfn /root/nowhere.service ${links}/UNIT`,
    reported: /\/run\/systemd\/system\/dangling\.service already exists and is a symlink to .*nowhere.*: remove that/,
    kept: links,
  },
  {
    unit: "regular.service",
    command: `rm ${links}/UNIT; ${foreign}${links}/UNIT`,
    reported: /\/run\/systemd\/system\/regular\.service already exists: remove that/,
    kept: links,
  },
  {
    unit: "folder.service",
    command: `rm ${links}/UNIT; mkdir ${links}/UNIT`,
    reported: /\/run\/systemd\/system\/folder\.service already exists: remove that/,
    kept: links,
  },
  {
    unit: "masked.service",
    command: "ln -sfn /dev/null /run/systemd/system/UNIT",
    reported: /masked on this machine: .*systemctl unmask --runtime masked\.service/,
    kept: links,
  },
  {
    unit: "wanted.service",
    command: `rm ${wants}/UNIT; echo >${wants}/UNIT`,
    reported: /multi-user\.target\.wants\/wanted\.service already exists: remove that/,
    kept: wants,
  },
  {
    unit: "filefolder.service",
    command: `rm ${files}/UNIT; mkdir ${files}/UNIT`,
    reported: /\/run\/fleet\/units\/filefolder\.service: it is not a file: remove it/,
    kept: files,
  },
  {
    unit: "filelink.service",
    command: `ln -sfn /root ${files}/UNIT`,
    reported: /\/run\/fleet\/units\/filelink\.service: it is not a file: remove it/,
    kept: files,
  },
];

const names = changes.map(({ unit }) => unit);
const mended = changes.filter(({ reported }) => reported === undefined);
const left = changes.filter(({ reported }) => reported !== undefined);

/** Units whose place the administrator clears before they are destroyed. */
const clearedFirst = ["folder.service", "dangling.service"];

async function errorOf(cluster: FleetCluster, unit: string): Promise<string> {
  const response = await cluster.request(cluster.machine("m1"), "GET", `/units/${unit}/explain`);
  return (await response.json() as ExplanationEntity).machines?.[0]?.error ?? "";
}

/** Asserts that what the administrator has put in the place of a file or link of fleet is there. */
async function assertKept(cluster: FleetCluster, except: readonly string[] = []): Promise<void> {
  for (const { unit, kept } of left) {
    if (except.includes(unit)) continue;
    const target = await cluster.machine("m1").sh(`readlink ${kept}/${unit} || ls -ld ${kept}/${unit}`);
    assert.ok(!target.startsWith(files), `${kept}/${unit} was replaced by a link to ${target}`);
  }
}

/** Waits until a unit runs from fleet's file, is linked and is enabled. */
async function runsFleetsFile(cluster: FleetCluster, unit: string): Promise<void> {
  const m1 = cluster.machine("m1");
  const wanted = [`${links}/${unit}`, `${wants}/${unit}`].map((link) => `readlink ${link}`).join("; ");
  let found = "";
  await until(`${unit} to be linked, enabled and active`, async () => {
    const error = await errorOf(cluster, unit);
    found = `${await m1.sh(`${wanted}; cat ${files}/${unit}; systemctl is-active ${unit}; true`)}${error}`;
    return found.startsWith(`${files}/${unit}\n${files}/${unit}\n`) && found.includes("sleep infinity") &&
        found.endsWith("\nactive\n") || undefined;
  }).catch((error) => {
    throw new Error(`${error.message}; last seen: ${found}`, { cause: error });
  });
}

async function changed(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  await Promise.all(names.map((name) => cluster.put(m1, name, "launched", text)));
  await cluster.active(m1, names);
  const before = await Promise.all(names.map((name) => cluster.pid(m1, name)));
  await m1.sh(changes.map(({ unit, command }) => command.replaceAll("UNIT", unit)).join("\n"));
  await m1.must(["systemctl", "daemon-reload"]);
  await m1.must(["systemctl", "restart", "fleet.service"]);
  await cluster.joined(cluster.lab.machines);
  for (const { unit, reported } of left) {
    let error = "";
    await until(`${unit} to be reported`, async () => {
      error = await errorOf(cluster, unit);
      return reported!.test(error) || undefined;
    }).catch((cause) => {
      throw new Error(`${cause.message}; last error: ${error}`, { cause });
    });
  }
  for (const { unit } of mended) await runsFleetsFile(cluster, unit);
  for (const [at, unit] of names.entries()) {
    if (unit === "edited.service" || unit === "other.service") continue;
    assert.equal(await cluster.pid(m1, unit), before[at], `${unit} was stopped or started`);
  }
  await assertKept(cluster);
}

async function restartRefused(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  const unit = "elsewhere.service";
  const pid = await cluster.pid(m1, unit);
  assert.equal((await cluster.request(m1, "POST", `/units/${unit}/restart`)).status, 204);
  await until(
    "the restart to be refused",
    async () => /cannot restart/.test(await errorOf(cluster, unit)) || undefined,
  );
  assert.equal(await cluster.pid(m1, unit), pid, "the other file was started");
  await cluster.put(m1, "new.service", "launched", text);
  await runsFleetsFile(cluster, "new.service");
  await cluster.destroy(m1, "new.service");
}

async function cleared(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  for (const unit of clearedFirst) await m1.must(["rm", "-r", `${links}/${unit}`]);
  await m1.must(["systemctl", "daemon-reload"]);
  for (const unit of clearedFirst) await runsFleetsFile(cluster, unit);
}

async function destroyed(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  await Promise.all(names.map((name) => cluster.destroy(m1, name)));
  await cluster.statesWhere(m1, "every unit to be removed", (states) => states.length === 0);
  await assertKept(cluster, clearedFirst);
}

async function removedByAdministrator(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  // What fleet had started before runs on under the administrator's files.
  await m1.must(["systemctl", "stop", "elsewhere.service", "instance@elsewhere.service", "regular.service"]);
  const still = left.filter(({ unit }) => !clearedFirst.includes(unit));
  await m1.must(["rm", "-r", ...still.map(({ unit, kept }) => `${kept}/${unit}`)]);
  await m1.must(["systemctl", "daemon-reload"]);
  await Promise.all(names.map((name) => cluster.put(m1, name, "launched", text)));
  for (const unit of names) await runsFleetsFile(cluster, unit);
}

async function withoutStore(cluster: FleetCluster): Promise<void> {
  const m1 = cluster.machine("m1");
  const listens = "[Socket]\nListenStream=127.0.0.1:7001\n";
  await m1.writeFile("/run/systemd/system/holder.socket", listens);
  await m1.writeFile("/run/systemd/system/holder.service", sleeper);
  await m1.sh("systemctl daemon-reload; systemctl start holder.socket");
  const services = ["failing.service", "erased.service", "unlinked.service", "untouched.service"];
  for (const name of services) await cluster.put(m1, name, "launched", text);
  await cluster.put(m1, "port.service", "loaded", text);
  await cluster.put(m1, "port.socket", "launched", listens);
  await cluster.active(m1, services);
  await until("the socket's failure to be reported", async () => {
    return await errorOf(cluster, "port.socket") !== "" || undefined;
  });
  const pids = () => Promise.all(["erased.service", "unlinked.service"].map((name) => cluster.pid(m1, name)));
  const before = await pids();
  await cluster.lab.etcd.stop();
  await until("the daemon to have lost its store", async () => {
    return (await cluster.request(m1, "GET", "/state")).status === 503 || undefined;
  });
  await m1.sh(`rm ${files}/erased.service ${links}/unlinked.service; systemctl daemon-reload`);
  await m1.sh("systemctl kill --signal=SIGKILL failing.service; systemctl stop holder.socket");
  const checks = `test -f ${files}/erased.service; test -L ${links}/unlinked.service; systemctl is-active port.socket`;
  // The agent compares files and systemd with the desired state once a minute.
  await until("the file and the link to be mended and the socket to be active", async () => {
    return (await m1.run(["sh", "-ec", checks])).code === 0 || undefined;
  }, { deadline_ms: 90_000 });
  assert.deepEqual(await pids(), before, "a unit whose file or link was mended was stopped or started");
  const failed = await m1.sh("systemctl show --value -p ActiveState -p NRestarts failing.service");
  assert.deepEqual(failed.trim().split("\n").sort(), ["0", "failed"], "a service that had started was started again");
  await cluster.lab.etcd.start();
  await cluster.joined(cluster.lab.machines);
  await cluster.statesWhere(m1, "the units to be reported as they became during the outage", (states) => {
    const active = new Map(states.map((state) => [state.name, state.systemdActiveState]));
    return active.get("failing.service") === "failed" && active.get("port.socket") === "active";
  });
}

Deno.test("links, files and enablement that an administrator has changed", async (t) => {
  await withFleet({ machines: 1, conf: { agent_ttl: "5s", engine_reconcile_interval: 0.6 } }, async (cluster) => {
    await t.step(
      "lost links and files are mended, anything foreign is reported and kept, and no unit stops",
      () => changed(cluster),
    );
    await t.step(
      "a unit whose link leads elsewhere is not restarted, and holds up no other",
      () => restartRefused(cluster),
    );
    await t.step("after the administrator has removed it, its link is made again", () => cleared(cluster));
    await t.step("destroying the units leaves what the administrator put there", () => destroyed(cluster));
    await t.step("after the administrator has removed it, the units run again", () => removedByAdministrator(cluster));
    await t.step(
      "without the store, failed starts are repeated, and files and links mended",
      () => withoutStore(cluster),
    );
  });
});
