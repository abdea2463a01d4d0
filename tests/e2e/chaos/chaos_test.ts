/** A fixed part of the chaos run: one fault of each kind, while a client changes units. `deno task chaos` runs at random, and longer. */

import assert from "node:assert/strict";
import { type Fault, faults } from "./faults.ts";
import { report } from "./report.ts";
import { runChaos } from "./run.ts";
import { everywhere } from "./units.ts";

const named = (name: string) => faults.find((fault) => fault.name === name)!;

/** Restarts units behind the back of fleet: shows that a run finds it. */
const sabotage: Fault = {
  name: "sabotage",
  title: "units restarted by hand",
  of: "machine",
  mustBeFound: true,
  lasts: [0, 0],
  begin: async ({ victim }) => {
    // Only units that the client never changes: a change would cancel the restart.
    await victim.must(["systemctl", "restart", ...everywhere]);
    return () => Promise.resolve();
  },
};

/** The faults of each trial. */
const script: readonly (readonly Fault[])[] = [
  [named("leader-kill"), named("dbus")],
  [named("etcd-kill-leader"), named("reexec")],
  [named("fleetd-pause")],
  [named("cut-etcd"), named("run-full-kill")],
  [named("etcd-pause-leader")],
  [named("power"), named("never-stops")],
  [named("etcd-restart-all"), named("fleetd-kill")],
  [sabotage],
];

Deno.test("faults lose no acknowledged change, and stop no unit that should run", async () => {
  // A busy host must break nothing: the daemons get more time for their leases, and the cluster to settle.
  const plan = { seed: 1, agent_ttl_s: 8, faults: script.flat(), script, settle_limit_ms: 90_000 };
  const result = await runChaos(plan, console.log);
  console.log(report(result, plan.seed));
  const found = result.trials.at(-1)!.violations;
  assert.ok(found.some((text) => /restarted on/.test(text)), `a restart by hand was not found: ${found}`);
  const unexpected = result.trials.slice(0, -1).flatMap(({ what, violations }) => {
    return violations.map((text) => `${what}: ${text}`);
  });
  assert.deepEqual(unexpected, []);
  assert.ok(result.requests.done > 50, `the client made only ${result.requests.done} changes`);
});
