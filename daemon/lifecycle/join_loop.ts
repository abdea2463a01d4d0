/**
 * The life of a daemon between start and stop: find the store, join the cluster, work; and when the store turns out to
 * be the wrong one, or another machine has our name, harm nothing, say so and try again.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
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
import type { Wakeup } from "../reconcile.ts";

/** Whether the daemon is part of the cluster; where it is not, why. */
export interface Status {
  readonly ready: boolean;
  readonly reason?: string;
  /** It has just been started, and does not know yet whether it can join. */
  readonly starting?: boolean;
  /** The store is not the one that is remembered, and somebody has to say whether it is right. */
  readonly wrongStore?: WrongStoreError;
}

/** Where a daemon keeps what must survive its own restart. */
export interface JoinMemory {
  lease(): Promise<string | undefined>;
  saveLease(lease: string | undefined): Promise<void>;
  store(): Promise<StoreMemory | undefined>;
  saveStore(store: StoreMemory | undefined): Promise<void>;
}

/** What a life consists of. */
export interface JoinLoopOptions {
  readonly registry: Registry;
  readonly memory: JoinMemory;
  readonly clock: Clock;
  readonly log: Log;
  /** Says who this machine is; rejects while that cannot be known. */
  readonly identify: () => Promise<MachineRecord>;
  /** What a member of the cluster does, until `signal` aborts. Throws WrongStoreError. */
  readonly work: (member: Member, signal: AbortSignal) => Promise<void>;
  /** Rung to try again at once. */
  readonly wakeup: Wakeup;
  /** Told whenever the status changes. */
  readonly status: (status: Status) => void;
}

/** A daemon that has joined. */
export interface Member {
  readonly machine: MachineRecord;
  readonly membership: Membership;
  /** To be called now and then: keeps what is remembered of store and lease up to date. */
  readonly remember: () => void;
  /** Gives the membership up, for good. */
  readonly leave: () => Promise<void>;
}

/** How long it waits before it tries again: what a store that is starting needs; what a person needs to mend the rest. */
const retry = { first_ms: 250, away_ms: 2_000, wrong_ms: 5_000 } as const;

/** Lives until `signal` aborts. */
export async function live(options: JoinLoopOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, status } = options;
  let failures = 0;
  while (!signal.aborted) {
    const chapter = new AbortController();
    try {
      const member = await join(options, AbortSignal.any([signal, chapter.signal]));
      status({ ready: true });
      log("info", "this machine has joined the cluster", { machine: member.machine.id, ip: member.machine.ip });
      failures = 0;
      await options.work(member, signal).finally(member.remember);
    } catch (error) {
      if (signal.aborted) break;
      if (error instanceof WrongStoreError) await rememberMismatch(options, error);
      const reason = messageOf(error);
      status({ ready: false, reason, ...(error instanceof WrongStoreError && { wrongStore: error }) });
      log(severity(error), advice(error, reason));
      await options.wakeup.wait(delay_ms(error, failures++), clock, signal);
    } finally {
      chapter.abort();
    }
  }
}

/** What was known of the store is remembered to its last revision, or a restart would find nothing wrong any more. */
async function rememberMismatch({ memory, log }: JoinLoopOptions, { expected }: WrongStoreError): Promise<void> {
  try {
    const known = await memory.store();
    // Without a memory, somebody has just accepted the store.
    if (known?.id === expected.id && known.revision < expected.revision) await memory.saveStore(expected);
  } catch (error) {
    log("error", messageOf(error));
  }
}

async function join(options: JoinLoopOptions, signal: AbortSignal): Promise<Member> {
  const { registry, memory, log } = options;
  const machine = await options.identify();
  let store = await registry.open(await memory.store());
  await memory.saveStore(store);
  const membership = await registry.join(machine, await memory.lease(), signal);
  let lease: string | undefined = membership.lease;
  await memory.saveLease(lease);
  let hasLeft = false;
  let failing = false;
  const remember = () => {
    const saves: Promise<void>[] = [];
    const now = registry.memory;
    if (now && (now.id !== store.id || now.revision !== store.revision)) saves.push(memory.saveStore(store = now));
    const held = hasLeft ? "" : membership.lease;
    if (held !== lease) {
      lease = held;
      saves.push(memory.saveLease(held || undefined));
    }
    if (saves.length === 0) return;
    Promise.all(saves).then(() => {
      if (failing) log("info", "the daemon's memory of store and lease can be written again");
      failing = false;
    }, (error) => {
      log("error", messageOf(error));
      failing = true;
      // The next call saves it again; the store's revision changes all the time.
      lease = undefined;
    });
  };
  const leave = async () => {
    hasLeft = true;
    // First, since the next daemon must not take up a lease that may be revoked late.
    await memory.saveLease(undefined);
    await membership.leave();
  };
  return { machine, membership, remember, leave };
}

function severity(error: unknown): "warn" | "error" {
  return error instanceof StoreUnavailableError ? "warn" : "error";
}

function advice(error: unknown, reason: string): string {
  if (error instanceof WrongStoreError) {
    return `${reason}. No unit is touched. If this is the right store, say so with: fleetctl accept-store`;
  }
  if (error instanceof DuplicateMachineError) return `not joining: ${reason}`;
  return `${reason}; trying again until it works, units are left as they are`;
}

function delay_ms(error: unknown, failures: number): number {
  if (error instanceof StoreUnavailableError) return Math.min(retry.away_ms, retry.first_ms * 2 ** failures);
  return retry.wrong_ms;
}
