/**
 * The one rule of placement: may this unit be on this machine, and if not, every reason why not. The engine, the
 * agents and `explain` all ask it, so they cannot disagree.
 *
 * @module
 */

import type { Machine, Unit, UnitName } from "../registry/model.ts";
import { globMatch } from "../systemd/unit_name.ts";

/** What placement looks at in a unit. */
export type Subject = Pick<Unit, "name" | "requirements" | "launchedAt">;

/** What placement looks at in a machine. */
export type Host = Pick<Machine, "id" | "metadata">;

/** Which rule refused. */
export type Rule = "MachineID" | "MachineMetadata" | "MachineOf" | "Conflicts" | "Replaces" | "malformed";

/** One reason why a unit may not be on a machine. */
export interface Refusal {
  readonly rule: Rule;
  /** A sentence a person can read. */
  readonly reason: string;
}

/** The answer of {@link placement}: allowed when `refusals` is empty. */
export interface Verdict {
  readonly refusals: readonly Refusal[];
}

/**
 * Whether the unit is already on the machine. A newcomer yields to any conflicting resident, since it must never stop a
 * healthy unit; between two that are both there already, the one launched first stays.
 */
export type Standing = "newcomer" | "resident";

/**
 * Compares two units by who was launched first: by launched-at revision (a unit that is not launched comes last), then
 * by name. Negative when `a` precedes `b`.
 */
export function precedence(a: Subject, b: Subject): number {
  const first = (subject: Subject) => subject.launchedAt === 0 ? Infinity : subject.launchedAt;
  if (first(a) !== first(b)) return first(a) < first(b) ? -1 : 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/**
 * Whether `unit` may be on `host` among `residents` (the other units there; `unit` itself is skipped). Every refusal is
 * given, not the first alone. `peers`: units about to be placed together with it, which satisfy its MachineOf.
 */
export function placement(
  unit: Subject,
  host: Host,
  residents: Iterable<Subject>,
  standing: Standing = "newcomer",
  peers?: ReadonlySet<UnitName>,
): Verdict {
  const refusals: Refusal[] = hostRefusals(unit, host);
  const missing = new Set(unit.requirements.machineOf.filter((peer) => peer !== unit.name && !peers?.has(peer)));
  for (const other of residents) {
    if (other.name === unit.name) continue;
    missing.delete(other.name);
    if (conflict(unit, other) && (standing === "newcomer" || precedence(other, unit) < 0)) {
      refusals.push({ rule: "Conflicts", reason: `found conflict with locally-scheduled Unit(${other.name})` });
    }
    if (standing === "newcomer" && replaces(other, unit)) {
      refusals.push({ rule: "Replaces", reason: `would be replaced by locally-scheduled Unit(${other.name})` });
    }
  }
  for (const peer of missing) {
    refusals.push({ rule: "MachineOf", reason: `required peer Unit(${peer}) is not scheduled locally` });
  }
  return { refusals };
}

/** What the machine alone says against the unit, whoever else is there. */
function hostRefusals(unit: Subject, host: Host): Refusal[] {
  const { machineId, machineMetadata, malformed } = unit.requirements;
  const refusals: Refusal[] = malformed.map((reason) => ({ rule: "malformed", reason }));
  if (machineId !== undefined && machineId !== host.id && machineId !== host.id.slice(0, 8)) {
    refusals.push({ rule: "MachineID", reason: `agent ID "${host.id}" does not match required "${machineId}"` });
  }
  for (const [key, accepted] of machineMetadata) {
    const actual = host.metadata[key];
    if (actual !== undefined && accepted.includes(actual)) continue;
    const wanted = accepted.map((value) => `${key}=${value}`).join(" or ");
    const found = actual === undefined ? `no ${key}` : `${key}=${actual}`;
    refusals.push({
      rule: "MachineMetadata",
      reason: `local Machine metadata insufficient: needs ${wanted}, has ${found}`,
    });
  }
  return refusals;
}

/** Whether either names the other in Conflicts. A unit never conflicts with itself. */
export function conflict(a: Subject, b: Subject): boolean {
  if (a.name === b.name) return false;
  return a.requirements.conflicts.some((glob) => globMatch(glob, b.name)) ||
    b.requirements.conflicts.some((glob) => globMatch(glob, a.name));
}

/** Whether `a` replaces `b`, and not also the other way round: mutual Replaces cancel out. */
export function replaces(a: Subject, b: Subject): boolean {
  if (a.name === b.name) return false;
  return a.requirements.replaces.some((glob) => globMatch(glob, b.name)) &&
    !b.requirements.replaces.some((glob) => globMatch(glob, a.name));
}
