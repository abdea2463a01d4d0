/**
 * What fleet 1.0's own client needs: its `fleetctl restart` sets the desired state `loaded`, and waits for the current
 * state `launched` before it sets that again. It ends only if its first look, 250 ms later, is faster than the unit's
 * machine, as it was in fleet 1.0; on a faster daemon it would wait for ever, and leave the unit stopped. So the first GET
 * behind such a PUT shows that client the state before. Its `stop` and `load` look again 250 ms later.
 *
 * @module
 */

import type { UnitName } from "../../../registry/model.ts";
import { keepNewest } from "../../../runtime/keep_newest.ts";

/** How long a state before is kept for a client that does not come back, milliseconds. */
const kept_ms = 10_000;

/** Units that are remembered at a time. */
const maxUnits = 1000;

/** True of requests by fleet 1.0's fleetctl, and other clients that the same library makes. */
export function isOriginalClient({ headers }: Request): boolean {
  return headers.get("user-agent")?.startsWith("google-api-go-client/") ?? false;
}

/** Units that the original client has stopped and not looked at since. */
export class StopsUnseen {
  /** When each was stopped, oldest first. */
  readonly #stopped_ms = new Map<UnitName, number>();

  /** The client has set a launched unit to loaded. */
  add(name: UnitName, now_ms: number): void {
    this.#stopped_ms.delete(name);
    this.#stopped_ms.set(name, now_ms);
    keepNewest(this.#stopped_ms, maxUnits);
  }

  /** The client looks at a unit: true if it has stopped it and looks for the first time since. */
  take(name: UnitName, now_ms: number): boolean {
    const stopped_ms = this.#stopped_ms.get(name);
    return stopped_ms !== undefined && this.#stopped_ms.delete(name) && now_ms - stopped_ms < kept_ms;
  }
}
