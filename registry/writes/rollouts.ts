/**
 * Builds the transactions of roll-outs, by operators and by the leader. All put `written`. Pure.
 *
 * @module
 */

import { withAppVersion } from "../apps.ts";
import { contentHashesIn } from "../attached_files.ts";
import { encodeApp, encodeProgress, encodeRolloutPlan, type StepProgress } from "../schema/app_codec.ts";
import { now } from "../schema/codec.ts";
import { appKey, contentKey, fileKey, progressKey, rolloutKey } from "../schema/keys.ts";
import type { RolloutStart, RolloutUpdate } from "../mod.ts";
import type { Revision, Rollout, StoredContent } from "../model.ts";
import { hasEnded } from "../rollouts.ts";
import { maxTransactionOps, type Op } from "../store/port.ts";
import { type Transaction, unitTransaction } from "./transactions.ts";
import { written } from "./written.ts";

/** Returns a new roll-out before its files are stored, with the transaction that stores it. */
export function newRollout(
  { files: _files, contents: _contents, was, ...start }: RolloutStart,
  id: string,
): Transaction & { readonly rollout: Rollout } {
  const steps = start.steps.map((step) => ({ ...step, state: "pending" as const, written: 0 }));
  const rollout: Rollout = { ...start, id, steps, status: "preparing", revision: 0 };
  return {
    rollout,
    compares: [{ key: progressKey(start.app), mod: was?.revision ?? 0 }],
    ops: [
      { put: rolloutKey(start.app), value: encodeRolloutPlan(rollout) },
      { put: progressKey(start.app), value: encodeProgress(rollout) },
      written,
    ],
  };
}

/** The largest number of characters of files in one transaction, unless one file alone has more. */
const maxFiles_characters = 256 * 1024;

/**
 * Returns the transactions that store files, each only while the roll-out is at `revision`, and the store has the contents
 * that its files name.
 */
export function fileTransactions(
  { app, files, contents = [] }: Pick<RolloutStart, "app" | "files" | "contents">,
  revision: Revision,
): readonly Transaction[] {
  const stored = Map.groupBy(contents, ({ hash }) => hash);
  const batches: { ops: Op[]; contents: Set<StoredContent>; size: number }[] = [];
  for (const [hash, text] of files) {
    const last = batches.at(-1);
    const op = { put: fileKey(hash), value: text };
    const named = new Set(contentHashesIn(text).flatMap((hash) => stored.get(hash) ?? []));
    // One more operation puts `written`, and one more comparison is that of the roll-out.
    if (
      last && last.ops.length + 1 < maxTransactionOps && last.size + text.length <= maxFiles_characters &&
      last.contents.union(named).size + 1 < maxTransactionOps
    ) {
      last.ops.push(op);
      for (const content of named) last.contents.add(content);
      last.size += text.length;
    } else batches.push({ ops: [op], contents: named, size: text.length });
  }
  return batches.map(({ ops, contents }) => ({
    compares: [
      { key: progressKey(app), mod: revision },
      ...Array.from(contents, (content) => ({ key: contentKey(content), mod: content.revision })),
    ],
    ops: [...ops, written],
  }));
}

/** Returns the transaction of an update. An ended roll-out becomes a version of its app. */
export function updateTransaction(update: RolloutUpdate): Transaction {
  const { was, status, reason, units = [], app } = update;
  if (update.forget) {
    return {
      compares: [{ key: progressKey(was.app), mod: was.revision }],
      ops: [...[progressKey, rolloutKey, appKey].map((key) => ({ delete: key(was.app) })), written],
    };
  }
  const changes = units.map(unitTransaction);
  const steps = stepsAfter(update);
  const progress = encodeProgress({ id: was.id, status, ...reason !== undefined && { reason }, steps });
  const ops: Op[] = [
    { put: progressKey(was.app), value: progress },
    ...changes.flatMap((change) => change.ops),
    written,
  ];
  const compares = [
    { key: progressKey(was.app), mod: was.revision },
    ...changes.flatMap((change) => change.compares),
  ];
  if (hasEnded({ status })) {
    const versions = app?.versions ?? [];
    const after = withAppVersion(versions, {
      ...was,
      steps: steps.map((step, at) => ({ ...was.steps[at]!, state: step.state })),
    });
    if (after !== versions) {
      ops.push({ put: appKey(was.app), value: encodeApp({ ...app, versions: after }) });
      compares.push({ key: appKey(was.app), mod: app?.revision ?? 0 });
    }
  }
  return { compares: once(compares, ({ key }) => key), ops: once(ops, (op) => "put" in op ? op.put : op.delete) };
}

function stepsAfter({ was, states, units = [] }: RolloutUpdate): readonly StepProgress[] {
  const written = new Set(units.map((change) => change.was.name));
  return was.steps.map((step, at) => ({
    state: states?.get(at) ?? step.state,
    written: written.has(step.unit) ? now : step.written,
  }));
}

/** Returns the items with different keys: units may share a file. */
function once<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  return [...new Map(items.map((item) => [key(item), item])).values()];
}
