/**
 * `/apps/{app}/rollout`: the latest roll-out of an application.
 *
 * @module
 */

import type { AppName, Cluster, Rollout } from "../../../registry/model.ts";
import { answerRequest, hasEnded, rolloutRequests, undoSteps } from "../../../registry/rollouts.ts";
import { authorOf } from "../auth/audit.ts";
import type { Api, Call } from "../context.ts";
import { errorReply } from "../http/responses.ts";
import { rolloutEntity, rolloutNow } from "../v1/app_entities.ts";
import { RolloutRequest } from "../v1/types.ts";
import { begin } from "./apps.ts";
import { readRequest } from "./json_request.ts";
import { retryConflicts } from "./retry_conflicts.ts";

const noRollout = "application has no roll-out";

/** GET `/apps/{app}/rollout`. */
export async function getRollout(api: Api, app: AppName, { peer }: Call): Promise<Response> {
  const cluster = await api.registry.read();
  const rollout = cluster.rollouts?.get(app);
  if (!rollout) return errorReply(404, noRollout);
  return api.responses.json(JSON.stringify(rolloutNow(cluster, rollout)), peer.whenOver);
}

/** POST `/apps/{app}/rollout`: pauses, resumes, aborts or undoes the roll-out. */
export async function controlRollout(api: Api, app: AppName, call: Call): Promise<Response> {
  const body = await readRequest(api, call, RolloutRequest);
  if ("refusal" in body) return body.refusal;
  const action = rolloutRequests.find((each) => each === body.value.action);
  if (action === undefined) {
    return errorReply(400, `unknown action ${JSON.stringify(body.value.action)}: expect ${rolloutRequests.join(", ")}`);
  }
  return await retryConflicts(api.clock, async () => {
    const cluster = await api.registry.read();
    const was = cluster.rollouts?.get(app);
    if (!was) return errorReply(404, noRollout);
    if (was.unreadable !== undefined) return errorReply(409, was.unreadable);
    if (action === "undo" && hasEnded(was)) return await undoEnded(api, app, call);
    const answer = answerRequest(was, action, authorOf(call.peer));
    if ("refusal" in answer) return errorReply(409, answer.refusal);
    const revision = await update(api, cluster, was, answer);
    const { reason: _reason, ...rest } = was;
    const entity = rolloutEntity(cluster, { ...rest, ...answer, revision });
    return api.responses.json(JSON.stringify(entity), call.peer.whenOver);
  });
}

function update({ registry }: Api, { apps }: Cluster, was: Rollout, answer: Pick<Rollout, "status" | "reason">) {
  const app = apps?.get(was.app);
  return registry.updateRollout({ was, ...answer, ...app && { app } });
}

/** Takes back a roll-out that has ended, by another one. */
function undoEnded(api: Api, app: AppName, call: Call): Promise<Response> {
  return begin(api, app, call, ({ rollouts, units }) => {
    const was = rollouts?.get(app);
    if (was?.isUndo && was.status === "done") {
      return {
        code: 409,
        refusal: `the roll-out was undone already: fleetctl rollback ${app} goes to another version`,
      };
    }
    const steps = was ? undoSteps(was, units) : [];
    if (steps.length === 0) {
      return { code: 409, refusal: `the roll-out has changed no unit that could be changed back` };
    }
    return { what: "rollback", steps, files: new Map(), rollback: true, isUndo: true };
  });
}
