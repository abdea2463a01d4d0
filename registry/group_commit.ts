/**
 * Independent transactions of many writers, in as few of the store's as fit.
 *
 * @module
 */

import type { Transaction } from "./commit.ts";
import { Gatherer } from "./gatherer.ts";
import { OutcomeUnknownError, StoreUnavailableError } from "./mod.ts";
import type { Revision } from "./model.ts";
import { marked, type Outcome, outcomesOf, type Sent, witnesses } from "./outcome.ts";
import { StoreSession } from "./session.ts";
import { type Compare, maxTransactionOps, type Op } from "./store.ts";

/** A revision, or undefined where a condition did not hold. */
export type Committed = Revision | undefined;

/** Attempts at a round whose answers are lost, and which then turns out not to have been carried out. */
const maxAttempts = 2;

/** Commits transactions, each whole or not at all, together where several come at once. */
export class GroupCommit {
  readonly #session: StoreSession;
  readonly #gatherer: Gatherer<Transaction, Committed>;

  constructor(session: StoreSession) {
    this.#session = session;
    this.#gatherer = new Gatherer<Transaction, Committed>({
      fits: (round, next) => merge([...round, next]) !== undefined,
      ask: (round) => this.#commit(round),
    });
  }

  /** The revision of the commit; undefined if a condition of this transaction did not hold. */
  commit(transaction: Transaction): Promise<Committed> {
    return this.#gatherer.ask(transaction);
  }

  /** A round is one transaction; where it is refused, each is one of its own. */
  async #commit(round: readonly Transaction[], attempt = 1): Promise<readonly Committed[]> {
    const sent: Sent = { round, mark: this.#session.draw(), before: this.#session.memory?.revision ?? 0 };
    try {
      const { compares, ops } = marked(round.length === 1 ? round[0]! : merge(round)!, sent.mark);
      const { succeeded, revision } = await this.#session.transact(compares, ops);
      if (succeeded) return round.map(() => revision);
    } catch (error) {
      if (!(error instanceof OutcomeUnknownError && error.settled)) throw error;
      const outcomes = await this.#outcomes(sent, error);
      if (outcomes.every((outcome) => outcome === "not done")) {
        if (attempt < maxAttempts) return await this.#commit(round, attempt + 1);
        throw new StoreUnavailableError(error.failure, { cause: error.cause });
      }
      return outcomes.map((outcome) => {
        if (typeof outcome === "string") throw error;
        return outcome.done;
      });
    }
    if (round.length === 1) return [undefined];
    // One of them is refused, and must not take the others along. Nobody is told of a failure while any is under way.
    const alone = round.map((one) => this.#commit([one]));
    await Promise.allSettled(alone);
    return (await Promise.all(alone)).flat();
  }

  /** Throws `lost` if the store cannot be asked. */
  async #outcomes(sent: Sent, lost: OutcomeUnknownError): Promise<readonly Outcome[]> {
    const looked = this.#session.read(witnesses(sent).map((key) => ({ key })));
    const { revision, ranges } = await looked.catch((error) => {
      throw error instanceof StoreUnavailableError ? lost : error;
    });
    return outcomesOf(sent, new Map(ranges.flat().map((kv) => [kv.key, kv])), revision);
  }
}

/** One transaction for all; undefined where they are too many, or have different wishes for one key. */
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
