/**
 * What an operator asks of this very daemon rather than of the cluster: its metrics, and to accept a store. Answered
 * also while the daemon is not in the cluster.
 *
 * @module
 */

import { emptyReply, errorReply, jsonReply } from "./replies.ts";
import type { Target } from "./target.ts";
import type { AcceptedStoreEntity } from "./v1.ts";

/** What is asked for; a port that is left out is not there, and its path neither. */
export interface OperatorPorts {
  /** The text of Prometheus' exposition format, version 0.0.4. */
  readonly metrics?: () => Promise<string>;
  /** Takes the store that is there in place of the one that was known, or says why not. */
  readonly acceptStore?: () => Promise<AcceptedStoreEntity | { readonly refusal: string }>;
}

/** Answers what is for an operator; undefined for any other path. Rejects as the ports do. */
export async function answerOperator(
  method: string,
  target: Extract<Target, { kind: "path" }>,
  { metrics, acceptStore }: OperatorPorts,
): Promise<Response | undefined> {
  const path = target.segments.join("/");
  if (metrics && path === "metrics") {
    if (method !== "GET" && method !== "HEAD") {
      return errorReply(405, "only GET and HEAD supported against this resource");
    }
    const headers = { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" };
    return method === "HEAD" ? emptyReply(200, headers) : new Response(await metrics(), { headers });
  }
  if (acceptStore && /^(fleet\/v1|v1-alpha)\/store\/accept$/.test(path)) {
    if (method !== "POST") return errorReply(405, "only POST supported against this resource");
    const answer = await acceptStore();
    return "refusal" in answer ? errorReply(409, answer.refusal) : jsonReply(JSON.stringify(answer));
  }
  return undefined;
}
