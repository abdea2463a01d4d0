/**
 * `deno task sim`: simulates whole clusters.
 *
 * - `--seeds N` runs N fresh seeds, or from `--from SEED` on.
 * - `--seed N` runs one seed and prints what has happened. `--only 3,7,9` keeps only those actions of its plan.
 *
 * A seed that breaks an invariant is shrunk: the printed command replays the shortest plan that was found. Exits with 1.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { describe, planOf } from "./plan.ts";
import { type Outcome, run, shrink } from "./run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string", default: "200" },
    from: { type: "string" },
    only: { type: "string" },
  },
});

/** The lines of a trace that are printed, counted from its end. */
const shownLines = 60;

if (values.seed !== undefined) {
  const seed = Number(values.seed);
  const plan = planOf(seed);
  const kept = values.only === undefined ? undefined : new Set(values.only.split(",").map(Number));
  const outcome = await run(seed, {
    plan: kept ? { ...plan, actions: plan.actions.filter((_, index) => kept.has(index)) } : plan,
  });
  console.log(outcome.trace.join("\n"));
  console.log(summary(outcome));
  Deno.exit(outcome.violation ? 1 : 0);
}

const first = Number(values.from ?? Math.floor(Math.random() * 2 ** 31));
const count = Number(values.seeds);
const settled_s: number[] = [];
for (let seed = first; seed < first + count; seed++) {
  const outcome = await run(seed);
  if (outcome.violation) {
    console.log(summary(outcome));
    await printShortest(seed);
    Deno.exit(1);
  }
  settled_s.push(outcome.settled_ms! / 1000);
  if (settled_s.length % 100 === 0) console.log(`${settled_s.length} seeds from ${first}: no broken invariant`);
}
settled_s.sort((a, b) => a - b);
const last = settled_s.at(-1);
console.log(
  `${count} seeds from ${first}: no broken invariant; settled after the last fault within ` +
    `${settled_s[settled_s.length >> 1]} s (median), ${last} s (worst)`,
);

function summary({ seed, violation, settled_ms, events, commands, revision }: Outcome): string {
  const what = violation?.message ?? `no broken invariant, settled after ${settled_ms! / 1000} s`;
  return `seed ${seed}: ${what} (${events} events, ${commands} commands, revision ${revision})`;
}

async function printShortest(seed: number): Promise<void> {
  const plan = planOf(seed);
  const { actions } = await shrink(seed, plan);
  const outcome = await run(seed, { plan: { ...plan, actions } });
  console.log(outcome.trace.slice(-shownLines).join("\n"));
  console.log(`\nshortest plan, of ${plan.actions.length} actions:`);
  for (const action of actions) console.log(`  ${(action.at_ms / 1000).toFixed(3)} s: ${describe(action)}`);
  const kept = actions.map((action) => plan.actions.indexOf(action));
  console.log(
    `\nreplay: deno task sim --seed ${seed}\nshortest: deno task sim --seed ${seed} --only ${kept.join(",")}`,
  );
}
