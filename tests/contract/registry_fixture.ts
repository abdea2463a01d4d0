/**
 * What the cases of a registry start from: daemons on one store, and the values that they write.
 *
 * @module
 */

import assert from "node:assert/strict";
import { systemClock } from "../../daemon/host/system_clock.ts";
import type { Clock } from "../../runtime/clock.ts";
import { ClusterRegistry } from "../../registry/cluster_registry.ts";
import type { UnsettledWrites } from "../../registry/writes/fence.ts";
import type { Log } from "../../runtime/log.ts";
import type { Change, Leadership, Placement, Registry, StoreMemory, UnitRecord } from "../../registry/mod.ts";
import type { DesiredState, MachineRecord, UnitState } from "../../registry/model.ts";
import type { Compare, Op, Range, Store } from "../../registry/store/port.ts";

/** A store of its own for each case, and as many registries on it as the case has daemons. */
export interface RegistryFixture {
  /** Another connection to the case's store. */
  openStore(): Promise<Store>;
  /** Another daemon's registry, opened. */
  open(options?: DaemonOptions): Promise<ClusterRegistry>;
  /** Aborted when the case is over: for whatever a case leaves running. */
  readonly signal: AbortSignal;
}

export interface DaemonOptions {
  readonly agentTtl_s?: number;
  readonly leaderTtl_s?: number;
  readonly cacheIdle_ms?: number;
  /** The name of the writer, which selects its fence. Default: unique in the case. */
  readonly writer?: string;
  /** Writes of other registries of its name whose outcome is unknown. */
  readonly unsettledWrites?: UnsettledWrites;
  readonly clock?: Clock;
  readonly log?: Log;
  /** Puts something between the registry and its store. */
  readonly wrap?: (store: Store) => Store;
  /** The id and revision of the store that the daemon remembers. */
  readonly remembered?: StoreMemory;
}

export interface Case<Fixture = RegistryFixture> {
  readonly name: string;
  run(fixture: Fixture): Promise<void>;
}

/** Long enough for a busy test machine; only a broken registry ever waits that long. */
const deadline_ms = 20_000;

/** A fixture over stores that `openStore` connects, and what closes all of it. */
export function fixtureOver(openStore: () => Promise<Store>): RegistryFixture & { close(): Promise<void> } {
  const over = new AbortController();
  const opened: { close(): Promise<void> }[] = [];
  const remember = <T extends { close(): Promise<void> }>(each: T): T => {
    opened.push(each);
    return each;
  };
  return {
    signal: over.signal,
    openStore: async () => remember(await openStore()),
    async open(options = {}) {
      const store = remember(await openStore());
      const writer = options.writer ?? `writer${opened.length}`;
      const registry = remember(
        new ClusterRegistry({
          store: options.wrap?.(store) ?? store,
          clock: options.clock ?? systemClock,
          log: options.log ?? (() => {}),
          writer: () => Promise.resolve(writer),
          agentTtl_s: options.agentTtl_s ?? 30,
          leaderTtl_s: options.leaderTtl_s ?? 30,
          ...(options.unsettledWrites === undefined ? {} : { unsettledWrites: options.unsettledWrites }),
          ...(options.cacheIdle_ms === undefined ? {} : { cacheIdle_ms: options.cacheIdle_ms }),
        }),
      );
      await registry.open(options.remembered);
      return registry;
    },
    async close() {
      over.abort(new Error("the case is over"));
      for (const each of opened.toReversed()) await each.close();
    },
  };
}

// Actions of daemons and operators ---------------------------------------------------------------------------------------

export const machine = (id: string, more: Partial<MachineRecord> = {}): MachineRecord => ({
  id,
  ip: `10.0.0.${id.length}`,
  incarnation: `boot-of-${id}`,
  staticMetadata: {},
  capabilities: { disableEngine: false },
  version: "2.0.0",
  ...more,
});

export const state = (unit: string, on: string, active = "active"): UnitState => ({
  unit,
  machine: on,
  hash: hashOf(unit),
  commanded: "launched",
  restart: 0,
  load: "loaded",
  active,
  sub: "running",
  since_ms: 1_700_000_000_000,
});

export const statesOf = (on: string, ...units: string[]): ReadonlyMap<string, UnitState> =>
  new Map(units.map((unit) => [unit, state(unit, on)]));

export const hashOf = (text: string): string =>
  Array.from(text, (letter) => letter.charCodeAt(0).toString(16)).join("").padEnd(40, "0").slice(0, 40);

export const option = (name: string, value: string) => ({ section: "X-Fleet", name, value });
export const isGlobal = option("Global", "true");

export function put(
  was: UnitRecord,
  desiredState: DesiredState,
  more: {
    readonly text?: string;
    readonly options?: readonly ReturnType<typeof option>[];
    readonly restart?: boolean;
  } = {},
): Change {
  const text = more.text ?? (was.unit ? undefined : `text of ${was.name}`);
  return {
    kind: "put",
    was,
    desiredState,
    ...(text === undefined ? {} : { file: { hash: hashOf(text), text, fleetOptions: more.options ?? [] } }),
    ...(more.restart === undefined ? {} : { restart: more.restart }),
  };
}

/** Creates or changes a unit as an operator does: reads it, then commits. */
export async function set(registry: Registry, name: string, desiredState: DesiredState, more = {}): Promise<number> {
  return await registry.commit(put(await registry.unit(name), desiredState, more));
}

/** Stands for the lead and takes it; the case's end takes it away again. */
export async function lead(registry: Registry, name: string, signal: AbortSignal): Promise<Leadership> {
  // Iterated by hand: leaving a for-await would give the lead up.
  const { value } = await registry.campaign(name, "2.0.0", signal)[Symbol.asyncIterator]().next();
  assert.ok(value, `machine ${name} never took the lead`);
  return value;
}

export async function place(leadership: Leadership, registry: Registry, name: string, on: string): Promise<void> {
  const { unit, target } = await registry.unit(name);
  assert.ok(unit);
  const placement: Placement = { kind: "place", unit, machine: on, why: "test", ...(target ? { from: target } : {}) };
  assert.deepEqual((await leadership.apply([placement])).refused, []);
}

/** The first of what is yielded that will do. */
export async function when<T>(yielded: AsyncIterable<T>, wanted: string, will: (value: T) => boolean): Promise<T> {
  let last: T | undefined;
  const find = async () => {
    for await (const value of yielded) {
      last = value;
      if (will(value)) return value;
    }
    throw new Error(`ended before it showed ${wanted}`);
  };
  return await within(find(), () => `${wanted}; last seen: ${JSON.stringify(last)?.slice(0, 500)}`);
}

/** Fails when a promise takes longer than anything here should. */
export async function within<T>(promise: Promise<T>, wanted: () => string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out waiting for ${wanted()}`)), deadline_ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Between a registry and its store: passes everything on; a test replaces what it wants to disturb or count. */
export function between(store: Store, replaced: Partial<Store>): Store {
  return {
    endpoints: store.endpoints,
    read: (ranges: readonly Range[]) => store.read(ranges),
    transact: (compares: readonly Compare[], ops: readonly Op[]) => store.transact(compares, ops),
    watch: (ranges, after, signal) => store.watch(ranges, after, signal),
    grant: (ttl_s: number) => store.grant(ttl_s),
    renew: (lease: string) => store.renew(lease),
    revoke: (lease: string) => store.revoke(lease),
    close: () => store.close(),
    ...replaced,
  };
}

/** A store that notes the keys of each transaction in `writes`. */
export function countingWrites(store: Store, writes: (readonly string[])[]): Store {
  return between(store, {
    transact(compares, ops) {
      writes.push(ops.map((op) => "put" in op ? op.put : op.delete));
      return store.transact(compares, ops);
    },
  });
}

/**
 * Opens a registry whose watches deliver nothing after `holdBack` until a read of the store has been answered and all that
 * follows from the answer at once has happened.
 */
export async function openLate(
  open: RegistryFixture["open"],
): Promise<{ readonly registry: Registry; holdBack(): void }> {
  let gate = Promise.withResolvers<void>();
  gate.resolve();
  const registry = await open({
    wrap: (store) =>
      between(store, {
        async read(ranges) {
          const snapshot = await store.read(ranges);
          setTimeout(() => gate.resolve(), 0);
          return snapshot;
        },
        async *watch(ranges, after, signal) {
          for await (const batch of store.watch(ranges, after, signal)) {
            await gate.promise;
            yield batch;
          }
        },
      }),
  });
  return { registry, holdBack: () => gate = Promise.withResolvers<void>() };
}

/** A watch without events. */
// deno-lint-ignore require-yield -- it has no events
export async function* silence(signal: AbortSignal): AsyncIterable<never> {
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** All keys under a prefix, by a connection of its own. */
export async function keys(store: Store, prefix = ""): Promise<readonly string[]> {
  const { ranges: [found = []] } = await store.read([{ prefix }]);
  return found.map((kv) => kv.key);
}

// The cases ------------------------------------------------------------------------------------------------------------
