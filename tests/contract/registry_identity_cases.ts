/**
 * Cases of the contract of {@link Registry}: the identity of a store.
 *
 * @module
 */

import assert from "node:assert/strict";
import { WrongStoreError } from "../../registry/mod.ts";
import { between, type Case, keys, lead, place, put, set, within } from "./registry_fixture.ts";

export const identityCases: readonly Case[] = [
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
