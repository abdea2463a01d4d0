import assert from "node:assert/strict";
import { fileOption } from "../../registry/attached_files.ts";
import type { BackupEntity } from "../../daemon/api/v1/types.ts";
import { FakeIo } from "../testing/fake_terminal.ts";
import { backupFile, backupFiles, planRestore, readBackup } from "./backup.ts";

const options = [
  { section: "Service", name: "ExecStart", value: '/bin/sh -c "echo %i"' },
  { section: "X-Fleet", name: "Conflicts", value: "a@*.service" },
];
const cluster: BackupEntity = {
  revision: 117,
  units: [
    { name: "b.service", options, desiredState: "loaded" },
    { name: "a@1.service", options, desiredState: "launched", app: "shop" },
    { name: "lost.service", desiredState: "launched" },
    { name: "../evil.service", options, desiredState: "launched" },
    { name: "backup.json", options, desiredState: "launched" },
    { name: "odd.service", options, desiredState: "launched", unreadable: "cannot read key unit/odd.service" },
  ],
  metadata: { cafe: { disk: "ssd", zone: "" } },
};
const origin = { fleet: "2.0.0", taken_ms: 0 };

Deno.test("a backup has a plain file for each unit, and all else in backup.json", () => {
  const { files, skipped } = backupFiles(cluster, new Map(), origin);
  assert.deepEqual([...files.keys()], ["b.service", "a@1.service", backupFile]);
  assert.equal(
    files.get("b.service"),
    '[Service]\nExecStart=/bin/sh -c "echo %i"\n\n[X-Fleet]\nConflicts=a@*.service\n',
  );
  assert.deepEqual(JSON.parse(files.get(backupFile)!), {
    format: 1,
    fleet: "2.0.0",
    taken: "1970-01-01T00:00:00.000Z",
    revision: 117,
    units: { "b.service": { desiredState: "loaded" }, "a@1.service": { desiredState: "launched", app: "shop" } },
    machines: { cafe: { metadata: { disk: "ssd", zone: "" } } },
  });
  assert.deepEqual(Object.fromEntries(skipped), {
    "lost.service": "the cluster has no file of it",
    "../evil.service": "invalid character '/' in unit name",
    "backup.json": 'invalid unit type: "json"',
    "odd.service": "cannot read key unit/odd.service",
  });
});

Deno.test("a backup that is read again equals the cluster, in the order of launch", async () => {
  const io = new FakeIo();
  for (const [name, text] of backupFiles(cluster, new Map(), origin).files) io.files.set(`saved/${name}`, text);
  const { units, metadata, errors, ignored } = await readBackup(io, "saved/");
  assert.deepEqual([errors, ignored], [[], []]);
  assert.deepEqual(units, [
    { name: "b.service", options, desiredState: "loaded" },
    { name: "a@1.service", options, desiredState: "launched", app: "shop" },
  ]);
  assert.deepEqual(metadata, cluster.metadata);
  const plan = planRestore({ units, metadata, cordons: new Map() }, cluster);
  assert.deepEqual(plan.units.map(({ change }) => change), ["none", "none"]);
  assert.deepEqual(plan.labels, []);
});

Deno.test("a unit of the cluster that cannot be read is replaced by that of the backup", () => {
  const units = [{ name: "odd.service", options, desiredState: "launched" as const }];
  assert.equal(planRestore({ units, metadata: {}, cordons: new Map() }, cluster).units[0]?.change, "replace");
});

Deno.test("a unit that another application owns is updated, and one of a backup without owners is not", () => {
  const unit = { name: "a@1.service", options, desiredState: "launched" as const };
  const changeOf = (app?: string) => {
    const units = [{ ...unit, ...app !== undefined && { app } }];
    return planRestore({ units, metadata: {}, cordons: new Map() }, cluster).units[0]?.change;
  };
  assert.deepEqual([changeOf("other"), changeOf("shop"), changeOf()], ["update", "none", "none"]);
});

Deno.test("a backup carries the contents of attached files, and an older fleetctl must not restore it", async () => {
  const content = { hash: "a".repeat(64), size_bytes: 3 };
  const file = fileOption({ source: "x", path: "x", mode: 0o644, content });
  const units = [{ name: "b.service", options: [...options, file], desiredState: "loaded" as const }];
  const contents = new Map([[content.hash, Uint8Array.of(0, 255, 7)]]);
  const io = new FakeIo();
  for (const [name, text] of backupFiles({ ...cluster, units }, contents, origin).files) {
    io.files.set(`saved/${name}`, text);
  }
  assert.equal(JSON.parse(io.files.get(`saved/${backupFile}`)!).format, 2);
  const backup = await readBackup(io, "saved");
  assert.deepEqual([backup.errors, backup.contents], [[], contents]);
  assert.deepEqual(backup.units, units);
});
