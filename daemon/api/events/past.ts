/**
 * The events of the past are kept by the daemon of the leading engine: other daemons forward requests for them, unless they
 * have watched the cluster for longer themselves.
 *
 * @module
 */

import { messageOf } from "../../../runtime/log.ts";
import type { Api, Call } from "../context.ts";
import { forwardedHeader, inTime } from "../machine/forwarding.ts";
import { apiPrefixes } from "../v1/types.ts";

/** The header of an answer that ends: older daemons ignore `follow=false`, and send a stream without an end. */
export const pastHeader = "Fleet-Past";

/** Longest time for the whole answer of the leader's daemon: without it, the latest changes are known here too. */
const leader_ms = 3_000;

/**
 * Returns the answer of the leader's daemon to a request for the events of a period: at most what its buffer holds.
 * Undefined if that is this daemon, if the request comes from another daemon, if the leader's does not answer or is older, or
 * if it knows less than this one, which knows every event since `complete_ms`.
 */
export async function pastOfLeader(
  { registry, localMachine, clock, log }: Api,
  { request, query }: Call,
  complete_ms = Infinity,
): Promise<Response | undefined> {
  const { leader, machines } = await registry.read();
  const address = machines.get(leader?.machine ?? "")?.apiAddress;
  if (!localMachine || leader?.machine === localMachine.id() || request.headers.has(forwardedHeader)) return undefined;
  if (address === undefined) return undefined;
  const headers = { [forwardedHeader]: localMachine.id() ?? "" };
  const ask = async (signal: AbortSignal): Promise<string | undefined> => {
    const answer = await localMachine.fetchPeer(address, `${apiPrefixes[0]}/events?${query}`, headers, signal);
    if (answer.ok && answer.headers.has(pastHeader)) return await answer.text();
    await answer.body?.cancel();
    return undefined;
  };
  try {
    const text = await inTime(clock, request, ask, leader_ms);
    if (text === undefined || complete_ms <= completeSince(text)) return undefined;
    return new Response(text, {
      headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-store", [pastHeader]: "true" },
    });
  } catch (error) {
    log("debug", `the leader's daemon does not return its events at ${address}: ${messageOf(error)}`);
    return undefined;
  }
}

/** Returns the time since which an answer has every event of its period; -Infinity if that is all of the period. */
function completeSince(text: string): number {
  const [, data] = /^event: partial\ndata: (.*)$/m.exec(text) ?? [];
  return data === undefined ? -Infinity : JSON.parse(data).since;
}
