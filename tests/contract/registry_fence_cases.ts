/**
 * Cases of the contract of {@link Registry}: writes whose responses are lost and that the store applies late.
 *
 * @module
 */

import assert from "node:assert/strict";
import { ConflictError, OutcomeUnknownError, StoreUnavailableError, WrongStoreError } from "../../registry/mod.ts";
import type { Op } from "../../registry/store/port.ts";
import { until } from "../lab/process.ts";
import {
  between,
  type Case,
  keys,
  lead,
  machine,
  place,
  put,
  set,
  state,
  statesOf,
  within,
} from "./registry_fixture.ts";
import { keyOf, Line } from "./late_line.ts";

/** Demands that a write says that its outcome is not known, and whether it may still be carried out. */
async function loses(write: Promise<unknown>, settled: boolean): Promise<void> {
  await assert.rejects(write, (error) => {
    assert.ok(error instanceof OutcomeUnknownError, `${error}`);
    assert.equal(error.settled, settled, error.message);
    assert.match(
      error.message,
      settled ? /\(.*never will be: check, or repeat the request\)/ : /\(.*or may still be applied\)/,
    );
    return true;
  });
}

export const fenceCases: readonly Case[] = [
  {
    name: "a unit that was destroyed is not brought back by a creation of it that is carried out late",
    async run({ open, openStore }) {
      const line = new Line();
      const [some, other] = [await open({ wrap: line.wrap }), await open()];
      line.loseNext("unit/");
      await some.commit(put({ name: "a.service" }, "launched"));
      await other.commit({ kind: "delete", was: await other.unit("a.service") });
      await line.deliver("unit/");
      assert.deepEqual(await keys(await openStore(), "unit/"), []);
    },
  },
  {
    name: "the outcome of a change whose response was lost is reported, unless other writers have written since",
    async run({ open, openStore }) {
      const line = new Line();
      const [some, other] = [await open({ wrap: line.wrap }), await open()];
      const store = await openStore();
      const elsewhere = () => other.commit({ kind: "metadata", machine: "m1", key: "k", value: "v" });

      line.loseNextAnswer("unit/");
      await some.commit(put({ name: "done.service" }, "launched"));
      line.loseNextAnswer("unit/");
      const restarted = await set(some, "done.service", "launched", { restart: true });
      const { unit } = await some.unit("done.service");
      assert.ok(unit && unit.restart === unit.revision && unit.revision <= restarted, "restarted once");
      line.loseNextAnswer("unit/");
      await some.commit({ kind: "delete", was: await some.unit("done.service") });
      assert.deepEqual(await keys(store, "unit/"), []);

      const many = Array.from({ length: 20 }, (_, count) => `many${count}.service`);
      for (const name of many.slice(0, 2)) await set(some, name, "launched");
      line.loseNext("unit/many2.service");
      // Two are under way and are refused; meanwhile the others gather, and are lost together.
      const commits = await Promise.allSettled(many.map((name) => some.commit(put({ name }, "launched"))));
      assert.deepEqual(commits.map(({ status }) => status).filter((status) => status === "rejected").length, 2);
      assert.equal((await keys(store, "unit/")).length, many.length);

      line.loseNext("unit/new.service", elsewhere);
      await loses(some.commit(put({ name: "new.service" }, "launched")), true);
      line.loseNext("unit/many1.service", elsewhere);
      await set(some, "many1.service", "loaded");
      assert.equal((await some.unit("many1.service")).unit?.desiredState, "loaded");
      assert.ok(!(await keys(store, "unit/")).includes("unit/new.service"));
    },
  },
  {
    name: "a restart requested by another client is not mistaken for one whose response was lost",
    async run({ open }) {
      const line = new Line();
      const [some, other] = [await open({ wrap: line.wrap }), await open()];
      await set(some, "a.service", "launched");
      const glimpsed = await some.unit("a.service");
      const restarted = await set(other, "a.service", "launched", { restart: true });
      // Decided on what has been out of date since.
      line.loseNext("unit/");
      await loses(some.commit(put(glimpsed, "launched", { restart: true })), true);
      await line.deliver("unit/");
      assert.equal((await some.unit("a.service")).unit?.restart, restarted);

      line.loseNext("unit/");
      assert.ok(await set(some, "a.service", "launched", { restart: true }) > restarted, "it is sent again");
      const { unit } = await some.unit("a.service");
      assert.ok(unit && unit.restart > restarted);
    },
  },
  {
    name: "the outcomes of batched changes of all kinds are known as long as no other writer has written",
    async run({ open, openStore }) {
      const line = new Line();
      const some = await open({ wrap: line.wrap });
      const zone = (key: string) => some.commit({ kind: "metadata", machine: "m1", key, value: "v" });
      line.loseNextAnswer("metadata/m1/alone");
      await zone("alone");
      line.loseNextAnswer("metadata/m1/k3");
      line.transactions = 0;
      // Two are under way; meanwhile the others gather.
      const names = ["a.service", "b.service"];
      await Promise.all([
        ...["k1", "k2", "k3", "k4"].map(zone),
        ...names.map((name) => some.commit(put({ name }, "launched"))),
      ]);
      assert.equal(line.transactions, 4, "three rounds, and a fence");
      assert.deepEqual(await keys(await openStore(), "unit/"), names.map((name) => `unit/${name}`));
    },
  },
  {
    name: "of changes that were sent together each is answered for itself, where one is refused or not sent",
    async run({ open, openStore }) {
      const units = (ops: readonly Op[]) => ops.map(keyOf).filter((key) => key.startsWith("unit/")).join();
      const some = await open({
        wrap: (store) =>
          between(store, {
            async transact(compares, ops) {
              if (units(ops) === "unit/c.service") throw new StoreUnavailableError("there is no way to the store");
              return await store.transact(compares, ops);
            },
          }),
      });
      await set(some, "a.service", "launched");
      const busy = ["k1", "k2"].map((key) => some.commit({ kind: "metadata", machine: "m1", key, value: "v" }));
      // These gather meanwhile. The first is refused, and the third is not sent, when each is tried alone.
      const commits = await Promise.allSettled(
        ["a", "b", "c"].map((name) => some.commit(put({ name: `${name}.service` }, "launched"))),
      );
      await Promise.all(busy);
      assert.deepEqual(
        commits.map((each) => each.status === "rejected" && each.reason.name),
        ["ConflictError", false, "StoreUnavailableError"],
      );
      assert.deepEqual(await keys(await openStore(), "unit/"), ["unit/a.service", "unit/b.service"]);
    },
  },
  {
    name: "a state that is written late does not take the place of a newer one",
    async run({ open, openStore, signal }) {
      const line = new Line();
      const registry = await open({ wrap: line.wrap });
      const member = await registry.join(machine("m1"), undefined, signal);
      line.loseNext("state/");
      await within(member.publish(statesOf("m1", "a.service")), () => "the state to be written again");
      await member.publish(new Map([["a.service", state("a.service", "m1", "failed")]]));
      await line.deliver("state/");
      const { ranges: [[kv] = []] } = await (await openStore()).read([{ prefix: "state/" }]);
      assert.match(kv?.value ?? "", /failed/);
    },
  },
  {
    name: "a state that a killed daemon has sent is not written once the next daemon of its machine has joined",
    async run({ open, openStore, signal }) {
      const line = new Line();
      const killed = new AbortController();
      const registry = await open({ wrap: line.wrap, writer: "m1" });
      const member = await registry.join(machine("m1"), undefined, killed.signal);
      await member.publish(statesOf("m1", "a.service"));
      line.loseNext("state/");
      line.cutWhenLost();
      member.publish(new Map([["a.service", state("a.service", "m1", "failed")]])).catch(() => {});
      await until("the lost state", () => line.isCut || undefined);
      killed.abort(new Error("killed"));
      const next = await (await open({ writer: "m1" })).join(machine("m1"), member.lease, signal);
      await line.deliver("state/");
      await next.publish(statesOf("m1", "a.service"));
      const { ranges: [[kv] = []] } = await (await openStore()).read([{ prefix: "state/" }]);
      assert.match(kv?.value ?? "", /"active":"active"/);
    },
  },
  {
    name: "a daemon joins a store that is full with the record of the daemon before it",
    async run({ open, signal }) {
      const registry = await open({ writer: "m1" });
      const { lease } = await registry.join(machine("m1"), undefined, signal);
      const full = () => Promise.reject(new OutcomeUnknownError("the store is full", true, { isFull: true }));
      const other = await open({ writer: "m1", wrap: (store) => between(store, { transact: full }) });
      const joined = other.join(machine("m1"), lease, signal);
      assert.equal((await within(joined, () => "the machine to join")).lease, lease);
    },
  },
  {
    name: "metadata that is written late does not take the place of newer",
    async run({ open }) {
      const line = new Line();
      const [some, other] = [await open({ wrap: line.wrap }), await open()];
      const zone = (value: string) => ({ kind: "metadata", machine: "m1", key: "zone", value }) as const;
      line.loseNext("metadata/");
      await some.commit(zone("a"));
      await other.commit(zone("b"));
      await line.deliver("metadata/");
      assert.deepEqual((await other.read()).dynamicMetadata.get("m1"), { zone: "b" });
    },
  },
  {
    name: "a machine that has left, and is back when that is carried out late, stays",
    async run({ open, openStore, signal }) {
      const revocations: (() => Promise<void>)[] = [];
      const registry = await open({
        wrap: (store) =>
          between(store, {
            revoke(lease) {
              revocations.push(() => store.revoke(lease));
              return Promise.reject(new StoreUnavailableError("the answer was lost"));
            },
          }),
      });
      const old = await registry.join(machine("m1"), undefined, signal);
      await old.publish(statesOf("m1", "a.service"));
      await assert.rejects(old.leave(), StoreUnavailableError);
      const member = await (await open()).join(machine("m1"), old.lease, signal);
      await member.publish(statesOf("m1", "a.service"));
      assert.equal(revocations.length, 1);
      await revocations[0]!();
      const store = await openStore();
      assert.deepEqual(await keys(store, "machine/"), ["machine/m1"]);
      assert.deepEqual(await keys(store, "state/"), ["state/m1/a.service"]);
    },
  },
  {
    name: "a placement that is carried out late places nothing",
    async run({ open, openStore, signal }) {
      const line = new Line();
      const registry = await open({ wrap: line.wrap });
      const leadership = await lead(registry, "m1", signal);
      await set(registry, "a.service", "launched");
      line.loseNext("target/");
      await loses(place(leadership, registry, "a.service", "m1"), true);
      await place(leadership, registry, "a.service", "m1");
      const { target: from } = await registry.unit("a.service");
      assert.ok(from);
      const { refused } = await leadership.apply([{ kind: "unplace", unit: "a.service", from, why: "test" }]);
      assert.deepEqual(refused, []);
      await line.deliver("target/");
      assert.deepEqual(await keys(await openStore(), "assign/"), []);
    },
  },
  {
    name: "a fence that is raised late undoes nothing, and none of its writer's writes is lost by it",
    async run({ open, openStore }) {
      const line = new Line();
      const registry = await open({ wrap: line.wrap, writer: "m1" });
      line.loseNext("unit/");
      line.loseNext("fence/");
      await set(registry, "a.service", "launched");
      await line.deliver("unit/", "fence/");
      await set(registry, "b.service", "launched");
      const store = await openStore();
      assert.deepEqual(await keys(store, "unit/"), ["unit/a.service", "unit/b.service"]);
      assert.deepEqual(await keys(store, "fence/"), ["fence/m1"]);
    },
  },
  {
    name: "writes under way when a fence is raised are sent again with it",
    async run({ open, openStore }) {
      const gate = Promise.withResolvers<void>();
      const line = new Line();
      const registry = await open({
        wrap(store) {
          const through = line.wrap(store);
          return between(through, {
            async transact(compares, ops) {
              if (ops.some((op) => keyOf(op) === "metadata/m1/slow")) await gate.promise;
              return await through.transact(compares, ops);
            },
          });
        },
      });
      const slow = registry.commit({ kind: "metadata", machine: "m1", key: "slow", value: "v" });
      line.loseNext("unit/");
      await set(registry, "a.service", "launched");
      gate.resolve();
      await slow;
      assert.deepEqual(await keys(await openStore(), "metadata/"), ["metadata/m1/slow"]);
    },
  },
  {
    name: "as long as no answer is lost, a write is one transaction, and there is no fence",
    async run({ open, openStore }) {
      const line = new Line();
      const registry = await open({ wrap: line.wrap });
      assert.deepEqual([line.reads, line.transactions], [2, 1], "what an empty store costs");
      const again = new Line();
      const other = await open({ wrap: again.wrap });
      assert.deepEqual([again.reads, again.transactions], [1, 0], "what one costs that is there");
      for (const name of ["a.service", "b.service"]) await registry.commit(put({ name }, "launched"));
      await other.commit({ kind: "metadata", machine: "m1", key: "k", value: "v" });
      assert.deepEqual([line.reads, line.transactions, again.reads, again.transactions], [2, 3, 1, 1]);
      assert.deepEqual(await keys(await openStore(), "fence/"), []);
    },
  },
  {
    name: "a writer whose fence was raised by another of its name reads the fence and repeats the write",
    async run({ open }) {
      const [line, other] = [new Line(), new Line()];
      const some = await open({ wrap: line.wrap, writer: "m1" });
      const predecessor = await open({ wrap: other.wrap, writer: "m1" });
      other.loseNext("metadata/");
      await predecessor.commit({ kind: "metadata", machine: "m1", key: "k", value: "u" });
      [line.reads, line.transactions] = [0, 0];
      await some.commit(put({ name: "a.service" }, "launched"));
      assert.deepEqual([line.reads, line.transactions], [1, 2]);
      await some.commit({ kind: "metadata", machine: "m1", key: "k", value: "v" });
      assert.deepEqual([line.reads, line.transactions], [1, 3]);
      await assert.rejects(some.commit(put({ name: "a.service" }, "launched")), ConflictError);
      assert.deepEqual([line.reads, line.transactions], [2, 4], "an ordinary conflict is tried once");
    },
  },
  {
    name: "a writer whose fence is raised repeatedly gives up with a conflict",
    async run({ open, openStore }) {
      const rival = await openStore();
      let attempts = 0;
      const registry = await open({
        writer: "m1",
        wrap: (store) =>
          between(store, {
            async transact(compares, ops) {
              if (ops.some((op) => keyOf(op).startsWith("unit/")) && attempts++ < 100) {
                await rival.transact([], [{ put: "fence/m1", value: "" }]);
              }
              return await store.transact(compares, ops);
            },
          }),
      });
      await assert.rejects(registry.commit(put({ name: "a.service" }, "launched")), ConflictError);
      assert.ok(attempts < 10, `${attempts} attempts`);
    },
  },
  {
    name: "a fence that cannot be raised at once lets nothing else be written, and is raised when it can be",
    async run({ open, openStore }) {
      const line = new Line();
      const registry = await open({ wrap: line.wrap, writer: "m1" });
      line.loseNext("unit/");
      line.cutWhenLost();
      await loses(registry.commit(put({ name: "a.service" }, "launched")), false);
      const next = registry.commit({ kind: "metadata", machine: "m1", key: "k", value: "v" });
      await assert.rejects(next, (error) => {
        assert.ok(error instanceof StoreUnavailableError && !(error instanceof OutcomeUnknownError), `${error}`);
        assert.match(error.message, /was not written to: it is not known yet whether an earlier write was applied/);
        return true;
      });
      const store = await openStore();
      assert.deepEqual(await keys(store, "metadata/"), []);
      line.mend();
      await until("the fence", async () => (await keys(store, "fence/")).length === 1);
      await line.deliver("unit/");
      await set(registry, "b.service", "launched");
      assert.deepEqual(await keys(store, "unit/"), ["unit/b.service"]);
    },
  },
  {
    name: "the outcome of a write to a full store is known without raising the fence",
    async run({ open, openStore }) {
      const line = new Line();
      const some = await open({ wrap: line.wrap });
      line.fillByNext("unit/");
      await some.commit(put({ name: "a.service" }, "launched"));
      const full = () => Promise.reject(new OutcomeUnknownError("the store is full", true, { isFull: true }));
      const other = await open({ wrap: (store) => between(store, { transact: full }) });
      await assert.rejects(other.commit(put({ name: "b.service" }, "launched")), (error) => {
        assert.ok(error instanceof StoreUnavailableError && !(error instanceof OutcomeUnknownError), `${error}`);
        assert.deepEqual([error.message, error.isFull], ["the store is full", true]);
        return true;
      });
      const store = await openStore();
      assert.deepEqual([await keys(store, "unit/"), await keys(store, "fence/")], [["unit/a.service"], []]);
    },
  },
  {
    name: "a registry settles the unknown outcomes of the one that it replaces before its first write",
    async run({ open, openStore }) {
      const store = await openStore();
      for (const comes of ["before", "after"]) {
        const line = new Line();
        const name = `${comes}.service`;
        const shared = { writer: comes, unsettledWrites: new Map() };
        const old = await open({ ...shared, wrap: line.wrap });
        const early = comes === "before" ? await open(shared) : undefined;
        line.loseNext("unit/");
        line.cutWhenLost();
        await loses(old.commit(put({ name }, "launched")), false);
        const next = early ?? await open(shared);
        await set(next, name, "launched");
        await next.commit({ kind: "delete", was: await next.unit(name) });
        await line.deliver("unit/");
        assert.deepEqual(await keys(store, "unit/"), []);
      }
      assert.deepEqual(await keys(store, "fence/"), ["fence/after", "fence/before"]);
    },
  },
  {
    name: "no fence is raised in a store that was swapped meanwhile",
    async run({ open, openStore }) {
      const line = new Line();
      const registry = await open({ wrap: line.wrap });
      const store = await openStore();
      line.loseNext("unit/", () => store.transact([], [{ put: "cluster", value: "another" }]));
      await assert.rejects(registry.commit(put({ name: "a.service" }, "launched")), WrongStoreError);
      await line.deliver("unit/");
      assert.deepEqual(await keys(store), ["cluster"]);
    },
  },
];
