/**
 * Sends requests to the first of several endpoints that responds.
 *
 * @module
 */

import { type Send, UnreachableError } from "./client.ts";
import { type Io, reasonOf } from "../terminal/port.ts";

/** One of several endpoints. */
export interface EndpointCandidate {
  /** The endpoint as the user wrote it. */
  readonly endpoint: string;
  readonly send: Send;
}

/** Time without a response after which the next endpoint is probed as well. */
const stagger_ms = 1000;

/** The path that reports whether a daemon can serve the cluster. */
const probePath = "/readyz";

/** HTTP status of a daemon that cannot serve the cluster. */
const unavailable = 503;

/**
 * Several endpoints of which one is in use. It is chosen for the first request, and again when it does not respond: the
 * first endpoint, in the given order, that is ready or, if none is, the first that responds at all.
 */
export class Failover {
  #chosen: Promise<EndpointCandidate> | undefined;
  #latest: EndpointCandidate;

  /** `candidates` has at least two elements. */
  constructor(private readonly candidates: readonly EndpointCandidate[], private readonly io: Io) {
    this.#latest = candidates[0] as EndpointCandidate;
  }

  /** The endpoint in use, for messages. */
  get endpoint(): string {
    return this.#latest.endpoint;
  }

  /** Sends a request. A request that only reads is sent to another endpoint if the first one fails. */
  readonly send: Send = async (path, request) => {
    const candidate = await this.#choose();
    try {
      const answer = await candidate.send(path, request);
      if (answer.status !== unavailable || path === probePath) return answer;
      if (request.method !== "GET") {
        this.#forget(candidate);
        return answer;
      }
      const other = await this.#chooseAgain(candidate);
      if (other === candidate) return answer;
      await answer.body?.cancel();
      return await other.send(path, request);
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error;
      // The request may have been carried out, so only a request that changes nothing is sent again.
      if (request.method !== "GET") {
        this.#forget(candidate);
        throw error;
      }
      const other = await this.#chooseAgain(candidate);
      this.io.log("DEBUG", `${reasonOf(error)}; continuing with ${other.endpoint}`);
      return await other.send(path, request);
    }
  };

  #choose(): Promise<EndpointCandidate> {
    const choosing = this.#chosen ??= this.#probe().then((candidate) => this.#latest = candidate);
    // The next request chooses again.
    choosing.catch(() => {
      if (this.#chosen === choosing) this.#chosen = undefined;
    });
    return choosing;
  }

  #chooseAgain(failed: EndpointCandidate): Promise<EndpointCandidate> {
    this.#forget(failed);
    return this.#choose();
  }

  #forget(failed: EndpointCandidate): void {
    if (this.#latest === failed) this.#chosen = undefined;
  }

  /** Probes the endpoints in order, the next one as soon as one fails or does not respond in time. Rejects if none responds. */
  async #probe(): Promise<EndpointCandidate> {
    const found = Promise.withResolvers<EndpointCandidate>();
    const responding: EndpointCandidate[] = [];
    const failures: string[] = [];
    const done = new AbortController();
    const probe = async (candidate: EndpointCandidate) => {
      try {
        const answer = await candidate.send(probePath, { method: "GET", signal: done.signal });
        await answer.body?.cancel();
        if (answer.ok) found.resolve(candidate);
        responding.push(candidate);
      } catch (error) {
        failures.push(reasonOf(error));
      }
    };
    const probes: Promise<void>[] = [];
    const all = (async () => {
      for (const candidate of this.candidates) {
        const probing = probe(candidate);
        probes.push(probing);
        await Promise.race([probing, found.promise, this.io.sleep(stagger_ms, done.signal)]);
        if (done.signal.aborted) return;
      }
      await Promise.all(probes);
      const first = this.candidates.find((candidate) => responding.includes(candidate));
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
