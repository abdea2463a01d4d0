/**
 * `/rebalance`: moves that even out the spread of units and the load of machines. The leader's engine carries out those
 * that are requested.
 *
 * @module
 */

import type { Cluster } from "../../../registry/model.ts";
import { type Proposal, proposeMoves } from "../../engine/drain/balance.ts";
import { moveProgress } from "../../engine/drain/status.ts";
import { isActiveJob } from "../../policy/globals.ts";
import type { Api, Call } from "../context.ts";
import { emptyReply, errorReply, jsonReply } from "../http/responses.ts";
import { compact, nonEmpty } from "../v1/entities.ts";
import { maxMoves, type RebalanceEntity, RebalanceRequest } from "../v1/types.ts";
import { movingEntity } from "./drains.ts";
import { readRequest } from "./json_request.ts";
import { retryConflicts } from "./retry_conflicts.ts";
import { authorship } from "./units.ts";

/** The number of moves that are proposed unless a request says otherwise. */
const defaultMoves = 10;

/** GET `/rebalance`: proposes moves, and returns those that were requested and are not made yet. */
export async function getRebalance(api: Api, { query }: Call): Promise<Response> {
  const count = Number(query.get("maxMoves") ?? defaultMoves);
  if (!Number.isInteger(count) || count < 0 || count > maxMoves) {
    return errorReply(400, `maxMoves must be a whole number up to ${maxMoves}`);
  }
  return jsonReply(JSON.stringify(rebalanceEntity(await api.registry.read(), count, api.clock.now_ms())));
}

/** POST `/rebalance`: requests moves. */
export async function postRebalance(api: Api, call: Call): Promise<Response> {
  const body = await readRequest(api, call, RebalanceRequest);
  if ("refusal" in body) return body.refusal;
  const moves = body.value.moves.map(({ name: unit, from, to }) => ({ unit, from, to }));
  if (moves.length === 0) return errorReply(400, "moves must name at least one move");
  return await retryConflicts(api.clock, async () => {
    const cluster = await api.registry.read();
    if (cluster.rebalance) return errorReply(409, "moves are requested already: wait for them, or cancel them first");
    const outdated = moves.find(({ unit, from, to }) => {
      const known = cluster.units.get(unit);
      const isThere = known && isActiveJob(known) && cluster.targets.get(unit)?.machine === from;
      return !isThere || !cluster.machines.has(to) || from === to;
    });
    if (outdated) {
      const { unit, from, to } = outdated;
      return errorReply(409, `unit ${unit} cannot move from machine ${from} to ${to}: the cluster has changed`);
    }
    await api.registry.commit({ kind: "rebalance", rebalance: { ...authorship(api, call), moves } });
    return emptyReply(204);
  });
}

/** DELETE `/rebalance`: cancels the moves that are not made yet. */
export function deleteRebalance(api: Api): Promise<Response> {
  return retryConflicts(api.clock, async () => {
    const { rebalance } = await api.registry.read();
    if (!rebalance) return errorReply(404, "no moves are requested");
    await api.registry.commit({ kind: "rebalance", was: rebalance });
    return emptyReply(204);
  });
}

/** Returns all counts of the templates of which some have changed. */
function spreadChanges(
  before: Proposal["spreadBefore"],
  after: Proposal["spreadAfter"],
): NonNullable<RebalanceEntity["spread"]> {
  // The same values in the same order.
  const shares = before.map(({ count, ...share }, index) => ({ ...share, before: count, after: after[index]!.count }));
  const changed = new Set(shares.filter(({ before, after }) => before !== after).map(({ template }) => template));
  return shares.filter(({ template }) => changed.has(template));
}

function rebalanceEntity(cluster: Cluster, count: number, now_ms: number): RebalanceEntity {
  const { moves, before, after, spreadBefore, spreadAfter } = proposeMoves(cluster, count);
  const units = new Map(after.map(({ machine, units }) => [machine, units]));
  const progress = cluster.rebalance ? moveProgress(cluster, now_ms) : new Map();
  const requested = cluster.rebalance?.moves.flatMap(({ unit }) => {
    const move = progress.get(unit);
    return move ? [movingEntity(cluster, unit, move)] : [];
  });
  return compact<RebalanceEntity>({
    loads: [...before].sort((a, b) => a.machine < b.machine ? -1 : 1).map(({ machine, units: count }) =>
      compact<RebalanceEntity["loads"][number]>({
        after: units.get(machine) ?? count,
        before: count,
        machineID: machine,
        primaryIP: nonEmpty(cluster.machines.get(machine)?.ip),
      })
    ),
    proposed: moves.map(({ unit, from, to }) => ({ from, name: unit, to })),
    requested,
    spread: nonEmpty(spreadChanges(spreadBefore, spreadAfter)),
  });
}
