/**
 * What became of changes whose answer was lost, as far as the store still shows it. Pure.
 *
 * @module
 */

import type { Transaction } from "./transactions.ts";
import { writtenKey } from "../schema/keys.ts";
import type { Revision } from "../model.ts";
import type { KeyValue, Op } from "../store/port.ts";

/** `unknown`: it was not carried out, or others have changed since what it wrote. */
export type Outcome = { readonly done: Revision } | "not done" | "unknown";

/** Changes that were sent as one transaction of the store's. */
export interface Sent {
  readonly round: readonly Transaction[];
  /** What it puts under `written`, as no other does. */
  readonly mark: string;
  /** One of the store's revisions when it was not sent yet. */
  readonly before: Revision;
}

/** The transaction, with its mark. */
export function marked({ compares, ops }: Transaction, mark: string): Transaction {
  return { compares, ops: ops.map((op) => keyOf(op) === writtenKey ? { put: writtenKey, value: mark } : op) };
}

/** The keys that tell {@link outcomesOf}. */
export function witnesses({ round }: Sent): readonly string[] {
  return [...new Set([writtenKey, ...round.flatMap(guarded).map(({ op }) => keyOf(op))])];
}

/**
 * One outcome for each of the round. `found` are the witnesses at `revision`, which no outcome comes after.
 *
 * Every change puts `written`, so all is known as long as nobody else has. Else a key that is still as a change found it
 * tells that nothing was carried out. What is as a change was to make it counts as done, whoever has done it, and when:
 * asked for only now, there would be nothing to do. A restart does not, since there always is something to do.
 */
export function outcomesOf(
  { round, mark, before }: Sent,
  found: ReadonlyMap<string, KeyValue>,
  revision: Revision,
): readonly Outcome[] {
  const written = found.get(writtenKey);
  if (written?.value === mark) return round.map(() => ({ done: written.modRevision }));
  const modOf = (op: Op) => found.get(keyOf(op))?.modRevision ?? 0;
  const unchanged = round.flatMap(guarded).some(({ op, mod }) => mod > 0 && modOf(op) === mod);
  if (unchanged || (written?.modRevision ?? 0) <= before) return round.map(() => "not done");
  const visible = ({ op, mod }: Guarded) =>
    modOf(op) !== mod && ("put" in op ? found.get(op.put)?.value === op.value : !found.has(op.delete));
  return round.map((one) => {
    const writes = guarded(one);
    return !one.restarts && writes.length > 0 && writes.every(visible) ? { done: revision } : "unknown";
  });
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
