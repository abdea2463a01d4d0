/**
 * The CPU cores and the memory of this machine. An adapter.
 *
 * @module
 */

import type { Capacity } from "../../registry/reservation.ts";

const mebibyte = 1024 * 1024;

/**
 * Returns what this machine has for units: the cores that this process may use, and the memory in whole MiB, since the
 * kernel's figure varies a little from boot to boot.
 */
export function readCapacity(
  { reservedCpu_m, reservedMemory_bytes, resources }: Omit<Capacity, "cpu_m" | "memory_bytes">,
): Capacity {
  const memory_bytes = Math.floor(Deno.systemMemoryInfo().total / mebibyte) * mebibyte;
  return { cpu_m: navigator.hardwareConcurrency * 1000, memory_bytes, reservedCpu_m, reservedMemory_bytes, resources };
}
