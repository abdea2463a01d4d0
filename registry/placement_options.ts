/**
 * Options of the [X-Fleet] section about capacity, preference and failures: what a unit reserves on its machine, over which
 * machines its template is spread, and when it leaves a machine on which it fails. Pure.
 *
 * @module
 */

import { lastValue, type UnitOption } from "../systemd/unit_file.ts";
import { quote } from "../systemd/unit_name.ts";
import { parseTimeSpan_ms } from "../systemd/unit_time_span.ts";
import { type Amounts, nothingNeeded, parseCpu_m, parseMemory_bytes, parseResources } from "./reservation.ts";

/** The requirements that these options state. Each is undefined if the unit states none. */
export interface PlacementOptions {
  /** The amounts that the unit reserves on its machine. */
  readonly reservation: Amounts | undefined;
  /** The amounts that the unit probably uses: its reservation and, where it reserves nothing, the limits of its service. */
  readonly expected: Amounts | undefined;
  /** Undefined for a unit that is not an instance of a template. */
  readonly spread: Spread | undefined;
  /** True if the unit is not moved to balance the cluster. */
  readonly pin: boolean;
  /** The limit of failures after which the unit leaves its machine; undefined if it stays. */
  readonly moveAfter: MoveAfter | undefined;
}

/** The spread of a template's instances over the values of a metadata key. */
export interface Spread {
  /** The name of the template. */
  readonly template: string;
  readonly key: string;
  /** True if a machine whose value has more instances than another value refuses the unit. */
  readonly hard: boolean;
}

/** The failures on one machine after which a unit leaves it. */
export interface MoveAfter {
  readonly failures: number;
  readonly within_ms: number;
}

/** The options by name, in the order of the documentation. `Prefer` is parsed with the metadata. */
export const placementOptionNames: readonly string[] = [
  "MemoryReserve",
  "CPUReserve",
  "Resources",
  "Spread",
  "Prefer",
  "Pin",
  "OnFailure",
  "MoveAfter",
];

/** The options among them that may be repeated. */
export const listOptions: ReadonlySet<string> = new Set(["Resources", "Prefer"]);

/** The failures after which a unit with OnFailure=move leaves its machine, unless MoveAfter= says otherwise. */
const defaultMoveAfter: MoveAfter = { failures: 3, within_ms: 600_000 };

const maxFailures = 100;
const maxWithin_ms = 7 * 86_400_000;

/** Options of [Service] that hint at what a service uses, the first of each list first (systemd.resource-control(5)). */
const hintNames = { memory: ["MemoryHigh", "MemoryMax"], cpu: ["CPUQuota"] } as const;

/** Returns the options of [Service] that hint at what a service uses: of each the last value, which counts. */
export function serviceHints(options: readonly UnitOption[]): readonly UnitOption[] {
  return [...hintNames.memory, ...hintNames.cpu].flatMap((name) =>
    options.findLast((option) => option.section === "Service" && option.name === name) ?? []
  );
}

/** Parses the options. `named` returns the values of one; the error of a malformed value is returned beside them. */
export function parsePlacementOptions(
  named: (name: string) => readonly string[],
  isTrue: (value: string | undefined) => boolean,
  options: readonly UnitOption[],
  template: string | undefined,
): { readonly options: PlacementOptions; readonly malformed: readonly string[] } {
  const malformed: string[] = [];
  const last = <T>(name: string, parse: (value: string) => T | undefined, expected: string): T | undefined => {
    const value = named(name).at(-1) ?? "";
    if (value === "") return undefined;
    const parsed = parse(value);
    if (parsed === undefined) malformed.push(`malformed ${name} ${quote(value)}: ${expected}`);
    return parsed;
  };
  const memory_bytes = last("MemoryReserve", parseMemory_bytes, "expect an amount of memory, for example 512M or 2G");
  const cpu_m = last("CPUReserve", parseCpu_m, "expect a number of CPUs, for example 0.5, or a percentage of one");
  const counted = parseResources(named("Resources").join(","));
  if (typeof counted === "string") malformed.push(`malformed Resources: ${counted}`);
  const resources = typeof counted === "string" ? {} : counted;
  const spread = last("Spread", parseSpread, "expect a metadata key, or key:hard");
  const onFailure = last(
    "OnFailure",
    (value) => ["stay", "move"].find((each) => each === value),
    "expect stay or move",
  );
  const moveAfter = last("MoveAfter", parseMoveAfter, "expect failures/time, for example 3/10m");
  const reservation = amounts(cpu_m, memory_bytes, resources);
  const hinted = {
    cpu_m: cpu_m ?? hint(options, hintNames.cpu, parseCpu_m),
    memory_bytes: memory_bytes ?? hint(options, hintNames.memory, parseMemory_bytes),
  };
  const isHinted = hinted.cpu_m !== cpu_m || hinted.memory_bytes !== memory_bytes;
  const expected = isHinted ? amounts(hinted.cpu_m, hinted.memory_bytes, resources) : reservation;
  return {
    options: {
      reservation,
      expected,
      spread: spread && template !== undefined ? { template, ...spread } : undefined,
      pin: isTrue(named("Pin").at(-1)),
      moveAfter: onFailure === "move" ? moveAfter ?? defaultMoveAfter : undefined,
    },
    malformed,
  };
}

/** Returns amounts; undefined if all are zero. */
function amounts(cpu_m = 0, memory_bytes = 0, resources: Amounts["resources"]): Amounts | undefined {
  const counted = Object.entries(resources).filter(([, amount]) => amount > 0);
  if (cpu_m + memory_bytes + counted.length === 0) return undefined;
  return {
    cpu_m,
    memory_bytes,
    resources: counted.length === 0 ? nothingNeeded.resources : Object.fromEntries(counted),
  };
}

/** Returns the first hint with an absolute amount; `infinity` and percentages of the machine's memory are none. */
function hint(
  options: readonly UnitOption[],
  names: readonly string[],
  parse: (text: string) => number | undefined,
): number | undefined {
  for (const name of names) {
    const amount = parse(lastValue(options, "Service", name));
    if (amount !== undefined) return amount;
  }
  return undefined;
}

function parseSpread(value: string): Omit<Spread, "template"> | undefined {
  const [, key, how] = /^([^\s=:]+)(:hard)?$/.exec(value) ?? [];
  return key === undefined ? undefined : { key, hard: how !== undefined };
}

function parseMoveAfter(value: string): MoveAfter | undefined {
  const [, count, span] = /^(\d+)\/(.+)$/.exec(value) ?? [];
  const failures = Number(count);
  const within_ms = span === undefined ? undefined : parseTimeSpan_ms(span);
  if (within_ms === undefined || failures < 1 || failures > maxFailures) return undefined;
  return within_ms < 1_000 || within_ms > maxWithin_ms ? undefined : { failures, within_ms };
}
