/**
 * Gathers what is asked for while earlier questions are under way, and asks for all of it at once: nobody waits longer
 * than alone, and many together cost little more than one.
 *
 * @module
 */

interface PendingRequest<Request, Answer> {
  readonly request: Request;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/** How a {@link Batcher} asks. */
export interface Rounds<Request, Answer> {
  /** Whether `next` may join the round. The first request of a round always may. */
  fits(round: readonly Request[], next: Request): boolean;
  /** Answers a round, in order. A rejection is everybody's. */
  ask(round: readonly Request[]): Promise<readonly Answer[]>;
}

/** Rounds under way at once: a second one, so that the line is busy while the first answer is read. */
const maxUnderWay = 2;

/** See this module. */
export class Batcher<Request, Answer> {
  #waiting: PendingRequest<Request, Answer>[] = [];
  #underWay = 0;

  constructor(private readonly rounds: Rounds<Request, Answer>) {}

  /** Asks at once if the line is free, else together with others as soon as it is. */
  ask(request: Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      this.#go();
    });
  }

  #go(): void {
    while (this.#underWay < maxUnderWay && this.#waiting.length > 0) {
      const round = this.#take();
      this.#underWay++;
      this.#ask(round).finally(() => {
        this.#underWay--;
        this.#go();
      });
    }
  }

  /** Takes, in order, all that fit. Those that do not keep their place. */
  #take(): PendingRequest<Request, Answer>[] {
    const round: PendingRequest<Request, Answer>[] = [];
    const left: PendingRequest<Request, Answer>[] = [];
    const requests: Request[] = [];
    for (const one of this.#waiting) {
      if (requests.length > 0 && !this.rounds.fits(requests, one.request)) left.push(one);
      else {
        round.push(one);
        requests.push(one.request);
      }
    }
    this.#waiting = left;
    return round;
  }

  async #ask(round: readonly PendingRequest<Request, Answer>[]): Promise<void> {
    try {
      const answers = await this.rounds.ask(round.map((one) => one.request));
      round.forEach((one, index) => one.resolve(answers[index]!));
    } catch (error) {
      for (const one of round) one.reject(error);
    }
  }
}
