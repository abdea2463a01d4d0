import assert from "node:assert/strict";
import { maxVersions, versionsOf, withRestart, withVersion } from "./versions.ts";

const [a, b, c] = ["a", "b", "c"].map((letter) => letter.repeat(40)) as [string, string, string];
const changed = { by: "deployer", at_ms: 1 };

Deno.test("each file that replaces another is a new version", () => {
  const first = withVersion([], a, changed);
  assert.deepEqual(first, [{ number: 1, hash: a, changed }]);
  assert.equal(withVersion(first, a, { by: "other", at_ms: 2 }), first, "the same file is no new version");
  const second = withVersion(first, b, undefined);
  assert.deepEqual(second, [{ number: 1, hash: a, changed }, { number: 2, hash: b }]);
  assert.deepEqual(
    withVersion(second, a, undefined).at(-1),
    { number: 3, hash: a },
    "an old file that comes back is new",
  );
});

Deno.test("the oldest versions are dropped, and numbers go on", () => {
  let versions = withVersion([], a, undefined);
  for (let index = 0; index < 24; index++) versions = withVersion(versions, index % 2 === 0 ? b : c, undefined);
  assert.equal(versions.length, maxVersions);
  assert.deepEqual(versions.map(({ number }) => number), [16, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
});

Deno.test("the present file is the newest version, also if its record has no versions", () => {
  assert.deepEqual(versionsOf({ hash: a, changed }), [{ number: 1, hash: a, changed }]);
  assert.deepEqual(versionsOf({ hash: b, versions: [{ number: 4, hash: a }] }), [
    { number: 4, hash: a },
    { number: 5, hash: b },
  ]);
  const known = [{ number: 4, hash: a }];
  assert.equal(versionsOf({ hash: a, versions: known }), known);
});

Deno.test("the newest version keeps the five latest restarts", () => {
  const at = (at_ms: number) => ({ by: "deployer", at_ms, what: "restart" }) as const;
  let versions = withVersion(withVersion([], a, changed), b, changed);
  for (let at_ms = 1; at_ms <= 7; at_ms++) versions = withRestart(versions, at(at_ms));
  assert.deepEqual(versions[1]?.restarts, [3, 4, 5, 6, 7].map(at));
  assert.equal(versions[0]?.restarts, undefined);
});
