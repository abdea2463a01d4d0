/**
 * The rule of reservations: the units on a machine never reserve more than it has. Also what remains of a machine, by which
 * the engine ranks machines. Pure.
 *
 * @module
 */

import type { Machine, Unit } from "../../registry/model.ts";
import {
  amountOf,
  type Amounts,
  type Capacity,
  cpuText,
  memoryText,
  nothingNeeded,
  plus,
  sumOf,
} from "../../registry/reservation.ts";

/** The rule of a refusal for lack of room: the option of the unit. */
export type CapacityRule = "MemoryReserve" | "CPUReserve" | "Resources";

/** A refusal for lack of room. */
interface CapacityRefusal {
  readonly rule: CapacityRule;
  readonly reason: string;
}

type UnitTraits = Pick<Unit, "requirements">;
type MachineTraits = Pick<Machine, "capacity">;

/** The sum of what the units on a machine need. */
export interface Demand {
  /** The sum of their reservations. */
  readonly reserved: Amounts;
  /** The sum of what they probably use: reservations, and limits of services that reserve nothing. */
  readonly expected: Amounts;
}

export const noDemand: Demand = { reserved: nothingNeeded, expected: nothingNeeded };

/** Returns the demand of units. */
export function demandOf(units: Iterable<UnitTraits>): Demand {
  const reservations: Amounts[] = [], expectations: Amounts[] = [];
  for (const { requirements: { reservation, expected } } of units) {
    if (reservation) reservations.push(reservation);
    if (expected) expectations.push(expected);
  }
  return expectations.length === 0 ? noDemand : { reserved: sumOf(reservations), expected: sumOf(expectations) };
}

/** Returns a demand with that of one more unit. */
export function withUnit(demand: Demand, { requirements: { reservation, expected } }: UnitTraits): Demand {
  if (!expected) return demand;
  const reserved = reservation ? plus(demand.reserved, reservation) : demand.reserved;
  // Without hints, both sums are one object.
  const isSame = expected === reservation && demand.expected === demand.reserved;
  return { reserved, expected: isSame ? reserved : plus(demand.expected, expected) };
}

/** Returns the sum of the reservations of units. */
export function reservationOf(units: Iterable<UnitTraits>): Amounts {
  const reservations: Amounts[] = [];
  for (const { requirements: { reservation } } of units) if (reservation) reservations.push(reservation);
  return sumOf(reservations);
}

/** Returns what a machine has for units. */
export function allocatable(capacity: Capacity): Amounts {
  return {
    cpu_m: Math.max(0, capacity.cpu_m - capacity.reservedCpu_m),
    memory_bytes: Math.max(0, capacity.memory_bytes - capacity.reservedMemory_bytes),
    resources: capacity.resources,
  };
}

/** True if a machine on which `reserved` is taken has room for `needed`. */
export function fits(needed: Amounts, { capacity }: MachineTraits, reserved: Amounts): boolean {
  if (needed === nothingNeeded) return true;
  if (!capacity) return false;
  if (needed.cpu_m > 0 && needed.cpu_m + reserved.cpu_m > capacity.cpu_m - capacity.reservedCpu_m) return false;
  const memory_bytes = capacity.memory_bytes - capacity.reservedMemory_bytes;
  if (needed.memory_bytes > 0 && needed.memory_bytes + reserved.memory_bytes > memory_bytes) return false;
  // A loop over no names is slow, and most units need none.
  if (needed.resources === nothingNeeded.resources) return true;
  for (const name in needed.resources) {
    const free = amountOf(capacity.resources, name) - amountOf(reserved.resources, name);
    if (needed.resources[name]! > free) return false;
  }
  return true;
}

/** Yields the reasons why a machine on which `reserved` is taken has no room for `needed`, with figures. */
export function* capacityRefusals(
  needed: Amounts,
  machine: MachineTraits,
  reserved: Amounts,
): Generator<CapacityRefusal> {
  const { capacity } = machine;
  if (needed === nothingNeeded) return;
  if (!capacity) {
    const rule = needed.memory_bytes > 0 ? "MemoryReserve" : needed.cpu_m > 0 ? "CPUReserve" : "Resources";
    return yield { rule, reason: "the machine's version of fleetd does not know reservations" };
  }
  const all = allocatable(capacity);
  const free = (of: (amounts: Amounts) => number) => Math.max(0, of(all) - of(reserved));
  const memory_bytes = free((amounts) => amounts.memory_bytes);
  if (needed.memory_bytes > memory_bytes) {
    const what = `${memoryText(memory_bytes)} of ${memoryText(all.memory_bytes)} are free`;
    yield { rule: "MemoryReserve", reason: `needs ${memoryText(needed.memory_bytes)} of memory, ${what}` };
  }
  const cpu_m = free((amounts) => amounts.cpu_m);
  if (needed.cpu_m > cpu_m) {
    const what = `${cpu_m / 1000} of ${all.cpu_m / 1000} are free`;
    yield { rule: "CPUReserve", reason: `needs ${cpuText(needed.cpu_m)}, ${what}` };
  }
  for (const [name, amount] of Object.entries(needed.resources)) {
    const total = amountOf(all.resources, name);
    const left = free(({ resources }) => amountOf(resources, name));
    if (amount <= left) continue;
    const what = total === 0 ? "the machine has none" : `${left} of ${total} are free`;
    yield { rule: "Resources", reason: `needs ${amount} ${name}, ${what}` };
  }
}

/** The largest CPU time and memory that one machine of a cluster has for units. */
export type LargestMachine = Pick<Amounts, "cpu_m" | "memory_bytes">;

export function largestOf(machines: Iterable<MachineTraits>): LargestMachine {
  let cpu_m = 1, memory_bytes = 1;
  for (const { capacity } of machines) {
    if (!capacity) continue;
    cpu_m = Math.max(cpu_m, capacity.cpu_m - capacity.reservedCpu_m);
    memory_bytes = Math.max(memory_bytes, capacity.memory_bytes - capacity.reservedMemory_bytes);
  }
  return { cpu_m, memory_bytes };
}

/**
 * Returns what remains of a machine as a share of the largest machine, of CPU time or memory, whichever is scarcer. Below
 * zero if its units expect more than it has; the lowest number if its capacity is unknown.
 */
export function remaining({ capacity }: MachineTraits, { expected }: Demand, largest: LargestMachine): number {
  if (!capacity) return -Infinity;
  return Math.min(
    (capacity.cpu_m - capacity.reservedCpu_m - expected.cpu_m) / largest.cpu_m,
    (capacity.memory_bytes - capacity.reservedMemory_bytes - expected.memory_bytes) / largest.memory_bytes,
  );
}

/** Returns what remains of a machine for more units, for people. */
export function remainingText({ capacity }: MachineTraits, { expected }: Demand): string {
  if (!capacity) return "an unknown amount";
  const memory = memoryText(Math.max(0, capacity.memory_bytes - capacity.reservedMemory_bytes - expected.memory_bytes));
  const cpu_m = Math.max(0, capacity.cpu_m - capacity.reservedCpu_m - expected.cpu_m);
  return `${memory} and ${cpuText(cpu_m)} free`;
}
