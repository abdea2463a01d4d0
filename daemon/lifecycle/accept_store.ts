/**
 * Accepts a wiped or restored store on this machine, at an operator's request.
 *
 * @module
 */

import type { StoreMemory, WrongStoreError } from "../../registry/mod.ts";
import type { JoinState, Status } from "./join_loop.ts";
import type { Notifier } from "../../runtime/notifier.ts";

/** The store that was accepted and the one before it, or the reason why there is no store to accept. */
export type Acceptance =
  | { readonly was: StoreMemory; readonly accepted: WrongStoreError["found"] }
  | { readonly refusal: string };

/**
 * Forgets the identity of the known store, so that the daemon joins the present one. From then on that store decides which
 * units this machine runs. Refuses while the store is the known one, or cannot be reached. `prepare` runs
 * before the store is accepted. `wakeup` is notified so that the daemon tries again at once.
 */
export async function acceptStore(
  { wrongStore, ready, reason }: Status,
  state: Pick<JoinState, "saveStore">,
  prepare: (found: WrongStoreError["found"]) => Promise<void>,
  wakeup: Notifier,
): Promise<Acceptance> {
  if (!wrongStore) {
    return { refusal: ready ? "this machine's store is the one it knows" : `no store to accept: ${reason}` };
  }
  await prepare(wrongStore.found);
  await state.saveStore(undefined);
  wakeup.notify();
  return { was: wrongStore.expected, accepted: wrongStore.found };
}
