/**
 * What machines and units use, for people to read. Pure.
 *
 * @module
 */

import type { MachineUsageEntity } from "../../api/v1/types.ts";

/** The processor time used per second between two measurements, in cores; undefined if there are no two of one boot. */
export interface CpuUse {
  readonly machine?: number;
  readonly units: ReadonlyMap<string, number>;
}

/** Returns the use of processors between two measurements of a machine. */
export function cpuBetween(before: MachineUsageEntity | undefined, after: MachineUsageEntity): CpuUse {
  const elapsed_ms = (after.at ?? 0) - (before?.at ?? Infinity);
  // A daemon that has been started again has another clock.
  if (!before || !(elapsed_ms > 0)) return { units: new Map() };
  const cores = (was: number | undefined, is: number | undefined) =>
    was === undefined || is === undefined || is < was ? undefined : (is - was) / 1000 / elapsed_ms;
  const known = new Map(before.units?.map(({ name, cpuMicroseconds }) => [name, cpuMicroseconds]));
  const machine = cores(before.cpuMicroseconds, after.cpuMicroseconds);
  return {
    ...machine !== undefined && { machine },
    units: new Map((after.units ?? []).flatMap(({ name, cpuMicroseconds }) => {
      const used = cores(known.get(name), cpuMicroseconds);
      return used === undefined ? [] : [[name, used] as const];
    })),
  };
}

/** Writes a number of bytes with three digits at most: `1.5 GiB`. */
export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  for (; bytes >= 1000 && power < units.length - 1; power++) bytes /= 1024;
  return `${power === 0 || bytes >= 100 ? Math.round(bytes) : Number(bytes.toPrecision(2))} ${units[power]}`;
}

/** Writes a number of cores: `0.25`. */
export const coresText = (cores: number): string => cores.toFixed(cores < 10 ? 2 : 1);

/** Writes a duration by its two largest units: `3 days 4 hours`. */
export function durationText(duration_s: number): string {
  const parts = ([["day", 86_400, Infinity], ["hour", 3_600, 24], ["minute", 60, 60], ["second", 1, 60]] as const)
    .map(([unit, seconds, limit]) => [unit, Math.floor(duration_s / seconds) % limit] as const);
  const first = parts.findIndex(([_, count]) => count > 0);
  return parts.slice(Math.max(0, first), first + 2).filter(([_, count]) => count > 0)
    .map(([unit, count]) => `${count} ${unit}${count === 1 ? "" : "s"}`).join(" ") || "0 seconds";
}
