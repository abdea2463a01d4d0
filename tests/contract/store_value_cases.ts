/**
 * Cases of the contract of {@link Store}: reads and transactions.
 *
 * @module
 */

import assert from "node:assert/strict";
import { StoreUnavailableError } from "../../registry/mod.ts";
import { type Compare, maxTransactionOps, type Store } from "../../registry/store/port.ts";
import { count, everything, keys, one, put, type StoreCase, watched, write } from "./store_fixture.ts";

export const reading: readonly StoreCase[] = [
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
    name: "a range ends before the key that it names; a range of keys only has no values",
    async run({ store }) {
      await write(store, ...["a", "a/", "a/b", "a0", "b"].map((key) => put(key, "value")));
      const { ranges } = await store.read([
        { from: "", to: "a/" },
        { from: "a/b", to: "b" },
        { from: "a0", to: "" },
        { prefix: "a/", keysOnly: true },
      ]);
      assert.deepEqual(ranges.map((range) => range.map(({ key, value }) => `${key}=${value}`)), [
        ["a=value"],
        ["a/b=value", "a0=value"],
        ["a0=value", "b=value"],
        ["a/=", "a/b="],
      ]);
      assert.deepEqual(ranges[3]!.map(({ modRevision }) => modRevision > 0), [true, true]);
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

export const transacting: readonly StoreCase[] = [
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
