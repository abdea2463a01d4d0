/**
 * An agent's watch of its machine's part of the store. A wrong or damaged store never looks like deletions.
 *
 * @module
 */

import { retryDelay_ms } from "../../runtime/clock.ts";
import { decodeTarget } from "../schema/codec.ts";
import { follow, type FollowOptions } from "./follow.ts";
import { parseKey, targetKey, targetPrefix } from "../schema/keys.ts";
import { messageOf } from "../../runtime/log.ts";
import { machineRanges, MachineViewBuilder } from "./machine_view.ts";
import { StoreUnavailableError } from "../mod.ts";
import type { MachineId, MachineView, UnitName } from "../model.ts";
import { type KeyValue, maxTransactionOps, type Range } from "../store/port.ts";
import { Notifier } from "../../runtime/notifier.ts";

/**
 * The time, in milliseconds, for which a unit is not stopped after its assignment was deleted by hand: its target still
 * names this machine, and the engine writes the assignment again at once.
 */
const repair_ms = 2_000;

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
    let repairBy_ms: number | undefined;
    let areTargetsKnown = false;
    for (let yielded = 0, accepted = 0; !signal.aborted;) {
      if (failure) throw failure.error;
      const seen = notifier.count;
      const deletions = view.deletions;
      if (!following || seen === yielded) await notifier.waitPast(seen, signal);
      else if (!areTargetsKnown) {
        // Assignments may have been deleted by hand before the watch began.
        const placed = await placedHere(options, machine, [{ prefix: targetPrefix }], signal);
        if (placed === undefined) continue;
        areTargetsKnown = true;
        view.withdrawMissing(placed);
      } else if (deletions === accepted) {
        yielded = seen;
        yield view.view(options.session.memory?.id ?? "");
      } else {
        // The whole store may be in the course of deletion, including its ID: check before a deletion reaches the agent.
        const targets = [...view.withdrawn].map((name) => ({ key: targetKey(name) }));
        const placed = await placedHere(options, machine, targets, signal);
        if (placed === undefined) continue;
        const { clock } = options;
        const isPlaced = placed.length > 0;
        if (isPlaced && repairBy_ms === undefined) {
          repairBy_ms = clock.monotonic_ms() + repair_ms;
          const what = "assignments to this machine are missing: waiting for the engine to write them again";
          options.log("warn", what, { units: placed.join(" "), wait_ms: repair_ms });
        }
        const left_ms = isPlaced ? repairBy_ms! - clock.monotonic_ms() : 0;
        if (left_ms > 0) await notifier.waitPastFor(seen, left_ms, clock, signal);
        else {
          accepted = deletions;
          repairBy_ms = undefined;
          view.forgetWithdrawn();
        }
      }
    }
  } finally {
    stop.abort();
    await running;
  }
}

/**
 * Returns the units among `targets` whose target names the machine; undefined without an answer of the store. Throws
 * `WrongStoreError`.
 */
async function placedHere(
  { session, clock, log }: FollowOptions,
  machine: MachineId,
  targets: readonly Range[],
  signal: AbortSignal,
): Promise<readonly UnitName[] | undefined> {
  // The session adds one range of its own to each read.
  const size = maxTransactionOps - 1;
  const placed: UnitName[] = [];
  try {
    for (let start = 0; start === 0 || start < targets.length; start += size) {
      const { ranges } = await session.read(targets.slice(start, start + size));
      for (const kv of ranges.flat()) {
        const key = parseKey(kv.key);
        if (key?.kind === "target" && namesMachine(kv, machine)) placed.push(key.name);
      }
    }
    return placed;
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

/** True if a target can be decoded and names the machine. */
function namesMachine(kv: KeyValue, machine: MachineId): boolean {
  try {
    return decodeTarget("", kv).machine === machine;
  } catch {
    // The engine writes the target again, with the assignment.
    return false;
  }
}
