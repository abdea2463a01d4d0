/**
 * Repeats changes that other writers get ahead of.
 *
 * @module
 */

import type { Clock } from "../../../runtime/clock.ts";
import { ConflictError } from "../../../registry/mod.ts";
import { errorReply } from "../http/responses.ts";

/** Attempts at a change while other writers keep changing what it was decided on. */
const maxAttempts = 10;

/**
 * Returns the response of `attempt`, which reads what it decides on and commits a change. It is repeated after a random
 * pause if it rejects with {@link ConflictError}; the conflict of the last attempt is answered by 409.
 */
export async function retryConflicts(clock: Clock, attempt: () => Promise<Response>): Promise<Response> {
  for (let attempts = 1;; attempts++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      if (attempts >= maxAttempts) return errorReply(409, `${error.message}; gave up after ${attempts} attempts`);
      await clock.sleep(clock.random() * 5 * attempts);
    }
  }
}
