/**
 * Forgets apps without units, so that the store does not fill with the history of apps that were removed.
 *
 * @module
 */

import type { RolloutUpdate } from "../../../registry/mod.ts";
import type { AppName, Cluster, Rollout } from "../../../registry/model.ts";
import { hasEnded } from "../../../registry/rollouts.ts";
import type { Look } from "./observation.ts";

/** The time for which an app that was removed can be brought back, by the clock of one leader. */
const kept_ms = 24 * 60 * 60_000;

/** Observes since when apps have no units. */
export class EmptyApps {
  readonly #since_ms = new Map<AppName, number>();

  /** Returns the updates that forget apps, and the time until the next one. */
  decide({ cluster, now_ms }: Look): { readonly updates: readonly RolloutUpdate[]; readonly wait_ms: number } {
    const empty = emptyApps(cluster);
    const names = new Set(empty.map(({ app }) => app));
    for (const app of this.#since_ms.keys()) if (!names.has(app)) this.#since_ms.delete(app);
    const left = empty.map((was) => {
      const since_ms = this.#since_ms.getOrInsertComputed(was.app, () => now_ms);
      return { was, left_ms: since_ms + kept_ms - now_ms };
    });
    const due = left.filter(({ left_ms }) => left_ms <= 0);
    return {
      updates: due.map(({ was }) => ({ was, status: was.status, forget: true })),
      wait_ms: Math.min(Infinity, ...left.filter(({ left_ms }) => left_ms > 0).map(({ left_ms }) => left_ms)),
    };
  }
}

/** Returns the ended roll-outs of apps without units. */
function emptyApps({ rollouts, units }: Cluster): readonly Rollout[] {
  const ended = [...rollouts?.values() ?? []].filter((rollout) =>
    hasEnded(rollout) && rollout.unreadable === undefined
  );
  if (ended.length === 0) return [];
  const owners = new Set<AppName | undefined>();
  for (const { app, unreadable } of units.values()) {
    // It may belong to any app.
    if (unreadable !== undefined) return [];
    owners.add(app);
  }
  return ended.filter(({ app }) => !owners.has(app));
}
