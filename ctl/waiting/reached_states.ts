/**
 * Conditions of `fleetctl wait`, which waits for states that others bring about. Pure except that a condition remembers
 * earlier views of its unit.
 *
 * @module
 */

import { jobFailure, type WaitCondition, type WaitStatus } from "./conditions.ts";
import { hasWantedFile, type StateView, type UnitView } from "./unit_watcher.ts";

const waiting: WaitStatus = { verdict: "waiting" };
const done: WaitStatus = { verdict: "done" };

/**
 * Time for which systemd must report a unit as failed before that counts: the report may be older than a start that another
 * command has requested.
 */
const failed_ms = 2000;

/** The conditions under which a unit counts as running. */
export interface RunningRule {
  /** True for a unit that is active on every machine that has it. */
  readonly isGlobal: boolean;
  /** Time without another start, milliseconds. */
  readonly stable_ms: number;
  /** True if the unit has a health check, which must pass. */
  readonly isChecked: boolean;
  /** True if the unit counts after it has done its work and ended. */
  readonly mayEnd: boolean;
}

/**
 * systemd reports the newest file of the unit as active, as long and as healthy as `rule` says. Fails if systemd has given
 * up, or the unit is destroyed.
 */
export function running({ isGlobal, stable_ms, isChecked, mayEnd }: RunningRule): WaitCondition {
  let failedSince_ms: number | undefined;
  let stable: { readonly starts: string; readonly since_ms: number } | undefined;
  return (name, view, now_ms) => {
    if (!view.unit) return destroyed(name, view);
    const states = statesOf(view, isGlobal);
    const failed = states.find(({ state }) => hasWantedFile(view, state) && state.systemdActiveState === "failed");
    failedSince_ms = failed && (failedSince_ms ?? now_ms);
    if (failed) {
      const left_ms = failedSince_ms! + failed_ms - now_ms;
      return left_ms > 0 ? { verdict: "waiting", again_ms: left_ms } : jobFailure(name, failed);
    }
    const isReached = states.length > 0 && states.every((reported) =>
      hasWantedFile(view, reported.state) &&
      (isUp(reported.state) ? !isChecked || reported.state.health === "passing" : mayEnd && hasEnded(reported))
    );
    const starts = JSON.stringify(states.map(({ restart, restarts, since }) => [restart, restarts, since]));
    if (!isReached) stable = undefined;
    else if (stable?.starts !== starts) stable = { starts, since_ms: now_ms };
    const left_ms = stable ? stable.since_ms + stable_ms - now_ms : 0;
    if (stable && left_ms > 0) return { verdict: "waiting", again_ms: left_ms };
    return stable ? done : waiting;
  };
}

/** systemd reports the unit as failed, on any machine that has it. Fails if the unit is destroyed. */
export function failed(isGlobal: boolean): WaitCondition {
  return (name, view) => {
    if (!view.unit) return destroyed(name, view);
    return statesOf(view, isGlobal).some(({ state }) => state.systemdActiveState === "failed") ? done : waiting;
  };
}

function destroyed(name: string, view: UnitView): WaitStatus {
  return view.seen ? { verdict: "failed", reason: `unit ${name} no longer exists` } : waiting;
}

/** Returns the states that count: of the unit's machine, or of every machine that has a global unit. */
function statesOf({ unit, states }: UnitView, isGlobal: boolean): readonly StateView[] {
  return [...states.values()].filter(({ state }) => isGlobal || state.machineID === unit?.machineID);
}

/** True for a unit that has done its work: its start job is done, and systemd reports no failure. */
function hasEnded({ state, job, result }: StateView): boolean {
  return state.systemdActiveState === "inactive" && job === "done" && result === undefined;
}

function isUp({ systemdActiveState }: StateView["state"]): boolean {
  return ["active", "reloading", "refreshing"].includes(systemdActiveState ?? "");
}
