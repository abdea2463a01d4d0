/**
 * Finds out from the content of the store whether transactions whose response was lost were applied. Pure.
 *
 * @module
 */

import type { Transaction } from "./transactions.ts";
import { writtenKey } from "../schema/keys.ts";
import type { Revision } from "../model.ts";
import type { KeyValue, Op } from "../store/port.ts";

/** `unknown`: the transaction was not applied, or its keys have been written again since. */
export type LostWriteResult = { readonly applied: Revision } | "not applied" | "unknown";

/** Transactions that were sent as one transaction of the store. */
export interface Sent {
  readonly transactions: readonly Transaction[];
  /** The unique value that the transaction puts under `written`. */
  readonly mark: string;
  /** A revision of the store before the transaction was sent. */
  readonly before: Revision;
}

/** Returns the transaction with `mark` as the value of `written`. */
export function marked({ compares, ops }: Transaction, mark: string): Transaction {
  return { compares, ops: ops.map((op) => keyOf(op) === writtenKey ? { put: writtenKey, value: mark } : op) };
}

/** Returns the keys that {@link resultsOf} needs. */
export function witnesses({ transactions }: Sent): readonly string[] {
  return [...new Set([writtenKey, ...transactions.flatMap(guarded).map(({ op }) => keyOf(op))])];
}

/**
 * Returns one result for each transaction. `found` holds the {@link witnesses} at `revision`, after which no transaction is
 * applied any more.
 *
 * Every change puts `written`, so the result is known as long as no other change has put it since. Otherwise, a key that
 * still has the mod-revision that a transaction compared proves that nothing was applied. A transaction whose keys have the
 * values that it wrote counts as applied, even if another client wrote them: there would be nothing left to do. This does
 * not hold for a restart, which always has an effect.
 */
export function resultsOf(
  { transactions, mark, before }: Sent,
  found: ReadonlyMap<string, KeyValue>,
  revision: Revision,
): readonly LostWriteResult[] {
  const written = found.get(writtenKey);
  if (written?.value === mark) return transactions.map(() => ({ applied: written.modRevision }));
  const modOf = (op: Op) => found.get(keyOf(op))?.modRevision ?? 0;
  const unchanged = transactions.flatMap(guarded).some(({ op, mod }) => mod > 0 && modOf(op) === mod);
  if (unchanged || (written?.modRevision ?? 0) <= before) return transactions.map(() => "not applied");
  const visible = ({ op, mod }: Guarded) =>
    modOf(op) !== mod && ("put" in op ? found.get(op.put)?.value === op.value : !found.has(op.delete));
  return transactions.map((transaction) => {
    const writes = guarded(transaction);
    return !transaction.restarts && writes.length > 0 && writes.every(visible) ? { applied: revision } : "unknown";
  });
}

/** A write of a key whose mod-revision the transaction compares, so that it cannot be applied twice. */
interface Guarded {
  readonly op: Op;
  readonly mod: Revision;
}

function guarded({ compares, ops }: Transaction): readonly Guarded[] {
  const mods = new Map(compares.flatMap((compare) => "mod" in compare ? [[compare.key, compare.mod] as const] : []));
  return ops.flatMap((op) => {
    const mod = mods.get(keyOf(op));
    return mod === undefined ? [] : [{ op, mod }];
  });
}

const keyOf = (op: Op) => "put" in op ? op.put : op.delete;
