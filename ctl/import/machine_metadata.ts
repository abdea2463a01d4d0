/**
 * Finds the metadata that a machine had in the old cluster and does not have in this one. Pure.
 *
 * @module
 */

import { commandLine } from "../../runtime/command_line.ts";
import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import { machineLegend } from "../machines/format.ts";

/** A machine that has changed sides, and what it lacks. */
export interface LackingMachine {
  readonly machine: MachineEntity;
  /** The metadata as the old cluster showed it. */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Returns the machines of this cluster that were in the old one, by their ID or their address, with the metadata that they
 * had there and do not have here. The old API does not say which of it was dynamic.
 */
export function lackingMetadata(
  oldMachines: ReadonlyMap<string, MachineEntity>,
  machines: readonly MachineEntity[],
): LackingMachine[] {
  const byAddress = new Map([...oldMachines.values()].map((old) => [old.primaryIP || old.id, old]));
  return machines.flatMap((machine) => {
    const { id, primaryIP = "", metadata: here = {} } = machine;
    const { metadata: before = {} } = oldMachines.get(id) ?? byAddress.get(primaryIP) ?? {};
    const lacking = Object.entries(before).filter(([key, value]) => here[key] !== value);
    return lacking.length === 0 ? [] : [{ machine, metadata: Object.fromEntries(lacking) }];
  });
}

/** Returns a line for each machine, with the command that sets what it lacks. `fleetctl`: the first words of the command. */
export function lackingLines(lacking: readonly LackingMachine[], fleetctl: readonly string[]): string[] {
  return lacking.map(({ machine, metadata }) => {
    const labels = Object.entries(metadata).map(([key, value]) => `${key}=${value}`);
    const command = commandLine([...fleetctl, "machine", "label"], [machine.id, ...labels]);
    return `Machine ${machineLegend(machine, false)} had other metadata in the old cluster: ${command}`;
  });
}

/** Returns the machines for a document of JSON or YAML. */
export function lackingRows(lacking: readonly LackingMachine[]): unknown {
  return lacking.map(({ machine: { id }, metadata }) => ({ machineID: id, metadata }));
}
