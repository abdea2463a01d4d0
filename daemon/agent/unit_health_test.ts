import assert from "node:assert/strict";
import type { HealthCheck } from "../../registry/health_check.ts";
import { afterCheck, afterNoCheck, beginChecks, sameHealth } from "./unit_health.ts";

const check: HealthCheck = { target: { kind: "command", argv: ["/a"] }, timeout_ms: 5_000, interval_ms: 10_000 };
const at = (monotonic_ms: number, random = 0) => ({ monotonic_ms, now_ms: monotonic_ms + 1_000_000, random });

Deno.test("a unit is checked at once, every second until it passes, and after each interval from then on", () => {
  const begun = beginChecks(check, "i1", 500);
  assert.deepEqual([begun.dueAt_ms, begun.health], [500, {}]);
  const failing = afterCheck(begun, "refused", at(600));
  assert.equal(failing.dueAt_ms, 1_600);
  const passing = afterCheck(failing, undefined, at(1_700));
  assert.equal(passing.dueAt_ms, 11_700);
  assert.equal(afterCheck(passing, "refused", at(11_800)).dueAt_ms, 21_800, "it has passed once");
});

Deno.test("a check is up to a tenth of its interval earlier, at random", () => {
  const passing = afterCheck(beginChecks(check, "i1", 0), undefined, at(0, 0.5));
  assert.equal(passing.dueAt_ms, 9_500);
});

Deno.test("a unit that has not passed for a minute is checked after each interval", () => {
  const begun = beginChecks(check, "i1", 0);
  assert.equal(afterCheck(begun, "refused", at(59_999)).dueAt_ms, 60_999);
  assert.equal(afterCheck(begun, "refused", at(60_000)).dueAt_ms, 70_000);
});

Deno.test("health has the time since when it holds, and the latest reason", () => {
  const first = afterCheck(beginChecks(check, "i1", 0), "refused", at(10));
  assert.deepEqual(first.health, { health: "failing", healthReason: "refused", healthSince_ms: 1_000_010 });
  const second = afterCheck(first, "status 503", at(20));
  assert.deepEqual(second.health, { health: "failing", healthReason: "status 503", healthSince_ms: 1_000_010 });
  const third = afterCheck(second, undefined, at(30));
  assert.deepEqual(third.health, { health: "passing", healthSince_ms: 1_000_030 });
  assert.ok(sameHealth(third.health, afterCheck(third, undefined, at(40)).health));
  assert.ok(!sameHealth(first.health, second.health));
});

Deno.test("a check that could not be made changes nothing", () => {
  const passing = afterCheck(beginChecks(check, "i1", 0), undefined, at(10));
  const after = afterNoCheck(passing, at(20));
  assert.deepEqual([after.health, after.dueAt_ms], [passing.health, 10_020]);
});

Deno.test("a long reason is cut", () => {
  const { health } = afterCheck(beginChecks(check, "i1", 0), "x".repeat(1_000), at(10));
  assert.equal(health.healthReason, `${"x".repeat(200)}…`);
});
