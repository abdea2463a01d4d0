/**
 * Runs one seed, and shrinks a plan that breaks an invariant.
 *
 * @module
 */

import { SimulatedCluster } from "./cluster.ts";
import { type DaemonFaults, safetyNet_ms } from "./daemon.ts";
import { type Invariant, Violation } from "./violation.ts";
import { type Plan, planOf, times } from "./plan.ts";

/** The longest time in which the cluster must settle after the last fault, milliseconds. */
const settleLimit_ms = 90_000;

export interface Outcome {
  readonly seed: number;
  readonly violation?: { readonly invariant: Invariant | "crash"; readonly message: string };
  /** Time that the cluster needed to settle after the last fault, milliseconds. */
  readonly settled_ms?: number;
  readonly events: number;
  readonly commands: number;
  readonly revision: number;
  readonly trace: readonly string[];
}

export interface RunOptions {
  readonly plan?: Plan;
  readonly faults?: DaemonFaults;
}

/** Runs a seed to its end, or to the first violation. */
export async function run(seed: number, { plan = planOf(seed), faults = {} }: RunOptions = {}): Promise<Outcome> {
  const cluster = new SimulatedCluster(plan, seed, faults);
  let failure: Outcome["violation"];
  let settled_ms: number | undefined;
  try {
    settled_ms = await drive(cluster, plan);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    failure = { invariant: error.invariant, message: error.message };
    cluster.log(error.message);
  } finally {
    cluster.timeline.close();
  }
  const { timeline: { events }, judge: { commands }, etcd: { revision }, trace } = cluster;
  return {
    ...{ seed, events, commands, revision, trace },
    ...(failure && { violation: failure }),
    ...(settled_ms !== undefined && { settled_ms }),
  };
}

async function drive(cluster: SimulatedCluster, plan: Plan): Promise<number> {
  const { timeline, judge } = cluster;
  const checkpoint = () => {
    if (judge.violation) throw judge.violation;
  };
  cluster.start();
  for (const action of plan.actions) timeline.after(action.at_ms, () => cluster.perform(action));
  await timeline.runUntil(times.last_ms, checkpoint);
  cluster.heal();
  const healed_ms = timeline.now_ms();
  for (let now_ms = healed_ms + 1_000;; now_ms += 1_000) {
    await timeline.runUntil(now_ms, checkpoint);
    const [left, unfinished] = [judge.unsettled(), judge.unfinished()];
    if (left.length + unfinished.length === 0) break;
    if (now_ms - healed_ms < settleLimit_ms) continue;
    const late = `after ${settleLimit_ms / 1_000} s`;
    if (left.length > 0) throw new Violation("settles", `not settled ${late}: ${left.join("; ")}`);
    throw new Violation("ends", `not over ${late}: ${unfinished.join("; ")}`);
  }
  const settled_ms = timeline.now_ms() - healed_ms;
  // Backoffs of the last faults end, and each agent compares its links with those of systemd once more.
  await timeline.runUntil(timeline.now_ms() + safetyNet_ms + 5_000, checkpoint);
  const before = { revision: cluster.etcd.revision, commands: judge.commands, reads: judge.requests.read };
  await timeline.runUntil(times.end_ms, checkpoint);
  const revisions = cluster.etcd.revision - before.revision;
  const commands = judge.commands - before.commands;
  if (revisions > 0 || commands > 0) {
    throw new Violation("no storm", `${revisions} writes and ${commands} commands although nothing changes`);
  }
  const left = judge.unsettled();
  if (left.length > 0) throw new Violation("settles", `unsettled at the end: ${left.join("; ")}`);
  return settled_ms;
}

/** Removes actions from a plan for as long as it breaks the same invariant. Returns the shortest plan that was found. */
export async function shrink(seed: number, plan: Plan, options: RunOptions = {}, limit = 200): Promise<Plan> {
  const first = await run(seed, { ...options, plan });
  const invariant = first.violation?.invariant;
  let best = plan;
  let runs = 0;
  for (let size = Math.ceil(best.actions.length / 2); size >= 1 && runs < limit;) {
    let removed = false;
    for (let at = 0; at < best.actions.length && runs < limit;) {
      const actions = best.actions.filter((_, index) => index < at || index >= at + size);
      runs++;
      const tried = await run(seed, { ...options, plan: { ...best, actions } });
      if (tried.violation?.invariant === invariant) {
        best = { ...best, actions };
        removed = true;
      } else at += size;
    }
    if (size === 1 && !removed) break;
    if (!removed || size > 1) size = Math.max(1, Math.floor(size / 2));
  }
  return best;
}
