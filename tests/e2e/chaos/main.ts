/**
 * `deno task chaos --seed N --minutes M --faults a,b`: faults at random on a cluster of four machines with three etcd members,
 * while a client changes units. Prints a table. Exits with 1 if a promise was broken. Build first: `deno task build`.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { prepare } from "../../prepare_host.ts";
import { faults } from "./faults.ts";
import { report } from "./report.ts";
import { runChaos } from "./run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: `${Math.floor(Math.random() * 1e6)}` },
    minutes: { type: "string", default: "20" },
    faults: { type: "string", default: faults.map(({ name }) => name).join() },
    "agent-ttl": { type: "string", default: "6" },
  },
});

function chosen() {
  return values.faults.split(",").map((name) => {
    const fault = faults.find((fault) => fault.name === name);
    if (fault) return fault;
    console.error(`no fault "${name}"; the faults are ${faults.map(({ name }) => name).join()}`);
    Deno.exit(2);
  });
}

function number(option: "seed" | "minutes" | "agent-ttl"): number {
  const value = Number(values[option]);
  if (Number.isFinite(value) && value > 0) return value;
  console.error(`--${option}: "${values[option]}" is not a number above 0`);
  Deno.exit(2);
}

const plan = {
  seed: number("seed"),
  minutes: number("minutes"),
  agent_ttl_s: number("agent-ttl"),
  faults: chosen(),
  settle_limit_ms: 30_000,
};
await prepare([{ what: "nft", debian: "nftables" }, { what: "tc", debian: "iproute2" }]);
const log = (line: string) => console.log(`${new Date().toISOString().slice(11, 19)} ${line}`);
log(`seed ${plan.seed}, ${plan.minutes} minutes, agent_ttl ${plan.agent_ttl_s} s`);
const result = await runChaos(plan, log);
console.log(`\n${report(result, plan.seed)}`);
Deno.exit(result.trials.some(({ violations }) => violations.length > 0) ? 1 : 0);
