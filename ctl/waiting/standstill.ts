/**
 * Prints that units a command waits for make no progress, again and again.
 *
 * @module
 */

import type { Context } from "../cli/command.ts";
import type { UnitView, UnitWatcher } from "./unit_watcher.ts";

/** Times since a unit's latest change at which a notice is printed; the last interval repeats. */
const intervals_ms = [10_000, 30_000, 60_000] as const;

/** Largest number of units named at a time. */
const maxNamed = 3;

/** Largest number of different facts about one unit that count as progress. */
const maxFacts = 100;

/** A unit that is waited for. */
export interface PendingUnit {
  readonly name: string;
  /** The condition that the unit has yet to meet, for example `become active in systemd`. */
  readonly goal: string;
  /** Error of its machine's agent, if the agent could not carry out its command. */
  readonly error: string | undefined;
}

interface Standstill {
  view: UnitView | undefined;
  /** Facts seen so far. A fact that recurs, as when a machine retries a command, is no progress. */
  readonly facts: Set<string>;
  since_ms: number;
  notices: number;
}

/** The notices of one wait. */
export class StandstillNotices {
  /** Time until the next {@link report}, milliseconds. */
  again_ms = Infinity;
  readonly #standstills = new Map<string, Standstill>();

  /** `reasons` returns why a unit has no machine, if that is known. */
  constructor(
    readonly context: Context,
    readonly watcher: UnitWatcher,
    readonly reasons: { readonly latest: (name: string) => string | undefined },
  ) {}

  /** Prints a notice about each unit that has made no progress for long enough. */
  report(units: readonly PendingUnit[]): void {
    const { io } = this.context;
    const now_ms = io.now_ms();
    this.again_ms = Infinity;
    const due: (PendingUnit & { readonly for_ms: number })[] = [];
    for (const unit of units) {
      const standstill = this.#update(unit.name, now_ms);
      const for_ms = now_ms - standstill.since_ms;
      while (for_ms >= dueAt_ms(standstill.notices)) {
        standstill.notices++;
        if (due.at(-1)?.name !== unit.name) due.push({ ...unit, for_ms });
      }
      this.again_ms = Math.min(this.again_ms, dueAt_ms(standstill.notices) - for_ms);
    }
    for (const { name, goal, error, for_ms } of due.slice(0, maxNamed)) {
      const reason = this.reason(name, error);
      io.notice(`Unit ${name} has made no progress for ${duration(for_ms)} and has yet to ${goal}${reason}`);
    }
    if (due.length > maxNamed) io.notice(`${due.length - maxNamed} more units have made no progress for as long`);
  }

  /** Returns what a unit waits for, as the end of a sentence; "" if nothing is known. `error`: the latest one of its machine. */
  reason(name: string, error: string | undefined): string {
    const why = error ?? this.reasons.latest(name) ?? this.#systemdState(name);
    return why === undefined ? "" : `: ${why}`;
  }

  #update(name: string, now_ms: number): Standstill {
    const view = this.watcher.view(name);
    let standstill = this.#standstills.get(name);
    if (!standstill) {
      standstill = { view: undefined, facts: new Set(), since_ms: now_ms, notices: 0 };
      this.#standstills.set(name, standstill);
    }
    if (standstill.view === view) return standstill;
    standstill.view = view;
    const { unit, states } = view;
    const facts: readonly unknown[] = [
      [unit?.machineID],
      [unit?.desiredState, unit?.currentState],
      ...[...states].flatMap(([machine, { state, error }]) => [[machine, state], [machine, error]]),
    ];
    for (const fact of facts.map((each) => JSON.stringify(each))) {
      // A unit has few states, but an error may have a different text each time.
      if (standstill.facts.has(fact) || standstill.facts.size >= maxFacts) continue;
      standstill.facts.add(fact);
      Object.assign(standstill, { since_ms: now_ms, notices: 0 });
    }
    return standstill;
  }

  #systemdState(name: string): string | undefined {
    if (!this.watcher.isReady) return `${this.context.client.endpoint} has not reported its state yet`;
    // Of a global unit, one machine that is not ready says more than all that are.
    const states = [...this.watcher.view(name).states.values()];
    const reported = states.find(({ state }) => state.systemdActiveState !== "active") ?? states[0];
    if (!reported) return undefined;
    const { systemdLoadState: load, systemdActiveState: active, systemdSubState: sub, healthReason } = reported.state;
    const health = healthReason === undefined ? "" : `, and its health check fails: ${healthReason}`;
    return `systemd reports it ${load}, ${active} (${sub})${health}`;
  }
}

/** Returns the time since the latest progress at which the next notice is due, after so many notices. */
function dueAt_ms(notices: number): number {
  const last = intervals_ms.at(-1)!;
  return intervals_ms[notices] ?? last * (notices - intervals_ms.length + 2);
}

/** `40 s` or `3 min`. */
function duration(ms: number): string {
  return ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}
