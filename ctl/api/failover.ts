/**
 * Sends requests to the first of several endpoints that answers.
 *
 * @module
 */

import { type Send, UnreachableError } from "./client.ts";
import { type Io, reasonOf } from "../terminal/port.ts";

/** One of several endpoints. */
export interface Place {
  /** As the user wrote it. */
  readonly endpoint: string;
  readonly send: Send;
}

/** How long an endpoint may be silent before the next one is asked as well. */
const stagger_ms = 1000;

/** What tells whether a daemon can answer for the cluster. */
const probePath = "/readyz";

/** HTTP status of a daemon that cannot answer for the cluster. */
const unavailable = 503;

/**
 * Endpoints of which one is in use. It is chosen when the first request is sent, and again when it does not answer: the
 * first, in the order given, that is ready; if none is, the first that answers at all.
 */
export class Failover {
  readonly #places: readonly Place[];
  readonly #io: Io;
  #chosen: Promise<Place> | undefined;
  #latest: Place;

  /** `places` has at least two elements. */
  constructor(places: readonly Place[], io: Io) {
    this.#places = places;
    this.#latest = places[0] as Place;
    this.#io = io;
  }

  /** The endpoint in use, for messages. */
  get endpoint(): string {
    return this.#latest.endpoint;
  }

  /** Sends a request; one that only reads is sent to another endpoint when the first one fails. */
  readonly send: Send = async (path, request) => {
    const place = await this.#choose();
    try {
      const answer = await place.send(path, request);
      if (answer.status !== unavailable || path === probePath) return answer;
      if (request.method !== "GET") {
        this.#forget(place);
        return answer;
      }
      const other = await this.#chooseAgain(place);
      if (other === place) return answer;
      await answer.body?.cancel();
      return await other.send(path, request);
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error;
      // The request may have been carried out: only one that changes nothing is sent again.
      if (request.method !== "GET") {
        this.#forget(place);
        throw error;
      }
      const other = await this.#chooseAgain(place);
      this.#io.log("DEBUG", `${reasonOf(error)}; going on with ${other.endpoint}`);
      return await other.send(path, request);
    }
  };

  #choose(): Promise<Place> {
    const choosing = this.#chosen ??= this.#probe().then((place) => this.#latest = place);
    // The next request tries again.
    choosing.catch(() => {
      if (this.#chosen === choosing) this.#chosen = undefined;
    });
    return choosing;
  }

  #chooseAgain(failed: Place): Promise<Place> {
    this.#forget(failed);
    return this.#choose();
  }

  #forget(failed: Place): void {
    if (this.#latest === failed) this.#chosen = undefined;
  }

  /** Asks one endpoint after the other, the next one as soon as one fails or is silent. Rejects if none answers. */
  async #probe(): Promise<Place> {
    const found = Promise.withResolvers<Place>();
    const answering: Place[] = [];
    const failures: string[] = [];
    const done = new AbortController();
    const ask = async (place: Place) => {
      try {
        const answer = await place.send(probePath, { method: "GET", signal: done.signal });
        await answer.body?.cancel();
        if (answer.ok) found.resolve(place);
        answering.push(place);
      } catch (error) {
        failures.push(reasonOf(error));
      }
    };
    const asked: Promise<void>[] = [];
    const all = (async () => {
      for (const place of this.#places) {
        const asking = ask(place);
        asked.push(asking);
        await Promise.race([asking, found.promise, this.#io.sleep(stagger_ms, done.signal)]);
        if (done.signal.aborted) return;
      }
      await Promise.all(asked);
      const first = this.#places.find((place) => answering.includes(place));
      if (first) found.resolve(first);
      else found.reject(new UnreachableError(`no endpoint answers: ${failures.join("; ")}`));
    })();
    try {
      return await found.promise;
    } finally {
      done.abort();
      void all;
    }
  }
}
