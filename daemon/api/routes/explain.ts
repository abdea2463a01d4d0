/**
 * `/units/{name}/explain`: why a unit is where it is, or on no machine.
 *
 * @module
 */

import { type Cluster, currentState, type UnitName } from "../../../registry/model.ts";
import type { Explainer, Explanation, MachineExplanation } from "../../engine/explain.ts";
import type { Api, Call } from "../context.ts";
import { compact, nonEmpty, stateEntity } from "../v1/entities.ts";
import { errorReply } from "../http/responses.ts";
import type { ExplanationEntity, MachineExplanationEntity } from "../v1/types.ts";

/** GET `/units/{name}/explain`. */
export async function explainUnit(api: Api, explainer: Explainer, name: UnitName, { peer }: Call): Promise<Response> {
  const cluster = await api.registry.read();
  const explanation = explainer.explain(cluster, name);
  if (!explanation) return errorReply(404, "unit does not exist");
  return api.responses.json(JSON.stringify(explanationEntity(cluster, explanation)), peer.whenOver);
}

/** Converts an explanation to its entity. */
export function explanationEntity(cluster: Cluster, explanation: Explanation): ExplanationEntity {
  const { unit, outcome, summary, target, next, machines, notes, warnings, leader } = explanation;
  const { name, hash, desiredState, launchedAt, restart, requirements } = unit;
  return compact<ExplanationEntity>({
    currentState: requirements.global ? undefined : currentState(target, cluster.states.get(name)),
    desiredState,
    hash,
    launched: launchedAt > 0 ? launchedAt : undefined,
    leader: nonEmpty(leader?.machine),
    machineID: target?.machine,
    machines: nonEmpty(machines.map(machineExplanationEntity)),
    name,
    next,
    notes: nonEmpty(notes),
    outcome,
    restart: restart > 0 ? restart : undefined,
    revision: cluster.revision,
    since: target?.since_ms,
    summary,
    warnings: nonEmpty(warnings),
    why: target?.why,
  });
}

function machineExplanationEntity(explanation: MachineExplanation): MachineExplanationEntity {
  const { id, machine, eligibility, reasons, state, pending } = explanation;
  return compact<MachineExplanationEntity>({
    currentState: state?.commanded,
    eligibility,
    error: state?.error,
    machineID: id,
    pending,
    primaryIP: nonEmpty(machine?.ip),
    reasons: nonEmpty(reasons.map(({ rule, reason }) => ({ reason, rule }))),
    restart: state?.restart,
    result: state?.result,
    retry: state?.retryAt_ms,
    since: state?.since_ms,
    state: state && stateEntity(state),
    tries: state?.tries,
  });
}
