import assert from "node:assert/strict";
import manifest from "../deno.json" with { type: "json" };
import { build, buildOf, textOf, version, versionText } from "./version.ts";

Deno.test("the version is the one in deno.json", () => assert.equal(version, manifest.version));

Deno.test("source that is run without a build names no commit", () => {
  assert.deepEqual([build, versionText], [undefined, version]);
});

Deno.test("a build names its commit and its date", () => {
  assert.equal(
    textOf("1.2.3", buildOf("0123456789ab 2026-01-02")),
    "1.2.3 (commit 0123456789ab, built 2026-01-02)",
  );
  assert.equal(textOf("1.2.3", buildOf("unknown 2026-01-02")), "1.2.3 (commit unknown, built 2026-01-02)");
});
