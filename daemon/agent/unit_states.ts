/**
 * The unit states that an agent publishes.
 *
 * @module
 */

import type { MachineId, Revision, UnitName, UnitState } from "../../registry/model.ts";
import type { DesiredUnit } from "./desired.ts";
import type { JobResult } from "../../systemd/port.ts";
import type { Current } from "./plan.ts";
import type { Failure } from "./failures.ts";
import type { PublishedHealth } from "./unit_health.ts";

/**
 * Returns the states to publish: one for each unit on disk, and one for each that could not be installed. `restarting`:
 * units with an unfinished restart, with the revision of the restart before. `ended`: results of start jobs. `moreOf`: other
 * fields of a unit, such as its health.
 */
export function unitStates(
  machine: MachineId,
  wanted: ReadonlyMap<UnitName, DesiredUnit>,
  current: ReadonlyMap<UnitName, Current>,
  errors: ReadonlyMap<UnitName, Failure>,
  restarting: ReadonlyMap<UnitName, Revision>,
  ended: ReadonlyMap<UnitName, JobResult> = new Map(),
  moreOf: (unit: UnitName) => (Partial<PublishedHealth> & Pick<UnitState, "failures">) | undefined = () => undefined,
): ReadonlyMap<UnitName, UnitState> {
  const states = new Map<UnitName, UnitState>();
  for (const { name, hash, commanded, restart, status } of current.values()) {
    const { load, active, sub, result, since_ms, restarts } = status;
    const failure = errors.get(name);
    const job = ended.get(name);
    // After a failed start systemd may have started the unit itself. A unit that cannot be stopped is active.
    const error = active === "active" && !failure?.tried ? undefined : failure?.error;
    states.set(name, {
      ...{ unit: name, machine, hash, commanded, load, active, sub, since_ms },
      restart: restarting.get(name) ?? restart,
      ...(error !== undefined && published(failure!)),
      ...(result !== "success" && { result }),
      ...(restarts !== undefined && { restarts }),
      ...moreOf(name),
      ...(job !== undefined && (active === "inactive" || active === "failed") && { job }),
    });
  }
  for (const { name, hash } of wanted.values()) {
    const failure = errors.get(name);
    if (states.has(name) || failure === undefined) continue;
    const nothing = { load: "not-found", active: "inactive", sub: "dead", since_ms: 0 };
    states.set(name, {
      unit: name,
      machine,
      hash,
      commanded: "inactive",
      restart: 0,
      ...published(failure),
      ...nothing,
    });
  }
  return states;
}

function published(
  { error, isPermanent, retry }: Failure,
): Pick<UnitState, "permanent" | "tries" | "retryAt_ms"> & { readonly error: string } {
  return {
    error,
    ...(isPermanent && { permanent: true as const }),
    ...(retry && { tries: retry.tries, retryAt_ms: retry.at_ms }),
  };
}

/** True if two sets of states are equal. */
export function sameStates(
  a: ReadonlyMap<UnitName, UnitState> | undefined,
  b: ReadonlyMap<UnitName, UnitState>,
): boolean {
  if (!a || a.size !== b.size) return false;
  for (const [name, state] of b) {
    const other = a.get(name);
    if (!other || other !== state && !sameFields(other, state)) return false;
  }
  return true;
}

/** The fields of a state, none of which may be an object: {@link sameFields} compares them by value. */
type FlatState = Readonly<Partial<Record<keyof UnitState, string | number | boolean>>>;

/** True if two states have equal fields. Called for every unit at every signal of systemd, so nothing is serialized. */
function sameFields(a: FlatState, b: FlatState): boolean {
  const keys = Object.keys(b) as (keyof UnitState)[];
  return keys.length === Object.keys(a).length && keys.every((key) => a[key] === b[key]);
}
