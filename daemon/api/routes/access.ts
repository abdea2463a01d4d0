/**
 * `/access`: what the client that asks may do.
 *
 * @module
 */

import type { Peer } from "../context.ts";
import { jsonReply } from "../http/responses.ts";
import { compact } from "../v1/entities.ts";
import type { AccessEntity } from "../v1/types.ts";

/** GET `/access`. */
export function getAccess({ as, role = "write" }: Peer): Response {
  return jsonReply(JSON.stringify(compact<AccessEntity>({ as, role })));
}
