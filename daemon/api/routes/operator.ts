/**
 * What an operator asks of this very daemon rather than of the cluster: its metrics, and to accept a store. Answered
 * also while the daemon is not in the cluster.
 *
 * @module
 */

import { errorReply, jsonReply } from "../http/responses.ts";
import { only, type Resource } from "../router.ts";
import type { AcceptedStoreEntity } from "../v1/types.ts";

/** What is asked for; a port that is left out is not there, and its path neither. */
export interface OperatorPorts {
  /** The text of Prometheus' exposition format, version 0.0.4. */
  readonly metrics?: () => Promise<string>;
  /** Takes the store that is there in place of the one that was known, or says why not. */
  readonly acceptStore?: () => Promise<AcceptedStoreEntity | { readonly refusal: string }>;
}

/** What is there for an operator, by path. Its actions reject as the ports do. */
export function operatorRoutes({ metrics, acceptStore }: OperatorPorts): [string, Resource][] {
  const headers = { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" };
  const routes: [string, Resource][] = [];
  if (metrics) {
    const tell = async () => new Response(await metrics(), { headers });
    // Any method, as in the original: scrapers were written for that.
    routes.push(["/metrics", {
      actions: { GET: tell, HEAD: () => new Response(null, { headers }) },
      otherwise: tell,
      isOwn: true,
    }]);
  }
  if (acceptStore) {
    const accept = async () => {
      const answer = await acceptStore();
      return "refusal" in answer ? errorReply(409, answer.refusal) : jsonReply(JSON.stringify(answer));
    };
    routes.push(["/fleet/v1/store/accept", { actions: { POST: accept }, otherwise: only("POST"), isOwn: true }]);
  }
  return routes;
}
