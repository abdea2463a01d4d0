/**
 * `/loss`: the machines that the engine waits for after a mass loss, and the end of that wait.
 *
 * @module
 */

import type { Api } from "../context.ts";
import { lossEntity } from "../v1/entities.ts";
import { emptyReply, errorReply, jsonReply } from "../http/responses.ts";
import { retryConflicts } from "./retry_conflicts.ts";

/** GET `/loss`. */
export async function getLoss(api: Api): Promise<Response> {
  return jsonReply(JSON.stringify(lossEntity(await api.registry.read())));
}

/** DELETE `/loss`: the engine gives up the machines that are missing, and moves their units. */
export function acceptLoss(api: Api): Promise<Response> {
  return retryConflicts(api.clock, async () => {
    const { massLoss } = await api.registry.read();
    if (!massLoss || massLoss.isOver) {
      return errorReply(404, "the engine does not wait for machines that were lost at once");
    }
    await api.registry.commit({ kind: "accept loss", was: massLoss });
    return emptyReply(204);
  });
}
