/**
 * Cases of the contract of {@link Registry}: what is asked of units.
 *
 * @module
 */

import assert from "node:assert/strict";
import { systemClock } from "../../daemon/host/system_clock.ts";
import { type Change, ConflictError } from "../../registry/mod.ts";
import type { DesiredState } from "../../registry/model.ts";
import type { Store } from "../../registry/store/port.ts";
import { between, type Case, hashOf, isGlobal, keys, lead, option, place, put, set } from "./registry_fixture.ts";

export const unitCases: readonly Case[] = [
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

export const placedCases: readonly Case[] = [
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

export const newerVersionCases: readonly Case[] = [
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
