/**
 * Batches concurrent requests: requests that arrive while earlier batches are in flight are sent together, as soon as one of
 * those ends. A single request is sent without delay, and many cost little more than one.
 *
 * @module
 */

interface PendingRequest<Request, Answer> extends PromiseWithResolvers<Answer> {
  readonly request: Request;
}

/** The transport of a {@link Batcher}. */
export interface BatchTransport<Request, Answer> {
  /** Returns true if `next` fits into the batch. Not called for the first request of a batch. */
  fits(batch: readonly Request[], next: Request): boolean;
  /** Sends a batch; resolves with its answers in the same order. A rejection rejects all requests of the batch. */
  send(batch: readonly Request[]): Promise<readonly Answer[]>;
}

/** Batches in flight at once: a second one keeps the connection busy while the answers to the first are processed. */
const maxInFlight = 2;

/** Sends requests in batches. */
export class Batcher<Request, Answer> {
  #pending: PendingRequest<Request, Answer>[] = [];
  #inFlight = 0;

  constructor(private readonly transport: BatchTransport<Request, Answer>) {}

  /** Sends the request at once, or with the next batch if {@link maxInFlight} are in flight. */
  request(request: Request): Promise<Answer> {
    const pending = { request, ...Promise.withResolvers<Answer>() };
    this.#pending.push(pending);
    this.#sendPending();
    return pending.promise;
  }

  #sendPending(): void {
    while (this.#inFlight < maxInFlight && this.#pending.length > 0) {
      const batch = this.#takeBatch();
      this.#inFlight++;
      this.#send(batch).finally(() => {
        this.#inFlight--;
        this.#sendPending();
      });
    }
  }

  /** Takes the pending requests that fit into one batch, in order. The others keep their order. */
  #takeBatch(): PendingRequest<Request, Answer>[] {
    const batch: PendingRequest<Request, Answer>[] = [];
    this.#pending = this.#pending.filter((each) => {
      const isLeft = batch.length > 0 && !this.transport.fits(batch.map(({ request }) => request), each.request);
      if (!isLeft) batch.push(each);
      return isLeft;
    });
    return batch;
  }

  async #send(batch: readonly PendingRequest<Request, Answer>[]): Promise<void> {
    try {
      const answers = await this.transport.send(batch.map((each) => each.request));
      batch.forEach((each, index) => each.resolve(answers[index]!));
    } catch (error) {
      for (const each of batch) each.reject(error);
    }
  }
}
