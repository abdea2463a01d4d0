/**
 * Cases of the contract of {@link Registry}: watches and the cluster cache.
 *
 * @module
 */

import assert from "node:assert/strict";
import { StoreUnavailableError } from "../../registry/mod.ts";
import type { Cluster } from "../../registry/model.ts";
import { WatchLostError } from "../../registry/store/port.ts";
import { between, type Case, isGlobal, lead, machine, place, set, statesOf, when, within } from "./registry_fixture.ts";
import { until } from "../lab/process.ts";

/** For comparison and cloning: maps and all, as entries. */
function plain(value: unknown): unknown {
  if (value instanceof Map) return [...value].map(([key, each]) => [key, plain(each)]);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

export const watchCases: readonly Case[] = [
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
    name:
      "a machine sees in one view that it gets the next file of a global unit, and that this becomes the unit's own",
    async run({ open, signal }) {
      const registry = await open();
      const leadership = await lead(registry, "m9", signal);
      await set(registry, "g.service", "launched", { options: [isGlobal] });
      const planned = (await registry.unit("g.service")).unit!;
      const [before, after] = [planned.hash, "b".repeat(40)].map((hash) => ({
        hash,
        desiredState: "launched" as const,
      }));
      await registry.startRollout({
        ...{ app: "web", what: "apply", rollback: true, files: new Map([[after!.hash, "text b"]]) },
        steps: [{ unit: "g.service", before: before!, after: after!, planned: planned.revision }],
      });
      const { fleetOptions, requirements } = planned;
      const next = { hash: after!.hash, fleetOptions, requirements, machines: ["m1"], unproven: ["m1"] };
      const step = async (state: "staging" | "healthy", more: object) => {
        const cluster = await registry.read();
        const was = await registry.unit("g.service");
        const units = [{ kind: "put" as const, was, desiredState: "launched" as const, app: "web", ...more }];
        const update = {
          was: cluster.rollouts!.get("web")!,
          status: "running" as const,
          states: new Map([[0, state]]),
        };
        return await leadership.updateRollout({ ...update, units });
      };
      const files = () => registry.read().then(({ files }) => files.get(after!.hash)!.revision);
      const seen: (readonly [string, readonly string[] | undefined])[] = [];
      const stop = new AbortController();
      const watching = (async () => {
        for await (const { globals } of registry.watchMachine("m1", AbortSignal.any([signal, stop.signal]))) {
          const { hash, next } = globals.get("g.service")!;
          seen.push([hash, next?.machines]);
          if (hash === after!.hash) return;
        }
      })();
      assert.ok(await step("staging", { next }));
      const staged = (await registry.read()).rollouts!.get("web")!.steps[0]!;
      const { unit } = await registry.unit("g.service");
      assert.deepEqual([staged.state, staged.written, unit?.next], ["staging", unit?.revision, next]);
      assert.ok(await step("healthy", { file: { hash: after!.hash, revision: await files(), fleetOptions } }));
      await watching;
      stop.abort();
      for (const [hash, machines] of seen.slice(0, -1)) {
        assert.equal(hash, before!.hash);
        assert.ok(machines === undefined || machines[0] === "m1");
      }
      assert.deepEqual(seen.at(-1), [after!.hash, undefined]);
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
      await until("the first view", () => sizes.length > 0);
      const store = await openStore();
      const { ranges: [[assignment] = []] } = await store.read([{ prefix: "assign/" }]);
      const { key, value } = assignment!;
      await store.transact([], [{ delete: key }]);
      const seen = sizes.length;
      await store.transact([], [{ put: key, value }]);
      await until("the next view", () => sizes.length > seen);
      assert.deepEqual(new Set(sizes), new Set([1]));
      // This time no engine writes it again.
      await store.transact([], [{ delete: key }]);
      await until("a view without it", () => sizes.at(-1) === 0);
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
      await until("both units", () => views.at(-1) === "begun.service,idle.service keeps ");
      isCut = true;
      cut.reject(new WatchLostError("cut off"));
      const other = await (await open()).join(machine("m2"), undefined, signal);
      for (const name of ["begun.service", "idle.service"]) await place(leadership, registry, name, "m2");
      await other.publish(statesOf("m2", "begun.service"));
      cut = Promise.withResolvers<never>();
      isCut = false;
      await until(
        "the unit that has not begun to be kept",
        () => Promise.resolve(views.includes(" keeps idle.service")),
      );
      await other.publish(statesOf("m2", "begun.service", "idle.service"));
      await until("both units to be given up", () => views.at(-1) === " keeps ");
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
      await until("the targets to be read, or a view", () => areTargetsRead || sizes.length > 0);
      await store.transact([], [{ put: key, value }]);
      await until("the first view", () => sizes.length > 0);
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
      await until("the watch to end", () => watches === 0);
      const other = await openStore();
      const { revision } = await other.transact([], [{ put: "written", value: "" }]);
      const again = await registry.read();
      assert.ok(again.revision >= revision);
      assert.deepEqual([watches, opened], [1, 2], "a read after the close opens a second watch");
    },
  },
];
