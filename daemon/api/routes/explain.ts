/**
 * `/units/{name}/explain`: why a unit is where it is, or is not.
 *
 * @module
 */

import { type Cluster, currentState, type UnitName } from "../../../registry/model.ts";
import type { Explainer, Explanation, MachineExplanation } from "../../engine/explain.ts";
import type { Api, Call } from "../context.ts";
import { stateEntity } from "../v1/entities.ts";
import { errorReply } from "../http/responses.ts";
import type { ExplanationEntity, MachineExplanationEntity } from "../v1/types.ts";

/** GET `/units/{name}/explain`. */
export async function explainUnit(api: Api, explainer: Explainer, name: UnitName, { peer }: Call): Promise<Response> {
  const cluster = await api.registry.read();
  const explanation = explainer.explain(cluster, name);
  if (!explanation) return errorReply(404, "unit does not exist");
  return api.answers.json(JSON.stringify(explanationEntity(cluster, explanation)), peer.whenOver);
}

/** An explanation as clients get it. */
export function explanationEntity(cluster: Cluster, explanation: Explanation): ExplanationEntity {
  const { unit, outcome, summary, target, next, machines, notes, warnings, leader } = explanation;
  const { name, hash, desiredState, launchedAt, restart, requirements } = unit;
  return {
    ...(requirements.global ? {} : { currentState: currentState(target, cluster.states.get(name)) }),
    desiredState,
    hash,
    ...(launchedAt > 0 && { launched: launchedAt }),
    ...(leader && leader.machine !== "" && { leader: leader.machine }),
    ...(target && { machineID: target.machine }),
    ...(machines.length > 0 && { machines: machines.map(machineExplanationEntity) }),
    name,
    ...(next !== undefined && { next }),
    ...(notes.length > 0 && { notes }),
    outcome,
    ...(restart > 0 && { restart }),
    revision: cluster.revision,
    ...(target && { since: target.since_ms }),
    summary,
    ...(warnings.length > 0 && { warnings }),
    ...(target && { why: target.why }),
  };
}

function machineExplanationEntity(explanation: MachineExplanation): MachineExplanationEntity {
  const { id, machine, eligibility, reasons, state, pending } = explanation;
  return {
    ...(state && { currentState: state.commanded }),
    eligibility,
    ...(state?.error !== undefined && { error: state.error }),
    machineID: id,
    ...(pending !== undefined && { pending }),
    ...(machine && machine.ip !== "" && { primaryIP: machine.ip }),
    ...(reasons.length > 0 && { reasons: reasons.map(({ rule, reason }) => ({ reason, rule })) }),
    ...(state && { restart: state.restart }),
    ...(state?.result !== undefined && { result: state.result }),
    ...(state && { since: state.since_ms }),
    ...(state && { state: stateEntity(state) }),
  };
}
