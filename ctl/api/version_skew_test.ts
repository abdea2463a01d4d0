import assert from "node:assert/strict";
import { compareVersions, olderThanCluster } from "./version_skew.ts";

const ordered = ["nonsense", "0.9.2", "1.0.0-rc1", "1.0.0-rc2", "1.0.0", "1.0.1+git", "1.2", "1.10.0", "v2.0.0"];

Deno.test("versions: semantic versions are ordered", () => {
  for (let i = 0; i + 1 < ordered.length; i++) {
    const [a, b] = [ordered[i]!, ordered[i + 1]!];
    assert.ok(compareVersions(a, b) < 0, `${a} before ${b}`);
    assert.ok(compareVersions(b, a) > 0, `${b} behind ${a}`);
  }
  for (const [a, b] of [["1.0", "1.0.0"], ["1.0.0", "v1.0.0+x"], ["a", "b"]] as const) {
    assert.equal(compareVersions(a, b), 0);
  }
});

Deno.test("versions: a client that is older than a daemon is warned", () => {
  const warning = olderThanCluster("1.0.0", ["0.9.0", "1.1.0", "", "1.0.5"]) ?? "";
  const [bar = "", sentence] = warning.split("\n");
  assert.equal(bar, "#".repeat(68));
  assert.equal(
    sentence,
    "WARNING: fleetctl (1.0.0) is older than the latest registered version of fleet found in the cluster (1.1.0).",
  );
  assert.ok(warning.endsWith(`${bar}\n`));
});

for (const daemons of [[], ["1.0.0"], ["0.11.0", "0.9"], ["unknown"]]) {
  Deno.test(`versions: there is no warning beside ${JSON.stringify(daemons)}`, () => {
    assert.equal(olderThanCluster("1.0.0", daemons), undefined);
  });
}
