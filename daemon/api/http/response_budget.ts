/**
 * A limit for the memory of long responses that wait for slow clients.
 *
 * @module
 */

import { Budget } from "../../../runtime/budget.ts";
import { errorReply, jsonReply } from "./responses.ts";

/** All long responses together, in characters. Short ones do not count: the kernel's buffers take them at once. */
const capacity = 128 * 1024 * 1024;
const short = 64 * 1024;

/** Makes JSON responses, and counts the long ones until they have been sent. */
export class ResponseBudget {
  readonly #budget = new Budget(capacity);

  /** Returns a response whose body is JSON text, or 503 over the limit. `whenOver` calls back when the response has been sent. */
  json(text: string, whenOver: ((callback: () => void) => void) | undefined, code = 200): Response {
    if (!whenOver || text.length <= short) return jsonReply(text, code);
    const release = this.#budget.take(text.length);
    if (!release) return errorReply(503, "too many long responses wait for slow clients: try again");
    whenOver(release);
    return jsonReply(text, code);
  }
}
