/**
 * The failures of a unit that its target names: the machines on which a unit with OnFailure=move has failed, and the latest
 * move. Pure.
 *
 * @module
 */

/** Machines that a unit has left because it failed there. It says nothing about another file, or after another start. */
export interface FailedOn {
  /** The file, and the revision of the request for a restart, that had failed. */
  readonly hash: string;
  readonly restart: number;
  /** Oldest first. */
  readonly machines: readonly FailedMachine[];
}

/** The ID of a machine on which a unit has failed, and the wall clock of the last failure there, milliseconds since the epoch. */
interface FailedMachine {
  readonly id: string;
  readonly at_ms: number;
}

/**
 * The reason why the latest move of a unit was given up: its second copy did not become healthy. A part of a sentence about the
 * copy, such as "failed on machine 9f000000". The next move begins without it.
 */
export type FailedMove = string;

/** The largest number of machines that a unit leaves because it fails. */
export const maxFailedMachines = 3;

/** The time for which a machine counts, milliseconds. */
const memory_ms = 86_400_000;

/** Returns the machines that still count for a unit at a time by the wall clock. */
export function failedMachines(
  failedOn: FailedOn | undefined,
  { hash, restart }: Pick<FailedOn, "hash" | "restart">,
  now_ms: number,
): readonly FailedMachine[] {
  if (failedOn?.hash !== hash || failedOn.restart !== restart) return [];
  return failedOn.machines.filter(({ at_ms }) => now_ms - at_ms < memory_ms);
}

/** Returns what a value of the store holds; undefined if it holds nothing of the kind. */
export function failedOnIn(value: unknown): FailedOn | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { hash, restart, machines } = value as Partial<FailedOn>;
  if (typeof hash !== "string" || typeof restart !== "number" || !Array.isArray(machines)) return undefined;
  const isMachine = (each: Partial<FailedMachine> | null) => {
    return typeof each?.id === "string" && typeof each.at_ms === "number";
  };
  if (machines.length > maxFailedMachines || !machines.every(isMachine)) return undefined;
  return { hash, restart, machines: machines.map(({ id, at_ms }) => ({ id, at_ms })) };
}
