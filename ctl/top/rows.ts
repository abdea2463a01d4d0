/**
 * The rows of `fleetctl top`: what machines and units have used between two measurements. Pure.
 *
 * @module
 */

import type { MachineUsageEntity, UnitUsageEntity, UsageEntity } from "../../daemon/api/v1/types.ts";

/** A unit on a machine, with its use each second; undefined after one measurement alone, or without accounting. */
export interface UnitRow {
  readonly unit: UnitUsageEntity;
  readonly machine: string;
  /** 100 is one core. */
  readonly cpu_percent: number | undefined;
  readonly read_bytes: number | undefined;
  readonly written_bytes: number | undefined;
}

/** A machine, with its use of processors as in {@link UnitRow}. */
export interface MachineRow {
  readonly machine: MachineUsageEntity;
  readonly cpu_percent: number | undefined;
}

/** Returns the units of every machine. `earlier`: the measurement before. */
export function unitRows(usage: UsageEntity, earlier?: UsageEntity): readonly UnitRow[] {
  return usage.machines.flatMap((machine) => {
    const { before, elapsed_s } = previous(earlier, machine);
    const known = new Map(before?.units?.map((unit) => [unit.name, unit]));
    return (machine.units ?? []).map((unit): UnitRow => {
      const was = known.get(unit.name);
      return {
        unit,
        machine: machine.machineID,
        cpu_percent: percent(rate(was?.cpuMicroseconds, unit.cpuMicroseconds, elapsed_s)),
        read_bytes: rate(was?.readBytes, unit.readBytes, elapsed_s),
        written_bytes: rate(was?.writtenBytes, unit.writtenBytes, elapsed_s),
      };
    });
  });
}

/** Returns the machines that have answered. */
export function machineRows(usage: UsageEntity, earlier?: UsageEntity): readonly MachineRow[] {
  return usage.machines.filter(({ error }) => error === undefined).map((machine) => {
    const { before, elapsed_s } = previous(earlier, machine);
    return { machine, cpu_percent: percent(rate(before?.cpuMicroseconds, machine.cpuMicroseconds, elapsed_s)) };
  });
}

/** Returns the measurement of a machine before this one, and the seconds between both by the machine's own clock. */
function previous(earlier: UsageEntity | undefined, { machineID, at = 0 }: MachineUsageEntity) {
  const before = earlier?.machines.find((machine) => machine.machineID === machineID);
  return { before, elapsed_s: (at - (before?.at ?? Infinity)) / 1000 };
}

/** Returns the increase of a counter each second; undefined if it was not counted, or began again. */
function rate(before: number | undefined, now: number | undefined, elapsed_s: number): number | undefined {
  if (before === undefined || now === undefined || now < before || elapsed_s <= 0) return undefined;
  return Math.round((now - before) / elapsed_s);
}

function percent(microseconds: number | undefined): number | undefined {
  return microseconds === undefined ? undefined : microseconds / 10_000;
}
