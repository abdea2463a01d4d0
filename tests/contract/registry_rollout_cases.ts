/**
 * Roll-outs and the history of apps, as the registry stores them.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  ConflictError,
  DeposedError,
  type Leadership,
  type Registry,
  type RolloutStart,
  type UnitChange,
} from "../../registry/mod.ts";
import type { Cluster, Rollout, UnitSpec } from "../../registry/model.ts";
import { type Case, keys, lead, openLate, place, put, set, when, within } from "./registry_fixture.ts";

const hash = (digit: string): string => digit.repeat(40);
const launched = (digit: string): UnitSpec => ({ hash: hash(digit), desiredState: "launched" });

/** A roll-out that creates units with the file of one letter each. */
function creation(
  app: string,
  units: Readonly<Record<string, string>>,
  more: Partial<RolloutStart> = {},
): RolloutStart {
  return {
    app,
    what: "apply",
    rollback: true,
    changed: { by: "alice", at_ms: 5 },
    steps: Object.entries(units).map(([unit, digit]) => ({ unit, after: launched(digit), planned: 0 })),
    files: new Map(Object.values(units).map((digit) => [hash(digit), `text ${digit}`])),
    ...more,
  };
}

async function latest(registry: Registry, app: string): Promise<Rollout> {
  const rollout = (await registry.read()).rollouts?.get(app);
  assert.ok(rollout, `app ${app} has no roll-out`);
  return rollout;
}

/** The change of a step that creates or changes its unit, as the engine makes it. */
async function changeOf(registry: Registry, { app, steps }: Rollout, at: number): Promise<UnitChange> {
  const { unit, after } = steps[at]!;
  const was = await registry.unit(unit);
  if (!after) return { kind: "delete", was };
  const file = (await registry.read()).files.get(after.hash);
  assert.ok(file, `the file of ${unit}`);
  const { revision } = file;
  return {
    kind: "put",
    was,
    app,
    desiredState: after.desiredState,
    file: { hash: file.hash, revision, fleetOptions: [] },
  };
}

/** Carries out all steps at once, and ends the roll-out. */
async function finish(registry: Registry, leadership: Leadership, app: string): Promise<void> {
  const was = await latest(registry, app);
  const units = await Promise.all(was.steps.map((_, at) => changeOf(registry, was, at)));
  const states = new Map(was.steps.map((_, at) => [at, "healthy" as const]));
  const record = (await registry.read()).apps?.get(app);
  const revision = await leadership.updateRollout({
    ...{ was, status: "done", states, units },
    ...record && { app: record },
  });
  assert.ok(revision !== undefined, "the update was refused");
}

const startCases: readonly Case[] = [
  {
    name: "a roll-out runs when all of its files are stored",
    async run({ open, signal }) {
      const [registry, other] = [await open(), await open()];
      const seen: Cluster[] = [];
      const watching = when(other.watch(signal), "the roll-out running", (cluster) => {
        seen.push(cluster);
        return cluster.rollouts?.get("web")?.status === "running";
      });
      const units = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`web@${at}.service`, `${at}`]));
      const files = new Map(
        Object.values(units).map((text) => [text.padStart(40, "0"), `${text} ${"x".repeat(3_000)}`]),
      );
      const steps = Object.entries(units).map(([unit, text]) => ({
        unit,
        after: { hash: text.padStart(40, "0"), desiredState: "loaded" as const },
        planned: 0,
      }));
      const { id, revision } = await registry.startRollout(creation("web", {}, { steps, files, maxParallel: 3 }));
      const { rollouts, files: stored } = await watching;
      assert.equal(stored.size, 300);
      const rollout = rollouts!.get("web")!;
      assert.deepEqual(
        [rollout.id, rollout.revision, rollout.what, rollout.maxParallel, rollout.rollback, rollout.changed],
        [id, revision, "apply", 3, true, { by: "alice", at_ms: 5 }],
      );
      assert.deepEqual(rollout.steps[299], { ...steps[299]!, state: "pending", written: 0 });
      for (const { rollouts } of seen.slice(0, -1)) {
        assert.ok(["preparing", undefined].includes(rollouts?.get("web")?.status));
      }
    },
  },
  {
    name: "of two roll-outs of one app that begin at once, one gets a conflict; those of other apps do not",
    async run({ open }) {
      const [some, other] = [await open(), await open()];
      const starts = await Promise.allSettled([
        some.startRollout(creation("web", { "a.service": "a" })),
        other.startRollout(creation("web", { "a.service": "b" })),
        other.startRollout(creation("db", { "c.service": "a" })),
      ]);
      const refused = starts.filter((each) => each.status === "rejected");
      assert.equal(refused.length, 1);
      assert.ok(refused[0]?.reason instanceof ConflictError, String(refused[0]?.reason));
      assert.equal(starts[2]!.status, "fulfilled");
      assert.equal((await latest(some, "web")).status, "running");
    },
  },
  {
    name: "an ended roll-out is replaced by the next one, but only by one that knows it",
    async run({ open }) {
      const registry = await open();
      await registry.startRollout(creation("web", { "a.service": "a" }));
      const first = await latest(registry, "web");
      await assert.rejects(registry.startRollout(creation("web", {}, { was: first })), /another roll-out, .* running/);
      await registry.updateRollout({ was: first, status: "aborted", reason: "aborted by bob" });
      const was = await latest(registry, "web");
      assert.deepEqual([was.status, was.reason], ["aborted", "aborted by bob"]);
      await assert.rejects(registry.startRollout(creation("web", {}, { was: first })), ConflictError);
      await assert.rejects(registry.startRollout(creation("web", {})), ConflictError);
      const { id } = await registry.startRollout(creation("web", { "b.service": "b" }, { was }));
      const second = await latest(registry, "web");
      assert.deepEqual([second.id, second.status, second.reason], [id, "running", undefined]);
    },
  },
];

const stepCases: readonly Case[] = [
  {
    name: "a step changes its unit, the unit's assignment and the roll-out in one transaction",
    async run({ open, signal }) {
      const registry = await open();
      await set(registry, "a.service", "launched");
      const leadership = await lead(registry, "m1", signal);
      await place(leadership, registry, "a.service", "m1");
      const { unit } = await registry.unit("a.service");
      const before = { hash: unit!.hash, desiredState: unit!.desiredState };
      const steps = [{ unit: "a.service", before, after: launched("b"), planned: unit!.revision }];
      await registry.startRollout(creation("web", { "a.service": "b" }, { steps }));
      const was = await latest(registry, "web");
      const revision = await leadership.updateRollout({
        ...{ was, status: "running", states: new Map([[0, "changing"]]) },
        units: [await changeOf(registry, was, 0)],
      });
      const cluster = await when(registry.watch(signal), "the step", (cluster) => cluster.revision >= (revision ?? 0));
      const changed = cluster.units.get("a.service");
      assert.deepEqual([changed?.hash, changed?.revision, changed?.app], [hash("b"), revision, "web"]);
      assert.equal(cluster.assignments.get("a.service")?.hash, hash("b"));
      const { steps: [step] } = cluster.rollouts!.get("web")!;
      assert.deepEqual([step?.state, step?.written], ["changing", revision]);
    },
  },
  {
    name: "a step is refused if the unit, its file or the roll-out has changed, and by a leader that was deposed",
    async run({ open, openStore, signal }) {
      const [registry, store] = [await open(), await openStore()];
      await registry.startRollout(creation("web", { "a.service": "a", "b.service": "b" }));
      const leadership = await lead(registry, "m1", signal);
      const was = await latest(registry, "web");
      const step = async (at: number) => ({
        ...{ was, status: "running" as const, states: new Map([[at, "changing" as const]]) },
        units: [await changeOf(registry, was, at)],
      });
      const [first, second] = [await step(0), await step(1)];
      await set(registry, "a.service", "loaded");
      assert.equal(await leadership.updateRollout(first), undefined);
      await store.transact([], [{ put: `file/${hash("b")}`, value: "text b" }]);
      assert.equal(await leadership.updateRollout(second), undefined);
      const third = await step(1);
      await registry.updateRollout({ was, status: "paused" });
      assert.equal(await leadership.updateRollout(third), undefined);
      assert.deepEqual((await latest(registry, "web")).steps.map(({ state }) => state), ["pending", "pending"]);
      assert.deepEqual(await keys(store, "unit/"), ["unit/a.service"]);

      const paused = await latest(registry, "web");
      await store.transact([], [{ delete: "leader" }]);
      await within(lead(await open(), "m2", signal), () => "another engine to lead");
      await assert.rejects(leadership.updateRollout({ was: paused, status: "running" }), DeposedError);
      assert.equal((await latest(registry, "web")).status, "paused");
    },
  },
  {
    name: "units that share a file are created in one transaction",
    async run({ open, signal }) {
      const registry = await open();
      const units = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`web@${at}.service`, "a"]));
      await registry.startRollout(creation("web", units));
      await finish(registry, await lead(registry, "m1", signal), "web");
      const cluster = await registry.read();
      assert.equal(cluster.units.size, 30);
      assert.equal(new Set([...cluster.units.values()].map(({ revision }) => revision)).size, 1);
    },
  },
];

const historyCases: readonly Case[] = [
  {
    name: "an ended roll-out becomes a version of its app; one that changed nothing does not",
    async run({ open, signal }) {
      const registry = await open();
      const leadership = await lead(registry, "m1", signal);
      await registry.startRollout(creation("web", { "a.service": "a" }));
      await finish(registry, leadership, "web");
      const unit = (await registry.unit("a.service")).unit!;
      const steps = [{ unit: "a.service", before: launched("a"), planned: unit.revision }];
      await registry.startRollout(creation("web", {}, { steps, what: "scale", was: await latest(registry, "web") }));
      await finish(registry, leadership, "web");
      await registry.startRollout(creation("web", { "b.service": "b" }, { was: await latest(registry, "web") }));
      const app = (await registry.read()).apps!.get("web")!;
      await registry.updateRollout({ was: await latest(registry, "web"), status: "aborted", app });

      const changed = { by: "alice", at_ms: 5 };
      assert.deepEqual((await registry.read()).apps?.get("web")?.versions, [
        { number: 1, what: "apply", changed, units: [{ unit: "a.service", after: launched("a") }] },
        { number: 2, what: "scale", changed, units: [{ unit: "a.service", before: launched("a") }] },
      ]);
      assert.equal((await registry.unit("a.service")).unit, undefined);
    },
  },
  {
    name: "a read waits for the end of a roll-out that its daemon has not seen yet",
    async run({ open, signal }) {
      const [registry, late] = [await open(), await openLate(open)];
      await registry.startRollout(creation("web", { "a.service": "a" }));
      assert.equal((await latest(late.registry, "web")).status, "running");
      const leadership = await lead(registry, "m1", signal);
      late.holdBack();
      await finish(registry, leadership, "web");
      assert.equal((await latest(late.registry, "web")).status, "done");
    },
  },
  {
    name: "an app is forgotten with its roll-out, unless another one has begun",
    async run({ open, openStore, signal }) {
      const [registry, store] = [await open(), await openStore()];
      const leadership = await lead(registry, "m1", signal);
      await registry.startRollout(creation("web", { "a.service": "a" }));
      await finish(registry, leadership, "web");
      const first = await latest(registry, "web");
      const steps = [{
        unit: "a.service",
        before: launched("a"),
        planned: (await registry.unit("a.service")).unit!.revision,
      }];
      await registry.startRollout(creation("web", {}, { steps, was: first }));
      await finish(registry, leadership, "web");
      assert.equal(await leadership.updateRollout({ was: first, status: "done", forget: true }), undefined);
      const was = await latest(registry, "web");
      assert.ok(await leadership.updateRollout({ was, status: "done", forget: true }));
      for (const prefix of ["app/", "rollout/", "progress/"]) assert.deepEqual(await keys(store, prefix), [], prefix);
      await registry.startRollout(creation("web", { "a.service": "a" }));
    },
  },
  {
    name: "a unit keeps its app when it is changed, and loses it when it is destroyed",
    async run({ open, signal }) {
      const registry = await open();
      await registry.startRollout(creation("web", { "a.service": "a" }));
      await finish(registry, await lead(registry, "m1", signal), "web");
      await set(registry, "a.service", "loaded", { text: "by hand" });
      assert.equal((await registry.unit("a.service")).unit?.app, "web");
      await registry.commit({ kind: "delete", was: await registry.unit("a.service") });
      await registry.commit(put({ name: "a.service" }, "loaded"));
      assert.equal((await registry.unit("a.service")).unit?.app, undefined);
    },
  },
  {
    name: "a roll-out or an app that cannot be read has a stand-in, and the next roll-out replaces it",
    async run({ open, openStore }) {
      const [registry, store] = [await open(), await openStore()];
      for (const app of ["web", "db", "mq", "ok"]) {
        await registry.startRollout(creation(app, { [`${app}.service`]: "a" }));
      }
      await store.transact([], [
        ...[{ put: "progress/web", value: "{" }, { put: "rollout/db", value: "[]" }, { delete: "progress/mq" }],
        ...[{ put: "app/web", value: "{" }, { put: "written", value: "" }],
      ]);
      const { rollouts, apps } = await registry.read();
      assert.match(rollouts!.get("web")?.unreadable ?? "", /progress\/web: it is not JSON/);
      assert.match(rollouts!.get("db")?.unreadable ?? "", /rollout\/db: it is not a JSON object/);
      assert.match(rollouts!.get("mq")?.unreadable ?? "", /progress\/mq is missing/);
      assert.match(apps!.get("web")?.unreadable ?? "", /app\/web: it is not JSON/);
      assert.deepEqual([rollouts!.get("web")?.status, rollouts!.get("ok")?.status], ["failed", "running"]);
      for (const app of ["web", "db", "mq"]) {
        const was = await latest(registry, app);
        await registry.startRollout(creation(app, { [`${app}.service`]: "b" }, { was }));
        assert.equal((await latest(registry, app)).unreadable, undefined, app);
      }
    },
  },
];

export const rolloutCases: readonly Case[] = [...startCases, ...stepCases, ...historyCases];
