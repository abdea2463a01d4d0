/** The space that a large cluster with the history of its units takes in etcd. */

import assert from "node:assert/strict";
import { nameContent } from "../../registry/content_hash.ts";
import { fileOption } from "../../registry/attached_files.ts";
import { fleetOptionsOf } from "../../registry/requirements.ts";
import { openEtcdStore } from "../../registry/store/etcd/store.ts";
import { maxVersions } from "../../registry/versions.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { hashUnitFile } from "../../systemd/unit_hash.ts";
import { EtcdServer } from "../lab/etcd.ts";
import { fixtureOver, lead, machine, state } from "./registry_fixture.ts";

/** The size of the cluster that must fit, and the part of it that is written: the size grows in proportion. */
const scale = { units: 10_000, part: 0.1 } as const;
const quota_bytes = 2 * 1024 ** 3;

/** Returns a unit file of a kilobyte with [X-Fleet] options, which every version changes. */
function fileOf(unit: string, version: number, config: Uint8Array) {
  const options = [
    { section: "Unit", name: "Description", value: `The service ${unit} of the application shop, version ${version}` },
    {
      section: "Service",
      name: "ExecStart",
      value: `/usr/local/bin/${unit} --release=${version} --config=%t/app.conf`,
    },
    ...Array.from({ length: 12 }, (_, at) => ({
      section: "Service",
      name: "Environment",
      value: `SETTING_${at}=${unit}/some/value/of/a/usual/length/${at}`,
    })),
    { section: "X-Fleet", name: "MachineMetadata", value: "region=eu" },
    { section: "X-Fleet", name: "Conflicts", value: `${unit}-*.service` },
    fileOption({ source: "app.conf", path: "app.conf", mode: 0o644, content: nameContent(config) }),
  ];
  const text = serializeUnitFile(options);
  return { hash: hashUnitFile(text), text, fleetOptions: fleetOptionsOf(unit, options) };
}

Deno.test({
  name: "ten thousand units with ten versions each leave most of etcd's default quota free",
  // etcd3's connections outlive close() by a moment.
  ...{ sanitizeOps: false, sanitizeResources: false },
  async fn() {
    await using etcd = await EtcdServer.start();
    const fixture = fixtureOver(() =>
      openEtcdStore({ endpoints: [etcd.endpoint], prefix: "/q", requestTimeout_ms: 60_000 })
    );
    try {
      const names = Array.from({ length: scale.units * scale.part }, (_, at) => `application-${at}.service`);
      const registry = await fixture.open();
      const leadership = await lead(registry, "m1", fixture.signal);
      const changed = { by: "the deployer's token from 10.0.0.2", at_ms: Date.UTC(2026, 0, 1) };
      for (let version = 1; version <= maxVersions; version++) {
        const { units, targets } = await registry.read();
        await inParallel(names, async (name, index) => {
          // Ten units share a configuration of a kilobyte.
          const config = new TextEncoder().encode(
            `version=${version} group=${index % (names.length / 10)}\n`.repeat(40),
          );
          if (index < names.length / 10) {
            await registry.commit({ kind: "content", name: nameContent(config), base64: config.toBase64() });
          }
          const [unit, target] = [units.get(name), targets.get(name)];
          const was = { name, ...unit && { unit }, ...target && { target } };
          const file = fileOf(name, version, config);
          await registry.commit({ kind: "put", was, desiredState: "launched", file, changed });
        }, 64);
        if (version > 1) continue;
        const created = await registry.read();
        const why = "least loaded machine that will take it, with 12 units";
        const placements = names.map((name) =>
          ({ kind: "place", unit: created.units.get(name)!, machine: "m1", why }) as const
        );
        assert.deepEqual((await leadership.apply(placements)).refused, []);
        const membership = await registry.join(machine("m1"), undefined, fixture.signal);
        await membership.publish(new Map(names.map((name) => [name, state(name, "m1")])));
      }
      const size = async () => {
        const [{ Status: { dbSize, dbSizeInUse } }] = JSON.parse(
          await etcd.must("endpoint", "status", "--write-out=json"),
        );
        return { file: dbSize / scale.part, inUse: dbSizeInUse / scale.part };
      };
      const before = await size();
      await etcd.compact({ physical: true });
      const after = await size();
      const { units, files } = await registry.read();
      assert.equal(files.size, names.length * maxVersions, "the file of each version is there");
      assert.ok([...units.values()].every(({ versions }) => versions?.length === maxVersions));
      const shown = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MiB`;
      const seen = `with history ${shown(before.file)}, compacted ${shown(after.inUse)}`;
      console.log(`10,000 units with 10 versions: ${seen}`);
      assert.ok(before.file < quota_bytes / 2 && after.inUse < quota_bytes / 4, seen);
    } finally {
      await fixture.close();
    }
  },
});
