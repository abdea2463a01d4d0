/**
 * The work of the leader on the roll-outs of a cluster.
 *
 * @module
 */

import type { RolloutUpdate } from "../../../registry/mod.ts";
import type { AppName, Cluster, Rollout } from "../../../registry/model.ts";
import { hasEnded } from "../../../registry/rollouts.ts";
import { decideRollout } from "./decide.ts";
import { EmptyApps } from "./empty_apps.ts";
import { type Look, Observation } from "./observation.ts";

/** The next steps of all roll-outs. */
export interface RolloutSteps {
  readonly updates: readonly RolloutUpdate[];
  /** The time until the next look that may decide otherwise although nothing else has changed. */
  readonly wait_ms: number;
}

/** Decides on the next steps of roll-outs, and holds what one leader has observed of them. */
export class RolloutController {
  readonly #observations = new Map<AppName, { readonly id: string; readonly observation: Observation }>();
  readonly #emptyApps = new EmptyApps();

  decide(look: Look): RolloutSteps {
    const active = activeRollouts(look.cluster);
    const apps = new Set(active.map(({ app }) => app));
    for (const app of this.#observations.keys()) if (!apps.has(app)) this.#observations.delete(app);
    const decisions = active.map((rollout) => decideRollout(rollout, look, this.#observationOf(rollout)));
    const empty = this.#emptyApps.decide(look);
    return {
      updates: [...decisions.flatMap(({ update }) => update ?? []), ...empty.updates],
      wait_ms: Math.min(empty.wait_ms, ...decisions.map(({ wait_ms }) => wait_ms)),
    };
  }

  #observationOf({ app, id }: Rollout): Observation {
    const known = this.#observations.get(app);
    if (known?.id === id) return known.observation;
    const observation = new Observation();
    this.#observations.set(app, { id, observation });
    return observation;
  }
}

/**
 * Returns the roll-outs that the leader works on: none while it waits for machines that were lost at once. A pause ends the
 * observation: after it, units are waited for again.
 */
function activeRollouts({ rollouts, massLoss }: Pick<Cluster, "rollouts" | "massLoss">): readonly Rollout[] {
  if (massLoss) return [];
  return [...rollouts?.values() ?? []].filter((rollout) => !hasEnded(rollout) && rollout.status !== "paused");
}

/** True if a change from one view of the cluster to the next one may change the next steps of a roll-out. */
export function mayAdvance(before: Cluster, next: Cluster): boolean {
  return before.rollouts !== next.rollouts || before.states !== next.states && activeRollouts(next).length > 0;
}
