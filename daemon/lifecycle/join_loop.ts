/**
 * Joins the cluster and works there, again after each failure. While the store is not the known one, or another machine has
 * the same machine ID, no unit is touched.
 *
 * @module
 */

import { type Clock, jittered_ms, longestRetry_ms, retryDelay_ms } from "../../runtime/clock.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import type { MachineRecord } from "../../registry/model.ts";
import {
  DuplicateMachineError,
  type Membership,
  type Registry,
  type StoreMemory,
  StoreUnavailableError,
  WrongStoreError,
} from "../../registry/mod.ts";
import type { Notifier } from "../../runtime/notifier.ts";

/** Membership of the daemon in the cluster, or the reason why it is not a member. */
export interface Status {
  readonly ready: boolean;
  readonly reason?: string;
  /** Set while a member's lease has expired because the store cannot be reached: the machine counts as missing. */
  readonly missing?: string;
  /** True after the start, until it is known whether the machine can join. */
  readonly starting?: boolean;
  /** Set while the store is not the known one: an operator has to accept it or to restore the right one. */
  readonly wrongStore?: WrongStoreError;
}

/** State that must survive a restart of the daemon. */
export interface JoinState {
  lease(): Promise<string | undefined>;
  saveLease(lease: string | undefined): Promise<void>;
  store(): Promise<StoreMemory | undefined>;
  saveStore(store: StoreMemory | undefined): Promise<void>;
}

/** Parts of the daemon that {@link runJoinLoop} uses. */
export interface JoinLoopOptions {
  readonly registry: Registry;
  readonly state: JoinState;
  readonly clock: Clock;
  readonly log: Log;
  /** Returns this machine's record; rejects while that cannot be made. */
  readonly identify: () => Promise<MachineRecord>;
  /** Does the work of a member of the cluster until `signal` aborts. Throws WrongStoreError. */
  readonly work: (member: Member, signal: AbortSignal) => Promise<void>;
  /** Guards this machine's units while it is not a member of the cluster, until `signal` aborts. */
  readonly guard: (signal: AbortSignal) => Promise<void>;
  /** Starts the next attempt at once. */
  readonly wakeup: Notifier;
  /** Called after each attempt. */
  readonly status: (status: Status) => void;
}

/** A daemon that has joined the cluster. */
export interface Member {
  readonly machine: MachineRecord;
  readonly membership: Membership;
  /** Saves the store's revision and the lease where they have changed. To be called after each round. */
  readonly remember: () => void;
  /** Leaves the cluster for good. */
  readonly leave: () => Promise<void>;
}

/** Pause before another attempt where an operator has to act. */
const wrongStoreRetry_ms = 5_000;

/** Joins and works until `signal` aborts. */
export async function runJoinLoop(options: JoinLoopOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, status } = options;
  let failures = 0;
  const guard = new BackgroundTask(options.guard, log);
  await using _ = guard;
  while (!signal.aborted) {
    const seen = options.wakeup.count;
    const attempt = new AbortController();
    try {
      guard.begin();
      const member = await join(options, AbortSignal.any([signal, attempt.signal]));
      void guard.end();
      status({ ready: true });
      log("info", "this machine has joined the cluster", { machine: member.machine.id, ip: member.machine.ip });
      failures = 0;
      await options.work(member, signal).finally(member.remember);
    } catch (error) {
      if (signal.aborted) break;
      if (error instanceof WrongStoreError) await saveExpected(options, error);
      const reason = messageOf(error);
      status({ ready: false, reason, ...(error instanceof WrongStoreError && { wrongStore: error }) });
      const isAway = error instanceof StoreUnavailableError;
      log(isAway ? "warn" : "error", advice(error, reason));
      const pause_ms = isAway
        ? retryDelay_ms(clock, failures++, longestRetry_ms.ofWholeStore)
        : jittered_ms(clock, wrongStoreRetry_ms);
      await options.wakeup.waitPastFor(seen, pause_ms, clock, signal);
    } finally {
      attempt.abort();
    }
  }
}

/** A task that runs in the background between {@link begin} and {@link end}. A failure is logged. */
class BackgroundTask implements AsyncDisposable {
  #running: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;

  constructor(private readonly task: (signal: AbortSignal) => Promise<void>, private readonly log: Log) {}

  begin(): void {
    if (this.#running) return;
    const stop = new AbortController();
    const ended = this.task(stop.signal).catch((error) => this.log("error", messageOf(error)));
    this.#running = { stop, ended };
  }

  async end(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    running?.stop.abort();
    await running?.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}

/** Saves the last known revision of the store: without it, a daemon that restarts would accept an older copy of the store. */
async function saveExpected({ state, log }: JoinLoopOptions, { expected }: WrongStoreError): Promise<void> {
  try {
    const known = await state.store();
    // After an operator has accepted the store, no store is known.
    if (known?.id === expected.id && known.revision < expected.revision) await state.saveStore(expected);
  } catch (error) {
    log("error", messageOf(error));
  }
}

async function join(options: JoinLoopOptions, signal: AbortSignal): Promise<Member> {
  const { registry, state, log } = options;
  const machine = await options.identify();
  /** The saved values; undefined if they may not be in the files. */
  let store: StoreMemory | undefined, lease: string | undefined;
  let failing = false;
  // A full disk must not keep the machine out of the cluster, because its healthy units would be moved: files that cannot be
  // written are written later.
  const save = async (saves: readonly Promise<void>[]) => {
    try {
      await Promise.all(saves);
      if (failing) log("info", "the daemon's files can be written again");
      failing = false;
    } catch (error) {
      log("error", messageOf(error));
      failing = true;
      store = lease = undefined;
    }
  };
  store = await registry.open(await state.store());
  await save([state.saveStore(store)]);
  const membership = await registry.join(machine, await state.lease(), signal);
  lease = membership.lease;
  await save([state.saveLease(lease)]);
  let hasLeft = false;
  const remember = () => {
    const saves: Promise<void>[] = [];
    const now = registry.memory;
    if (now && (now.id !== store?.id || now.revision !== store.revision)) saves.push(state.saveStore(store = now));
    const held = hasLeft ? "" : membership.lease;
    if (held !== lease) {
      lease = held;
      saves.push(state.saveLease(held || undefined));
    }
    if (saves.length > 0) void save(saves);
  };
  const leave = async () => {
    hasLeft = true;
    // First, because the next daemon must not use a lease that may be revoked late.
    await state.saveLease(undefined);
    await membership.leave();
  };
  return { machine, membership, remember, leave };
}

function advice(error: unknown, reason: string): string {
  if (error instanceof WrongStoreError) {
    return `${reason}. No unit is touched. If this is the right store, accept it with: fleetctl accept-store, ` +
      "or with --keep-units if it has lost this machine's units";
  }
  if (error instanceof DuplicateMachineError) return `not joining: ${reason}`;
  return `${reason}; trying again, units are left as they are`;
}
