/**
 * Says of units that a command waits for that nothing happens to them, and goes on saying it.
 *
 * @module
 */

import type { Context } from "../cli/command.ts";
import type { UnitView, UnitWatcher } from "./unit_watcher.ts";
import { note } from "../terminal/port.ts";

/** How long after the latest change of a unit it is said that there was none, milliseconds; the last interval repeats. */
const intervals_ms = [10_000, 30_000, 60_000] as const;

/** Units that are named at a time. */
const maxNamed = 3;

/** Different facts about one unit that count as movement when they are seen first. */
const maxSeen = 100;

/** A unit that is waited for. */
export interface WaitingUnit {
  readonly name: string;
  /** What has not happened yet, for example `become active in systemd`. */
  readonly goal: string;
  /** Why its machine could not do what it was told. */
  readonly error: string | undefined;
}

interface Standstill {
  view: UnitView | undefined;
  /** Facts that were seen of it: what comes again, as where a machine tries the same again and again, is no movement. */
  readonly seen: Set<string>;
  since_ms: number;
  told: number;
}

/** Watches the units of one wait. */
export class StandstillNotices {
  /** How long until {@link tell} should be called again, milliseconds. */
  again_ms = Infinity;
  readonly #standstills = new Map<string, Standstill>();

  /** `reasons` knows why a unit has no machine, as far as that was asked. */
  constructor(
    readonly context: Context,
    readonly follower: UnitWatcher,
    readonly reasons: { readonly latest: (name: string) => string | undefined },
  ) {}

  /** Tells of those units that have not changed for long. */
  tell(units: readonly WaitingUnit[]): void {
    const { io } = this.context;
    const now_ms = io.now_ms();
    this.again_ms = Infinity;
    const due: (WaitingUnit & { readonly for_ms: number })[] = [];
    for (const unit of units) {
      const standstill = this.#look(unit.name, now_ms);
      const for_ms = now_ms - standstill.since_ms;
      while (for_ms >= dueAt_ms(standstill.told)) {
        standstill.told++;
        if (due.at(-1)?.name !== unit.name) due.push({ ...unit, for_ms });
      }
      this.again_ms = Math.min(this.again_ms, dueAt_ms(standstill.told) - for_ms);
    }
    for (const { name, goal, error, for_ms } of due.slice(0, maxNamed)) {
      const why = error ?? this.reasons.latest(name) ?? this.#saidBySystemd(name);
      const reason = why === undefined ? "" : `: ${why}`;
      note(io, `Unit ${name} has not moved for ${duration(for_ms)}, and is still to ${goal}${reason}`);
    }
    if (due.length > maxNamed) note(io, `${due.length - maxNamed} more units have not moved for as long`);
  }

  #look(name: string, now_ms: number): Standstill {
    const view = this.follower.view(name);
    let standstill = this.#standstills.get(name);
    if (!standstill) {
      standstill = { view: undefined, seen: new Set(), since_ms: now_ms, told: 0 };
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
      // A unit has few states; reasons that differ each time are cut off here.
      if (standstill.seen.has(fact) || standstill.seen.size >= maxSeen) continue;
      standstill.seen.add(fact);
      Object.assign(standstill, { since_ms: now_ms, told: 0 });
    }
    return standstill;
  }

  #saidBySystemd(name: string): string | undefined {
    if (!this.follower.isReady) return `${this.context.client.endpoint} has not told yet how it is`;
    const [said] = this.follower.view(name).states.values();
    const { systemdLoadState: load, systemdActiveState: active, systemdSubState: sub } = said?.state ?? {};
    return said && `systemd reports it ${load}, ${active} (${sub})`;
  }
}

/** After how long the next notice is due when so many have been given. */
function dueAt_ms(told: number): number {
  const last = intervals_ms.at(-1)!;
  return intervals_ms[told] ?? last * (told - intervals_ms.length + 2);
}

/** `40 s` or `3 min`. */
function duration(ms: number): string {
  return ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}
