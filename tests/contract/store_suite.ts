/**
 * The contract of {@link Store}. The registry relies on no other property of a store.
 *
 * @module
 */

import assert from "node:assert/strict";
import { StoreUnavailableError } from "../../registry/mod.ts";
import type { Revision } from "../../registry/model.ts";
import {
  type Compare,
  type KeyValue,
  maxTransactionOps,
  type Op,
  type Range,
  type Store,
  type WatchBatch,
  type WatchEvent,
  WatchLostError,
} from "../../registry/store/port.ts";

/** An empty store for one case. */
export interface StoreFixture {
  readonly store: Store;
  /** Another user of the same store, where there can be one; else the same. */
  readonly other: Store;
  /** Makes the store forget its history up to now. */
  forgetHistory(): Promise<void>;
}

export interface StoreCase {
  readonly name: string;
  run(fixture: StoreFixture): Promise<void>;
}

/** Only a broken store takes this long. */
const deadline_ms = 20_000;

const put = (key: string, value = "", lease = ""): Op => ({ put: key, value, ...(lease ? { lease } : {}) });
const everything: Range = { prefix: "" };

async function write(store: Store, ...ops: Op[]): Promise<Revision> {
  const { succeeded, revision } = await store.transact([], ops);
  assert(succeeded);
  return revision;
}

async function keys(store: Store, range: Range = everything): Promise<string[]> {
  const { ranges } = await store.read([range]);
  return ranges[0]!.map(({ key }) => key);
}

async function one(store: Store, key: string): Promise<KeyValue | undefined> {
  return (await store.read([{ key }])).ranges[0]![0];
}

/** Returns the first batches of a watch, until `enough`. Fails when that takes too long. */
async function watched(
  store: Store,
  ranges: readonly Range[],
  after: Revision,
  enough: (batches: readonly WatchBatch[]) => boolean,
): Promise<WatchBatch[]> {
  const late = AbortSignal.timeout(deadline_ms);
  const stop = new AbortController();
  const batches: WatchBatch[] = [];
  for await (const batch of store.watch(ranges, after, AbortSignal.any([late, stop.signal]))) {
    batches.push(batch);
    if (enough(batches)) stop.abort();
  }
  assert(!late.aborted, `the watch only yielded ${JSON.stringify(batches)}`);
  return batches;
}

const count = (wanted: number) => (batches: readonly WatchBatch[]) => batches.length >= wanted;

const summary = ({ events }: WatchBatch): string[] => events.map(brief).sort();

function brief(event: WatchEvent): string {
  return event.kind === "put" ? `${event.kv.key}=${event.kv.value}` : `-${event.key}`;
}

/** Waits until a key is deleted. */
async function vanished(store: Store, key: string, after: Revision): Promise<WatchBatch> {
  const gone = (batch: WatchBatch | undefined) => batch?.events.some((event) => event.kind === "delete") ?? false;
  return (await watched(store, [{ key }], after, (batches) => gone(batches.at(-1)))).at(-1)!;
}

async function lost(store: Store, after: Revision): Promise<void> {
  await assert.rejects(watched(store, [everything], after, count(1)), WatchLostError);
}

const reading: readonly StoreCase[] = [
  {
    name: "a new store is empty and has a revision",
    async run({ store }) {
      const { revision, ranges } = await store.read([everything, { key: "a" }]);
      assert(Number.isSafeInteger(revision) && revision > 0);
      assert.deepEqual(ranges, [[], []]);
    },
  },
  {
    name: "a key knows when it was created and when it was changed",
    async run({ store }) {
      const created = await write(store, put("a", "1"));
      const changed = await write(store, put("a", "2"));
      assert.equal(changed, created + 1);
      const expected = { key: "a", value: "2", createRevision: created, modRevision: changed, lease: "" };
      assert.deepEqual(await one(store, "a"), expected);
      await write(store, { delete: "a" });
      assert.equal(await one(store, "a"), undefined);
      const again = await write(store, put("a"));
      assert.deepEqual(await one(store, "a"), { ...expected, value: "", createRevision: again, modRevision: again });
    },
  },
  {
    name: "a key is itself alone; a prefix is all that starts with it, and itself",
    async run({ store }) {
      await write(store, ...["a", "a/", "a/b", "a/b/c", "a0", "ab", "b"].map((key) => put(key)));
      const { ranges } = await store.read([{ key: "a" }, { prefix: "a/" }, { prefix: "a" }, { prefix: "c" }]);
      assert.deepEqual(ranges.map((range) => range.map(({ key }) => key)), [
        ["a"],
        ["a/", "a/b", "a/b/c"],
        ["a", "a/", "a/b", "a/b/c", "a0", "ab"],
        [],
      ]);
    },
  },
  {
    name: "keys are sorted by their bytes, not by UTF-16",
    async run({ store }) {
      const sorted = ["a", "a\0b", "a/b", "aé", "z", "é", "\uFFFD", "😀", "😀a"];
      await write(store, ...sorted.toReversed().map((key) => put(key)));
      assert.deepEqual(await keys(store), sorted);
      assert.deepEqual(await keys(store, { prefix: "😀" }), ["😀", "😀a"]);
      assert.deepEqual(await keys(store, { prefix: "a" }), ["a", "a\0b", "a/b", "aé"]);
    },
  },
  {
    name: "what is read together was true together",
    async run({ store, other }) {
      await write(store, put("x", "0"), put("y", "0"));
      const writing = (async () => {
        for (let i = 1; i <= 40; i++) await write(other, put("x", `${i}`), put("y", `${i}`));
      })();
      for (let reads = 0; reads < 40; reads++) {
        const { revision, ranges: [x, y] } = await store.read([{ key: "x" }, { key: "y" }]);
        assert.equal(x![0]!.value, y![0]!.value);
        assert(x![0]!.modRevision <= revision);
      }
      await writing;
    },
  },
  {
    name: "any text is kept as it is",
    async run({ store }) {
      for (const value of ["", "\0", "a\0b", " \r\n\t", "é😀\uFFFD\u2028", "x".repeat(1_000_000), '{"a":[1]}']) {
        const key = `k\0😀 ${value.length}/`;
        const after = (await store.read([])).revision;
        await write(store, put(key, value));
        assert.equal((await one(store, key))!.value, value);
        const [batch] = await watched(store, [{ key }], after, count(1));
        assert.deepEqual(batch!.events, [{ kind: "put", kv: await one(store, key) }]);
      }
    },
  },
];

const transacting: readonly StoreCase[] = [
  {
    name: "a transaction is applied if every condition holds, else not at all",
    async run({ store }) {
      const first = await write(store, put("a", "1"));
      const second = await write(store, put("a", "2"));
      const cases: readonly (readonly [compares: readonly Compare[], holds: boolean])[] = [
        [[], true],
        [[{ key: "a", mod: second }], true],
        [[{ key: "a", mod: first }], false],
        [[{ key: "a", mod: 0 }], false],
        [[{ key: "a", create: first }], true],
        [[{ key: "a", create: second }], false],
        [[{ key: "a", create: 0 }], false],
        [[{ key: "a", value: "2" }], true],
        [[{ key: "a", value: "1" }], false],
        [[{ key: "a", value: "" }], false],
        [[{ key: "none", mod: 0 }], true],
        [[{ key: "none", mod: first }], false],
        [[{ key: "none", create: 0 }], true],
        [[{ key: "none", create: first }], false],
        [[{ key: "none", value: "" }], false],
        [[{ key: "a", mod: second }, { key: "none", create: 0 }], true],
        [[{ key: "a", mod: second }, { key: "none", create: first }], false],
      ];
      for (const [compares, holds] of cases) {
        const before = await store.read([{ key: "b" }]);
        const { succeeded, revision } = await store.transact(compares, [put("b", "x"), put("c", "x")]);
        assert.equal(succeeded, holds, JSON.stringify(compares));
        assert.equal(revision, before.revision + (holds ? 1 : 0), JSON.stringify(compares));
        const after = await store.read([{ key: "b" }]);
        assert.equal(after.ranges[0]![0]?.modRevision, holds ? revision : before.ranges[0]![0]?.modRevision);
      }
    },
  },
  {
    name: "a transaction that changes nothing leaves the revision alone",
    async run({ store }) {
      const before = await write(store, put("a"));
      assert.deepEqual(await store.transact([], []), { succeeded: true, revision: before });
      assert.deepEqual(await store.transact([], [{ delete: "none" }]), { succeeded: true, revision: before });
      assert.equal((await store.read([])).revision, before);
    },
  },
  {
    name: "a transaction has a size, and a larger one is refused whole",
    async run({ store }) {
      const names = Array.from({ length: maxTransactionOps + 1 }, (_, index) => `k${index}`);
      const missing = names.map((key) => ({ key, create: 0 }));
      const puts = names.map((key) => put(key));
      const refused = (call: Promise<unknown>) =>
        assert.rejects(call, (error) => error instanceof Error && !(error instanceof StoreUnavailableError));
      await refused(store.transact([], puts));
      await refused(store.transact(missing, [put("a")]));
      assert.deepEqual(await keys(store), []);
      const fits = await store.transact(missing.slice(0, maxTransactionOps), puts.slice(0, maxTransactionOps));
      assert(fits.succeeded);
      assert.equal((await keys(store)).length, maxTransactionOps);
    },
  },
  {
    name: "a key is not written twice in one transaction",
    async run({ store }) {
      await write(store, put("a", "1"));
      await assert.rejects(store.transact([], [put("b"), put("a", "2"), put("a", "3")]));
      await assert.rejects(store.transact([], [put("b"), put("a", "2"), { delete: "a" }]));
      assert.equal((await one(store, "a"))!.value, "1");
      assert.deepEqual(await keys(store), ["a"]);
    },
  },
  {
    name: "counting together by conditions loses nothing",
    async run({ store, other }) {
      const increment = async (through: Store) => {
        for (;;) {
          const now = await one(through, "counter");
          const next = put("counter", `${Number(now?.value ?? 0) + 1}`);
          const { succeeded } = await through.transact([{ key: "counter", mod: now?.modRevision ?? 0 }], [next]);
          if (succeeded) return;
        }
      };
      const workers = Array.from({ length: 8 }, async (_, index) => {
        for (let i = 0; i < 6; i++) await increment(index % 2 ? store : other);
      });
      await Promise.all(workers);
      assert.equal((await one(store, "counter"))!.value, "48");
    },
  },
];

const leasing: readonly StoreCase[] = [
  {
    name: "keys of a lease live until it runs out, and then vanish together",
    async run({ store }) {
      const lease = await store.grant(1);
      const after = await write(store, put("b", "", lease), put("a", "", lease), put("c"));
      assert.equal((await one(store, "a"))!.lease, lease);
      const gone = await vanished(store, "a", after);
      const [batch] = await watched(store, [everything], after, count(1));
      assert.deepEqual(summary(batch!), ["-a", "-b"]);
      assert.equal(batch!.revision, gone.revision);
      assert(batch!.events.every((event) => event.kind === "delete" && event.modRevision === gone.revision));
      assert.deepEqual(await keys(store), ["c"]);
      assert.equal(await store.renew(lease), 0);
    },
  },
  {
    name: "a lease that is renewed outlives one that is not",
    async run({ store }) {
      const [kept, left] = [await store.grant(2), await store.grant(2)];
      const after = await write(store, put("kept", "", kept), put("left", "", left));
      const stop = new AbortController();
      const renewing = (async () => {
        while (!stop.signal.aborted) {
          assert.equal(await store.renew(kept), 2);
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      })();
      await vanished(store, "left", after).finally(() => stop.abort());
      await renewing;
      assert.deepEqual(await keys(store), ["kept"]);
      await vanished(store, "kept", after);
    },
  },
  {
    name: "a revoked lease takes its keys with it, and may be revoked again",
    async run({ store }) {
      const lease = await store.grant(100);
      const after = await write(store, put("a", "", lease), put("b", "", lease), put("c"));
      await store.revoke(lease);
      assert.deepEqual(await keys(store), ["c"]);
      assert.deepEqual((await watched(store, [everything], after, count(1))).map(summary), [["-a", "-b"]]);
      await store.revoke(lease);
      assert.equal(await store.renew(lease), 0);
      assert.equal((await store.read([])).revision, after + 1);
    },
  },
  {
    name: "a lease that never was is no error to revoke and cannot be renewed",
    async run({ store }) {
      await store.revoke("1234567890123456789");
      assert.equal(await store.renew("1234567890123456789"), 0);
    },
  },
  {
    name: "a key that moves to another lease, or to none, is let go by the first",
    async run({ store }) {
      const [first, second] = [await store.grant(100), await store.grant(100)];
      await write(store, put("moved", "1", first), put("freed", "1", first), put("stays", "1", first));
      await write(store, put("moved", "2", second), put("freed", "2"));
      await store.revoke(first);
      assert.deepEqual(await keys(store), ["freed", "moved"]);
      assert.deepEqual([(await one(store, "moved"))!.lease, (await one(store, "freed"))!.lease], [second, ""]);
      await store.revoke(second);
      assert.deepEqual(await keys(store), ["freed"]);
    },
  },
  {
    name: "a key that is deleted and put again has no lease any more",
    async run({ store }) {
      const lease = await store.grant(100);
      await write(store, put("a", "", lease));
      await write(store, { delete: "a" });
      await write(store, put("a"));
      await store.revoke(lease);
      assert.deepEqual(await keys(store), ["a"]);
    },
  },
  {
    name: "nothing can be bound to a lease that is gone",
    async run({ store }) {
      const lease = await store.grant(100);
      await store.revoke(lease);
      await assert.rejects(store.transact([], [put("b"), put("a", "", lease)]));
      assert.deepEqual(await keys(store), []);
    },
  },
];

const watching: readonly StoreCase[] = [
  {
    name: "a watch yields every change of its range in order, starting after a revision",
    async run({ store, other }) {
      const before = await write(store, put("w/a", "0"), put("other", "0"));
      await write(store, put("w/a", "1"), put("w/b", "1"), put("other", "1"));
      await write(store, put("other", "2"));
      const watch = watched(store, [{ prefix: "w/" }], before, count(4));
      const third = await write(other, put("w/c", "3"));
      await write(other, { delete: "w/a" }, put("w/c", "4"), { delete: "w/none" });
      const last = await write(other, put("w/a", "5"));
      const batches = await watch;
      assert.deepEqual(batches.map(summary), [["w/a=1", "w/b=1"], ["w/c=3"], ["-w/a", "w/c=4"], ["w/a=5"]]);
      assert.deepEqual(batches.map(({ revision }) => revision), [before + 1, third, third + 1, last]);
      const created = batches[3]!.events[0]!;
      assert.deepEqual(created, { kind: "put", kv: await one(store, "w/a") });
    },
  },
  {
    name: "a watch of a key does not yield changes of adjacent keys",
    async run({ store }) {
      const before = await write(store, put("a", "0"));
      await write(store, put("a/b"), put("ab"), put("b"));
      await write(store, put("a", "1"));
      assert.deepEqual((await watched(store, [{ key: "a" }], before, count(1))).map(summary), [["a=1"]]);
    },
  },
  {
    name: "a watch of several ranges yields all changes of each, in order",
    async run({ store }) {
      const before = (await store.read([])).revision;
      for (let i = 0; i < 5; i++) await write(store, put("a/x", `${i}`), put("b", `${i}`), put("c", `${i}`));
      const changes = (batches: readonly WatchBatch[]) => batches.flatMap(({ events }) => events).map(brief);
      const ranges = [{ prefix: "a/" }, { key: "b" }];
      const batches = await watched(store, ranges, before, (batches) => changes(batches).length >= 10);
      for (const key of ["a/x", "b"]) {
        const ofKey = changes(batches).filter((event) => event.startsWith(`${key}=`));
        assert.deepEqual(ofKey, Array.from({ length: 5 }, (_, i) => `${key}=${i}`));
      }
      assert.equal(changes(batches).length, 10);
    },
  },
  {
    name: "one transaction is one batch, however large",
    async run({ store }) {
      const before = (await store.read([])).revision;
      const ops = Array.from({ length: maxTransactionOps }, (_, i) => put(`k${i}`, "x".repeat(5_000)));
      for (const range of [everything, { prefix: "k" }]) {
        await write(store, ...ops);
        const [batch] = await watched(store, [range], before, count(1));
        assert.equal(batch!.events.length, maxTransactionOps);
      }
    },
  },
  {
    name: "a slow reader misses nothing",
    async run({ store }) {
      const before = await write(store, put("a", "0"));
      await write(store, put("a", "1"));
      const seen: string[] = [];
      for await (const { events } of store.watch([{ key: "a" }], before, AbortSignal.timeout(deadline_ms))) {
        seen.push(...events.map(brief));
        if (seen.length === 13) break;
        // Two more changes are made while it looks at one of the first six.
        for (const more of [0, 1]) if (seen.length <= 6) await write(store, put("a", `${seen.length * 2 + more}`));
      }
      assert.deepEqual(seen, Array.from({ length: 13 }, (_, index) => `a=${index + 1}`));
    },
  },
  {
    name: "a watch from before what is remembered is lost, one from now is not",
    async run({ store, forgetHistory }) {
      const before = (await store.read([])).revision;
      for (let i = 0; i < 3; i++) await write(store, put("a", `${i}`));
      await forgetHistory();
      await lost(store, before);
      const now = (await store.read([])).revision;
      await write(store, put("a", "new"));
      assert.deepEqual((await watched(store, [{ key: "a" }], now, count(1))).map(summary), [["a=new"]]);
    },
  },
  {
    name: "a watch from a revision the store has not reached is lost: it is another store",
    async run({ store }) {
      await lost(store, (await store.read([])).revision + 1_000);
    },
  },
  {
    name: "a watch ends when it is aborted, before, while and after it yields",
    async run({ store }) {
      const before = await write(store, put("a", "0"));
      await write(store, put("a", "1"));
      for await (const batch of store.watch([everything], before, AbortSignal.abort())) {
        assert.fail(`an aborted watch yielded ${summary(batch)}`);
      }
      const stop = new AbortController();
      const seen: string[][] = [];
      for await (const batch of store.watch([everything], before, stop.signal)) {
        seen.push(summary(batch));
        // Aborted while it waits for the next change, which never comes.
        setTimeout(() => stop.abort());
      }
      assert.deepEqual(seen, [["a=1"]]);
    },
  },
  {
    name: "calls to a closed store fail with that reason",
    async run({ store }) {
      const before = await write(store, put("a", "0"));
      await write(store, put("a", "1"));
      const watching = (async () => {
        for await (const _ of store.watch([{ key: "a" }], before, AbortSignal.timeout(deadline_ms))) {
          await store.close();
        }
      })();
      await assert.rejects(watching, WatchLostError);
      await assert.rejects(store.read([]), StoreUnavailableError);
      await assert.rejects(store.transact([], [put("a")]), StoreUnavailableError);
      await assert.rejects(store.grant(10), StoreUnavailableError);
      await store.close();
    },
  },
];

/** The contract. */
export const storeCases: readonly StoreCase[] = [...reading, ...transacting, ...leasing, ...watching];
