/**
 * Cases of the contract of {@link Registry}: engines and their lead.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Clock } from "../../runtime/clock.ts";
import { DeposedError, type Placement } from "../../registry/mod.ts";
import type { Op, Store } from "../../registry/store/port.ts";
import {
  between,
  type Case,
  countingWrites,
  hashOf,
  keys,
  lead,
  place,
  put,
  set,
  silence,
  within,
} from "./registry_fixture.ts";

export const engineCases: readonly Case[] = [
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
