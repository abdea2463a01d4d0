/**
 * Keeps the fact that a start job has ended with success, also for the next daemon: systemd forgets it, and a oneshot that has
 * done its work looks like a unit that was never started.
 *
 * @module
 */

import type { UnitName } from "../../registry/model.ts";
import type { Intent } from "./intent.ts";

/** The start jobs that have ended since the last {@link record}. */
export class FinishedStarts {
  #latest = new Map<UnitName, Intent>();

  /** Notes the end of the job of an intent. */
  note(unit: UnitName, intent: Intent | undefined): void {
    if (intent) this.#latest.set(unit, intent);
  }

  /**
   * Records what was noted, except for units that have a later intent. No command may be on its way: its intent would be
   * overwritten by the earlier one.
   */
  async record(
    intents: ReadonlyMap<UnitName, Intent>,
    save: (unit: UnitName, intent: Intent) => Promise<void>,
  ): Promise<void> {
    const finished = [...this.#latest].filter(([unit, intent]) => intents.get(unit) === intent);
    this.#latest = new Map();
    await Promise.all(finished.map(([unit, intent]) => save(unit, { ...intent, finished: true })));
  }
}
