/**
 * The progress of a roll-out that brings a file to a global unit from machine to machine. Pure.
 *
 * @module
 */

import type { Cluster, MachineId, Unit } from "../../registry/model.ts";
import { ownVersion, versionOn } from "./globals.ts";
import { machinesOfGlobal } from "./health.ts";

/** The numbers of machines on the way to a file. */
export interface StageProgress {
  /** The number of machines that have the file and are known to be healthy with it. */
  readonly healthy: number;
  /** The number of machines that are to have it. */
  readonly total: number;
  /** The machines that are waited for. */
  readonly changing: readonly MachineId[];
}

/** Returns how far a unit is on the way to the file with a hash. */
export function stageProgress(cluster: Cluster, unit: Unit, hash: string): StageProgress {
  const { next } = unit;
  const version = ownVersion(next?.hash === hash ? { ...unit, ...next } : unit);
  const able = machinesOfGlobal(cluster, version);
  const changing = next?.unproven ?? [];
  const healthy = able.filter((id) => versionOn(unit, id).hash === hash && !changing.includes(id));
  return { healthy: healthy.length, total: able.length, changing };
}
