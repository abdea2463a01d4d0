/**
 * The records of a mass loss: which machines are lost, whether the engine still waits for them, and which it has given up.
 *
 * @module
 */

import { encodeLoss } from "../schema/codec.ts";
import { departedKey, lossKey, lossWaitKey, machineKey } from "../schema/keys.ts";
import type { LossStep } from "../mod.ts";
import type { Revision } from "../model.ts";
import { type Compare, maxTransactionOps, type Op } from "../store/port.ts";
import { StoreSession } from "../writes/session.ts";

/** Lifetime of the mark of a machine that was given up: for as long as operators need to repair or to replace it. */
const lost_s = 24 * 60 * 60;

/**
 * Writes a step's records, each transaction with the compares of `fence`. Returns the revision of the last one; undefined
 * if one was refused.
 */
export async function writeLossStep(
  session: StoreSession,
  fence: readonly Compare[],
  step: LossStep,
): Promise<Revision | undefined> {
  const end: Op[] = [{ delete: lossKey }, { delete: lossWaitKey }];
  const batches: { readonly compares: readonly Compare[]; readonly ops: readonly Op[] }[] = [];
  switch (step.kind) {
    case "await": {
      const wait = step.grace_s === undefined
        ? []
        : [{ put: lossWaitKey, value: "", lease: await session.grant(step.grace_s) }];
      batches.push({ compares: [], ops: [{ put: lossKey, value: encodeLoss(step) }, ...wait] });
      break;
    }
    case "resume":
      batches.push({ compares: [], ops: end });
      break;
    case "give up": {
      const size = maxTransactionOps - StoreSession.ownCompares - fence.length;
      const lease = step.machines.length > 0 ? await session.grant(lost_s) : "";
      for (let start = 0; start < step.machines.length; start += size) {
        const part = step.machines.slice(start, start + size);
        // A machine that has come back in the meantime is not given up.
        const compares = part.map((id) => ({ key: machineKey(id), create: 0 }));
        batches.push({ compares, ops: part.map((id) => ({ put: departedKey(id), value: "lost", lease })) });
      }
      batches.push({ compares: [], ops: end });
      break;
    }
  }
  let last: Revision | undefined;
  for (const { compares, ops } of batches) {
    const { succeeded, revision } = await session.transact([...fence, ...compares], ops);
    if (!succeeded) return undefined;
    last = revision;
  }
  return last;
}
