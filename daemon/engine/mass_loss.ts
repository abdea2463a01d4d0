/**
 * The brake on a mass loss: after more machines than usual were lost at once, it is more likely that they are cut off, or
 * boot together after a power failure, than that each has failed. The engine then waits before it moves their units. Pure.
 *
 * @module
 */

import type { Cluster, MachineId } from "../../registry/model.ts";
import type { LossStep } from "../../registry/mod.ts";

/** Limits beyond which a loss is a mass loss, and of the wait after it. */
export interface MassLossLimits {
  /** The share of machines, from 0 to 1, that may be lost at once without a wait. */
  readonly share: number;
  /** The longest wait, whole seconds; 0: none. */
  readonly grace_s: number;
}

/** A loss of fewer machines is never a mass loss: the failure of a single machine is what a cluster is for. */
const fewest = 2;

/** True if no loss counts as a mass loss. */
export function isOff({ share, grace_s }: MassLossLimits): boolean {
  return share >= 1 || grace_s <= 0;
}

/**
 * Returns the next step of a mass loss: it begins, has grown, ends since all machines are back, or ends since the wait is
 * over. `recent`: absent machines that were lost together. `held`: those among them whose own grace period has not ended.
 */
export function nextLossStep(
  { machines, departed, massLoss }: Pick<Cluster, "machines" | "departed" | "massLoss">,
  { recent, held }: { readonly recent: ReadonlySet<MachineId>; readonly held: ReadonlySet<MachineId> },
  limits: MassLossLimits,
  now_ms: number,
): LossStep | undefined {
  const isMissing = (id: MachineId) => !machines.has(id) && !departed?.has(id);
  const lost = [...recent].filter(isMissing);
  if (!massLoss) {
    if (isOff(limits) || lost.length < fewest) return undefined;
    if (lost.length / (machines.size + lost.length) <= limits.share) return undefined;
    const times = { since_ms: now_ms, until_ms: now_ms + limits.grace_s * 1000 };
    return { kind: "await", machines: lost.sort(), ...times, grace_s: limits.grace_s };
  }
  const missing = massLoss.machines.filter(isMissing);
  if (missing.length === 0) return { kind: "resume" };
  if (massLoss.isOver) return { kind: "give up", machines: missing.filter((id) => !held.has(id)) };
  const all = new Set([...massLoss.machines, ...lost]);
  if (all.size === massLoss.machines.length) return undefined;
  return { kind: "await", machines: [...all].sort(), since_ms: massLoss.since_ms, until_ms: massLoss.until_ms };
}
