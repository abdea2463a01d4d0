/**
 * Long answers that wait to be taken by their readers hold memory: so much together, and no more.
 *
 * @module
 */

import { errorReply, jsonReply } from "./responses.ts";

/** All together, in characters. Short ones do not count: the kernel takes them at once. */
const maxHeld = 128 * 1024 * 1024;
const short = 64 * 1024;

/** Gives answers, and counts those that are long until they have gone out. */
export class ResponseBudget {
  #held = 0;

  /** An answer whose body is JSON text; 503 while there are too many long ones. `whenOver` calls back when it has gone out. */
  json(text: string, whenOver: ((callback: () => void) => void) | undefined): Response {
    if (!whenOver || text.length <= short) return jsonReply(text);
    if (this.#held + text.length > maxHeld) {
      return errorReply(503, "too many long answers wait to be taken by their readers: try again");
    }
    this.#held += text.length;
    whenOver(() => this.#held -= text.length);
    return jsonReply(text);
  }
}
