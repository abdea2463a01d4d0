/**
 * When a unit has got to where a command wanted it. Judges are pure but for what they remember of earlier views of the
 * same unit: make a new one for each wait.
 *
 * @module
 */

import type { DesiredState } from "../../registry/model.ts";
import type { StateView, UnitView } from "./unit_watcher.ts";

/** What is to be said of a unit right now. */
export type WaitStatus =
  | {
    readonly verdict: "waiting";
    /** WaitCondition again after this long even if nothing has happened. */
    readonly again_ms?: number;
  }
  | { readonly verdict: "done" }
  | {
    readonly verdict: "failed";
    readonly reason: string;
    /** ID of the machine whose systemd says that it has failed. */
    readonly machine?: string;
  };

/** Judges a view of the unit called `name` at time `now_ms`. */
export type WaitCondition = (name: string, view: UnitView, now_ms: number) => WaitStatus;

const waiting: WaitStatus = { verdict: "waiting" };
const done: WaitStatus = { verdict: "done" };

/**
 * A state in which a job could have ended counts at once if the job was seen to run; if not, it may be older than the
 * job, and counts once nothing newer has come for this long.
 */
export const settle_ms = 500;

/**
 * The same for a unit that, as far as systemd remembers, has never run. It may be held up by what it is ordered behind;
 * or it has run, and systemd has forgotten it already, as it does with a unit that has ended well.
 */
export const settleUnstarted_ms = 1000;

/** A restart that no message tells of must have happened unseen after this long. */
export const unseenRestart_ms = 2000;

/** systemd's active states in which a unit's processes may be there (org.freedesktop.systemd1(5), ActiveState). */
const alive = new Set(["active", "reloading", "refreshing", "activating", "deactivating"]);

/** Whether a unit's processes may be there in this active state. */
export function isAlive(activeState: string | undefined): boolean {
  return alive.has(activeState ?? "");
}

/** Those among them that show a job at work. */
const underWay = new Set(["activating", "deactivating", "reloading", "refreshing"]);

/** Nothing is to be waited for. */
export function atOnce(): WaitCondition {
  return () => done;
}

/** The unit is wanted in `state` and its agent has commanded so. */
export function reached(state: DesiredState): WaitCondition {
  return (name, view) => {
    const { unit } = view;
    if (!unit) return view.seen ? { verdict: "failed", reason: `unit ${name} no longer exists` } : waiting;
    return unit.desiredState === state && (unit.currentState ?? "inactive") === state ? done : waiting;
  };
}

/** Load states in which systemd starts a unit under no circumstances, see org.freedesktop.systemd1(5). */
const unloadable = new Set(["bad-setting", "error", "masked"]);

/** The unit is loaded, and systemd could start it. */
export function loaded(): WaitCondition {
  const isLoaded = reached("loaded");
  return (name, view, now_ms) => {
    const judgement = isLoaded(name, view, now_ms);
    const said = view.states.get(view.unit?.machineID ?? "");
    const load = said?.state.systemdLoadState ?? "";
    if (judgement.verdict !== "done" || !said || !said.permanent && !unloadable.has(load)) return judgement;
    const why = said.error === undefined ? "" : `: ${said.error}`;
    return { verdict: "failed", reason: `unit ${name} cannot be started as it is: systemd reports it ${load}${why}` };
  };
}

/** As `judge` has it, once the unit's machine has the version of its file with this hash; any, if undefined. */
export function having(hash: string | undefined, judge: WaitCondition): WaitCondition {
  if (hash === undefined) return judge;
  return (name, view, now_ms) => {
    const judgement = judge(name, view, now_ms);
    if (judgement.verdict === "waiting" || !view.unit) return judgement;
    return view.states.get(view.unit.machineID ?? "")?.state.hash === hash ? judgement : waiting;
  };
}

/**
 * The unit is loaded, and systemd has none of its processes any more; or it is wanted loaded, and has no machine yet that
 * could have started it.
 */
export function stopped(): WaitCondition {
  const isLoaded = reached("loaded");
  return (name, view, now_ms) => {
    const { unit, states } = view;
    if (unit?.desiredState === "loaded" && !unit.machineID && states.size === 0) return done;
    const judgement = isLoaded(name, view, now_ms);
    if (judgement.verdict !== "done") return judgement;
    return statesOf(view).some(({ state }) => alive.has(state.systemdActiveState ?? "")) ? waiting : done;
  };
}

/** The unit is inactive, and no machine has it any more. */
export function unloaded(): WaitCondition {
  const isInactive = reached("inactive");
  return (name, view, now_ms) => {
    const judgement = isInactive(name, view, now_ms);
    return judgement.verdict === "done" && view.states.size > 0 ? waiting : judgement;
  };
}

/** The unit is no longer known, and no machine has it any more. */
export function gone(): WaitCondition {
  return (_name, view) => !view.unit && view.states.size === 0 ? done : waiting;
}

/**
 * systemd has started the unit: it has been active for `stable_ms` without a crash, or it has run and ended well. Fails
 * when systemd says `failed`, when the unit ended with an error, or when systemd had to start it again. `isNew` says that
 * there was no such unit before, so that whatever it did is of this start.
 */
export function started(isNew: boolean, stable_ms = 0): WaitCondition {
  return jobJudge(stable_ms, isNew, (said) => ({
    began: true,
    isFresh: said.job !== undefined || said.state.systemdActiveState === "active" ||
      (isNew && (said.since_ms ?? 0) > 0),
    settle_ms: said.since_ms === 0 ? settleUnstarted_ms : settle_ms,
  }));
}

/**
 * systemd has restarted the unit since it was as in `before`, when the restart was asked for at `asked_ms`, and the unit
 * has been active for `stable_ms` without a crash.
 */
export function restarted(before: UnitView, asked_ms: number, stable_ms = 0): WaitCondition {
  return jobJudge(stable_ms, true, (said, view, now_ms) => {
    if (view.restart !== undefined && said.restart !== undefined) {
      const earlier = before.states.get(said.state.machineID ?? "");
      return {
        began: view.restart > (before.restart ?? 0) && said.restart >= view.restart,
        isFresh: said.job !== undefined || said.since_ms !== earlier?.since_ms,
        settle_ms,
      };
    }
    const isNews = view.stateChanges > before.stateChanges;
    const left_ms = Math.max(asked_ms + unseenRestart_ms - now_ms, 0);
    return { began: isNews || left_ms === 0, isFresh: false, settle_ms: isNews ? settle_ms : 0, again_ms: left_ms };
  });
}

/** How far a job is, beyond what the unit's state says. */
interface JobView {
  /** False while all that is known is older than the job. */
  readonly began: boolean;
  /** True if the state is known to be newer than the job's beginning. */
  readonly isFresh: boolean;
  /** How long a state that may be older must stay the newest news. */
  readonly settle_ms: number;
  /** While it has not begun: when to look again. */
  readonly again_ms?: number;
}

/** `isFirst`: automatic restarts that systemd has counted before the first look are of this job, too. */
function jobJudge(
  stable_ms: number,
  isFirst: boolean,
  look: (said: StateView, view: UnitView, now_ms: number) => JobView,
): WaitCondition {
  let ran = false;
  let latest = "";
  let since_ms = 0;
  const stability = new Stability(stable_ms, isFirst);
  return (name, view, now_ms) => {
    if (!view.unit) return view.seen ? { verdict: "failed", reason: `unit ${name} no longer exists` } : waiting;
    const said = view.states.get(view.unit.machineID ?? "");
    if (!said) return waiting;
    const job = look(said, view, now_ms);
    if (!job.began) return job.again_ms === undefined ? waiting : { verdict: "waiting", again_ms: job.again_ms };
    const news = JSON.stringify([said, view.stateChanges]);
    if (news !== latest) {
      latest = news;
      since_ms = now_ms;
    }
    ran ||= underWay.has(said.state.systemdActiveState ?? "");
    const outcome = outcomeOf(name, said);
    const unstable = stability.look(name, said, outcome, now_ms);
    if (!outcome) return unstable ?? waiting;
    const left_ms = since_ms + job.settle_ms - now_ms;
    if (!ran && !job.isFresh && left_ms > 0) return { verdict: "waiting", again_ms: left_ms };
    return unstable ?? outcome;
  };
}

/** Watches whether a unit that has become active stays so. */
class Stability {
  #active_ms: number | undefined;
  #counted: number | undefined;
  #result = "";

  constructor(readonly stable_ms: number, readonly isFirst: boolean) {}

  /** What keeps `outcome` from counting: a crash, or that the unit has not been active for long enough; else undefined. */
  look(name: string, said: StateView, outcome: WaitStatus | undefined, now_ms: number): WaitStatus | undefined {
    if (this.stable_ms <= 0 || outcome?.verdict === "failed") return undefined;
    const restarts = said.restarts ?? 0;
    this.#counted ??= this.isFirst ? 0 : restarts;
    this.#result = said.result ?? this.#result;
    if (restarts > this.#counted) return this.#crashed(name, said, restarts - this.#counted);
    const isActive = outcome?.verdict === "done" && alive.has(said.state.systemdActiveState ?? "");
    if (!isActive) {
      this.#active_ms = undefined;
      return undefined;
    }
    this.#active_ms ??= now_ms;
    const left_ms = this.#active_ms + this.stable_ms - now_ms;
    return left_ms > 0 ? { verdict: "waiting", again_ms: left_ms } : undefined;
  }

  #crashed(name: string, said: StateView, times: number): WaitStatus {
    const result = this.#result === "" ? "" : ` (${this.#result})`;
    const { machineID: machine } = said.state;
    return {
      verdict: "failed",
      reason: `unit ${name} failed: its process has ended${result}, and systemd has started it again ` +
        `${times === 1 ? "once" : `${times} times`} already`,
      ...(machine === undefined ? {} : { machine }),
    };
  }
}

/** How a job has ended if what systemd says is its end; undefined if it goes on. */
function outcomeOf(name: string, said: StateView): WaitStatus | undefined {
  const { systemdLoadState: load = "", systemdActiveState: active = "", systemdSubState: sub = "" } = said.state;
  const failed = (): WaitStatus => {
    // systemd's own word tells more than that a job has failed; what it could not load has none.
    const why = load === "loaded" ? said.result ?? said.error : said.error;
    return {
      verdict: "failed",
      reason: `unit ${name} failed: systemd reports it ${load}, ${active} (${sub})${why ? ": " + why : ""}`,
      ...(said.state.machineID ? { machine: said.state.machineID } : {}),
    };
  };
  switch (active) {
    case "active":
    case "reloading":
    case "refreshing":
      return done;
    case "failed":
      return failed();
    case "inactive":
      return said.error || load !== "loaded" ? failed() : done;
    case "activating":
      // systemctl start, too, calls it a failure when the first attempt failed and systemd will try again later.
      return sub.startsWith("auto-restart") && said.error ? failed() : undefined;
    default:
      return undefined;
  }
}

function statesOf(view: UnitView): StateView[] {
  return [...view.states.values()];
}
