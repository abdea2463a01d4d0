/**
 * Cases of the contract of {@link Store}: leases and watches.
 *
 * @module
 */

import assert from "node:assert/strict";
import { StoreUnavailableError } from "../../registry/mod.ts";
import { maxTransactionOps, type WatchBatch, WatchLostError } from "../../registry/store/port.ts";
import {
  brief,
  count,
  deadline_ms,
  everything,
  keys,
  lost,
  one,
  put,
  type StoreCase,
  summary,
  vanished,
  watched,
  write,
} from "./store_fixture.ts";

export const leasing: readonly StoreCase[] = [
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

export const watching: readonly StoreCase[] = [
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
