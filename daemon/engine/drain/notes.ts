import { type Cluster, successorOf, type Target, type Unit } from "../../../registry/model.ts";
import { healthOn } from "../../policy/health.ts";
import { short } from "../classify.ts";
import { copyFailure } from "./copies.ts";
import { failedMoveFor } from "./requests.ts";

/** Returns notes on a move that an operator has requested. */
export function moveNotes(cluster: Cluster, unit: Unit, target: Target | undefined): string[] {
  const drain = target && cluster.drains?.get(target.machine);
  const copy = successorOf(cluster, unit.name);
  const moves = drain?.status === "moving" && !unit.requirements.global
    ? [
      `machine ${short(drain.machine)} is drained${drain.changed ? ` by ${drain.changed.by}` : ""}; see fleetctl drain`,
    ]
    : [];
  if (!copy) {
    const failed = moves.length > 0 ? failedMoveFor(drain!, target!) : undefined;
    return failed === undefined
      ? moves
      : [...moves, `its last move failed, and is tried again: its second copy ${failed}`];
  }
  const from = short(target!.machine);
  const health = healthOn(cluster, unit, copy.machine);
  const failure = copyFailure(unit, health, cluster.states.get(unit.name)?.get(copy.machine));
  if (failure !== undefined) {
    return [
      ...moves,
      `its second copy ${failure}; it stays on machine ${from}, and the move is tried again, elsewhere`,
    ];
  }
  if (health.kind === "unhealthy") {
    const next = "unless it becomes healthy within HealthyDeadline=, the move is tried again, elsewhere";
    return [...moves, `its second copy ${health.why}; it stays on machine ${from}, and ${next}`];
  }
  const now = health.kind === "healthy"
    ? `a second copy of it runs on machine ${short(copy.machine)}`
    : `its second copy ${health.why}`;
  return [...moves, `${now}; when that is healthy, the one on machine ${from} stops`];
}
