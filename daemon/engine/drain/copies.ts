/**
 * The rules about units that run on both machines while they move: whether one may, and whether its second copy has failed.
 * Pure.
 *
 * @module
 */

import type { Cluster, Unit, UnitState } from "../../../registry/model.ts";
import { matchesAny } from "../../policy/feasibility.ts";
import { crashText, type Health, maxRestarts } from "../../policy/health.ts";

/** Types of units of which a second copy is useful: they serve clients. A timer would only elapse twice. */
const serving = [".service", ".socket", ".container", ".pod", ".kube"];

/** Returns why only one copy of a unit may run; undefined if a second one may run while the unit moves. */
export function soleCopyReason({ name, requirements, desiredState }: Unit): string | undefined {
  if (desiredState !== "launched") return "it is not launched";
  if (!serving.some((type) => name.endsWith(type))) return "units of this type serve no clients";
  if (requirements.unique) return "Unique=true";
  if (requirements.stopWhenDisconnected_ms !== undefined) return "StopWhenDisconnected=";
  if (matchesAny(requirements.conflicts, name)) return "Conflicts= matches its own name";
  return undefined;
}

/**
 * True if every daemon knows second copies: an older one would neither start nor end them. Older records can be read: one that
 * cannot be read is of a newer daemon, or is written again at once.
 */
export function allKnowCopies({ machines }: Pick<Cluster, "machines">): boolean {
  return [...machines.values()].every(({ capabilities, unreadable }) =>
    capabilities.successors === true || unreadable !== undefined
  );
}

/**
 * Returns why a second copy has failed for good, a part of a sentence; undefined if it may become healthy. A roll-out judges
 * in the same way, but does not wait until fleet starts a failed unit again: here the old copy serves meanwhile.
 */
export function copyFailure(unit: Unit, health: Health, state: UnitState | undefined): string | undefined {
  if (health.kind === "unhealthy") return state && isStartedAgain(unit, state) ? undefined : health.why;
  return health.kind === "waiting" && state && (state.restarts ?? 0) >= maxRestarts ? crashText(state) : undefined;
}

/** True if fleet itself starts a failed unit again: a socket, which systemd never restarts, or one with OnFailure=move. */
function isStartedAgain({ requirements: { moveAfter } }: Unit, { permanent, tries, failures = 0 }: UnitState): boolean {
  return !permanent && (tries !== undefined || moveAfter !== undefined && failures < moveAfter.failures);
}
