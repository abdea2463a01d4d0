import assert from "node:assert/strict";
import * as keys from "./keys.ts";

Deno.test("every key is taken apart into what it was made of", () => {
  const hash = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
  const made: Readonly<Record<string, object>> = {
    [keys.clusterKey]: { kind: "cluster" },
    [keys.leaderKey]: { kind: "leader" },
    [keys.writtenKey]: { kind: "written" },
    [keys.fenceKey("m1")]: { kind: "fence", writer: "m1" },
    [keys.fileKey(hash)]: { kind: "file", hash },
    [keys.unitKey("a@1.service")]: { kind: "unit", name: "a@1.service" },
    [keys.globalKey("a.service")]: { kind: "global", name: "a.service" },
    [keys.targetKey("a.service")]: { kind: "target", name: "a.service" },
    [keys.assignKey("m1", "a.service")]: { kind: "assign", machine: "m1", name: "a.service" },
    [keys.machineKey("m1")]: { kind: "machine", machine: "m1" },
    [keys.metadataKey("m1", "zone/row")]: { kind: "metadata", machine: "m1", key: "zone/row" },
    [keys.appKey("web-1.x")]: { kind: "app", app: "web-1.x" },
    [keys.rolloutKey("web")]: { kind: "rollout", app: "web" },
    [keys.progressKey("web")]: { kind: "progress", app: "web" },
    [keys.stateKey("m1", "a.service")]: { kind: "state", machine: "m1", name: "a.service" },
  };
  for (const [key, parts] of Object.entries(made)) assert.deepEqual(keys.parseKey(key), parts, key);
});

Deno.test("a key that is not fleet's is not parsed", () => {
  const strange = [
    ...["", "unit", "unit/", "unit/a/b", "cluster/a", "leader/", "job/a.service", "/unit/a.service"],
    ...[
      "assign/m1",
      "assign/m1/",
      "assign//a.service",
      "state/m1/a/b",
      "metadata/m1",
      "metadata//zone",
      "file/",
      "fence/",
      "fence/a/b",
      "app/",
      "app/a/b",
      "app/.hidden",
      "rollout/a b",
      `progress/${"a".repeat(65)}`,
    ],
  ];
  // As an argument of journalctl, `*` would stand for every unit of the machine.
  for (
    const name of [
      "*",
      "a*.service",
      "a\n.service",
      "\x1b[2J.service",
      "a b.service",
      "..\u2215x.service",
      "[a].service",
    ]
  ) {
    strange.push(...["unit", "global", "target", "assign/m1", "state/m1"].map((kind) => `${kind}/${name}`));
  }
  for (const key of strange) assert.equal(keys.parseKey(key), undefined, key);
});
