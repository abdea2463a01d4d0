/**
 * Group commit: merges independent transactions of concurrent callers into as few transactions of the store as fit.
 *
 * @module
 */

import type { Transaction } from "./transactions.ts";
import { Batcher } from "./batcher.ts";
import { OutcomeUnknownError, StoreLimitError, StoreUnavailableError } from "../mod.ts";
import type { Revision } from "../model.ts";
import { type LostWriteResult, marked, resultsOf, type Sent, witnesses } from "./lost_write.ts";
import { StoreSession } from "./session.ts";
import { type Compare, maxTransactionOps, type Op } from "../store/port.ts";

/** The revision of a commit; undefined if a condition of the transaction did not hold. */
type Committed = Revision | undefined;

/** Attempts at a batch whose response is lost and which turns out not to have been applied. */
const maxAttempts = 2;

/** The result of one transaction of a batch: each may fail by itself. */
type Answer = PromiseSettledResult<Committed>;

const answered = (value: Committed): Answer => ({ status: "fulfilled", value });
const failed = (reason: unknown): Answer => ({ status: "rejected", reason });

/** Commits transactions, each whole or not at all; concurrent ones are merged. */
export class GroupCommit {
  readonly #batcher: Batcher<Transaction, Answer>;

  constructor(private readonly session: StoreSession) {
    this.#batcher = new Batcher<Transaction, Answer>({
      fits: (batch, next) => merge([...batch, next]) !== undefined,
      send: (batch) => this.#commit(batch),
    });
  }

  /** Commits a transaction; resolves with its revision, or undefined if one of its conditions did not hold. */
  async commit(transaction: Transaction): Promise<Committed> {
    const answer = await this.#batcher.request(transaction);
    if (answer.status === "rejected") throw answer.reason;
    return answer.value;
  }

  /** Commits a batch as one transaction of the store. If that is refused, commits each by itself. Never rejects. */
  async #commit(batch: readonly Transaction[], attempt = 1): Promise<readonly Answer[]> {
    const sent: Sent = {
      transactions: batch,
      mark: this.session.randomId(),
      before: this.session.memory?.revision ?? 0,
    };
    try {
      const { compares, ops } = marked(batch.length === 1 ? batch[0]! : merge(batch)!, sent.mark);
      const { succeeded, revision } = await this.session.transact(compares, ops);
      if (succeeded) return batch.map(() => answered(revision));
    } catch (error) {
      if (error instanceof StoreLimitError && batch.length > 1) return await this.#commitEach(batch);
      if (!(error instanceof OutcomeUnknownError && error.settled)) return batch.map(() => failed(error));
      return await this.#settle(sent, error, attempt);
    }
    if (batch.length === 1) return [answered(undefined)];
    return await this.#commitEach(batch);
  }

  /** Commits each transaction of a batch that was refused or too large by itself. */
  async #commitEach(batch: readonly Transaction[]): Promise<readonly Answer[]> {
    return (await Promise.all(batch.map((one) => this.#commit([one])))).flat();
  }

  /** Finds out from the store whether a batch was applied; if not, sends it again. */
  async #settle(sent: Sent, lost: OutcomeUnknownError, attempt: number): Promise<readonly Answer[]> {
    let results: readonly LostWriteResult[];
    try {
      const { revision, ranges } = await this.session.read(witnesses(sent).map((key) => ({ key })));
      results = resultsOf(sent, new Map(ranges.flat().map((kv) => [kv.key, kv])), revision);
    } catch (error) {
      return sent.transactions.map(() => failed(error instanceof StoreUnavailableError ? lost : error));
    }
    const mayBeApplied = results.some((result) => result !== "not applied");
    if (!mayBeApplied && attempt < maxAttempts) return await this.#commit(sent.transactions, attempt + 1);
    const unavailable = new StoreUnavailableError(lost.failure, { cause: lost.cause, isFull: lost.isFull });
    return results.map((result) => {
      if (typeof result === "object") return answered(result.applied);
      return failed(result === "unknown" ? lost : unavailable);
    });
  }
}

/** Merges transactions into one; returns undefined if they are too many, or write different values of one key. */
export function merge(transactions: readonly Transaction[]): Transaction | undefined {
  const compares = new Map<string, Compare>();
  const ops = new Map<string, Op>();
  for (const transaction of transactions) {
    const earlier = new Map(compares);
    const written = new Set(transaction.ops.map(keyOf));
    for (const compare of transaction.compares) {
      const other = earlier.get(compare.key);
      // Two changes of one unit stay two transactions: the second must see the result of the first. Several units may need
      // the same content.
      if (other && (written.has(compare.key) || !sameCompare(other, compare))) return undefined;
      compares.set(compare.key, compare);
    }
    for (const op of transaction.ops) {
      const key = keyOf(op);
      const other = ops.get(key);
      if (other && !sameOp(other, op)) return undefined;
      ops.set(key, op);
    }
  }
  if (compares.size + StoreSession.ownCompares > maxTransactionOps || ops.size > maxTransactionOps) return undefined;
  return { compares: [...compares.values()], ops: [...ops.values()] };
}

function keyOf(op: Op): string {
  return "put" in op ? op.put : op.delete;
}

function sameCompare(a: Compare, b: Compare): boolean {
  return "mod" in a && "mod" in b && a.mod === b.mod;
}

function sameOp(a: Op, b: Op): boolean {
  return "put" in a && "put" in b ? a.value === b.value && a.lease === b.lease : "delete" in a && "delete" in b;
}
