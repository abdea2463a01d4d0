/**
 * An operator says that the store, although not the one this machine knows, is the right one.
 *
 * @module
 */

import type { StoreMemory, WrongStoreError } from "../../registry/mod.ts";
import type { JoinMemory, Status } from "./join_loop.ts";
import type { Wakeup } from "../reconcile.ts";

/** What {@link acceptStore} works on. */
export interface AcceptOptions {
  readonly status: () => Status;
  readonly memory: JoinMemory;
  /** Rung so that the daemon tries again at once. */
  readonly wakeup: Wakeup;
}

/** What was accepted in place of what; or why there was nothing to accept. */
export type Acceptance =
  | { readonly was: StoreMemory; readonly accepted: WrongStoreError["found"] }
  | { readonly refusal: string };

/**
 * Forgets the store that was known: the daemon takes the one that is there. From then on this machine's units are what
 * that store says. Refuses while there is no doubt about the store.
 */
export async function acceptStore({ status, memory, wakeup }: AcceptOptions): Promise<Acceptance> {
  const { wrongStore, ready, reason } = status();
  if (!wrongStore) {
    return { refusal: ready ? "this machine's store is the one it knows" : `no store to accept: ${reason}` };
  }
  await memory.saveStore(undefined);
  wakeup.trigger();
  return { was: wrongStore.expected, accepted: wrongStore.found };
}
