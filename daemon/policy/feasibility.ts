/**
 * The one rule of placement: may this unit be on this machine, and if not, every reason why not. The engine, the
 * agents and `explain` all ask it, so they cannot disagree.
 *
 * @module
 */

import type { Machine, MachineId, Unit, UnitName } from "../../registry/model.ts";
import { globMatcher } from "../../runtime/glob.ts";

/** What placement looks at in a unit. */
export type Subject = Pick<Unit, "name" | "requirements" | "launchedAt" | "unreadable">;

/** What placement looks at in a machine. */
export type Host = Pick<Machine, "id" | "metadata" | "unreadable">;

/** Which rule refused. */
export type Rule =
  | "MachineID"
  | "MachineMetadata"
  | "MachineOf"
  | "Conflicts"
  | "Replaces"
  | "malformed"
  | "unreadable";

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
 * Whether the unit is on the machine already. One that is there is not refused by another that replaces it: it moves
 * when another machine takes it, and stays as long as none does.
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
  return { refusals: [...refusalsOf(unit, host, residents, standing, peers)] };
}

/** Whether {@link placement} would refuse nothing. Looks no further than the first refusal. */
export function isAllowed(
  unit: Subject,
  host: Host,
  residents: Iterable<Subject>,
  standing: Standing = "newcomer",
  peers?: ReadonlySet<UnitName>,
): boolean {
  return refusalsOf(unit, host, residents, standing, peers).next().done === true;
}

/** Whether the machine alone, whoever else is there, would not refuse a unit that is there. */
export function isHostable(unit: Subject, host: Host): boolean {
  return hostRefusals(unit, host, "resident").next().done === true;
}

function* refusalsOf(
  unit: Subject,
  host: Host,
  residents: Iterable<Subject>,
  standing: Standing,
  peers: ReadonlySet<UnitName> | undefined,
): Generator<Refusal> {
  yield* hostRefusals(unit, host, standing);
  const { machineOf, global } = unit.requirements;
  const missing = new Set(machineOf.filter((peer) => peer !== unit.name && !peers?.has(peer)));
  const found: Subject[] = [];
  const unknown: Subject[] = [];
  for (const other of residents) {
    if (other.name === unit.name) continue;
    if (missing.has(other.name)) found.push(other);
    if (standing === "newcomer" && other.requirements.global && other.unreadable !== undefined) unknown.push(other);
    if (conflict(unit, other)) {
      yield { rule: "Conflicts", reason: `found conflict with locally-scheduled Unit(${other.name})` };
    }
    // A global unit has no other machine to move to.
    if (standing === "newcomer" && !global && replaces(other, unit)) {
      yield { rule: "Replaces", reason: `would be replaced by locally-scheduled Unit(${other.name})` };
    }
  }
  for (const peer of found) if (!isDoubtful(peer, unknown)) missing.delete(peer.name);
  for (const peer of missing) {
    yield { rule: "MachineOf", reason: `required peer Unit(${peer}) is not scheduled locally` };
  }
}

/** A global that cannot be read may be here or not, and so may the globals that it is against. */
function isDoubtful(peer: Subject, unknown: readonly Subject[]): boolean {
  return unknown.some((other) => other === peer || peer.requirements.global && conflict(other, peer));
}

/** What the machine alone says against the unit, whoever else is there. */
function* hostRefusals(unit: Subject, host: Host, standing: Standing): Generator<Refusal> {
  if (host.unreadable !== undefined) {
    const reason = `its machine record cannot be read, so that who is there stays and nobody comes: ${host.unreadable}`;
    if (standing === "newcomer") yield { rule: "unreadable", reason };
    return;
  }
  const { machineId, machineMetadata, malformed } = unit.requirements;
  for (const reason of malformed) yield { rule: "malformed", reason };
  if (machineId !== undefined && !namesMachine(machineId, host.id)) {
    yield { rule: "MachineID", reason: `agent ID "${host.id}" does not match required "${machineId}"` };
  }
  for (const [key, accepted] of machineMetadata) {
    const actual = metadataOf(host, key);
    if (actual !== undefined && accepted.includes(actual)) continue;
    const wanted = accepted.map((value) => `${key}=${value}`).join(" or ");
    const found = actual === undefined ? `no ${key}` : `${key}=${actual}`;
    yield {
      rule: "MachineMetadata",
      reason: `local Machine metadata insufficient: needs ${wanted}, has ${found}`,
    };
  }
}

function metadataOf({ metadata }: Host, key: string): string | undefined {
  return Object.hasOwn(metadata, key) ? metadata[key] : undefined;
}

/** Whether a machine has, for every key, one of the values that will do. */
export function hasMetadata(host: Host, wanted: ReadonlyMap<string, readonly string[]>): boolean {
  return [...wanted].every(([key, accepted]) => accepted.includes(metadataOf(host, key) ?? ""));
}

/** Whether a MachineID option means this machine: by its full ID or by the first 8 characters. */
export function namesMachine(machineId: string, id: MachineId): boolean {
  return machineId === id || machineId === id.slice(0, 8);
}

/** Whether either names the other in Conflicts. A unit never conflicts with itself. */
export function conflict(a: Subject, b: Subject): boolean {
  if (a.name === b.name) return false;
  return matchesAny(a.requirements.conflicts, b.name) || matchesAny(b.requirements.conflicts, a.name);
}

/** Whether `a` replaces `b`, and not also the other way round: mutual Replaces cancel out. */
export function replaces(a: Subject, b: Subject): boolean {
  if (a.name === b.name) return false;
  return matchesAny(a.requirements.replaces, b.name) && !matchesAny(b.requirements.replaces, a.name);
}

/** The patterns of a list, read once. */
const matchers = new WeakMap<readonly string[], readonly ((name: UnitName) => boolean)[]>();

function matchesAny(globs: readonly string[], name: UnitName): boolean {
  if (globs.length === 0) return false;
  let matches = matchers.get(globs);
  if (!matches) matchers.set(globs, matches = globs.map(globMatcher));
  return matches.some((matchesName) => matchesName(name));
}
