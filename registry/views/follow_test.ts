import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { longestRetry_ms } from "../../runtime/clock.ts";
import { StoreUnavailableError } from "../mod.ts";
import type { StoreSession } from "../writes/session.ts";
import { follow } from "./follow.ts";

/** Returns the pauses of a follower of a store that refuses some reads, is then followed, and lost again. */
async function pausesOf(refusals: number, longest_ms: number | undefined): Promise<readonly number[]> {
  const clock = new ManualClock();
  const stop = new AbortController();
  let reads = 0;
  const session = {
    endpoints: "a store",
    read: () => {
      reads++;
      if (reads === refusals + 2) stop.abort();
      return reads === refusals + 1
        ? Promise.resolve({ revision: 1, ranges: [[]] })
        : Promise.reject(new StoreUnavailableError("away"));
    },
    // deno-lint-ignore require-yield
    async *watch() {
      await Promise.reject(new StoreUnavailableError("the watch was lost"));
    },
  } as unknown as StoreSession;
  const options = { session, clock, log: () => {}, ...(longest_ms !== undefined && { longestRetry_ms: longest_ms }) };
  await clock.runToEnd(follow(options, [{ prefix: "" }], { fresh() {}, batch() {}, lost() {} }, stop.signal));
  return clock.sleeps;
}

Deno.test("a small read is repeated at short pauses, however often it has failed", async () => {
  assert.deepEqual(await pausesOf(6, undefined), Array(7).fill(250));
});

Deno.test("a read of the whole store is repeated at pauses that grow, and a success makes them short again", async () => {
  assert.deepEqual(await pausesOf(6, longestRetry_ms.ofWholeStore), [250, 350, 550, 950, 1075, 1075, 250]);
});
