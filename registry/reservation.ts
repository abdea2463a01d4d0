/**
 * Amounts of what a machine has and a unit needs: CPU time, memory, and resources that are only counted, such as GPUs. All
 * are whole numbers, so that a sum does not depend on the order of its parts. Pure.
 *
 * @module
 */

import { quote } from "../systemd/unit_name.ts";

/** Amounts of resources. */
export interface Amounts {
  /** Thousandths of a CPU core. */
  readonly cpu_m: number;
  readonly memory_bytes: number;
  /** Amounts of counted resources by name; a resource that is not named counts as 0. */
  readonly resources: Readonly<Record<string, number>>;
}

/** The capacity of a machine. */
export interface Capacity extends Amounts {
  /** The part of the CPU time and the memory that units do not get. */
  readonly reservedCpu_m: number;
  readonly reservedMemory_bytes: number;
}

/** Returns the capacity that a value of the store holds; undefined if it holds none. */
export function capacityIn(value: unknown): Capacity | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { cpu_m, memory_bytes, reservedCpu_m, reservedMemory_bytes, resources } = value as Partial<Capacity>;
  if (!isAmount(cpu_m) || !isAmount(memory_bytes) || !isAmount(reservedCpu_m) || !isAmount(reservedMemory_bytes)) {
    return undefined;
  }
  if (typeof resources !== "object" || resources === null || !Object.values(resources).every(isAmount)) {
    return undefined;
  }
  return { cpu_m, memory_bytes, reservedCpu_m, reservedMemory_bytes, resources };
}

function isAmount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The largest number of different resources of a machine or of a unit. */
const maxResources = 32;

/** The largest amount of one resource. */
const maxAmount = 1_000_000;

const unitsOfMemory = ["B", "K", "M", "G", "T", "P", "E"];

/** Parses an amount of memory as in `MemoryMax=` (systemd.resource-control(5)): bytes, or with K, M, G or T, to the base 1024. */
export function parseMemory_bytes(text: string): number | undefined {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)\s*([BKMGTPE]?)$/.exec(text.trim()) ?? [];
  if (number === undefined) return undefined;
  const bytes = Math.round(Number(number) * 1024 ** Math.max(0, unitsOfMemory.indexOf(unit)));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Parses CPU time: a number of cores such as `1.5`, or a percentage of one core as in `CPUQuota=`, such as `150%`. */
export function parseCpu_m(text: string): number | undefined {
  const [, number, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text.trim()) ?? [];
  if (number === undefined) return undefined;
  const cpu_m = Math.round(Number(number) * (percent ? 10 : 1000));
  return cpu_m <= maxAmount * 1000 ? cpu_m : undefined;
}

/**
 * Parses counted resources: `gpu=2,license=5`, separated by commas or spaces. Returns the error as a text if an item is
 * malformed.
 */
export function parseResources(text: string): Readonly<Record<string, number>> | string {
  const resources = new Map<string, number>();
  for (const item of text.split(/[\s,]+/)) {
    if (item === "") continue;
    const [, name, amount] = /^([A-Za-z][A-Za-z0-9_.-]{0,63})=(\d{1,7})$/.exec(item) ?? [];
    if (name === undefined || Number(amount) > maxAmount) {
      return `expect name=number, such as gpu=1, with a whole number up to ${maxAmount}, found ${quote(item)}`;
    }
    if (resources.has(name)) return `${quote(name)} is named twice`;
    resources.set(name, Number(amount));
  }
  if (resources.size > maxResources) return `too many resources (max ${maxResources})`;
  return Object.fromEntries(resources);
}

/** Returns the amount of a counted resource. */
export function amountOf(resources: Readonly<Record<string, number>>, name: string): number {
  return Object.hasOwn(resources, name) ? resources[name]! : 0;
}

export const nothingNeeded: Amounts = { cpu_m: 0, memory_bytes: 0, resources: {} };

/** Returns the sum of two amounts. */
export function plus(a: Amounts, b: Amounts): Amounts {
  if (a === nothingNeeded) return b;
  if (b === nothingNeeded) return a;
  return {
    cpu_m: a.cpu_m + b.cpu_m,
    memory_bytes: a.memory_bytes + b.memory_bytes,
    resources: plusResources(a.resources, b.resources),
  };
}

/** Returns the sum of amounts. */
export function sumOf(list: readonly Amounts[]): Amounts {
  if (list.length === 0) return nothingNeeded;
  let cpu_m = 0, memory_bytes = 0, resources = noResources;
  for (const amounts of list) {
    cpu_m += amounts.cpu_m;
    memory_bytes += amounts.memory_bytes;
    if (amounts.resources !== noResources) resources = plusResources(resources, amounts.resources);
  }
  return { cpu_m, memory_bytes, resources };
}

const noResources = nothingNeeded.resources;

function plusResources(a: Amounts["resources"], b: Amounts["resources"]): Amounts["resources"] {
  if (b === noResources) return a;
  if (a === noResources) return b;
  const sum: Record<string, number> = { ...a };
  for (const name in b) sum[name] = amountOf(sum, name) + b[name]!;
  return sum;
}

/** Returns an amount of memory for people: `512 MiB`, `1.5 GiB`. */
export function memoryText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  let power = 0, amount = bytes;
  for (; amount >= 1024 && power < unitsOfMemory.length - 1; power++) amount /= 1024;
  return `${Math.round(amount * 10) / 10} ${unitsOfMemory[power]}iB`;
}

/** Returns CPU time for people: `1.5 CPUs`. */
export function cpuText(cpu_m: number): string {
  return cpu_m === 1000 ? "1 CPU" : `${cpu_m / 1000} CPUs`;
}
