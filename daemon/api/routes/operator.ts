/**
 * `/metrics` and `/store/accept`: requests of an operator to this daemon alone. They are answered while the daemon is
 * not a member of the cluster, too.
 *
 * @module
 */

import { errorReply, jsonReply, reply } from "../http/responses.ts";
import { type Resource, resource } from "../router.ts";
import type { AcceptedStoreEntity } from "../v1/types.ts";

/** The ports behind the routes; without a port its route does not exist. */
export interface OperatorPorts {
  /** Returns the metrics in Prometheus' text exposition format, version 0.0.4. */
  readonly metrics?: () => Promise<string>;
  /**
   * Accepts the store that is found in place of the known one, or returns the reason why it does not. `keepUnits`: the
   * units of this machine are put into the store.
   */
  readonly acceptStore?: (keepUnits: boolean) => Promise<AcceptedStoreEntity | { readonly refusal: string }>;
}

/** Returns the routes of an operator by path. Their actions reject if the ports do. */
export function operatorRoutes({ metrics, acceptStore }: OperatorPorts): [string, Resource][] {
  const contentType = "text/plain; version=0.0.4; charset=utf-8";
  const routes: [string, Resource][] = [];
  if (metrics) {
    const report = async () => reply(200, contentType, await metrics());
    // Any method, as in fleet 1.0, which scrapers may rely on.
    routes.push(["/metrics", {
      actions: { GET: report, HEAD: () => new Response(null, { headers: { "Content-Type": contentType } }) },
      otherwise: report,
      isLocal: true,
    }]);
  }
  if (acceptStore) {
    const accept = (keepUnits: boolean) => async () => {
      const answer = await acceptStore(keepUnits);
      return "refusal" in answer ? errorReply(409, answer.refusal) : jsonReply(JSON.stringify(answer));
    };
    routes.push(["/fleet/v1/store/accept", { ...resource({ POST: accept(false) }), isLocal: true }]);
    // A path of its own: an older daemon would ignore a parameter, and stop the units.
    routes.push(["/fleet/v1/store/accept/keep-units", { ...resource({ POST: accept(true) }), isLocal: true }]);
  }
  return routes;
}
