import assert from "node:assert/strict";
import { disconnectionDeadlines, disconnectionRefusal } from "./disconnection.ts";

Deno.test("a unit is stopped after its limit, and killed two seconds before the lease may expire", () => {
  const contact = { renewedAt_ms: 1_000, ttl_ms: 30_000 };
  assert.deepEqual(disconnectionDeadlines(10_000, contact), { stopAt_ms: 11_000, killAt_ms: 29_000 });
});

Deno.test("a unit whose limit no longer fits the lease is stopped a second before it is killed", () => {
  const contact = { renewedAt_ms: 1_000, ttl_ms: 6_000 };
  assert.deepEqual(disconnectionDeadlines(10_000, contact), { stopAt_ms: 4_000, killAt_ms: 5_000 });
});

Deno.test("a machine refuses a limit that leaves no time to stop, with the numbers", () => {
  assert.equal(disconnectionRefusal(27_000, 30_000), undefined);
  assert.equal(
    disconnectionRefusal(27_500, 30_000),
    "StopWhenDisconnected=27.5s leaves no time to stop the unit within the machine's agent_ttl=30s: at most 27s fits",
  );
  assert.equal(
    disconnectionRefusal(1_000, 3_000),
    "StopWhenDisconnected=1s leaves no time to stop the unit within the machine's agent_ttl=3s: " +
      "that is too short for any value",
  );
  assert.equal(
    disconnectionRefusal(1_000, undefined),
    "StopWhenDisconnected=1s is unknown to the machine's version of fleetd",
  );
});
