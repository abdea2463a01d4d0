/**
 * An agent's watch: what concerns its machine, and never less than that because the store went wrong.
 *
 * @module
 */

import { retryDelay_ms } from "./clock.ts";
import { follow, type FollowOptions } from "./follow.ts";
import { messageOf } from "./log.ts";
import { machineRanges, MachineViewBuilder } from "./machine_view.ts";
import { StoreUnavailableError } from "./mod.ts";
import type { MachineId, MachineView } from "./model.ts";
import { Turnstile } from "./turnstile.ts";

/** See {@link import("./mod.ts").Registry.watchMachine}. */
export async function* watchMachine(
  options: FollowOptions,
  machine: MachineId,
  signal: AbortSignal,
): AsyncIterable<MachineView> {
  const view = new MachineViewBuilder(machine, options.log);
  const turnstile = new Turnstile();
  let following = false;
  let failure: { readonly error: unknown } | undefined;
  const stop = new AbortController();
  const running = follow(options, machineRanges(machine), {
    fresh(kvs, revision) {
      view.reset(kvs, revision);
      following = true;
      turnstile.turn();
    },
    batch(batch) {
      view.apply(batch);
      turnstile.turn();
    },
    lost: () => following = false,
  }, AbortSignal.any([signal, stop.signal])).catch((error) => {
    failure = { error };
    turnstile.turn();
  });
  try {
    for (let yielded = 0, believed = 0; !signal.aborted;) {
      if (failure) throw failure.error;
      const seen = turnstile.count;
      const deletions = view.deletions;
      if (!following || seen === yielded) await turnstile.past(seen, signal);
      else if (deletions === believed) {
        yielded = seen;
        yield view.view(options.session.memory?.id ?? "");
      } // Somebody may be deleting the whole store, its id included: ask before anything is taken from an agent.
      else if (await sameStore(options, signal)) believed = deletions;
    }
  } finally {
    stop.abort();
    await running;
  }
}

/** Whether the store is known to be the right one; false: it did not answer. Throws `WrongStoreError`. */
async function sameStore({ session, clock, log }: FollowOptions, signal: AbortSignal): Promise<boolean> {
  try {
    await session.read([]);
    return true;
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    log("debug", "what was deleted is not believed yet", { endpoints: session.endpoints, error: messageOf(error) });
    await clock.sleep(retryDelay_ms(clock), signal);
    return false;
  }
}
