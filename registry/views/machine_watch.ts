/**
 * An agent's watch: what concerns its machine, and never less than that because the store went wrong.
 *
 * @module
 */

import { retryDelay_ms } from "../../runtime/clock.ts";
import { decodeTarget } from "../schema/codec.ts";
import { follow, type FollowOptions } from "./follow.ts";
import { targetKey } from "../schema/keys.ts";
import { messageOf } from "../../runtime/log.ts";
import { machineRanges, MachineViewBuilder } from "./machine_view.ts";
import { StoreUnavailableError } from "../mod.ts";
import type { MachineId, MachineView, UnitName } from "../model.ts";
import { type KeyValue, maxTransactionOps } from "../store/port.ts";
import { Notifier } from "../../runtime/notifier.ts";
import { onceAborted } from "../../runtime/on_abort.ts";

/**
 * An assignment that is deleted while its unit is still placed here was deleted by hand. The engine writes it again at
 * once; for so long, milliseconds, the unit is not stopped.
 */
const mending_ms = 2_000;

/** See {@link import("../mod.ts").Registry.watchMachine}. */
export async function* watchMachine(
  options: FollowOptions,
  machine: MachineId,
  signal: AbortSignal,
): AsyncIterable<MachineView> {
  const view = new MachineViewBuilder(machine, options.log);
  const notifier = new Notifier();
  let following = false;
  let failure: { readonly error: unknown } | undefined;
  const stop = new AbortController();
  const running = follow(options, machineRanges(machine), {
    fresh(kvs, revision) {
      view.reset(kvs, revision);
      following = true;
      notifier.notify();
    },
    batch(batch) {
      view.apply(batch);
      notifier.notify();
    },
    lost: () => following = false,
  }, AbortSignal.any([signal, stop.signal])).catch((error) => {
    failure = { error };
    notifier.notify();
  });
  try {
    let mendBy_ms: number | undefined;
    for (let yielded = 0, believed = 0; !signal.aborted;) {
      if (failure) throw failure.error;
      const seen = notifier.count;
      const deletions = view.deletions;
      if (!following || seen === yielded) await notifier.waitPast(seen, signal);
      else if (deletions === believed) {
        yielded = seen;
        yield view.view(options.session.memory?.id ?? "");
      } else {
        // The whole store may be being deleted, its id included: ask before anything is taken from an agent.
        const placed = await placedHere(options, machine, view.withdrawn, signal);
        if (placed === undefined) continue;
        const { clock } = options;
        if (placed) mendBy_ms ??= clock.monotonic_ms() + mending_ms;
        const left_ms = placed ? mendBy_ms! - clock.monotonic_ms() : 0;
        if (left_ms > 0) await turnedOrLate(notifier, seen, left_ms, options, signal);
        else {
          believed = deletions;
          mendBy_ms = undefined;
          view.forgetWithdrawn();
        }
      }
    }
  } finally {
    stop.abort();
    await running;
  }
}

/** Whether one of the units is still placed on the machine; undefined: the store did not answer. Throws `WrongStoreError`. */
async function placedHere(
  { session, clock, log }: FollowOptions,
  machine: MachineId,
  units: ReadonlySet<UnitName>,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  // One range of a read is the session's own.
  const size = maxTransactionOps - 1;
  const names = [...units];
  try {
    for (let start = 0; start === 0 || start < names.length; start += size) {
      const { ranges } = await session.read(names.slice(start, start + size).map((name) => ({ key: targetKey(name) })));
      if (ranges.flat().some((kv) => namesMachine(kv, machine))) return true;
    }
    return false;
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    log("debug", "deferring deletions until the store's identity is verified", {
      endpoints: session.endpoints,
      error: messageOf(error),
    });
    await clock.sleep(retryDelay_ms(clock), signal);
    return undefined;
  }
}

/** Whether a target can be read and names the machine. */
function namesMachine(kv: KeyValue, machine: MachineId): boolean {
  try {
    return decodeTarget("", kv).machine === machine;
  } catch {
    // The engine writes it anew, and the assignment with it.
    return false;
  }
}

/** Resolves at the next news, or when so much time has passed or `signal` aborts. */
async function turnedOrLate(
  notifier: Notifier,
  seen: number,
  wait_ms: number,
  { clock }: FollowOptions,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const end = () => over.abort();
  const callOff = onceAborted([signal], end);
  void clock.sleep(wait_ms, over.signal).then(end);
  await notifier.waitPast(seen, over.signal);
  callOff();
  end();
}
