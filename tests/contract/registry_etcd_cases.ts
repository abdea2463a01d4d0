/**
 * Cases for failures that only a store in another process can have: outages, restarts, hangs and lost data.
 *
 * @module
 */

import assert from "node:assert/strict";
import { openEtcdStore } from "../../registry/store/etcd/store.ts";
import { OutcomeUnknownError, StoreLimitError, StoreUnavailableError, WrongStoreError } from "../../registry/mod.ts";
import type { Store } from "../../registry/store/port.ts";
import type { EtcdServer } from "../lab/etcd.ts";
import { must, until } from "../lab/process.ts";
import { HangingLine } from "./hanging_line.ts";
import {
  between,
  type Case,
  keys,
  lead,
  machine,
  place,
  put,
  type RegistryFixture,
  set,
  statesOf,
  when,
  within,
} from "./registry_fixture.ts";

export interface EtcdFixture extends RegistryFixture {
  readonly etcd: EtcdServer;
}

const outages: readonly Case<EtcdFixture>[] = [
  {
    name: "watches continue after a restart of etcd with a complete view",
    async run({ etcd, open, signal }) {
      const registry = await open();
      await set(registry, "a.service", "launched");
      const clusters = registry.watch(signal)[Symbol.asyncIterator]();
      const views = registry.watchMachine("m1", signal)[Symbol.asyncIterator]();
      await within(clusters.next(), () => "the first view");
      await within(views.next(), () => "the first view of the machine");
      assert.equal(registry.awayUntil_ms, 0);
      await etcd.stop("SIGKILL");
      await assert.rejects(registry.unit("a.service"), StoreUnavailableError);
      assert.equal(registry.awayUntil_ms, Infinity);
      await etcd.start();
      await answered(() => set(registry, "b.service", "launched"));
      assert.ok(Number.isFinite(registry.awayUntil_ms) && registry.awayUntil_ms > 0);
      await place(await lead(registry, "m1", signal), registry, "b.service", "m1");
      const again = await when(
        { [Symbol.asyncIterator]: () => clusters },
        "b.service",
        (cluster) => cluster.units.has("b.service"),
      );
      assert.ok(again.units.has("a.service"));
      await when({ [Symbol.asyncIterator]: () => views }, "b.service", (view) => view.assignments.has("b.service"));
    },
  },
  {
    name: "history that is compacted between reading and watching is read afresh",
    async run({ etcd, open, openStore, signal }) {
      const other = await openStore();
      let compacted = false;
      const registry = await open({
        wrap: (store) =>
          between(store, {
            async *watch(ranges, after, stop) {
              if (!compacted) {
                compacted = true;
                for (const value of ["1", "2"]) await other.transact([], [{ put: "metadata/m1/k", value }]);
                await etcd.compact();
              }
              yield* store.watch(ranges, after, stop);
            },
          }),
      });
      await when(
        registry.watch(signal),
        "the newest value",
        (cluster) => cluster.dynamicMetadata.get("m1")?.["k"] === "2",
      );
      assert.ok(compacted);
    },
  },
  {
    name: "calls to a store that does not respond fail soon as unavailable, and succeed once it responds again",
    async run({ etcd, open }) {
      const registry = await open();
      await registry.read();
      etcd.pause();
      try {
        const started_ms = performance.now();
        await assert.rejects(registry.read(), StoreUnavailableError);
        await assert.rejects(registry.commit(put({ name: "a.service" }, "launched")), StoreUnavailableError);
        assert.ok(performance.now() - started_ms < 4 * requestTimeout_ms);
      } finally {
        etcd.resume();
      }
      await answered(() => registry.read());
      await set(registry, "b.service", "launched");
    },
  },
  {
    name: "when etcd hangs for longer than a lease lives, machine, states and lead are back soon after",
    async run({ etcd, open, openStore, signal }) {
      const registry = await open({ agentTtl_s: 2, leaderTtl_s: 2 });
      const member = await registry.join(machine("m1"), undefined, signal);
      await member.publish(statesOf("m1", "a.service"));
      const leads = registry.campaign("m1", "2.0.0", signal)[Symbol.asyncIterator]();
      const first = (await within(leads.next(), () => "the lead")).value;
      etcd.pause();
      try {
        await within(
          new Promise<void>((resolve) => first.signal.addEventListener("abort", () => resolve())),
          () => "the lead to end by our own clock",
        );
      } finally {
        etcd.resume();
      }
      assert.ok((await within(leads.next(), () => "the lead again")).value);
      const store = await openStore();
      await until(
        "record and states",
        async () => (await keys(store, "machine/")).length === 1 && (await keys(store, "state/")).length === 1,
      );
      await member.publish(statesOf("m1", "a.service", "b.service"));
      assert.deepEqual(await keys(store, "state/"), ["state/m1/a.service", "state/m1/b.service"]);
    },
  },
  {
    name: "states published while the store is away are written when it is back",
    async run({ etcd, open, openStore, signal }) {
      const registry = await open();
      const member = await registry.join(machine("m1"), undefined, signal);
      await etcd.stop();
      const waiting = [member.publish(statesOf("m1", "old.service")), member.publish(statesOf("m1", "new.service"))];
      await etcd.start();
      await within(Promise.all(waiting), () => "both publications to resolve");
      assert.deepEqual(await keys(await openStore(), "state/"), ["state/m1/new.service"]);
    },
  },
  {
    name: "an answer that was lost leaves no state behind",
    async run({ open, openStore, signal }) {
      let lose = false;
      const registry = await open({
        wrap: (store) =>
          between(store, {
            async transact(compares, ops) {
              const result = await store.transact(compares, ops);
              if (!lose) return result;
              lose = false;
              throw new OutcomeUnknownError("the answer was lost", false);
            },
          }),
      });
      const member = await registry.join(machine("m1"), undefined, signal);
      lose = true;
      const first = member.publish(statesOf("m1", "a.service"));
      await until("the write", async () => (await keys(await openStore(), "state/")).length > 0);
      const second = member.publish(statesOf("m1", "b.service"));
      await within(Promise.all([first, second]), () => "both publications to resolve");
      assert.deepEqual(await keys(await openStore(), "state/"), ["state/m1/b.service"]);
    },
  },
];

const wrongStores: readonly Case<EtcdFixture>[] = [
  {
    name: "a wiped store is recognized as another one, and is not written to",
    async run({ etcd, open, openStore, signal }) {
      const registry = await open();
      await set(registry, "a.service", "launched");
      const member = await registry.join(machine("m1"), undefined, signal);
      const clusters = registry.watch(signal)[Symbol.asyncIterator]();
      const views = registry.watchMachine("m1", signal)[Symbol.asyncIterator]();
      await within(clusters.next(), () => "the first view");
      await within(views.next(), () => "the first view of the machine");
      await etcd.wipe();
      await assert.rejects(drained(clusters), WrongStoreError);
      await assert.rejects(drained(views), WrongStoreError);
      await assert.rejects(answered(() => registry.read()), WrongStoreError);
      await assert.rejects(registry.commit(put({ name: "b.service" }, "launched")), WrongStoreError);
      await assert.rejects(member.publish(statesOf("m1", "a.service")), WrongStoreError);
      assert.deepEqual(await keys(await openStore()), []);

      // The operator accepts the empty store: all daemons join again.
      await registry.open(undefined);
      await member.publish(statesOf("m1", "a.service"));
      assert.deepEqual([...(await registry.read()).machines.keys()], ["m1"]);
    },
  },
  {
    name: "a store restored from an older copy is refused although its id is right",
    async run({ etcd, open, signal }) {
      const registry = await open();
      await etcd.stop();
      await must(["cp", "-r", `${etcd.dir}/data`, `${etcd.dir}/copy`]);
      await etcd.start();
      await answered(() => set(registry, "a.service", "launched"));
      const clusters = registry.watch(signal)[Symbol.asyncIterator]();
      const first = (await within(clusters.next(), () => "the first view")).value;
      assert.ok(first.units.has("a.service"));
      await etcd.stop();
      await must(["rm", "-r", `${etcd.dir}/data`]);
      await must(["mv", `${etcd.dir}/copy`, `${etcd.dir}/data`]);
      await etcd.start();
      await assert.rejects(drained(clusters), WrongStoreError);
      await assert.rejects(answered(() => registry.read()), WrongStoreError);
    },
  },
  {
    name: "a store that is swapped between reading and watching is noticed",
    async run({ etcd, open, signal }) {
      let wiped = false;
      const registry = await open({
        wrap: (store) =>
          between(store, {
            async *watch(ranges, after, stop) {
              if (!wiped) {
                wiped = true;
                await etcd.wipe();
              }
              yield* store.watch(ranges, after, stop);
            },
          }),
      });
      await set(registry, "a.service", "launched");
      await assert.rejects(drained(registry.watch(signal)[Symbol.asyncIterator]()), WrongStoreError);
    },
  },
];

const lateWrites: readonly Case<EtcdFixture>[] = [
  {
    name: "what a member that hung is still to write when it goes on does not bring a destroyed unit back",
    async run({ etcd, open, openStore }) {
      const store = await openStore();
      await using line = new HangingLine(etcd.endpoint);
      const connect = (...endpoints: string[]) => openEtcdStore({ endpoints, prefix: "/fleet", requestTimeout_ms });
      const lateLine = await connect(line.endpoint);
      try {
        // Without a fence it is written: the line does what it is to show.
        await lateLine.read([{ key: "late" }]);
        line.hang();
        await assert.rejects(lateLine.transact([], [{ put: "metadata/m1/late", value: "" }]), OutcomeUnknownError);
        assert.deepEqual(await keys(store, "metadata/"), []);
        assert.equal(await line.goOn(), 1);
        assert.deepEqual(await keys(store, "metadata/"), ["metadata/m1/late"]);
      } finally {
        await lateLine.close();
      }

      // Two members, of which the first hangs.
      const members = await connect(line.endpoint, etcd.endpoint);
      const registry = await open({ wrap: (direct) => between(members, { close: () => closeBoth(members, direct) }) });
      const other = await open();
      line.hang();
      // Answered by the other, if it was quick enough.
      await registry.commit(put({ name: "a.service" }, "launched")).catch((error) => {
        if (!(error instanceof StoreUnavailableError)) throw error;
      });
      await answered(() => set(registry, "a.service", "launched"));
      await other.commit({ kind: "delete", was: await other.unit("a.service") });
      assert.ok(await line.goOn() >= 1);
      assert.deepEqual(await keys(store, "unit/"), []);
      await answered(() => set(registry, "b.service", "launched"));
      assert.deepEqual(await keys(store, "unit/"), ["unit/b.service"]);
    },
  },
];

async function closeBoth(...stores: Store[]): Promise<void> {
  await Promise.all(stores.map((store) => store.close()));
}

/** Deadline of each call to etcd in these cases: short, since they wait for it to pass. */
export const requestTimeout_ms = 1_000;

/** Reads on until it ends or throws. */
async function drained(yielded: AsyncIterator<unknown>): Promise<void> {
  const drain = async () => {
    for (let next = await yielded.next(); !next.done; next = await yielded.next());
  };
  await within(drain(), () => "the watch to say so");
}

/** Repeats a call until the store is available. Throws every other error at once. */
async function answered(call: () => Promise<unknown>): Promise<void> {
  const { error } = await until("an answer", () =>
    call().then(
      () => ({ error: undefined }),
      (error) => error instanceof StoreUnavailableError ? undefined : { error },
    ));
  if (error !== undefined) throw error;
}

/**
 * Cases about the limits of etcd, which takes requests of up to 1.5 MiB (--max-request-bytes). They write megabytes, which
 * may take a busy host longer than {@link requestTimeout_ms}.
 */
export const limitCases: readonly Case[] = [
  {
    name: "a write that is too large is refused with that reason, and writes batched with it are applied",
    async run({ open }) {
      const registry = await open();
      const write = (name: string, length: number) =>
        registry.commit(put({ name: `${name}.service` }, "inactive", { text: name.repeat(length) }));
      const outcomes = await Promise.allSettled([
        ...["a", "b", "c", "d"].map((name) => write(name, 600 * 1024)),
        write("e", 1800 * 1024),
        write("f", 2400 * 1024),
        write("g", 10),
      ]);
      const codes = outcomes.map((outcome) => outcome.status === "fulfilled" ? "done" : outcome.reason);
      assert.deepEqual([...codes.slice(0, 4), codes[6]], ["done", "done", "done", "done", "done"]);
      for (const refused of codes.slice(4, 6)) {
        assert.ok(refused instanceof StoreLimitError, String(refused));
        assert.match(refused.message, /takes no txn of this size \(.*--max-request-bytes/);
      }
      const { units } = await registry.read();
      assert.deepEqual([...units.keys()].sort(), ["a", "b", "c", "d", "g"].map((name) => `${name}.service`));
    },
  },
];

/** Cases that hold on a real etcd during failures. */
export const etcdCases: readonly Case<EtcdFixture>[] = [...outages, ...wrongStores, ...lateWrites];
