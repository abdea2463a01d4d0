/**
 * The machines on which a unit has been, and why the engine placed it there. Pure.
 *
 * @module
 */

import type { MachineId } from "./identifiers.ts";

/** A decision of the engine. */
export interface Placed {
  readonly machine: MachineId;
  /** The reason, a sentence for people to read. */
  readonly why: string;
  /** Wall clock of the engine that decided, milliseconds since the epoch. */
  readonly since_ms: number;
}

/** The number of earlier placements that a unit keeps. */
const maxPast = 9;

/** Returns the placements of a unit that leaves the machine of a target. */
export function pastAfter(
  { machine, why, since_ms, past = [] }: Placed & { readonly past?: readonly Placed[] },
): readonly Placed[] {
  return [...past, { machine, why, since_ms }].slice(-maxPast);
}

/** Returns the placements of a unit that are known from its target, or from its record if it has none. */
export function pastOf(
  target: (Placed & { readonly past?: readonly Placed[]; readonly unreadable?: string }) | undefined,
  unit: { readonly past?: readonly Placed[] } | undefined,
): readonly Placed[] | undefined {
  return target && target.unreadable === undefined && target.machine !== "" ? pastAfter(target) : unit?.past;
}

/** Reads what the store has of a past. What is malformed is left out, because no decision depends on it. */
export function pastIn(value: unknown): readonly Placed[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown) => {
    const { machine, why, since_ms } = (item ?? {}) as Record<string, unknown>;
    if (typeof machine !== "string" || typeof why !== "string" || typeof since_ms !== "number") return [];
    return [{ machine, why, since_ms }];
  });
}
