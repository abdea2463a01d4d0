/**
 * The sign of life that a move waits for: a second copy that has been healthy on this machine for `MinHealthyTime=`. Its
 * machine says so itself. If the leader measured the time, a machine that lost its power meanwhile would still count as
 * healthy until its lease ends, and the first copy would be stopped. A roll-out that changes a global unit from machine to
 * machine waits for the same sign.
 *
 * @module
 */

import { rolloutOptionsOf } from "../../registry/deployment.ts";
import type { Assignment, MachineId, MachineView, UnitName, UnitState } from "../../registry/model.ts";
import { optionsOf } from "../../systemd/unit_file.ts";
import { isActiveGlobal, versionOn } from "../policy/globals.ts";
import { stateHealth } from "../policy/health.ts";

interface Sighting {
  /** The second copy, and its start: another one is measured from the beginning. */
  readonly of: string;
  readonly settledAt_ms: number;
}

/**
 * Returns the units that are waited for on this machine: second copies, and global units that a roll-out has changed here.
 * The revision of a global unit is the one at which it was launched, which does not change meanwhile.
 */
export function awaitedCopies({ copies, globals, machine }: MachineView): ReadonlyMap<UnitName, Assignment> {
  const changed = [...globals.values()]
    .filter((unit) => unit.next?.unproven.includes(machine) && isActiveGlobal(unit))
    .map((unit): [UnitName, Assignment] => {
      const { name, hash, desiredState, restart, launchedAt: revision } = versionOn(unit, machine);
      return [name, { unit: name, machine, hash, desiredState, restart, revision }];
    });
  return new Map([...copies ?? [], ...changed]);
}

/** Measures for how long second copies have been healthy. */
export class SettledCopies {
  #seen: ReadonlyMap<UnitName, Sighting> = new Map();

  constructor(private readonly machine: MachineId) {}

  /** Returns the states, with those of settled copies marked. `texts`: unit files by hash. `now_ms`: monotonic clock. */
  mark(
    states: ReadonlyMap<UnitName, UnitState>,
    copies: ReadonlyMap<UnitName, Assignment> | undefined,
    texts: ReadonlyMap<string, string>,
    now_ms: number,
  ): ReadonlyMap<UnitName, UnitState> {
    const seen = new Map<UnitName, Sighting>();
    const settled = new Map<UnitName, UnitState>();
    for (const [name, copy] of copies ?? []) {
      const state = states.get(name);
      const found = state && this.#sighting(copy, state, texts.get(copy.hash), now_ms);
      if (!found) continue;
      const before = this.#seen.get(name);
      const sighting = before?.of === found.of ? before : found;
      seen.set(name, sighting);
      if (sighting.settledAt_ms <= now_ms) settled.set(name, { ...state, settled: copy.revision });
    }
    this.#seen = seen;
    return settled.size === 0 ? states : new Map([...states, ...settled]);
  }

  /** Returns a sighting that begins now; undefined if the copy is not healthy. */
  #sighting(
    { unit: name, hash, desiredState, restart, revision }: Assignment,
    state: UnitState,
    text: string | undefined,
    now_ms: number,
  ): Sighting | undefined {
    if (text === undefined) return undefined;
    const fleetOptions = optionsOf(text);
    const health = stateHealth({ name, hash, desiredState, restart, fleetOptions }, state, this.machine, text);
    if (health.kind !== "healthy") return undefined;
    return {
      of: `${revision} ${health.start}`,
      settledAt_ms: now_ms + rolloutOptionsOf(fleetOptions).minHealthyTime_ms,
    };
  }

  /** Returns the milliseconds until a copy settles; Infinity if none is about to. */
  next_ms(now_ms: number): number {
    const left_ms = Array.from(this.#seen.values(), ({ settledAt_ms }) => settledAt_ms - now_ms);
    return Math.min(Infinity, ...left_ms.filter((each) => each > 0));
  }
}
