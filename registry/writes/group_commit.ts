/**
 * Independent transactions of many writers, in as few of the store's as fit.
 *
 * @module
 */

import type { Transaction } from "./transactions.ts";
import { Batcher } from "./batcher.ts";
import { OutcomeUnknownError, StoreLimitError, StoreUnavailableError } from "../mod.ts";
import type { Revision } from "../model.ts";
import { marked, type Outcome, outcomesOf, type Sent, witnesses } from "./lost_write.ts";
import { StoreSession } from "./session.ts";
import { type Compare, maxTransactionOps, type Op } from "../store/port.ts";

/** A revision, or undefined where a condition did not hold. */
export type Committed = Revision | undefined;

/** Attempts at a round whose answers are lost, and which then turns out not to have been carried out. */
const maxAttempts = 2;

/** What became of one transaction of a round: it may fail where others do not. */
type Answer = PromiseSettledResult<Committed>;

const answered = (value: Committed): Answer => ({ status: "fulfilled", value });
const failed = (reason: unknown): Answer => ({ status: "rejected", reason });

/** Commits transactions, each whole or not at all, together where several come at once. */
export class GroupCommit {
  readonly #session: StoreSession;
  readonly #batcher: Batcher<Transaction, Answer>;

  constructor(session: StoreSession) {
    this.#session = session;
    this.#batcher = new Batcher<Transaction, Answer>({
      fits: (round, next) => merge([...round, next]) !== undefined,
      ask: (round) => this.#commit(round),
    });
  }

  /** The revision of the commit; undefined if a condition of this transaction did not hold. */
  async commit(transaction: Transaction): Promise<Committed> {
    const answer = await this.#batcher.ask(transaction);
    if (answer.status === "rejected") throw answer.reason;
    return answer.value;
  }

  /** A round is one transaction; where it is refused, each is one of its own. Never rejects. */
  async #commit(round: readonly Transaction[], attempt = 1): Promise<readonly Answer[]> {
    const sent: Sent = { round, mark: this.#session.draw(), before: this.#session.memory?.revision ?? 0 };
    try {
      const { compares, ops } = marked(round.length === 1 ? round[0]! : merge(round)!, sent.mark);
      const { succeeded, revision } = await this.#session.transact(compares, ops);
      if (succeeded) return round.map(() => answered(revision));
    } catch (error) {
      if (error instanceof StoreLimitError && round.length > 1) return await this.#commitEach(round);
      if (!(error instanceof OutcomeUnknownError && error.settled)) return round.map(() => failed(error));
      return await this.#settle(sent, error, attempt);
    }
    if (round.length === 1) return [answered(undefined)];
    return await this.#commitEach(round);
  }

  /** One of the round is refused, or all together are too much: each is committed by itself. */
  async #commitEach(round: readonly Transaction[]): Promise<readonly Answer[]> {
    return (await Promise.all(round.map((one) => this.#commit([one])))).flat();
  }

  /** What became of a round is looked for; if it was not carried out, it is sent again. */
  async #settle(sent: Sent, lost: OutcomeUnknownError, attempt: number): Promise<readonly Answer[]> {
    let outcomes: readonly Outcome[];
    try {
      const { revision, ranges } = await this.#session.read(witnesses(sent).map((key) => ({ key })));
      outcomes = outcomesOf(sent, new Map(ranges.flat().map((kv) => [kv.key, kv])), revision);
    } catch (error) {
      return sent.round.map(() => failed(error instanceof StoreUnavailableError ? lost : error));
    }
    const mayBeDone = outcomes.some((outcome) => outcome !== "not done");
    if (!mayBeDone && attempt < maxAttempts) return await this.#commit(sent.round, attempt + 1);
    const unavailable = new StoreUnavailableError(lost.failure, { cause: lost.cause, isFull: lost.isFull });
    return outcomes.map((outcome) => {
      if (typeof outcome === "object") return answered(outcome.done);
      return failed(outcome === "unknown" ? lost : unavailable);
    });
  }
}

/** One transaction for all; undefined where they are too many, or want different values of one key. */
export function merge(transactions: readonly Transaction[]): Transaction | undefined {
  const compares = new Map<string, Compare>();
  const ops = new Map<string, Op>();
  for (const transaction of transactions) {
    const subjects = new Set(compares.keys());
    for (const compare of transaction.compares) {
      // Two changes of one unit are two transactions: the second must see what the first has done.
      if (subjects.has(compare.key)) return undefined;
      compares.set(compare.key, compare);
    }
    for (const op of transaction.ops) {
      const key = "put" in op ? op.put : op.delete;
      const other = ops.get(key);
      if (other && !sameOp(other, op)) return undefined;
      ops.set(key, op);
    }
  }
  if (compares.size + StoreSession.ownCompares > maxTransactionOps || ops.size > maxTransactionOps) return undefined;
  return { compares: [...compares.values()], ops: [...ops.values()] };
}

function sameOp(a: Op, b: Op): boolean {
  return "put" in a && "put" in b ? a.value === b.value && a.lease === b.lease : "delete" in a && "delete" in b;
}
