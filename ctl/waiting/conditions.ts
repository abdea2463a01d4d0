/**
 * Conditions that a command waits for a unit to meet. A condition is pure except that it remembers earlier views of the
 * same unit, so each wait needs a new one.
 *
 * @module
 */

import type { DesiredState } from "../../registry/model.ts";
import type { StateView, UnitView } from "./unit_watcher.ts";

/** Result of checking a condition. */
export type WaitStatus =
  | {
    readonly verdict: "waiting";
    /** Time after which the condition must be checked again even if nothing has changed. */
    readonly again_ms?: number;
  }
  | { readonly verdict: "done" }
  | {
    readonly verdict: "failed";
    readonly reason: string;
    /** ID of the machine on which systemd reports the failure. */
    readonly machine?: string;
  };

/** Checks a view of the unit `name` at time `now_ms`. */
export type WaitCondition = (name: string, view: UnitView, now_ms: number) => WaitStatus;

const waiting: WaitStatus = { verdict: "waiting" };
const done: WaitStatus = { verdict: "done" };

/**
 * Time to settle: a state that may be older than the job counts as its end only after no newer state has come for this
 * long. If the job was seen running, its end counts at once.
 */
export const settle_ms = 500;

/**
 * Time to settle for a unit that, according to systemd, has never run. Either the unit still waits for units that it is
 * ordered after, or it has run and ended, and systemd has unloaded it since.
 */
export const settleUnstarted_ms = 1000;

/** Time after which a restart counts as done although no event has reported it. */
export const unseenRestart_ms = 2000;

/** Time after which another desired state counts as the change of another client, and not as an old view. */
export const changed_ms = 2000;

/** systemd's active states in which a unit may have processes (org.freedesktop.systemd1(5), ActiveState). */
const alive = new Set(["active", "reloading", "refreshing", "activating", "deactivating"]);

/** True if a unit may have processes in this active state. */
export function isAlive(activeState: string | undefined): boolean {
  return alive.has(activeState ?? "");
}

/** Active states in which systemd is running a job of the unit. */
const jobRunning = new Set(["activating", "deactivating", "reloading", "refreshing"]);

/** Met at once. */
export function atOnce(): WaitCondition {
  return () => done;
}

/**
 * Returns a check that fails once another client has given the unit another desired state than `state`: the wait would have
 * no end, or end with the success of a request that is void. Before the view shows `state`, nothing is known of that, unless
 * `wasDesired`.
 */
function keepsDesired(state: DesiredState, wasDesired: boolean) {
  let other_ms: number | undefined;
  return (name: string, { unit }: UnitView, now_ms: number): WaitStatus | undefined => {
    if (unit?.desiredState === state) {
      wasDesired = true;
      other_ms = undefined;
      return undefined;
    }
    if (!unit || !wasDesired) return undefined;
    other_ms ??= now_ms;
    const left_ms = other_ms + changed_ms - now_ms;
    if (left_ms > 0) return { verdict: "waiting", again_ms: left_ms };
    const reason = `unit ${name} was changed by another client meanwhile: its desired state is ${unit.desiredState}`;
    return { verdict: "failed", reason };
  };
}

/** The unit's desired state is `state`, and its agent has commanded it. */
export function reached(state: DesiredState): WaitCondition {
  const changed = keepsDesired(state, false);
  return (name, view, now_ms) => {
    const { unit } = view;
    if (!unit) return view.seen ? { verdict: "failed", reason: `unit ${name} no longer exists` } : waiting;
    const other = changed(name, view, now_ms);
    if (other) return other;
    return unit.desiredState === state && (unit.currentState ?? "inactive") === state ? done : waiting;
  };
}

/** Load states in which systemd never starts a unit, see org.freedesktop.systemd1(5). */
const unloadable = new Set(["bad-setting", "error", "masked"]);

/** The unit is loaded, and systemd could start it. */
export function loaded(): WaitCondition {
  const isLoaded = reached("loaded");
  let loaded_ms: number | undefined;
  return (name, view, now_ms) => {
    const status = isLoaded(name, view, now_ms);
    if (status.verdict !== "done") return status;
    const reported = stateOnItsMachine(view);
    if (!reported) {
      // The report of systemd follows that of the agent.
      loaded_ms ??= now_ms;
      const left_ms = loaded_ms + settle_ms - now_ms;
      return left_ms > 0 && view.unit?.machineID ? { verdict: "waiting", again_ms: left_ms } : status;
    }
    const load = reported.state.systemdLoadState ?? "";
    if (!reported.permanent && !unloadable.has(load)) return status;
    const why = reported.error === undefined ? "" : `: ${reported.error}`;
    return { verdict: "failed", reason: `unit ${name} cannot be started as it is: systemd reports it ${load}${why}` };
  };
}

/**
 * Like `condition`, but not met before the unit's machine has the file with this hash. If `hash` is undefined, any file
 * will do.
 */
export function having(hash: string | undefined, condition: WaitCondition): WaitCondition {
  if (hash === undefined) return condition;
  return (name, view, now_ms) => {
    const status = condition(name, view, now_ms);
    if (status.verdict === "waiting" || !view.unit) return status;
    return stateOnItsMachine(view)?.state.hash === hash ? status : waiting;
  };
}

/**
 * The unit is loaded and has no processes left. A unit whose desired state is loaded and that no machine has yet also
 * counts: no machine can have started it.
 */
export function stopped(): WaitCondition {
  const isLoaded = reached("loaded");
  return (name, view, now_ms) => {
    const { unit, states } = view;
    if (unit?.desiredState === "loaded" && !unit.machineID && states.size === 0) return done;
    const status = isLoaded(name, view, now_ms);
    if (status.verdict !== "done") return status;
    return [...states.values()].some(({ state }) => isAlive(state.systemdActiveState)) ? waiting : done;
  };
}

/** The unit is inactive, and no machine has it loaded. */
export function unloaded(): WaitCondition {
  const isInactive = reached("inactive");
  return (name, view, now_ms) => {
    const status = isInactive(name, view, now_ms);
    return status.verdict === "done" && view.states.size > 0 ? waiting : status;
  };
}

/** The cluster no longer has the unit, and no machine has it loaded. */
export function gone(): WaitCondition {
  return (_name, view) => !view.unit && view.states.size === 0 ? done : waiting;
}

/**
 * systemd has started the unit: it has been active for `stable_ms` without a crash, or has run and ended successfully.
 * Fails when systemd reports `failed`, when the unit ended with an error, or when systemd restarted it. `isNew` means that
 * no such unit existed before, so that every state belongs to this start.
 */
export function started(isNew: boolean, stable_ms = 0): WaitCondition {
  return jobCondition(stable_ms, isNew, (reported) => ({
    began: true,
    isFresh: reported.job !== undefined || reported.state.systemdActiveState === "active" ||
      (isNew && (reported.since ?? 0) > 0),
    settle_ms: reported.since === 0 ? settleUnstarted_ms : settle_ms,
  }));
}

/**
 * systemd has restarted the unit since `before`, which is its view at `asked_ms`, when the restart was requested; and the
 * unit has been active for `stable_ms` without a crash.
 */
export function restarted(before: UnitView, asked_ms: number, stable_ms = 0): WaitCondition {
  return jobCondition(stable_ms, true, (reported, view, now_ms) => {
    if (view.restart !== undefined && reported.restart !== undefined) {
      const earlier = before.states.get(reported.state.machineID ?? "");
      return {
        began: view.restart > (before.restart ?? 0) && reported.restart >= view.restart,
        isFresh: reported.job !== undefined || reported.since !== earlier?.since,
        settle_ms,
      };
    }
    const hasChanged = view.stateChanges > before.stateChanges;
    const left_ms = Math.max(asked_ms + unseenRestart_ms - now_ms, 0);
    return {
      began: hasChanged || left_ms === 0,
      isFresh: false,
      settle_ms: hasChanged ? settle_ms : 0,
      again_ms: left_ms,
    };
  });
}

/** Progress of a job, as far as the unit's state does not show it. */
interface JobProgress {
  /** False while the whole view is older than the job. */
  readonly began: boolean;
  /** True if the state is known to be newer than the start of the job. */
  readonly isFresh: boolean;
  /** Time for which a state that may be older than the job must stay the newest one. */
  readonly settle_ms: number;
  /** While the job has not begun: time until the next check. */
  readonly again_ms?: number;
}

/** Waits for a job to end. `isFirst` means that automatic restarts counted before the first view belong to this job too. */
function jobCondition(
  stable_ms: number,
  isFirst: boolean,
  progressOf: (reported: StateView, view: UnitView, now_ms: number) => JobProgress,
): WaitCondition {
  let wasRunning = false;
  let latest = "";
  let since_ms = 0;
  const stability = new Stability(stable_ms, isFirst);
  const changed = keepsDesired("launched", true);
  return (name, view, now_ms) => {
    if (!view.unit) return view.seen ? { verdict: "failed", reason: `unit ${name} no longer exists` } : waiting;
    const other = changed(name, view, now_ms);
    if (other) return other;
    const reported = stateOnItsMachine(view);
    if (!reported) return waiting;
    const job = progressOf(reported, view, now_ms);
    if (!job.began) return job.again_ms === undefined ? waiting : { verdict: "waiting", again_ms: job.again_ms };
    const fingerprint = JSON.stringify([reported, view.stateChanges]);
    if (fingerprint !== latest) {
      latest = fingerprint;
      since_ms = now_ms;
    }
    wasRunning ||= jobRunning.has(reported.state.systemdActiveState ?? "");
    const end = jobEnd(name, reported);
    const unstable = stability.check(name, reported, end, now_ms);
    if (!end) return unstable ?? waiting;
    const left_ms = since_ms + job.settle_ms - now_ms;
    if (!wasRunning && !job.isFresh && left_ms > 0) return { verdict: "waiting", again_ms: left_ms };
    return unstable ?? end;
  };
}

/** Checks that a unit that has become active stays active for `stable_ms`. */
class Stability {
  #active_ms: number | undefined;
  #firstRestarts: number | undefined;
  #result = "";

  constructor(readonly stable_ms: number, readonly isFirst: boolean) {}

  /** Returns a failure after a crash, "waiting" until the unit has been active for long enough, undefined if `end` counts. */
  check(name: string, reported: StateView, end: WaitStatus | undefined, now_ms: number): WaitStatus | undefined {
    if (this.stable_ms <= 0 || end?.verdict === "failed") return undefined;
    const restarts = reported.restarts ?? 0;
    this.#firstRestarts ??= this.isFirst ? 0 : restarts;
    this.#result = reported.result ?? this.#result;
    if (restarts > this.#firstRestarts) return this.#crashed(name, reported, restarts - this.#firstRestarts);
    if (end?.verdict !== "done" || !isAlive(reported.state.systemdActiveState)) {
      this.#active_ms = undefined;
      return undefined;
    }
    this.#active_ms ??= now_ms;
    const left_ms = this.#active_ms + this.stable_ms - now_ms;
    return left_ms > 0 ? { verdict: "waiting", again_ms: left_ms } : undefined;
  }

  #crashed(name: string, reported: StateView, times: number): WaitStatus {
    const result = this.#result === "" ? "" : ` (${this.#result})`;
    const restarted = times === 1 ? "once" : `${times} times`;
    const { machineID: machine } = reported.state;
    return {
      verdict: "failed",
      reason: `unit ${name} failed: its process ended${result}, and systemd has already restarted it ${restarted}`,
      ...(machine === undefined ? {} : { machine }),
    };
  }
}

/** Result of a job, if the reported state is the end of one; undefined while a job is running. */
function jobEnd(name: string, reported: StateView): WaitStatus | undefined {
  const { systemdLoadState: load = "", systemdActiveState: active = "", systemdSubState: sub = "" } = reported.state;
  const failed = () => jobFailure(name, reported);
  switch (active) {
    case "active":
    case "reloading":
    case "refreshing":
      return done;
    case "failed":
      return failed();
    case "inactive":
      return reported.error || load !== "loaded" ? failed() : done;
    case "activating":
      // Like systemctl start, which reports a failure when the first attempt failed and systemd will try again later.
      return sub.startsWith("auto-restart") && reported.error ? failed() : undefined;
    default:
      return undefined;
  }
}

/** Returns the failure of a unit that systemd reports in this state. */
export function jobFailure(name: string, reported: StateView): WaitStatus {
  const { systemdLoadState: load = "", systemdActiveState: active = "", systemdSubState: sub = "" } = reported.state;
  // systemd's result says more than the failure of the job; a unit that could not be loaded has no result.
  const why = load === "loaded" ? reported.result ?? reported.error : reported.error;
  return {
    verdict: "failed",
    reason: `unit ${name} failed: systemd reports it ${load}, ${active} (${sub})${why ? ": " + why : ""}`,
    ...(reported.state.machineID ? { machine: reported.state.machineID } : {}),
  };
}

/** The state that the unit's own machine reports. */
function stateOnItsMachine({ unit, states }: UnitView): StateView | undefined {
  return states.get(unit?.machineID ?? "");
}
