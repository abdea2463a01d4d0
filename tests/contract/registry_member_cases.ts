/**
 * Cases of the contract of {@link Registry}: members, cordons, moves, and waits after a mass loss.
 *
 * @module
 */

import assert from "node:assert/strict";
import { ConflictError, DeposedError } from "../../registry/mod.ts";
import { type Case, lead, machine, openLate, put, when } from "./registry_fixture.ts";
import { until } from "../lab/process.ts";

export const memberCases: readonly Case[] = [
  {
    name: "a machine is present from join to leave, with dynamic metadata over static",
    async run({ open, signal }) {
      const [some, other] = [await open(), await open()];
      const member = await some.join(
        machine("m1", { staticMetadata: { disk: "ssd", zone: "a", old: "x" } }),
        undefined,
        signal,
      );
      await other.commit({ kind: "metadata", machine: "m1", key: "zone", value: "b" });
      await other.commit({ kind: "metadata", machine: "m1", key: "old", value: "" });
      assert.deepEqual((await other.read()).machines.get("m1")?.metadata, { disk: "ssd", zone: "b" });
      await member.leave();
      await when(other.watch(signal), "the machine gone", (cluster) => cluster.machines.size === 0);
      assert.deepEqual((await other.read()).dynamicMetadata.get("m1"), { zone: "b", old: "" });
    },
  },
  {
    name: "a machine that leaves is marked as departed until it joins again, one whose lease ends is not",
    async run({ open, signal }) {
      const [some, other] = [await open(), await open()];
      const lifetime = new AbortController();
      const left = await some.join(machine("m1"), undefined, AbortSignal.any([signal, lifetime.signal]));
      await left.leave();
      await when(other.watch(signal), "the machine gone and marked", (cluster) => {
        assert.ok(!cluster.machines.has("m1") || !cluster.departed?.has("m1"), "never both");
        return cluster.departed?.has("m1") ?? false;
      });
      const again = await some.join(machine("m1"), undefined, signal);
      await when(other.watch(signal), "the machine back without its mark", (cluster) => {
        return cluster.machines.has("m1") && cluster.departed === undefined;
      });
      const late = await (await open()).join(machine("m2"), undefined, lifetime.signal);
      lifetime.abort("its daemon is killed");
      await assert.rejects(late.publish(new Map()));
      await again.leave();
      await when(
        other.watch(signal),
        "only the other machine marked",
        (cluster) => cluster.departed?.has("m1") ?? false,
      );
      assert.deepEqual([...(await other.read()).departed ?? []], [["m1", "stopped"]]);
    },
  },
  {
    name: "a cordon is kept for a machine that is absent, with its author and reason, until it is removed",
    async run({ open, openStore, signal }) {
      const [registry, other] = [await open(), await open()];
      const cordon = { changed: { by: "someone", at_ms: 5 }, why: "disk" };
      await registry.commit({ kind: "cordon", machine: "m1", cordon });
      const before = await other.read();
      assert.deepEqual({ ...before.cordons?.get("m1"), revision: 0 }, { ...cordon, revision: 0 });
      await other.join(machine("m1"), undefined, signal);
      const joined = await when(registry.watch(signal), "the machine", ({ machines }) => machines.has("m1"));
      assert.deepEqual(joined.machines.get("m1")?.cordon?.why, "disk");

      await (await openStore()).transact([], [{ put: "cordon/m1", value: "by hand" }]);
      const byHand = await when(
        registry.watch(signal),
        "a value that cannot be read",
        ({ machines }) => machines.get("m1")?.cordon?.changed === undefined,
      );
      assert.match(byHand.machines.get("m1")?.cordon?.why ?? "", /cannot read key cordon\/m1/);

      await registry.commit({ kind: "cordon", machine: "m1" });
      const after = await other.read();
      assert.deepEqual([after.cordons, after.machines.get("m1")?.cordon], [undefined, undefined]);
    },
  },
  {
    name: "a unit that moves has a second copy, which its new machine sees, until it is placed there",
    async run({ open, signal }) {
      const [registry, other] = [await open(), await open()];
      await registry.commit(put(await registry.unit("a.service"), "launched"));
      const leader = await lead(registry, "m1", signal);
      const unit = async () => (await registry.unit("a.service")).unit!;
      await leader.apply([{ kind: "place", unit: await unit(), machine: "m1", why: "first" }]);
      const target = async () => (await registry.unit("a.service")).target!;
      const prepare = async () =>
        ({ kind: "prepare", unit: await unit(), machine: "m2", from: await target(), why: "drained" }) as const;
      const assigned = (machine: string) => async (wanted: boolean) => {
        await when(
          other.watchMachine(machine, signal),
          `${machine} has it: ${wanted}`,
          ({ assignments }) => assignments.has("a.service") === wanted,
        );
      };
      const [m1, m2] = [assigned("m1"), assigned("m2")];
      const copies = async () => [...(await other.read()).successors?.keys() ?? []];

      const stale = await prepare();
      assert.deepEqual((await leader.apply([stale])).refused, []);
      assert.deepEqual((await leader.apply([stale])).refused, [stale], "the target has changed");
      await Promise.all([m1(true), m2(true)]);
      assert.deepEqual(await copies(), ["m2/a.service"]);
      assert.equal((await target()).successor, "m2");
      await leader.apply([{ kind: "place", unit: await unit(), machine: "m2", from: await target(), why: "moved" }]);
      await Promise.all([m1(false), m2(true)]);
      assert.deepEqual(await copies(), []);
      assert.equal((await target()).successor, undefined);

      // Every change of the unit ends its move in the same transaction.
      const back = async () => ({ ...await prepare(), machine: "m1" });
      await leader.apply([await back()]);
      await m1(true);
      const was = await registry.unit("a.service");
      await registry.commit({ kind: "put", was, desiredState: "launched", restart: true });
      await m1(false);
      assert.equal((await target()).successor, undefined);
      await leader.apply([await back()]);
      await leader.apply([{ kind: "abandon", unit: "a.service", from: await target(), why: "canceled" }]);
      assert.deepEqual([await copies(), (await target()).successor], [[], undefined]);
      await leader.apply([await back()]);
      const abandon = {
        kind: "abandon",
        unit: "a.service",
        from: await target(),
        why: "w",
        failedMove: "failed",
      } as const;
      await leader.apply([abandon]);
      assert.equal((await target()).failedMove, "failed");
      await leader.apply([await back()]);
      assert.equal((await target()).failedMove, undefined, "the next move begins without it");
      await registry.commit({ kind: "delete", was: await registry.unit("a.service") });
      await Promise.all([m1(false), m2(false)]);
      assert.deepEqual(await copies(), []);
    },
  },
  {
    name: "a second copy that no target names is withdrawn at the revision that was seen",
    async run({ open, openStore, signal }) {
      const registry = await open();
      const leader = await lead(registry, "m1", signal);
      const value = '{"format":1,"hash":"h","desiredState":"launched","restart":0}';
      await (await openStore()).transact([], [{ put: "successor/m2/a.service", value }]);
      const seen = await when(registry.watch(signal), "the copy", ({ successors }) => successors !== undefined);
      const { revision } = seen.successors!.get("m2/a.service")!;
      const step = { kind: "withdraw", unit: "a.service", machine: "m2" } as const;
      const outdated = { ...step, revision: revision + 1 };
      assert.deepEqual((await leader.apply([outdated])).refused, [outdated]);
      assert.deepEqual((await leader.apply([{ ...step, revision }])).refused, []);
      await until("no copy", async () => (await registry.read()).successors === undefined);
    },
  },
  {
    name:
      "a drain cordons its machine, goes on, and keeps global units away at its end; a second request sees the first",
    async run({ open, openStore, signal }) {
      const [registry, other] = [await open(), await open()];
      await registry.join(machine("m1"), undefined, signal);
      const drain = { changed: { by: "ann", at_ms: 5 }, maxParallel: 3, total: 2, status: "moving" } as const;
      const drains = [{ machine: "m1", isCordoned: false, drain }, { machine: "m2", isCordoned: true, drain }];
      await registry.commit({ kind: "drain", drains, cordon: { why: "disks" } });
      await assert.rejects(registry.commit({ kind: "drain", drains, cordon: {} }), ConflictError);
      const before = await other.read();
      assert.deepEqual([...before.cordons?.keys() ?? []], ["m1"]);
      assert.deepEqual([...before.drains?.keys() ?? []], ["m1", "m2"]);
      assert.deepEqual(before.machines.get("m1")?.stopsGlobals, undefined);

      const leader = await lead(registry, "m1", signal);
      const was = before.drains!.get("m1")!;
      await leader.apply([{ kind: "drained", drain: was, status: "stopping" }]);
      const stopping = await when(
        other.watch(signal),
        "no globals",
        ({ machines }) => machines.get("m1")?.stopsGlobals === true,
      );
      await when(other.watchMachine("m1", signal), "its agent knows", ({ stopsGlobals }) => stopsGlobals === true);
      assert.equal((await leader.apply([{ kind: "drained", drain: was, status: "done" }])).refused.length, 1, "stale");
      await registry.commit({ kind: "undrain", was: stopping.drains!.get("m1")!, keepsCordon: false });
      await when(other.watchMachine("m1", signal), "its agent knows", ({ stopsGlobals }) => stopsGlobals !== true);
      const after = await other.read();
      assert.deepEqual([after.cordons, [...after.drains?.keys() ?? []]], [undefined, ["m2"]]);

      await (await openStore()).transact([], [{ put: "drain/m1", value: "{" }]);
      const spoilt = await when(
        other.watch(signal),
        "a drain that cannot be read",
        ({ drains }) => drains?.has("m1") === true,
      );
      assert.match(spoilt.drains!.get("m1")!.unreadable ?? "", /cannot read key drain\/m1/);
      assert.ok(spoilt.machines.get("m1")?.cordon, "it counts as a cordon");
    },
  },
  {
    name: "a read waits for the progress of drains that its daemon has not seen yet",
    async run({ open, signal }) {
      const [registry, late] = [await open(), await openLate(open)];
      const drain = { changed: { by: "ann", at_ms: 5 }, maxParallel: 3, total: 2, status: "moving" } as const;
      await registry.commit({ kind: "drain", drains: [{ machine: "m1", isCordoned: false, drain }], cordon: {} });
      const was = (await late.registry.read()).drains!.get("m1")!;
      const leader = await lead(registry, "m1", signal);
      late.holdBack();
      await leader.apply([{ kind: "drained", drain: was, status: "done" }]);
      assert.equal((await late.registry.read()).drains!.get("m1")!.status, "done");
    },
  },
  {
    name: "requested moves are kept until they are made or canceled, and a second request sees the first",
    async run({ open, signal }) {
      const [registry, other] = [await open(), await open()];
      const moves = [{ unit: "a.service", from: "m1", to: "m2" }, { unit: "b.service", from: "m1", to: "m3" }];
      await registry.commit({ kind: "rebalance", rebalance: { changed: { by: "ann", at_ms: 5 }, moves } });
      await assert.rejects(registry.commit({ kind: "rebalance", rebalance: { moves } }), ConflictError);
      const { rebalance } = await other.read();
      assert.deepEqual(rebalance?.moves, moves);
      const leader = await lead(registry, "m1", signal);
      await leader.apply([{ kind: "rebalanced", was: rebalance!, moves: moves.slice(1) }]);
      const left = (await other.read()).rebalance!;
      assert.deepEqual([left.moves, left.changed?.by], [moves.slice(1), "ann"]);
      await leader.apply([{ kind: "rebalanced", was: left, moves: [] }]);
      assert.equal((await other.read()).rebalance, undefined);
    },
  },
  {
    name: "the store itself ends the wait after a mass loss, and machines that are back are not given up",
    async run({ open, signal }) {
      const [registry, other] = [await open(), await open()];
      await registry.join(machine("m1"), undefined, signal);
      const leader = await lead(registry, "m1", signal);
      const record = { machines: ["m1", "m2", "m3"], since_ms: 5, until_ms: 6 };
      assert.ok(await leader.recordLoss({ kind: "await", ...record, grace_s: 60 }));
      const { massLoss } = await when(other.watch(signal), "the wait", (cluster) => cluster.massLoss !== undefined);
      assert.deepEqual({ ...massLoss, revision: 0 }, { ...record, isOver: false, revision: 0 });
      await leader.recordLoss({ kind: "await", ...record, machines: ["m1", "m2", "m3", "m4"] });
      await when(other.watch(signal), "one more machine in the same wait", ({ massLoss }) => {
        return massLoss?.machines.length === 4 && !massLoss.isOver;
      });
      await leader.recordLoss({ kind: "await", ...record, grace_s: 1 });
      await when(other.watch(signal), "the end of the wait", ({ massLoss }) => massLoss?.isOver ?? false);

      assert.equal(await leader.recordLoss({ kind: "give up", machines: ["m1", "m2"] }), undefined, "m1 is present");
      assert.ok((await other.read()).massLoss, "nothing has ended");
      assert.ok(await leader.recordLoss({ kind: "give up", machines: ["m2", "m3"] }));
      const after = await when(other.watch(signal), "the machines given up", ({ massLoss }) => massLoss === undefined);
      assert.deepEqual([...after.departed ?? []], [["m2", "lost"], ["m3", "lost"]]);
      await other.join(machine("m2"), undefined, signal);
      await when(other.watch(signal), "a machine that is back", ({ departed }) => departed?.has("m2") === false);
    },
  },
  {
    name: "an operator ends the wait after a mass loss, a deposed leader changes nothing about it",
    async run({ open, openStore, signal }) {
      const registry = await open();
      const leader = await lead(registry, "m1", signal);
      await leader.recordLoss({ kind: "await", machines: ["m2", "m3"], since_ms: 5, until_ms: 6, grace_s: 60 });
      const { massLoss } = await when(registry.watch(signal), "the wait", (cluster) => cluster.massLoss !== undefined);
      await registry.commit({ kind: "accept loss", was: massLoss! });
      assert.equal((await registry.read()).massLoss?.isOver, true);
      await assert.rejects(registry.commit({ kind: "accept loss", was: { ...massLoss!, revision: 1 } }), ConflictError);
      await (await openStore()).transact([], [{ delete: "leader" }]);
      const refused = await leader.recordLoss({ kind: "resume" }).catch((error) => error instanceof DeposedError);
      assert.ok(refused === undefined || refused === true);
      assert.ok((await registry.read()).massLoss);
    },
  },
];
