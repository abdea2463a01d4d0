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
