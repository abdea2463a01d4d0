/**
 * An agent's watch of its machine's part of the store. A wrong or damaged store never looks like deletions.
 *
 * @module
 */

import { retryDelay_ms } from "../../runtime/clock.ts";
import { decodeState, decodeTarget } from "../schema/codec.ts";
import { follow, type FollowOptions } from "./follow.ts";
import { parseKey, stateKey, targetKey, targetPrefix } from "../schema/keys.ts";
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

/**
 * The time, in milliseconds, for which a machine that was cut off keeps units that no other machine has started yet: the
 * engine gives them back to it at once.
 */
const return_ms = 5_000;

/** Pause before the states of those units are read again, milliseconds. */
const returnCheck_ms = 200;

/** The state of a machine's part of the store that is being followed. */
interface Following {
  /** False while the data is not current. */
  isFollowing: boolean;
  failure?: { readonly error: unknown };
  /** End of {@link return_ms}, monotonic clock; 0 before the first loss of the watch. */
  returnBy_ms: number;
  /** Notified after each change. */
  readonly notifier: Notifier;
  readonly ended: Promise<void>;
}

/** Keeps `view` current until `signal` aborts. */
function followMachine(
  options: FollowOptions,
  machine: MachineId,
  view: MachineViewBuilder,
  signal: AbortSignal,
): Following {
  const notifier = new Notifier();
  const ended = follow(options, machineRanges(machine), {
    fresh(kvs, revision) {
      view.reset(kvs, revision);
      if (state.returnBy_ms > 0) state.returnBy_ms = options.clock.monotonic_ms() + return_ms;
      state.isFollowing = true;
      notifier.notify();
    },
    batch(batch) {
      view.apply(batch);
      notifier.notify();
    },
    lost() {
      state.isFollowing = false;
      state.returnBy_ms = Infinity;
    },
  }, signal).catch((error) => {
    state.failure = { error };
    notifier.notify();
  });
  const state: Following = { isFollowing: false, returnBy_ms: 0, notifier, ended };
  return state;
}

/** See {@link import("../mod.ts").Registry.watchMachine}. */
export async function* watchMachine(
  options: FollowOptions,
  machine: MachineId,
  signal: AbortSignal,
): AsyncIterable<MachineView> {
  const view = new MachineViewBuilder(machine, options.log);
  const stop = new AbortController();
  const state = followMachine(options, machine, view, AbortSignal.any([signal, stop.signal]));
  const { notifier } = state;
  try {
    let repairBy_ms: number | undefined;
    let areTargetsKnown = false;
    for (let yielded = 0, accepted = 0; !signal.aborted;) {
      if (state.failure) throw state.failure.error;
      const seen = notifier.count;
      const deletions = view.deletions;
      if (!state.isFollowing || seen === yielded) await notifier.waitPast(seen, signal);
      else if (!areTargetsKnown) {
        // Assignments may have been deleted by hand before the watch began.
        const placed = await machinesOf(options, [{ prefix: targetPrefix }], signal);
        if (placed === undefined) continue;
        areTargetsKnown = true;
        view.withdrawMissing(unitsOn(placed, machine));
      } else if (deletions === accepted) {
        yielded = seen;
        yield view.view(options.session.memory?.id ?? "");
      } else {
        // The whole store may be in the course of deletion, including its ID: check before a deletion reaches the agent.
        const { clock } = options;
        const found = await withdrawnUnits(options, machine, view.withdrawn, state.returnBy_ms, signal);
        if (found === undefined) continue;
        const { placed, kept } = found;
        const isPlaced = placed.length > 0;
        if (isPlaced && repairBy_ms === undefined) {
          repairBy_ms = clock.monotonic_ms() + repair_ms;
          const what = "assignments to this machine are missing: waiting for the engine to write them again";
          options.log("warn", what, { units: placed.join(" "), wait_ms: repair_ms });
        }
        const left_ms = isPlaced ? repairBy_ms! - clock.monotonic_ms() : 0;
        if (left_ms > 0) await notifier.waitPastFor(seen, left_ms, clock, signal);
        else if (kept.size > 0) {
          yield view.view(options.session.memory?.id ?? "", kept);
          await notifier.waitPastFor(seen, returnCheck_ms, clock, signal);
        } else {
          accepted = deletions;
          repairBy_ms = undefined;
          view.forgetWithdrawn();
        }
      }
    }
  } finally {
    stop.abort();
    await state.ended;
  }
}

/**
 * Returns those of the withdrawn units whose target still names the machine, and those that are kept until `returnBy_ms`
 * because no other machine has started them; undefined without an answer of the store. Throws `WrongStoreError`.
 */
async function withdrawnUnits(
  options: FollowOptions,
  machine: MachineId,
  withdrawn: ReadonlySet<UnitName>,
  returnBy_ms: number,
  signal: AbortSignal,
): Promise<{ readonly placed: readonly UnitName[]; readonly kept: ReadonlySet<UnitName> } | undefined> {
  const machines = await machinesOf(options, [...withdrawn].map((name) => ({ key: targetKey(name) })), signal);
  if (!machines) return undefined;
  const mayReturn = options.clock.monotonic_ms() < returnBy_ms;
  const kept = mayReturn ? await notStarted(options, machines, signal) : new Set<UnitName>();
  return kept && { placed: unitsOn(machines, machine), kept };
}

function unitsOn(machines: ReadonlyMap<UnitName, MachineId>, machine: MachineId): UnitName[] {
  return [...machines].flatMap(([name, id]) => id === machine ? [name] : []);
}

/** Returns the machines that `targets` name, by unit; undefined without an answer of the store. Throws `WrongStoreError`. */
async function machinesOf(
  options: FollowOptions,
  targets: readonly Range[],
  signal: AbortSignal,
): Promise<ReadonlyMap<UnitName, MachineId> | undefined> {
  const kvs = await readAll(options, targets, signal);
  return kvs && new Map(kvs.flatMap((kv) => {
    const key = parseKey(kv.key);
    const machine = key?.kind === "target" ? machineIn(kv) : undefined;
    return key?.kind === "target" && machine !== undefined ? [[key.name, machine] as const] : [];
  }));
}

/**
 * Returns the units that their new machines have not started yet; undefined without an answer of the store. Throws
 * `WrongStoreError`.
 */
async function notStarted(
  options: FollowOptions,
  machines: ReadonlyMap<UnitName, MachineId>,
  signal: AbortSignal,
): Promise<ReadonlySet<UnitName> | undefined> {
  const states = [...machines].map(([name, id]) => ({ key: stateKey(id, name) }));
  const kvs = await readAll(options, states, signal);
  if (!kvs) return undefined;
  const units = new Set(machines.keys());
  for (const kv of kvs) {
    const key = parseKey(kv.key);
    if (key?.kind === "state" && isStarted(key.machine, key.name, kv)) units.delete(key.name);
  }
  return units;
}

/** Reads ranges; undefined after a pause if the store does not answer. Throws `WrongStoreError`. */
async function readAll(
  { session, clock, log }: FollowOptions,
  ranges: readonly Range[],
  signal: AbortSignal,
): Promise<readonly KeyValue[] | undefined> {
  // The session adds one range of its own to each read.
  const size = maxTransactionOps - 1;
  const found: KeyValue[] = [];
  try {
    for (let start = 0; start === 0 || start < ranges.length; start += size) {
      found.push(...(await session.read(ranges.slice(start, start + size))).ranges.flat());
    }
    return found;
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

/** Returns the machine of a target; undefined if it cannot be decoded: the engine writes it again, with the assignment. */
function machineIn(target: KeyValue): MachineId | undefined {
  try {
    return decodeTarget("", target).machine;
  } catch {
    return undefined;
  }
}

/** True if a machine has started a unit, or its state cannot be decoded. */
function isStarted(machine: MachineId, unit: UnitName, state: KeyValue): boolean {
  try {
    return decodeState(machine, unit, state).commanded === "launched";
  } catch {
    return true;
  }
}
