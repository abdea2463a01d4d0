/**
 * The rule that decides whether a unit that moves may run on both machines for a moment. Pure.
 *
 * @module
 */

import type { Cluster, Unit } from "../../../registry/model.ts";
import { matchesAny } from "../../policy/feasibility.ts";

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

/** True if every daemon knows second copies: an older one would neither start nor end them. */
export function allKnowCopies({ machines }: Pick<Cluster, "machines">): boolean {
  return [...machines.values()].every(({ capabilities }) => capabilities.successors === true);
}
