/**
 * Reads JSON request bodies by their schemas.
 *
 * @module
 */

import type { Api, Call } from "../context.ts";
import { errorReply } from "../http/responses.ts";
import { type Complete, decode } from "../v1/decode.ts";
import type { Schema } from "../v1/schema.ts";

/**
 * Returns the decoded body, or the response that refuses it: also if the client may only read, and the body does not say
 * `dryRun`. `limit_bytes`: its greatest length, by default 1 MiB.
 */
export async function readRequest<T>(
  api: Api,
  call: Call,
  schema: Schema<T>,
  limit_bytes?: number,
): Promise<{ readonly value: Complete<T> } | { readonly refusal: Response }> {
  const unsupported = checkContentType(call);
  if (unsupported !== undefined) return { refusal: errorReply(415, unsupported) };
  const body = await api.bodies.readJson(call.request, call.peer.body, limit_bytes);
  if ("refusal" in body) return { refusal: errorReply(body.code, `unable to decode body: ${body.refusal}`) };
  const decoded = decode(schema, body.value);
  if ("value" in decoded) {
    const { onlyDryRun } = call.peer;
    const isDryRun = (decoded.value as { readonly dryRun?: boolean }).dryRun === true;
    return onlyDryRun === undefined || isDryRun ? decoded : { refusal: errorReply(403, onlyDryRun) };
  }
  return { refusal: errorReply(400, `unable to decode body: ${decoded.refusal}`) };
}

function checkContentType({ request, peer }: Call): string | undefined {
  const value = request.headers.get("content-type");
  const count = peer.contentTypes ?? (value === null ? 0 : 1);
  if (count !== 1 || value === null) return `expected 1 Content-Type, got ${count}`;
  const mediaType = value.split(";", 1)[0] as string;
  return mediaType.trim() === "application/json" ? undefined : "only acceptable Content-Type is application/json";
}
