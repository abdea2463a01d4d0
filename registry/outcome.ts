/**
 * What became of a transaction whose answer was lost, as far as the store still shows it. Pure.
 *
 * @module
 */

import type { Transaction } from "./commit.ts";
import { writtenKey } from "./keys.ts";
import type { Revision } from "./model.ts";
import type { KeyValue, Op } from "./store.ts";

/** `unknown`: it was not carried out, or others have changed since what it wrote. */
export type Outcome = { readonly done: Revision } | "not done" | "unknown";

/** The keys that tell {@link outcomeOf}. */
export function witnesses(transaction: Transaction): readonly string[] {
  return [writtenKey, ...guarded(transaction).map(({ op }) => keyOf(op))];
}

/**
 * `found` are the witnesses at `revision`, which no outcome comes after; `before` is one of the store's when the transaction
 * was not sent yet. A change to the same effect by somebody else is taken for it: both were under way at once.
 */
export function outcomeOf(
  transaction: Transaction,
  found: ReadonlyMap<string, KeyValue>,
  before: Revision,
  revision: Revision,
): Outcome {
  const writes = guarded(transaction);
  const modOf = (key: string) => found.get(key)?.modRevision ?? 0;
  const unchanged = writes.some(({ op, mod }) => mod > 0 && modOf(keyOf(op)) === mod);
  // Whatever an operator asks for touches this key.
  const touches = transaction.ops.some((op) => keyOf(op) === writtenKey);
  if (unchanged || touches && modOf(writtenKey) <= before) return "not done";
  const visible = ({ op, mod }: Guarded) =>
    modOf(keyOf(op)) !== mod && ("put" in op ? found.get(op.put)?.value === op.value : !found.has(op.delete));
  return writes.length > 0 && writes.every(visible) ? { done: revision } : "unknown";
}

/** A write of a key that the transaction compares as well, so that it cannot be applied twice. */
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
