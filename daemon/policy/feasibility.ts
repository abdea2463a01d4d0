/**
 * Feasibility check: may this unit run on this machine, and if not, for which reasons. The engine, the agents and
 * `explain` share it, so that they cannot disagree.
 *
 * @module
 */

import type { Cordon, Machine, MachineId, Unit, UnitName } from "../../registry/model.ts";
import { isQuadlet } from "../../systemd/unit_name.ts";
import { globMatcher } from "../../runtime/glob.ts";
import type { Amounts } from "../../registry/reservation.ts";
import { capacityRefusals, type CapacityRule, fits, reservationOf } from "./capacity.ts";
import { disconnectionRefusal } from "./disconnection.ts";
import { type EvenCounts, metadataOf, spreadRefusal } from "./spread.ts";

/** The properties of a unit that decide where it may run. */
export type UnitTraits = Pick<Unit, "name" | "requirements" | "launchedAt" | "unreadable">;

/** The properties of a machine that decide which units it may run. */
export type MachineTraits = Pick<
  Machine,
  "id" | "metadata" | "capabilities" | "leaseTtl_ms" | "capacity" | "cordon" | "stopsGlobals" | "unreadable"
>;

/** The rule that a refusal comes from: an [X-Fleet] option, what the machine can do, or a value that cannot be read. */
export type Rule =
  | "MachineID"
  | "MachineMetadata"
  | "MachineOf"
  | "Conflicts"
  | "Replaces"
  | "StopWhenDisconnected"
  | CapacityRule
  | "Spread"
  | "Quadlet"
  | "Cordon"
  | "File"
  | "Drain"
  | "malformed"
  | "unreadable";

/** One reason why a unit may not be on a machine. */
export interface Refusal {
  readonly rule: Rule;
  /** A sentence a person can read. */
  readonly reason: string;
}

/**
 * Whether the unit is on the machine already. A resident is not refused because of a unit that replaces it: it stays there
 * until another machine takes it.
 */
export type Residency = "newcomer" | "resident";

/** The known properties of the units on a machine. Computed from the residents if left out. */
export interface Occupied {
  /** The sum of the residents' reservations. */
  readonly reserved?: Amounts;
  /** The instances among which the unit must be even. Without it, a hard spread is not considered. */
  readonly instances?: EvenCounts | undefined;
}

/**
 * Returns every reason why `unit` may not run on `machine`; none if it may. `residents` are the units on that machine. If
 * `unit` itself is among them it has its reservation already. `peers` are units that are about to be placed together with
 * it, and satisfy its MachineOf; their reservations are not considered.
 */
export function findRefusals(
  unit: UnitTraits,
  machine: MachineTraits,
  residents: Iterable<UnitTraits>,
  residency: Residency = "newcomer",
  peers?: ReadonlySet<UnitName>,
  occupied?: Occupied,
): readonly Refusal[] {
  return [...refusalsOf(unit, machine, residents, residency, peers, occupied)];
}

/** True if {@link findRefusals} would find none. Stops at the first refusal. */
export function isFeasible(
  unit: UnitTraits,
  machine: MachineTraits,
  residents: Iterable<UnitTraits>,
  residency: Residency = "newcomer",
  peers?: ReadonlySet<UnitName>,
  occupied?: Occupied,
): boolean {
  return refusalsOf(unit, machine, residents, residency, peers, occupied).next().done === true;
}

/** True if the machine's own properties allow a unit that is there already. Other units are not considered. */
export function isFeasibleAlone(unit: UnitTraits, machine: MachineTraits): boolean {
  return machineRefusals(unit, machine, "resident").next().done === true;
}

function* refusalsOf(
  unit: UnitTraits,
  machine: MachineTraits,
  residents: Iterable<UnitTraits>,
  residency: Residency,
  peers: ReadonlySet<UnitName> | undefined,
  occupied: Occupied | undefined,
): Generator<Refusal> {
  yield* machineRefusals(unit, machine, residency);
  const uneven = occupied?.instances && spreadRefusal(unit, machine, occupied.instances);
  if (uneven !== undefined) yield { rule: "Spread", reason: uneven };
  const { machineOf, global, reservation } = unit.requirements;
  const missing = new Set(machineOf.filter((peer) => peer !== unit.name && !peers?.has(peer)));
  const found: UnitTraits[] = [];
  const unknown: UnitTraits[] = [];
  let isHere = false;
  for (const other of residents) {
    if (other.name === unit.name) {
      isHere = true;
      continue;
    }
    if (missing.has(other.name)) found.push(other);
    if (residency === "newcomer" && other.requirements.global && other.unreadable !== undefined) unknown.push(other);
    if (conflict(unit, other)) {
      yield { rule: "Conflicts", reason: `found conflict with locally-scheduled Unit(${other.name})` };
    }
    // A global unit cannot move to another machine.
    if (residency === "newcomer" && !global && replaces(other, unit)) {
      yield { rule: "Replaces", reason: `would be replaced by locally-scheduled Unit(${other.name})` };
    }
  }
  for (const peer of found) if (!isUncertain(peer, unknown)) missing.delete(peer.name);
  for (const peer of missing) {
    yield { rule: "MachineOf", reason: `required peer Unit(${peer}) is not scheduled locally` };
  }
  if (!reservation || isHere || machine.unreadable !== undefined) return;
  const reserved = occupied?.reserved ?? reservationOf(residents);
  if (!fits(reservation, machine, reserved)) yield* capacityRefusals(reservation, machine, reserved);
}

/**
 * True if it is unknown whether the peer is on the machine. It is unknown of a global unit that cannot be read, and of each
 * global unit that conflicts with such a unit.
 */
function isUncertain(peer: UnitTraits, unknown: readonly UnitTraits[]): boolean {
  return unknown.some((other) => other === peer || peer.requirements.global && conflict(other, peer));
}

/** Yields the refusals that come from the machine's own properties. */
function* machineRefusals(unit: UnitTraits, machine: MachineTraits, residency: Residency): Generator<Refusal> {
  if (machine.unreadable !== undefined) {
    const reason =
      `the machine's record cannot be read, so that its units stay and no other unit is placed on it: ${machine.unreadable}`;
    if (residency === "newcomer") yield { rule: "unreadable", reason };
    return;
  }
  // A global unit belongs to its machines, however they are used otherwise.
  if (residency === "newcomer" && machine.cordon && !unit.requirements.global) {
    yield { rule: "Cordon", reason: cordonReason(machine.cordon) };
  }
  if (machine.stopsGlobals && unit.requirements.global) {
    yield { rule: "Drain", reason: "the machine is drained, so that it runs no global units until fleetctl undrain" };
  }
  const { machineId, machineMetadata, stopWhenDisconnected_ms, hasFiles, malformed } = unit.requirements;
  for (const reason of malformed) yield { rule: "malformed", reason };
  // A resident stays: podman may be away for the moment of an upgrade.
  if (residency === "newcomer" && isQuadlet(unit.name) && machine.capabilities.quadlet !== true) {
    yield { rule: "Quadlet", reason: "the machine has no podman that makes services of Quadlet files (4.4 or newer)" };
  }
  if (residency === "newcomer" && hasFiles && machine.capabilities.files !== true) {
    yield { rule: "File", reason: "the machine's fleet is too old to deliver files (File=): upgrade it" };
  }
  if (machineId !== undefined && !namesMachine(machineId, machine.id)) {
    yield { rule: "MachineID", reason: `agent ID "${machine.id}" does not match required "${machineId}"` };
  }
  for (const [key, accepted] of machineMetadata) {
    const actual = metadataOf(machine, key);
    if (actual !== undefined && accepted.includes(actual)) continue;
    const wanted = accepted.map((value) => `${key}=${value}`).join(" or ");
    const found = actual === undefined ? `no ${key}` : `${key}=${actual}`;
    yield {
      rule: "MachineMetadata",
      reason: `local Machine metadata insufficient: needs ${wanted}, has ${found}`,
    };
  }
  if (stopWhenDisconnected_ms === undefined) return;
  const reason = disconnectionRefusal(stopWhenDisconnected_ms, machine.leaseTtl_ms);
  if (reason !== undefined) yield { rule: "StopWhenDisconnected", reason };
}

function cordonReason({ changed, why }: Cordon): string {
  return "the machine is cordoned, so that it takes no new units" +
    (changed ? ` (by ${changed.by} at ${new Date(changed.at_ms).toISOString()})` : "") + (why ? `: ${why}` : "");
}

/** True if a machine has one of the accepted values for every key. */
export function hasMetadata(machine: MachineTraits, wanted: ReadonlyMap<string, readonly string[]>): boolean {
  return [...wanted].every(([key, accepted]) => accepted.includes(metadataOf(machine, key) ?? ""));
}

/** True if a unit's MachineID= and MachineMetadata= allow a machine. */
export function isEligible(
  { requirements: { machineId, machineMetadata } }: UnitTraits,
  machine: MachineTraits,
): boolean {
  return hasMetadata(machine, machineMetadata) && (machineId === undefined || namesMachine(machineId, machine.id));
}

/** True if a MachineID option names this machine: by its full ID or by the first 8 characters. */
export function namesMachine(machineId: string, id: MachineId): boolean {
  return machineId === id || machineId === id.slice(0, 8);
}

/** True if either unit names the other in Conflicts. A unit never conflicts with itself. */
export function conflict(a: UnitTraits, b: UnitTraits): boolean {
  if (a.name === b.name) return false;
  return matchesAny(a.requirements.conflicts, b.name) || matchesAny(b.requirements.conflicts, a.name);
}

/** True if `a` replaces `b` and `b` does not replace `a`: mutual Replaces cancel out. */
export function replaces(a: UnitTraits, b: UnitTraits): boolean {
  if (a.name === b.name) return false;
  return matchesAny(a.requirements.replaces, b.name) && !matchesAny(b.requirements.replaces, a.name);
}

/** Compiled patterns by list. */
const matchers = new WeakMap<readonly string[], readonly ((name: UnitName) => boolean)[]>();

/** True if one of the patterns of an option matches a name. */
export function matchesAny(globs: readonly string[], name: UnitName): boolean {
  if (globs.length === 0) return false;
  return matchers.getOrInsertComputed(globs, () => globs.map(globMatcher)).some((matches) => matches(name));
}
