/**
 * Simulated clusters keep every invariant: a fixed set of seeds, and those that once broke an invariant. Fresh seeds are run
 * by `deno task sim`: with them, the result of a test would depend on more than the code.
 *
 * @module
 */

import assert from "node:assert/strict";
import { describe, planOf } from "./plan.ts";
import { run, shrink } from "./run.ts";

/** Seeds that once broke an invariant, by the bug that they have found. */
const regressions: Readonly<Record<string, readonly number[]>> = {
  "the agent took a unit from one view of the store and its lock from the next": [50],
  "an agent whose lease was replaced took the locks of its units only a minute later": [2484],
};

async function check(seed: number): Promise<void> {
  const outcome = await run(seed);
  if (!outcome.violation) return;
  const plan = planOf(seed);
  const { actions } = await shrink(seed, plan, {}, 60);
  const kept = actions.map((action) => plan.actions.indexOf(action)).join(",");
  assert.fail([
    `seed ${seed}: ${outcome.violation.message}`,
    ...actions.map((action) => `${action.at_ms} ms: ${describe(action)}`),
    `replay: deno task sim --seed ${seed}; the shortest plan: deno task sim --seed ${seed} --only ${kept}`,
  ].join("\n"));
}

for (const [bug, seeds] of Object.entries(regressions)) {
  Deno.test(`simulation: seeds of a bug that was repaired: ${bug}`, async () => {
    for (const seed of seeds) await check(seed);
  });
}

Deno.test("simulation: a fixed set of seeds", async () => {
  for (let seed = 1; seed <= 150; seed++) await check(seed);
});

Deno.test("simulation: a seed replays exactly", async () => {
  const [first, second] = [await run(7), await run(7)];
  assert.deepEqual(first.trace, second.trace);
  assert.ok(first.trace.length > 50);
});
