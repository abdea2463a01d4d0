/**
 * A workaround for the `fleetctl restart` of fleet 1.0, which sets the desired state `loaded`, and then waits for the
 * current state `launched` before it sets that again. It ends only if its first GET, 250 ms later, is faster than the
 * unit's machine, as it was in fleet 1.0. With a faster daemon it would wait forever, and leave the unit stopped. So
 * the first GET after such a PUT shows that client the previous state. Its `stop` and `load` send another GET 250 ms
 * later.
 *
 * @module
 */

import type { UnitName } from "../../../registry/model.ts";
import { NewestMap } from "../../../runtime/newest_map.ts";

/** Time that a previous state is kept for a client that sends no GET, in milliseconds. */
const kept_ms = 10_000;

/** The largest number of units with a pending stop. */
const maxUnits = 1000;

/** True for requests of fleet 1.0's fleetctl, and of other clients that use the same library. */
export function isOriginalClient({ headers }: Request): boolean {
  return headers.get("user-agent")?.startsWith("google-api-go-client/") ?? false;
}

/** Units that the original client has stopped and not read since. */
export class PendingStops {
  /** The time of each stop. */
  readonly #stopped_ms = new NewestMap<UnitName, number>(maxUnits);

  /** Notes that the client has changed the desired state of a unit from launched to loaded. */
  add(name: UnitName, now_ms: number): void {
    this.#stopped_ms.set(name, now_ms);
  }

  /** True if the client has stopped the unit and now reads it for the first time since. */
  take(name: UnitName, now_ms: number): boolean {
    const stopped_ms = this.#stopped_ms.get(name);
    return stopped_ms !== undefined && this.#stopped_ms.delete(name) && now_ms - stopped_ms < kept_ms;
  }
}
