/**
 * Formats machines for output.
 *
 * @module
 */

import type { MachineEntity } from "../../daemon/api/v1/types.ts";

/** Returns a machine's ID, shortened to 8 characters and an ellipsis unless `full`. */
export function machineIdLegend(id: string, full: boolean): string {
  return full ? id : id.slice(0, 8) + "...";
}

/** Returns a machine's ID and, if known, its address. */
export function machineLegend(machine: MachineEntity, full: boolean): string {
  const id = machineIdLegend(machine.id, full);
  return machine.primaryIP ? `${id}/${machine.primaryIP}` : id;
}

/** Returns a machine's whole ID with its address and its name, as far as they are known. */
export function machineWithName({ id, primaryIP, metadata = {} }: MachineEntity): string {
  const others = [primaryIP, metadata.name, metadata.hostname].filter((text) => text);
  return others.length === 0 ? id : `${id} (${[...new Set(others)].join(", ")})`;
}

/**
 * True if a machine is one that a person means by `wanted`: the beginning of its ID, its address, or its name, which is the
 * metadata `name` or `hostname`.
 */
export function isMachine({ id, primaryIP, metadata = {} }: MachineEntity, wanted: string): boolean {
  return wanted !== "" && (id.startsWith(wanted) || [primaryIP, metadata.name, metadata.hostname].includes(wanted));
}
