/**
 * The contract of {@link Registry}, over any store. Each case has a few daemons on one store.
 *
 * @module
 */

import assert from "node:assert/strict";
import { systemClock } from "../../daemon/host/system_clock.ts";
import type { Clock } from "../../runtime/clock.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { ClusterRegistry } from "../../registry/cluster_registry.ts";
import type { UnsettledWrites } from "../../registry/writes/fence.ts";
import type { Log } from "../../runtime/log.ts";
import {
  type Change,
  ConflictError,
  DeposedError,
  DuplicateMachineError,
  type Leadership,
  type Placement,
  type Registry,
  type StoreMemory,
  StoreUnavailableError,
  type UnitRecord,
  WrongStoreError,
} from "../../registry/mod.ts";
import type { Cluster, DesiredState, MachineRecord, UnitState } from "../../registry/model.ts";
import { type Compare, type Op, type Range, type Store, WatchLostError } from "../../registry/store/port.ts";

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

const hashOf = (text: string): string =>
  Array.from(text, (letter) => letter.charCodeAt(0).toString(16)).join("").padEnd(40, "0").slice(0, 40);

const option = (name: string, value: string) => ({ section: "X-Fleet", name, value });
const isGlobal = option("Global", "true");

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

/** Polls a condition for which the registry has no notification. */
export async function eventually(wanted: string, holds: () => Promise<boolean>): Promise<void> {
  const start = performance.now();
  while (!await holds()) {
    if (performance.now() - start > deadline_ms) throw new Error(`timed out waiting for ${wanted}`);
    await systemClock.sleep(20);
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

/** A watch without events. */
// deno-lint-ignore require-yield -- it has no events
async function* silence(signal: AbortSignal): AsyncIterable<never> {
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** All keys under a prefix, by a connection of its own. */
export async function keys(store: Store, prefix = ""): Promise<readonly string[]> {
  const { ranges: [found = []] } = await store.read([{ prefix }]);
  return found.map((kv) => kv.key);
}

// The cases ------------------------------------------------------------------------------------------------------------

const unitCases: readonly Case[] = [
  {
    name: "a unit is created, launched, restarted, stopped and destroyed, and says since when it is wanted",
    async run({ open }) {
      const registry = await open();
      await set(registry, "a.service", "loaded", { options: [option("Conflicts", "b*")] });
      const loaded = await registry.unit("a.service");
      assert.equal(loaded.text, "text of a.service");
      assert.deepEqual(loaded.unit?.requirements.conflicts, ["b*"]);
      assert.deepEqual([loaded.unit?.launchedAt, loaded.unit?.restart], [0, 0]);

      const launched = await set(registry, "a.service", "launched");
      assert.equal((await registry.unit("a.service")).unit?.launchedAt, launched);

      const restarted = await set(registry, "a.service", "launched", { restart: true });
      const unit = (await registry.unit("a.service")).unit;
      assert.deepEqual([unit?.launchedAt, unit?.restart, unit?.revision], [launched, restarted, restarted]);

      await set(registry, "a.service", "inactive");
      const stopped = (await registry.unit("a.service")).unit;
      assert.deepEqual([stopped?.launchedAt, stopped?.restart], [0, restarted]);

      await registry.commit({ kind: "delete", was: await registry.unit("a.service") });
      assert.deepEqual(await registry.unit("a.service"), { name: "a.service" });
    },
  },
  {
    name: "of two operators that create one unit at once, one gets a conflict",
    async run({ open }) {
      const [some, other] = [await open(), await open()];
      const creations = await Promise.allSettled([
        some.commit(put({ name: "a.service" }, "launched", { text: "one" })),
        other.commit(put({ name: "a.service" }, "loaded", { text: "two" })),
      ]);
      const refused = creations.filter((each) => each.status === "rejected");
      assert.equal(refused.length, 1);
      assert.ok(refused[0]?.reason instanceof ConflictError);
    },
  },
  {
    name: "a job and a global of one name cannot be created at once",
    async run({ open }) {
      const [some, other] = [await open(), await open()];
      const creations = await Promise.allSettled([
        some.commit(put({ name: "a.service" }, "launched", { options: [isGlobal] })),
        other.commit(put({ name: "a.service" }, "launched")),
      ]);
      assert.deepEqual(creations.map((each) => each.status).sort(), ["fulfilled", "rejected"]);
    },
  },
  {
    name: "a placed job that turns global leaves its machine, and comes back as a job that is placed nowhere",
    async run({ open, openStore, signal }) {
      const registry = await open();
      const store = await openStore();
      await set(registry, "a.service", "launched");
      await place(await lead(registry, "m1", signal), registry, "a.service", "m1");
      assert.deepEqual(await keys(store, "assign/"), ["assign/m1/a.service"]);

      await set(registry, "a.service", "launched", { text: "global", options: [isGlobal] });
      const global = await registry.read();
      assert.equal(global.units.get("a.service")?.requirements.global, true);
      assert.deepEqual([global.targets.size, global.assignments.size], [0, 0]);
      assert.deepEqual(await keys(store, "unit/"), []);

      await set(registry, "a.service", "launched", { text: "job again" });
      const job = await registry.read();
      assert.equal(job.units.get("a.service")?.requirements.global, false);
      assert.deepEqual(await keys(store, "global/"), []);
      assert.equal(job.assignments.size, 0);
    },
  },
  {
    name: "what is asked of a placed unit reaches its machine in the same transaction",
    async run({ open, signal }) {
      const registry = await open();
      await set(registry, "a.service", "loaded");
      await place(await lead(registry, "m1", signal), registry, "a.service", "m1");
      const assignment = async () => (await registry.read()).assignments.get("a.service");

      const launched = await set(registry, "a.service", "launched");
      assert.deepEqual([(await assignment())?.desiredState, (await assignment())?.revision], ["launched", launched]);
      const restarted = await set(registry, "a.service", "launched", { restart: true });
      assert.equal((await assignment())?.restart, restarted);
      await set(registry, "a.service", "launched", { text: "new text, same options" });
      assert.equal((await assignment())?.hash, hashOf("new text, same options"));
      assert.equal((await assignment())?.restart, restarted);
      await set(registry, "a.service", "launched", { text: "new options", options: [option("MachineID", "m2")] });
      assert.equal((await assignment())?.hash, hashOf("new text, same options"), "the engine must look first");
    },
  },
  {
    name: "stop and destroy take a placed unit off its machine without any leader",
    async run({ open, signal }) {
      const registry = await open();
      const leadership = await lead(registry, "m1", signal);
      for (const name of ["a.service", "b.service"]) {
        await set(registry, name, "launched");
        await place(leadership, registry, name, "m1");
      }
      await leadership.resign();
      await set(registry, "a.service", "inactive");
      await registry.commit({ kind: "delete", was: await registry.unit("b.service") });
      const cluster = await registry.read();
      assert.deepEqual([cluster.targets.size, cluster.assignments.size], [0, 0]);
      assert.deepEqual([...cluster.units.keys()], ["a.service"]);
    },
  },
  {
    name: "a write that was decided before the unit was placed is refused, since it would miss the machine",
    async run({ open, signal }) {
      const registry = await open();
      await set(registry, "a.service", "launched");
      const was = await registry.unit("a.service");
      await place(await lead(registry, "m1", signal), registry, "a.service", "m1");
      await assert.rejects(registry.commit(put(was, "inactive")), ConflictError);
      assert.equal((await registry.unit("a.service")).target?.machine, "m1");
    },
  },
  {
    name: "a client reads its write through any other daemon, even if that one's watch is late",
    async run({ open }) {
      const some = await open();
      const other = await open({
        wrap: (store) =>
          between(store, {
            async *watch(ranges, after, stop) {
              for await (const batch of store.watch(ranges, after, stop)) {
                await systemClock.sleep(20, stop);
                yield batch;
              }
            },
          }),
      });
      for (let round = 0; round < 20; round++) {
        await set(some, "a.service", round % 2 ? "loaded" : "launched");
        assert.equal((await other.read()).units.get("a.service")?.desiredState, round % 2 ? "loaded" : "launched");
      }
    },
  },
  {
    name: "a value that cannot be read is named in the log, and has a stand-in that says so; the rest stays",
    async run({ open, openStore }) {
      const logged: string[] = [];
      const registry = await open({ log: (_, message, fields) => logged.push(`${message} ${JSON.stringify(fields)}`) });
      await set(registry, "a.service", "launched");
      await set(registry, "b.service", "launched");
      const store = await openStore();
      await store.transact([], [
        { put: "unit/a.service", value: "{" },
        { put: "unit/c.service", value: `{"hash":1}` },
        { put: "rubbish", value: "" },
        { put: "written", value: "" },
      ]);
      const { units } = await registry.read();
      assert.deepEqual([...units.keys()].sort(), ["a.service", "b.service", "c.service"]);
      assert.match(units.get("a.service")?.unreadable ?? "", /cannot read key unit\/a.service: it is not JSON/);
      assert.equal(units.get("b.service")?.unreadable, undefined);
      for (const key of ["unit/a.service", "unit/c.service", "rubbish"]) {
        assert.ok(logged.some((line) => line.includes(key)), `${key} is not in the log: ${logged}`);
      }
    },
  },
];

const placedCases: readonly Case[] = [
  {
    name: "a unit is put together with the machine that has it, unless it is inactive, global or placed already",
    async run({ open }) {
      const registry = await open();
      const placed = { machine: "m1", why: "test", since_ms: 5 };
      const putPlaced = async (name: string, desiredState: DesiredState, more: Parameters<typeof put>[2] = {}) =>
        await registry.commit({ ...put(await registry.unit(name), desiredState, more), placed } as Change);
      await putPlaced("a.service", "launched");
      await putPlaced("b.service", "inactive");
      await putPlaced("g.service", "launched", { options: [isGlobal] });
      await set(registry, "c.service", "loaded");
      await putPlaced("c.service", "loaded");
      await registry.commit(
        { ...put(await registry.unit("a.service"), "launched"), placed: { ...placed, machine: "m2" } } as Change,
      );
      const { targets, assignments } = await registry.read();
      assert.deepEqual([...targets.keys()].sort(), ["a.service", "c.service"]);
      for (const name of ["a.service", "c.service"]) {
        assert.deepEqual([targets.get(name)?.machine, assignments.get(name)?.machine], ["m1", "m1"], name);
      }
      assert.equal(assignments.get("c.service")?.hash, hashOf("text of c.service"));
    },
  },
];

/** Adds fields to a stored JSON object, as a newer version of fleet does. */
async function addFields(store: Store, key: string, fields: object): Promise<void> {
  const { ranges: [[found] = []] } = await store.read([{ key }]);
  assert.ok(found, key);
  await store.transact([], [{ put: key, value: JSON.stringify({ ...JSON.parse(found.value), ...fields }) }]);
}

async function fieldsOf(store: Store, key: string): Promise<Record<string, unknown>> {
  const { ranges: [[found] = []] } = await store.read([{ key }]);
  return found === undefined ? {} : JSON.parse(found.value);
}

const newerVersionCases: readonly Case[] = [
  {
    name: "fields that a newer version has added to a unit and its target survive changes, moves and restarts",
    async run({ open, openStore, signal }) {
      const [registry, store] = [await open(), await openStore()];
      const color = { deep: ["blue"] };
      await set(registry, "a.service", "launched");
      const leadership = await lead(registry, "m1", signal);
      await place(leadership, registry, "a.service", "m1");
      for (const key of ["unit/a.service", "target/a.service"]) await addFields(store, key, { color });

      await set(registry, "a.service", "loaded");
      await set(registry, "a.service", "launched", { restart: true });
      await place(leadership, registry, "a.service", "m2");
      await set(registry, "a.service", "launched", { text: "another text" });
      const { hash, desiredState, ...unit } = await fieldsOf(store, "unit/a.service");
      assert.deepEqual([hash, desiredState, unit["color"]], [hashOf("another text"), "launched", color]);
      const target = await fieldsOf(store, "target/a.service");
      assert.deepEqual([target["machine"], target["color"]], ["m2", color]);

      await set(registry, "a.service", "launched", { options: [isGlobal], text: "global" });
      assert.deepEqual((await fieldsOf(store, "global/a.service"))["color"], color);
      const cluster = await registry.read();
      assert.deepEqual(cluster.units.get("a.service")?.unknownFields, { color });
    },
  },
  {
    name: "a unit that was destroyed and created again has no fields of the earlier one",
    async run({ open, openStore }) {
      const [registry, store] = [await open(), await openStore()];
      await set(registry, "a.service", "loaded");
      await addFields(store, "unit/a.service", { color: "blue" });
      await registry.commit({ kind: "delete", was: await registry.unit("a.service") });
      await set(registry, "a.service", "loaded");
      assert.equal("color" in await fieldsOf(store, "unit/a.service"), false);
    },
  },
];

const watchCases: readonly Case[] = [
  {
    name: "a watch shows every write, and what it has shown never changes",
    async run({ open, signal }) {
      const [some, other] = [await open(), await open()];
      const seen: Cluster[] = [];
      const copies: unknown[] = [];
      const clusters = other.watch(signal)[Symbol.asyncIterator]();
      for (let count = 0; count < 10; count++) {
        const revision = await set(some, `${count}.service`, "launched");
        for (;;) {
          const { value } = await within(clusters.next(), () => `revision ${revision}`);
          seen.push(value);
          copies.push(structuredClone(plain(value)));
          if (value.revision >= revision) break;
        }
        assert.equal(seen.at(-1)?.units.size, count + 1);
      }
      assert.deepEqual(seen.map(plain), copies);
      await clusters.return?.();
    },
  },
  {
    name: "peek returns a unit as the watch has it, and undefined without a watch",
    async run({ open, signal }) {
      const [some, other] = [await open(), await open()];
      await set(some, "a.service", "launched");
      const truth = await some.unit("a.service");
      assert.equal(other.peek("a.service"), undefined, "it may be there or not");
      await when(other.watch(signal), "the unit", (cluster) => cluster.units.size === 1);
      assert.deepEqual(other.peek("a.service"), truth);
      assert.deepEqual(other.peek("b.service"), { name: "b.service" });
      const leadership = await lead(some, "m1", signal);
      await place(leadership, some, "a.service", "m1");
      await when(other.watch(signal), "its place", (cluster) => cluster.targets.size === 1);
      assert.deepEqual(other.peek("a.service"), await some.unit("a.service"));
    },
  },
  {
    name: "a slow reader gets the newest only",
    async run({ open, signal }) {
      const [some, other] = [await open(), await open()];
      const clusters = other.watch(signal)[Symbol.asyncIterator]();
      await within(clusters.next(), () => "the first view");
      for (let count = 0; count < 20; count++) await set(some, `${count}.service`, "loaded");
      await other.read(); // the cache has it all
      const { value } = await within(clusters.next(), () => "the newest view");
      assert.equal(value?.units.size, 20);
      await clusters.return?.();
    },
  },
  {
    name: "a machine is shown what concerns it and nothing else",
    async run({ open, signal }) {
      const registry = await open();
      const leadership = await lead(registry, "m9", signal);
      for (const name of ["a.service", "b.service"]) await set(registry, name, "launched");
      await set(registry, "g.service", "launched", { options: [isGlobal] });
      await place(leadership, registry, "a.service", "m1");
      await place(leadership, registry, "b.service", "m2");
      await registry.commit({ kind: "metadata", machine: "m1", key: "zone", value: "a" });
      await registry.commit({ kind: "metadata", machine: "m2", key: "zone", value: "b" });

      const views = registry.watchMachine("m1", signal);
      const first = await when(views, "the first view", () => true);
      assert.deepEqual([...first.assignments.keys()], ["a.service"]);
      assert.deepEqual([...first.globals.keys()], ["g.service"]);
      assert.deepEqual(first.dynamicMetadata, { zone: "a" });
      assert.equal(first.id, registry.memory?.id);

      const later = registry.watchMachine("m1", signal);
      await set(registry, "a.service", "inactive");
      const emptied = await when(later, "no assignment", (view) => view.assignments.size === 0);
      assert.deepEqual([...emptied.globals.keys()], ["g.service"]);
      assert.equal(first.assignments.size, 1);
    },
  },
  {
    name: "an assignment that is deleted by hand takes nothing from its machine if it is written again in time",
    async run({ open, openStore, signal }) {
      const registry = await open();
      const leadership = await lead(registry, "m1", signal);
      await set(registry, "a.service", "launched");
      await place(leadership, registry, "a.service", "m1");
      const sizes: number[] = [];
      void (async () => {
        for await (const view of registry.watchMachine("m1", signal)) sizes.push(view.assignments.size);
      })();
      await eventually("the first view", () => Promise.resolve(sizes.length > 0));
      const store = await openStore();
      const { ranges: [[assignment] = []] } = await store.read([{ prefix: "assign/" }]);
      const { key, value } = assignment!;
      await store.transact([], [{ delete: key }]);
      const seen = sizes.length;
      await store.transact([], [{ put: key, value }]);
      await eventually("the next view", () => Promise.resolve(sizes.length > seen));
      assert.deepEqual(new Set(sizes), new Set([1]));
      // This time no engine writes it again.
      await store.transact([], [{ delete: key }]);
      await eventually("a view without it", () => Promise.resolve(sizes.at(-1) === 0));
    },
  },
  {
    name: "a machine whose watch was lost keeps a moved unit until the other machine has started it",
    async run({ open, signal }) {
      const registry = await open();
      const leadership = await lead(registry, "m9", signal);
      for (const name of ["begun.service", "idle.service"]) {
        await set(registry, name, "launched");
        await place(leadership, registry, name, "m1");
      }
      let cut = Promise.withResolvers<never>();
      let isCut = false;
      const watching = await open({
        wrap: (store) =>
          between(store, {
            read: (ranges) => isCut ? Promise.reject(new StoreUnavailableError("cut off")) : store.read(ranges),
            async *watch(ranges, after, stop) {
              const events = store.watch(ranges, after, stop)[Symbol.asyncIterator]();
              for (;;) {
                const next = await Promise.race([events.next(), cut.promise]);
                if (next.done) return;
                yield next.value;
              }
            },
          }),
      });
      const views: string[] = [];
      void (async () => {
        for await (const { assignments, unreadable } of watching.watchMachine("m1", signal)) {
          views.push(`${[...assignments.keys()]} keeps ${[...unreadable]}`);
        }
      })();
      await eventually("both units", () => Promise.resolve(views.at(-1) === "begun.service,idle.service keeps "));
      isCut = true;
      cut.reject(new WatchLostError("cut off"));
      const other = await (await open()).join(machine("m2"), undefined, signal);
      for (const name of ["begun.service", "idle.service"]) await place(leadership, registry, name, "m2");
      await other.publish(statesOf("m2", "begun.service"));
      cut = Promise.withResolvers<never>();
      isCut = false;
      await eventually(
        "the unit that has not begun to be kept",
        () => Promise.resolve(views.includes(" keeps idle.service")),
      );
      await other.publish(statesOf("m2", "begun.service", "idle.service"));
      await eventually("both units to be given up", () => Promise.resolve(views.at(-1) === " keeps "));
    },
  },
  {
    name:
      "a unit whose assignment is deleted by hand while its machine does not watch is not withdrawn at the first view",
    async run({ open, openStore, signal }) {
      const registry = await open();
      const leadership = await lead(registry, "m1", signal);
      for (const name of ["a.service", "b.service"]) await set(registry, name, "launched");
      await place(leadership, registry, "a.service", "m1");
      await place(leadership, registry, "b.service", "m2");
      const store = await openStore();
      const { ranges: [[assignment] = []] } = await store.read([{ prefix: "assign/m1/" }]);
      const { key, value } = assignment!;
      await store.transact([], [{ delete: key }]);
      const sizes: number[] = [];
      let areTargetsRead = false;
      const watching = await open({
        wrap: (store) =>
          between(store, {
            async read(ranges) {
              const snapshot = await store.read(ranges);
              areTargetsRead ||= ranges.some((range) => "prefix" in range && range.prefix === "target/");
              return snapshot;
            },
          }),
      });
      void (async () => {
        for await (const view of watching.watchMachine("m1", signal)) sizes.push(view.assignments.size);
      })();
      await eventually("the targets to be read, or a view", () => Promise.resolve(areTargetsRead || sizes.length > 0));
      await store.transact([], [{ put: key, value }]);
      await eventually("the first view", () => Promise.resolve(sizes.length > 0));
      assert.equal(sizes[0], 1);
    },
  },
  {
    name: "the cluster cache closes when it is idle, and the next read fills it again",
    async run({ open, openStore, signal }) {
      let watches = 0;
      let opened = 0;
      const registry = await open({
        cacheIdle_ms: 50,
        wrap: (store) =>
          between(store, {
            async *watch(ranges, after, stop) {
              watches++;
              opened++;
              try {
                yield* store.watch(ranges, after, stop);
              } finally {
                watches--;
              }
            },
          }),
      });
      await registry.read();
      await when(registry.watch(signal), "a view", () => true);
      await eventually("the watch to end", () => Promise.resolve(watches === 0));
      const other = await openStore();
      const { revision } = await other.transact([], [{ put: "written", value: "" }]);
      const again = await registry.read();
      assert.ok(again.revision >= revision);
      assert.deepEqual([watches, opened], [1, 2], "a read after the close opens a second watch");
    },
  },
];

/** For comparison and cloning: maps and all, as entries. */
function plain(value: unknown): unknown {
  if (value instanceof Map) return [...value].map(([key, each]) => [key, plain(each)]);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

const memberCases: readonly Case[] = [
  {
    name: "a machine is present from join to leave, with dynamic metadata over static",
    async run({ open, signal }) {
      const [some, other] = [await open(), await open()];
      const member = await some.join(
        machine("m1", { staticMetadata: { disk: "ssd", zone: "a", old: "x" } }),
        undefined,
        signal,
      );
      await other.commit({ kind: "metadata", machine: "m1", key: "zone", value: "b" });
      await other.commit({ kind: "metadata", machine: "m1", key: "old", value: "" });
      assert.deepEqual((await other.read()).machines.get("m1")?.metadata, { disk: "ssd", zone: "b" });
      await member.leave();
      await when(other.watch(signal), "the machine gone", (cluster) => cluster.machines.size === 0);
      assert.deepEqual((await other.read()).dynamicMetadata.get("m1"), { zone: "b", old: "" });
    },
  },
  {
    name: "a machine that leaves is marked as departed until it joins again, one whose lease ends is not",
    async run({ open, signal }) {
      const [some, other] = [await open(), await open()];
      const lifetime = new AbortController();
      const left = await some.join(machine("m1"), undefined, AbortSignal.any([signal, lifetime.signal]));
      await left.leave();
      await when(other.watch(signal), "the machine gone and marked", (cluster) => {
        assert.ok(!cluster.machines.has("m1") || !cluster.departed?.has("m1"), "never both");
        return cluster.departed?.has("m1") ?? false;
      });
      const again = await some.join(machine("m1"), undefined, signal);
      await when(other.watch(signal), "the machine back without its mark", (cluster) => {
        return cluster.machines.has("m1") && cluster.departed === undefined;
      });
      const late = await (await open()).join(machine("m2"), undefined, lifetime.signal);
      lifetime.abort("its daemon is killed");
      await assert.rejects(late.publish(new Map()));
      await again.leave();
      await when(
        other.watch(signal),
        "only the other machine marked",
        (cluster) => cluster.departed?.has("m1") ?? false,
      );
      assert.deepEqual([...(await other.read()).departed ?? []], [["m1", "stopped"]]);
    },
  },
  {
    name: "the store itself ends the wait after a mass loss, and machines that are back are not given up",
    async run({ open, signal }) {
      const [registry, other] = [await open(), await open()];
      await registry.join(machine("m1"), undefined, signal);
      const leader = await lead(registry, "m1", signal);
      const record = { machines: ["m1", "m2", "m3"], since_ms: 5, until_ms: 6 };
      assert.ok(await leader.recordLoss({ kind: "await", ...record, grace_s: 60 }));
      const { massLoss } = await when(other.watch(signal), "the wait", (cluster) => cluster.massLoss !== undefined);
      assert.deepEqual({ ...massLoss, revision: 0 }, { ...record, isOver: false, revision: 0 });
      await leader.recordLoss({ kind: "await", ...record, machines: ["m1", "m2", "m3", "m4"] });
      await when(other.watch(signal), "one more machine in the same wait", ({ massLoss }) => {
        return massLoss?.machines.length === 4 && !massLoss.isOver;
      });
      await leader.recordLoss({ kind: "await", ...record, grace_s: 1 });
      await when(other.watch(signal), "the end of the wait", ({ massLoss }) => massLoss?.isOver ?? false);

      assert.equal(await leader.recordLoss({ kind: "give up", machines: ["m1", "m2"] }), undefined, "m1 is present");
      assert.ok((await other.read()).massLoss, "nothing has ended");
      assert.ok(await leader.recordLoss({ kind: "give up", machines: ["m2", "m3"] }));
      const after = await when(other.watch(signal), "the machines given up", ({ massLoss }) => massLoss === undefined);
      assert.deepEqual([...after.departed ?? []], [["m2", "lost"], ["m3", "lost"]]);
      await other.join(machine("m2"), undefined, signal);
      await when(other.watch(signal), "a machine that is back", ({ departed }) => departed?.has("m2") === false);
    },
  },
  {
    name: "an operator ends the wait after a mass loss, a deposed leader changes nothing about it",
    async run({ open, openStore, signal }) {
      const registry = await open();
      const leader = await lead(registry, "m1", signal);
      await leader.recordLoss({ kind: "await", machines: ["m2", "m3"], since_ms: 5, until_ms: 6, grace_s: 60 });
      const { massLoss } = await when(registry.watch(signal), "the wait", (cluster) => cluster.massLoss !== undefined);
      await registry.commit({ kind: "accept loss", was: massLoss! });
      assert.equal((await registry.read()).massLoss?.isOver, true);
      await assert.rejects(registry.commit({ kind: "accept loss", was: { ...massLoss!, revision: 1 } }), ConflictError);
      await (await openStore()).transact([], [{ delete: "leader" }]);
      const refused = await leader.recordLoss({ kind: "resume" }).catch((error) => error instanceof DeposedError);
      assert.ok(refused === undefined || refused === true);
      assert.ok((await registry.read()).massLoss);
    },
  },
  {
    name: "a record, a state or a lease that another program deletes is written again at once",
    async run({ open, openStore, signal }) {
      const registry = await open();
      const member = await registry.join(machine("m1"), undefined, signal);
      await member.publish(statesOf("m1", "a.service", "b.service"));
      const store = await openStore();
      const whole = (cluster: Cluster) =>
        cluster.machines.has("m1") && ["a.service", "b.service"].every((name) => cluster.states.get(name)?.has("m1"));
      const mended = async (what: string, damage: () => Promise<unknown>) => {
        const broken = when(registry.watch(signal), `${what} gone`, (cluster) => !whole(cluster));
        await damage();
        await broken;
        await when(registry.watch(signal), `${what} back`, whole);
      };
      await mended("the record", () => store.transact([], [{ delete: "machine/m1" }]));
      await mended("a state", () => store.transact([], [{ delete: "state/m1/b.service" }]));
      await mended("all of it", () => store.revoke(member.lease));
      // What the machine itself removes is not written again.
      await member.publish(statesOf("m1", "a.service"));
      assert.deepEqual(await keys(store, "state/"), ["state/m1/a.service"]);
    },
  },
  {
    name: "only states that changed are written, and what is no longer said is removed",
    async run({ open, openStore, signal }) {
      const writes: (readonly string[])[] = [];
      const registry = await open({ wrap: (store) => countingWrites(store, writes) });
      const member = await registry.join(machine("m1"), undefined, signal);
      await member.publish(statesOf("m1", "a.service", "b.service", "c.service"));
      writes.length = 0;
      await member.publish(
        new Map([...statesOf("m1", "a.service"), ["b.service", state("b.service", "m1", "failed")]]),
      );
      assert.deepEqual(writes, [["state/m1/b.service", "state/m1/c.service"]]);
      await member.publish(
        new Map([...statesOf("m1", "a.service"), ["b.service", state("b.service", "m1", "failed")]]),
      );
      assert.equal(writes.length, 1, "nothing changed, and yet something was written");
      assert.deepEqual(await keys(await openStore(), "state/"), ["state/m1/a.service", "state/m1/b.service"]);
    },
  },
  {
    name: "a machine that removes states or leaves does not delete those of other machines",
    async run({ open, openStore, signal }) {
      const [one, other] = [
        await (await open()).join(machine("m1"), undefined, signal),
        await (await open()).join(machine("m2"), undefined, signal),
      ];
      await Promise.all([
        one.publish(statesOf("m1", "a.service", "b.service")),
        other.publish(statesOf("m2", "a.service", "b.service")),
      ]);
      await one.publish(statesOf("m1", "b.service"));
      const store = await openStore();
      assert.deepEqual(await keys(store, "state/"), ["state/m1/b.service", "state/m2/a.service", "state/m2/b.service"]);
      await one.leave();
      assert.deepEqual(await keys(store, "state/"), ["state/m2/a.service", "state/m2/b.service"]);
    },
  },
  {
    name: "of states published during a write only the newest are written, and all publications resolve then",
    async run({ open, openStore, signal }) {
      const gate = Promise.withResolvers<void>();
      const held = Promise.withResolvers<void>();
      const writes: (readonly string[])[] = [];
      const registry = await open({
        wrap: (store) =>
          between(countingWrites(store, writes), {
            async transact(compares, ops) {
              writes.push(ops.map((op) => "put" in op ? op.put : op.delete));
              if (ops.some((op) => "put" in op && op.put === "state/m1/1.service")) {
                held.resolve();
                await gate.promise;
              }
              return await store.transact(compares, ops);
            },
          }),
      });
      const member = await registry.join(machine("m1"), undefined, signal);
      const first = member.publish(statesOf("m1", "1.service"));
      await within(held.promise, () => "the first write");
      const rest = [2, 3, 4, 5].map((count) => member.publish(statesOf("m1", `${count}.service`)));
      gate.resolve();
      await within(Promise.all([first, ...rest]), () => "all publications to resolve");
      assert.deepEqual(await keys(await openStore(), "state/"), ["state/m1/5.service"]);
      assert.ok(!writes.flat().includes("state/m1/3.service"));
    },
  },
  {
    name: "a thousand states are written in eight transactions",
    async run({ open, signal }) {
      const writes: (readonly string[])[] = [];
      const registry = await open({ wrap: (store) => countingWrites(store, writes) });
      const member = await registry.join(machine("m1"), undefined, signal);
      writes.length = 0;
      await member.publish(statesOf("m1", ...Array.from({ length: 1000 }, (_, count) => `${count}.service`)));
      assert.deepEqual(writes.map((keys) => keys.length), [128, 128, 128, 128, 128, 128, 128, 104]);
      assert.equal((await registry.read()).states.size, 1000);
    },
  },
  {
    name: "a second machine with the same ID is refused with the address of the first",
    async run({ open, signal }) {
      const [some, other] = [await open(), await open()];
      await some.join(machine("m1", { ip: "10.0.0.1" }), undefined, signal);
      const clone = machine("m1", { ip: "10.0.0.2", incarnation: "another" });
      await assert.rejects(
        other.join(clone, undefined, signal),
        (error) => error instanceof DuplicateMachineError && error.holder === "10.0.0.1",
      );
      assert.equal((await some.read()).machines.get("m1")?.ip, "10.0.0.1");
    },
  },
  {
    name: "a machine that has rebooted takes its record over at once, and its old states are gone",
    async run({ open, openStore, signal }) {
      const before = new AbortController();
      const old = await (await open()).join(machine("m1"), undefined, before.signal);
      await old.publish(statesOf("m1", "a.service"));
      before.abort();
      const registry = await open();
      const member = await registry.join(machine("m1", { incarnation: "second boot" }), undefined, signal);
      assert.notEqual(member.lease, old.lease);
      const store = await openStore();
      assert.deepEqual(await keys(store, "state/"), []);
      // The old lease holds nothing any more: its end takes nothing away.
      await store.revoke(old.lease);
      assert.deepEqual(await keys(store, "machine/"), ["machine/m1"]);
    },
  },
  {
    name: "a daemon that was restarted takes its lease and its states up again",
    async run({ open, openStore, signal }) {
      const before = new AbortController();
      const old = await (await open()).join(machine("m1"), undefined, before.signal);
      await old.publish(statesOf("m1", "a.service"));
      before.abort();
      const writes: (readonly string[])[] = [];
      const registry = await open({ wrap: (store) => countingWrites(store, writes) });
      const member = await registry.join(machine("m1"), old.lease, signal);
      assert.equal(member.lease, old.lease);
      await member.publish(statesOf("m1", "a.service"));
      assert.deepEqual(writes, [], "nothing had to be written");
      assert.deepEqual(await keys(await openStore(), "state/"), ["state/m1/a.service"]);
    },
  },
  {
    name:
      "a lease that has expired is replaced with everything that was bound to it, and the log names that cause alone",
    async run({ open, openStore, signal }) {
      const warnings: string[] = [];
      const log: Log = (level, message) => level === "warn" ? warnings.push(message) : undefined;
      const registry = await open({ agentTtl_s: 3, log });
      const member = await registry.join(machine("m1"), undefined, signal);
      await member.publish(statesOf("m1", "a.service", "b.service"));
      const [store, lost] = [await openStore(), member.lease];
      await store.revoke(lost);
      await when(
        registry.watch(signal),
        "machine and states under a new lease",
        (cluster) => member.lease !== lost && cluster.machines.has("m1") && cluster.states.size === 2,
      );
      // On a busy host a write may come too late and be tried again, which is logged as well.
      assert.deepEqual(warnings.filter((message) => message.includes("deleted")), [
        "this machine's lease has expired and its keys were deleted with it: writing them again under a new lease",
      ]);
    },
  },
  {
    name: "a machine record and unit states that were deleted or overwritten by hand are written again at once",
    async run({ open, openStore, signal }) {
      const warnings: string[] = [];
      const log: Log = (level, message, fields) =>
        level === "warn" ? warnings.push(`${message} ${fields?.["keys"]}`) : undefined;
      const registry = await open({ log });
      const member = await registry.join(machine("m1"), undefined, signal);
      await member.publish(statesOf("m1", "a.service", "b.service"));
      const [store, { lease }] = [await openStore(), member];
      const own = ["machine/m1", "state/m1/a.service", "state/m1/b.service"];
      const isWhole = async () => {
        const { ranges } = await store.read([{ prefix: "machine/" }, { prefix: "state/" }]);
        const kvs = ranges.flat();
        return kvs.map((kv) => kv.key).join() === own.join() && kvs.every((kv) => kv.lease === lease);
      };
      assert.ok(await isWhole());
      for (
        const ops of [
          ...own.map((key) => [{ delete: key }]),
          own.map((key) => ({ delete: key })),
          ...own.map((key) => [{ put: key, value: "by hand" }]),
        ]
      ) {
        const before = warnings.length;
        await store.transact([], ops);
        await eventually(`${JSON.stringify(ops)} to be undone`, isWhole);
        await eventually("a warning", () => Promise.resolve(warnings.length > before));
      }
      assert.equal(member.lease, lease);
      assert.ok(
        warnings.every((line) => line.startsWith("keys of this machine were deleted or overwritten")),
        `${warnings}`,
      );
      // What the daemon itself deletes, and keys of other machines, are none of these.
      const before = warnings.length;
      await member.publish(statesOf("m1", "b.service"));
      await member.publish(statesOf("m1", "b.service", "c.service"));
      await store.transact([], [{ put: "machine/m10", value: "by hand" }, { delete: "state/m10/a.service" }]);
      await member.publish(statesOf("m1", "c.service"));
      assert.deepEqual([await keys(store, "state/"), warnings.length], [["state/m1/c.service"], before]);
    },
  },
  {
    name: "the lock of a unit is bound to its assignment and to its machine's lease",
    async run({ open, openStore, signal }) {
      const store = await openStore();
      const assign = async (on: string, from: string) => {
        await store.transact([], [{ delete: `assign/${from}/a.service` }, {
          put: `assign/${on}/a.service`,
          value: "",
        }]);
        return (await store.read([{ key: `assign/${on}/a.service` }])).ranges[0]![0]!.modRevision;
      };
      const first = await (await open()).join(machine("m1"), undefined, signal);
      const second = await (await open()).join(machine("m2"), undefined, signal);
      const onFirst = await assign("m1", "m2");
      assert.deepEqual(await first.locks.take("a.service", onFirst - 1, first.lease), { kind: "outdated" });
      assert.deepEqual(await first.locks.take("a.service", onFirst, first.lease), { kind: "locked" });
      assert.deepEqual(
        await first.locks.take("a.service", onFirst, first.lease),
        { kind: "locked" },
        "it has it already",
      );
      assert.deepEqual(await first.locks.held(), ["a.service"]);
      const onSecond = await assign("m2", "m1");
      assert.deepEqual(await first.locks.take("a.service", onFirst, first.lease), { kind: "outdated" });
      const held = { kind: "held", machine: "m1" };
      assert.deepEqual(await second.locks.take("a.service", onSecond, second.lease), held);
      await second.locks.release("a.service");
      assert.deepEqual(await second.locks.take("a.service", onSecond, second.lease), held, "it was not its own");
      await first.locks.release("a.service");
      assert.deepEqual(await second.locks.take("a.service", onSecond, second.lease), { kind: "locked" });
      await store.revoke(second.lease);
      assert.deepEqual(await second.locks.held(), []);
    },
  },
  {
    name: "a lock that was taken for an earlier lease of the machine is taken over",
    async run({ open, openStore, signal }) {
      const store = await openStore();
      await store.transact([], [{ put: "assign/m1/a.service", value: "" }]);
      const revision = (await store.read([{ key: "assign/m1/a.service" }])).ranges[0]![0]!.modRevision;
      const member = await (await open()).join(machine("m1"), undefined, signal);
      const earlier = await store.grant(30);
      await member.locks.take("a.service", revision, earlier);
      assert.deepEqual(await member.locks.take("a.service", revision, member.lease), { kind: "locked" });
      await store.revoke(earlier);
      assert.deepEqual(await member.locks.held(), ["a.service"]);
    },
  },
  {
    name: "a lease is renewed as often as requested, and counts from the start of a call that succeeded",
    async run({ open, signal }) {
      const clock = new ManualClock();
      const held = Promise.withResolvers<void>();
      let hangs = false;
      const renewals: number[] = [];
      const registry = await open({
        clock,
        wrap: (store) =>
          between(store, {
            async renew(lease) {
              renewals.push(clock.monotonic_ms());
              if (hangs) await held.promise;
              return await store.renew(lease);
            },
          }),
      });
      const start_ms = clock.monotonic_ms();
      const member = await registry.join(machine("m1"), undefined, signal);
      assert.deepEqual([member.renewedAt_ms, member.ttl_ms], [start_ms, 30_000]);
      member.renewEvery(1_000);
      await eventually("the shorter interval to be used", () => {
        clock.advance(1_000);
        return Promise.resolve(renewals.length > 1);
      });
      hangs = true;
      const before = renewals.length;
      await eventually("a renewal to hang", () => {
        clock.advance(1_000);
        return Promise.resolve(renewals.length > before);
      });
      const begun_ms = renewals.at(-1)!;
      clock.advance(500);
      assert.ok(member.renewedAt_ms < begun_ms);
      held.resolve();
      await eventually("the renewal to count", () => Promise.resolve(member.renewedAt_ms === begun_ms));
    },
  },
  {
    name: "a machine whose states cannot be written for a while stays present",
    async run({ open, openStore, signal }) {
      let refuse = false;
      const renewed: number[] = [];
      const registry = await open({
        agentTtl_s: 2,
        wrap: (store) =>
          between(store, {
            transact: (compares, ops) =>
              refuse ? Promise.reject(new StoreUnavailableError("writes hang")) : store.transact(compares, ops),
            read: (ranges) => refuse ? Promise.reject(new StoreUnavailableError("reads hang")) : store.read(ranges),
            async renew(lease) {
              renewed.push(performance.now());
              return await store.renew(lease);
            },
          }),
      });
      const member = await registry.join(machine("m1"), undefined, signal);
      refuse = true;
      const since_ms = performance.now();
      const published = member.publish(statesOf("m1", "a.service"));
      await eventually(
        "the lease to be older than it lives",
        () => Promise.resolve(renewed.length > 0 && (renewed.at(-1) ?? 0) - since_ms > 3_000),
      );
      assert.deepEqual(await keys(await openStore(), "machine/"), ["machine/m1"]);
      refuse = false;
      await within(published, () => "the states to be written");
    },
  },
  {
    name: "a machine whose address changed says so under the same lease",
    async run({ open, signal }) {
      const registry = await open();
      const member = await registry.join(machine("m1", { ip: "10.0.0.1" }), undefined, signal);
      const lease = member.lease;
      await member.update(machine("m1", { ip: "10.0.0.2" }));
      await member.publish(statesOf("m1", "a.service"));
      const cluster = await registry.read();
      assert.deepEqual([cluster.machines.get("m1")?.ip, member.lease], ["10.0.0.2", lease]);
      assert.equal(cluster.states.size, 1);
    },
  },
];

function countingWrites(store: Store, writes: (readonly string[])[]): Store {
  return between(store, {
    transact(compares, ops) {
      writes.push(ops.map((op) => "put" in op ? op.put : op.delete));
      return store.transact(compares, ops);
    },
  });
}

const engineCases: readonly Case[] = [
  {
    name: "one engine leads; the next takes the lead when the first gives it up",
    async run({ open, signal }) {
      const [some, other] = [await open(), await open()];
      const first = await lead(some, "m1", signal);
      assert.deepEqual((await other.read()).leader, { machine: "m1", version: "2.0.0" });
      const second = lead(other, "m2", signal);
      await first.resign();
      assert.ok(first.signal.aborted);
      assert.ok(!(await within(second, () => "the second engine to lead")).signal.aborted);
      assert.equal((await some.read()).leader?.machine, "m2");
      await assert.rejects(first.apply([]), DeposedError);
    },
  },
  {
    name: "an engine whose renewals hang stops leading before its lease has run out",
    async run({ open, signal }) {
      const registry = await open({
        leaderTtl_s: 2,
        wrap: (store) => between(store, { renew: () => new Promise(() => {}) }),
      });
      const leadership = await lead(registry, "m1", signal);
      await within(
        new Promise<void>((resolve) => leadership.signal.addEventListener("abort", () => resolve())),
        () => "the lead to end",
      );
      await assert.rejects(leadership.apply([]), DeposedError);
    },
  },
  {
    name: "an engine that was stopped, and wakes when another leads, writes nothing",
    async run({ open, openStore, signal }) {
      const deaf = (store: Store) => between(store, { watch: (_ranges, _after, signal) => silence(signal) });
      const stopped = await open({ leaderTtl_s: 2, clock: stoppedClock, wrap: deaf });
      const other = await open({ leaderTtl_s: 2 });
      await set(other, "a.service", "launched");
      const old = await lead(stopped, "m1", signal);
      const { unit } = await stopped.unit("a.service");
      assert.ok(unit);
      const leader = await within(lead(other, "m2", signal), () => "the other engine to lead");
      assert.ok(!old.signal.aborted, "it must not know");
      await assert.rejects(old.apply([{ kind: "place", unit, machine: "m1", why: "it was stopped" }]), DeposedError);
      assert.deepEqual(await keys(await openStore(), "target/"), []);
      assert.ok(old.signal.aborted);
      await place(leader, other, "a.service", "m2");
    },
  },
  {
    name: "a daemon that comes back after a crash leads again at once, and what is left of the old one writes nothing",
    async run({ open, openStore, signal }) {
      const [killed, next] = [await open(), await open()];
      await set(next, "a.service", "launched");
      const old = await lead(killed, "m1", signal);
      const { unit } = await next.unit("a.service");
      assert.ok(unit);
      // Its lease has half a minute to live.
      const leader = await within(lead(next, "m1", signal), () => "the next daemon to lead");
      await assert.rejects(old.apply([{ kind: "place", unit, machine: "m1", why: "it was killed" }]), DeposedError);
      assert.deepEqual(await keys(await openStore(), "target/"), []);
      await place(leader, next, "a.service", "m1");
    },
  },
  {
    name: "a leader key that was deleted or overwritten by hand is an engine's again at once",
    async run({ open, openStore, signal }) {
      const registry = await open();
      const store = await openStore();
      const leads = registry.campaign("m1", "2.0.0", signal)[Symbol.asyncIterator]();
      let { value: leadership } = await within(leads.next(), () => "the lead");
      const ops: readonly Op[] = [{ delete: "leader" }, { put: "leader", value: "by hand" }];
      for (const op of ops) {
        await store.transact([], [op]);
        const next = await within(leads.next(), () => `the lead after ${JSON.stringify(op)}`);
        assert.ok(leadership?.signal.aborted);
        await assert.rejects(leadership!.apply([]), DeposedError);
        leadership = next.value;
        assert.deepEqual((await registry.read()).leader, { machine: "m1", version: "2.0.0" });
      }
      await leads.return?.();
    },
  },
  {
    name: "five hundred units are placed together, and the one that has moved on is refused alone",
    async run({ open, openStore, signal }) {
      const writes: (readonly string[])[] = [];
      const registry = await open({ wrap: (store) => countingWrites(store, writes) });
      const leadership = await lead(registry, "m1", signal);
      const names = Array.from({ length: 500 }, (_, count) => `${count}.service`);
      await Promise.all(names.map((name) => registry.commit(put({ name }, "launched"))));
      const units = [...(await registry.read()).units.values()];
      await set(registry, "250.service", "loaded");
      writes.length = 0;
      const placements = units.map((unit): Placement => ({ kind: "place", unit, machine: "m1", why: "bulk" }));
      const { refused } = await leadership.apply(placements);
      assert.deepEqual(refused, placements.filter((each) => each.kind === "place" && each.unit.name === "250.service"));
      assert.ok(writes.filter((keys) => keys.length > 3).length <= 9, `${writes.length} transactions`);
      const store = await openStore();
      const placed = [await keys(store, "target/"), await keys(store, "assign/")];
      assert.deepEqual(placed.map(({ length }) => length), [499, 499]);
    },
  },
  {
    name: "an engine that sees the past cannot place a unit twice",
    async run({ open, openStore, signal }) {
      const registry = await open();
      const leadership = await lead(registry, "m1", signal);
      await set(registry, "a.service", "launched");
      const { unit } = await registry.unit("a.service");
      assert.ok(unit);
      await place(leadership, registry, "a.service", "m1");
      const again: Placement = { kind: "place", unit, machine: "m2", why: "it has not seen the first" };
      assert.deepEqual((await leadership.apply([again])).refused, [again]);
      assert.deepEqual(await keys(await openStore(), "assign/"), ["assign/m1/a.service"]);
    },
  },
  {
    name: "a unit that moves is at one machine only, and says why and since when",
    async run({ open, openStore, signal }) {
      const registry = await open();
      const leadership = await lead(registry, "m1", signal);
      await set(registry, "a.service", "launched");
      await place(leadership, registry, "a.service", "m1");
      const { unit, target } = await registry.unit("a.service");
      assert.ok(unit && target);
      const moved: Placement = { kind: "place", unit, machine: "m2", from: target, why: "m1 went away" };
      assert.deepEqual((await leadership.apply([moved])).refused, []);
      const { target: now } = await registry.unit("a.service");
      assert.deepEqual([now?.machine, now?.why], ["m2", "m1 went away"]);
      assert.ok(now && now.since_ms >= target.since_ms);
      const store = await openStore();
      assert.deepEqual(await keys(store, "assign/"), ["assign/m2/a.service"]);

      const away: Placement = { kind: "unplace", unit: "a.service", from: now, why: "nowhere to go" };
      assert.deepEqual((await leadership.apply([away])).refused, []);
      assert.deepEqual([...await keys(store, "assign/"), ...await keys(store, "target/")], []);
    },
  },
  {
    name: "the text of a file is forgotten, but not if it was written again meanwhile",
    async run({ open, signal }) {
      const registry = await open();
      const leadership = await lead(registry, "m1", signal);
      await set(registry, "a.service", "loaded", { text: "one" });
      const file = (await registry.read()).files.get(hashOf("one"));
      assert.ok(file);
      await set(registry, "b.service", "loaded", { text: "one" });
      const early: Placement = { kind: "forget", hash: file.hash, revision: file.revision };
      assert.deepEqual((await leadership.apply([early])).refused, [early]);
      const again = (await registry.read()).files.get(hashOf("one"));
      assert.ok(again);
      await leadership.apply([{ kind: "forget", hash: again.hash, revision: again.revision }]);
      await registry.commit({ kind: "metadata", machine: "m", key: "k", value: "v" });
      assert.equal((await registry.read()).files.size, 0);
    },
  },
];

/** The clock of a process under SIGSTOP: time stands still and no sleep ends. */
const stoppedClock: Clock = {
  now_ms: () => 0,
  monotonic_ms: () => 0,
  random: () => Math.random(),
  sleep: (_duration_ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) resolve();
      signal?.addEventListener("abort", () => resolve(), { once: true });
    }),
};

const identityCases: readonly Case[] = [
  {
    name: "daemons that find a store empty at once agree on its id",
    async run({ open }) {
      const registries = await Promise.all([open(), open(), open(), open()]);
      const ids = new Set(registries.map((registry) => registry.memory?.id));
      assert.equal(ids.size, 1);
      assert.match([...ids][0] ?? "", /^[0-9a-f]{32}$/);
    },
  },
  {
    name: "a store that is not the remembered one, or has gone back, is refused",
    async run({ open }) {
      const { memory } = await open();
      assert.ok(memory);
      assert.equal((await open({ remembered: memory })).memory?.id, memory.id);
      for (const remembered of [{ ...memory, id: "another" }, { ...memory, revision: memory.revision + 1000 }]) {
        await assert.rejects(open({ remembered }), WrongStoreError);
      }
    },
  },
  {
    name: "an empty store is not taken for one that is remembered",
    async run({ open, openStore }) {
      await assert.rejects(open({ remembered: { id: "gone", revision: 0 } }), WrongStoreError);
      assert.deepEqual(await keys(await openStore()), []);
    },
  },
  {
    name: "nothing is written to a store that was swapped under way, and watches and reads say so",
    async run({ open, openStore, signal }) {
      const registry = await open();
      const clusters = registry.watch(signal)[Symbol.asyncIterator]();
      await within(clusters.next(), () => "the first view");
      const store = await openStore();
      await store.transact([], [{ put: "cluster", value: "another" }]);
      await assert.rejects(registry.commit(put({ name: "a.service" }, "launched")), WrongStoreError);
      await assert.rejects(registry.read(), WrongStoreError);
      await assert.rejects(within(clusters.next(), () => "the watch to say so"), WrongStoreError);
      assert.deepEqual(await keys(store, "unit/"), []);
    },
  },
  {
    name:
      "a write whose answer shows that the store has gone back says so, with the revisions, not that there is no id",
    async run({ open }) {
      let isOlder = false;
      const registry = await open({
        wrap: (store) =>
          between(store, {
            async transact(compares, ops) {
              const result = await store.transact(compares, ops);
              return isOlder ? { ...result, revision: 1 } : result;
            },
          }),
      });
      await registry.commit(put({ name: "a.service" }, "launched"));
      isOlder = true;
      await assert.rejects(registry.commit(put({ name: "b.service" }, "launched")), (error) => {
        assert.ok(error instanceof WrongStoreError, String(error));
        assert.match(error.message, /^the store has gone back: it was at revision \d+ and now is at 1$/);
        return true;
      });
    },
  },
  {
    name: "a store that is emptied takes no unit from an agent that watches it",
    async run({ open, openStore, signal }) {
      const registry = await open();
      await set(registry, "a.service", "launched");
      await place(await lead(registry, "m1", signal), registry, "a.service", "m1");
      const views = registry.watchMachine("m1", signal)[Symbol.asyncIterator]();
      assert.equal((await within(views.next(), () => "the first view")).value?.assignments.size, 1);
      const store = await openStore();
      await store.transact([], (await keys(store)).map((key) => ({ delete: key })));
      await assert.rejects(within(views.next(), () => "the watch to say so"), WrongStoreError);
    },
  },
];

/** Cases that hold on every store. */
export const registryCases: readonly Case[] = [
  ...unitCases,
  ...placedCases,
  ...newerVersionCases,
  ...watchCases,
  ...memberCases,
  ...engineCases,
  ...identityCases,
];
