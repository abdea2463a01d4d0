/**
 * Cases of the contract of {@link Registry}: what a member keeps in the store, and under which lease.
 *
 * @module
 */

import assert from "node:assert/strict";
import { ManualClock } from "../support/manual_clock.ts";
import type { Log } from "../../runtime/log.ts";
import { DuplicateMachineError, StoreUnavailableError } from "../../registry/mod.ts";
import type { Cluster } from "../../registry/model.ts";
import {
  between,
  type Case,
  countingWrites,
  keys,
  machine,
  state,
  statesOf,
  when,
  within,
} from "./registry_fixture.ts";
import { until } from "../lab/process.ts";

export const stateCases: readonly Case[] = [
  {
    name: "a record, a state or a lease that another program deletes is written again at once",
    async run({ open, openStore, signal }) {
      const registry = await open();
      const member = await registry.join(machine("m1"), undefined, signal);
      await member.publish(statesOf("m1", "a.service", "b.service"));
      const store = await openStore();
      const whole = (cluster: Cluster) =>
        cluster.machines.has("m1") && ["a.service", "b.service"].every((name) => cluster.states.get(name)?.has("m1"));
      const mended = async (what: string, damage: () => Promise<unknown>) => {
        const broken = when(registry.watch(signal), `${what} gone`, (cluster) => !whole(cluster));
        await damage();
        await broken;
        await when(registry.watch(signal), `${what} back`, whole);
      };
      await mended("the record", () => store.transact([], [{ delete: "machine/m1" }]));
      await mended("a state", () => store.transact([], [{ delete: "state/m1/b.service" }]));
      await mended("all of it", () => store.revoke(member.lease));
      // What the machine itself removes is not written again.
      await member.publish(statesOf("m1", "a.service"));
      assert.deepEqual(await keys(store, "state/"), ["state/m1/a.service"]);
    },
  },
  {
    name: "only states that changed are written, and what is no longer said is removed",
    async run({ open, openStore, signal }) {
      const writes: (readonly string[])[] = [];
      const registry = await open({ wrap: (store) => countingWrites(store, writes) });
      const member = await registry.join(machine("m1"), undefined, signal);
      await member.publish(statesOf("m1", "a.service", "b.service", "c.service"));
      writes.length = 0;
      await member.publish(
        new Map([...statesOf("m1", "a.service"), ["b.service", state("b.service", "m1", "failed")]]),
      );
      assert.deepEqual(writes, [["state/m1/b.service", "state/m1/c.service"]]);
      await member.publish(
        new Map([...statesOf("m1", "a.service"), ["b.service", state("b.service", "m1", "failed")]]),
      );
      assert.equal(writes.length, 1, "nothing changed, and yet something was written");
      assert.deepEqual(await keys(await openStore(), "state/"), ["state/m1/a.service", "state/m1/b.service"]);
    },
  },
  {
    name: "a machine that removes states or leaves does not delete those of other machines",
    async run({ open, openStore, signal }) {
      const [one, other] = [
        await (await open()).join(machine("m1"), undefined, signal),
        await (await open()).join(machine("m2"), undefined, signal),
      ];
      await Promise.all([
        one.publish(statesOf("m1", "a.service", "b.service")),
        other.publish(statesOf("m2", "a.service", "b.service")),
      ]);
      await one.publish(statesOf("m1", "b.service"));
      const store = await openStore();
      assert.deepEqual(await keys(store, "state/"), ["state/m1/b.service", "state/m2/a.service", "state/m2/b.service"]);
      await one.leave();
      assert.deepEqual(await keys(store, "state/"), ["state/m2/a.service", "state/m2/b.service"]);
    },
  },
  {
    name: "of states published during a write only the newest are written, and all publications resolve then",
    async run({ open, openStore, signal }) {
      const gate = Promise.withResolvers<void>();
      const held = Promise.withResolvers<void>();
      const writes: (readonly string[])[] = [];
      const registry = await open({
        wrap: (store) =>
          between(countingWrites(store, writes), {
            async transact(compares, ops) {
              writes.push(ops.map((op) => "put" in op ? op.put : op.delete));
              if (ops.some((op) => "put" in op && op.put === "state/m1/1.service")) {
                held.resolve();
                await gate.promise;
              }
              return await store.transact(compares, ops);
            },
          }),
      });
      const member = await registry.join(machine("m1"), undefined, signal);
      const first = member.publish(statesOf("m1", "1.service"));
      await within(held.promise, () => "the first write");
      const rest = [2, 3, 4, 5].map((count) => member.publish(statesOf("m1", `${count}.service`)));
      gate.resolve();
      await within(Promise.all([first, ...rest]), () => "all publications to resolve");
      assert.deepEqual(await keys(await openStore(), "state/"), ["state/m1/5.service"]);
      assert.ok(!writes.flat().includes("state/m1/3.service"));
    },
  },
  {
    name: "a thousand states are written in eight transactions",
    async run({ open, signal }) {
      const writes: (readonly string[])[] = [];
      const registry = await open({ wrap: (store) => countingWrites(store, writes) });
      const member = await registry.join(machine("m1"), undefined, signal);
      writes.length = 0;
      await member.publish(statesOf("m1", ...Array.from({ length: 1000 }, (_, count) => `${count}.service`)));
      assert.deepEqual(writes.map((keys) => keys.length), [128, 128, 128, 128, 128, 128, 128, 104]);
      assert.equal((await registry.read()).states.size, 1000);
    },
  },
  {
    name: "a second machine with the same ID is refused with the address of the first",
    async run({ open, signal }) {
      const [some, other] = [await open(), await open()];
      await some.join(machine("m1", { ip: "10.0.0.1" }), undefined, signal);
      const clone = machine("m1", { ip: "10.0.0.2", incarnation: "another" });
      await assert.rejects(
        other.join(clone, undefined, signal),
        (error) => error instanceof DuplicateMachineError && error.holder === "10.0.0.1",
      );
      assert.equal((await some.read()).machines.get("m1")?.ip, "10.0.0.1");
    },
  },
  {
    name: "a machine that has rebooted takes its record over at once, and its old states are gone",
    async run({ open, openStore, signal }) {
      const before = new AbortController();
      const old = await (await open()).join(machine("m1"), undefined, before.signal);
      await old.publish(statesOf("m1", "a.service"));
      before.abort();
      const registry = await open();
      const member = await registry.join(machine("m1", { incarnation: "second boot" }), undefined, signal);
      assert.notEqual(member.lease, old.lease);
      const store = await openStore();
      assert.deepEqual(await keys(store, "state/"), []);
      // The old lease holds nothing any more: its end takes nothing away.
      await store.revoke(old.lease);
      assert.deepEqual(await keys(store, "machine/"), ["machine/m1"]);
    },
  },
  {
    name: "a daemon that was restarted takes its lease and its states up again",
    async run({ open, openStore, signal }) {
      const before = new AbortController();
      const old = await (await open()).join(machine("m1"), undefined, before.signal);
      await old.publish(statesOf("m1", "a.service"));
      before.abort();
      const writes: (readonly string[])[] = [];
      const registry = await open({ wrap: (store) => countingWrites(store, writes) });
      const member = await registry.join(machine("m1"), old.lease, signal);
      assert.equal(member.lease, old.lease);
      await member.publish(statesOf("m1", "a.service"));
      assert.deepEqual(writes, [["machine/m1", "departed/m1"]], "only the record was written again");
      assert.deepEqual(await keys(await openStore(), "state/"), ["state/m1/a.service"]);
    },
  },
  {
    name:
      "a lease that has expired is replaced with everything that was bound to it, and the log names that cause alone",
    async run({ open, openStore, signal }) {
      const warnings: string[] = [];
      const log: Log = (level, message) => level === "warn" ? warnings.push(message) : undefined;
      const registry = await open({ agentTtl_s: 3, log });
      const member = await registry.join(machine("m1"), undefined, signal);
      await member.publish(statesOf("m1", "a.service", "b.service"));
      const [store, lost] = [await openStore(), member.lease];
      await store.revoke(lost);
      await when(
        registry.watch(signal),
        "machine and states under a new lease",
        (cluster) => member.lease !== lost && cluster.machines.has("m1") && cluster.states.size === 2,
      );
      // On a busy host a write may come too late and be tried again, which is logged as well.
      assert.deepEqual(warnings.filter((message) => message.includes("deleted")), [
        "this machine's lease has expired and its keys were deleted with it: writing them again under a new lease",
      ]);
    },
  },
  {
    name: "a machine record and unit states that were deleted or overwritten by hand are written again at once",
    async run({ open, openStore, signal }) {
      const warnings: string[] = [];
      const log: Log = (level, message, fields) =>
        level === "warn" ? warnings.push(`${message} ${fields?.["keys"]}`) : undefined;
      const registry = await open({ log });
      const member = await registry.join(machine("m1"), undefined, signal);
      await member.publish(statesOf("m1", "a.service", "b.service"));
      const [store, { lease }] = [await openStore(), member];
      const own = ["machine/m1", "state/m1/a.service", "state/m1/b.service"];
      const isWhole = async () => {
        const { ranges } = await store.read([{ prefix: "machine/" }, { prefix: "state/" }]);
        const kvs = ranges.flat();
        return kvs.map((kv) => kv.key).join() === own.join() && kvs.every((kv) => kv.lease === lease);
      };
      assert.ok(await isWhole());
      for (
        const ops of [
          ...own.map((key) => [{ delete: key }]),
          own.map((key) => ({ delete: key })),
          ...own.map((key) => [{ put: key, value: "by hand" }]),
        ]
      ) {
        const before = warnings.length;
        await store.transact([], ops);
        await until(`${JSON.stringify(ops)} to be undone`, isWhole);
        await until("a warning", () => warnings.length > before);
      }
      assert.equal(member.lease, lease);
      assert.ok(
        warnings.every((line) => line.startsWith("keys of this machine were deleted or overwritten")),
        `${warnings}`,
      );
      // What the daemon itself deletes, and keys of other machines, are none of these.
      const before = warnings.length;
      await member.publish(statesOf("m1", "b.service"));
      await member.publish(statesOf("m1", "b.service", "c.service"));
      await store.transact([], [{ put: "machine/m10", value: "by hand" }, { delete: "state/m10/a.service" }]);
      await member.publish(statesOf("m1", "c.service"));
      assert.deepEqual([await keys(store, "state/"), warnings.length], [["state/m1/c.service"], before]);
    },
  },
  {
    name: "the lock of a unit is bound to its assignment and to its machine's lease",
    async run({ open, openStore, signal }) {
      const store = await openStore();
      const assign = async (on: string, from: string) => {
        await store.transact([], [{ delete: `assign/${from}/a.service` }, {
          put: `assign/${on}/a.service`,
          value: "",
        }]);
        return (await store.read([{ key: `assign/${on}/a.service` }])).ranges[0]![0]!.modRevision;
      };
      const first = await (await open()).join(machine("m1"), undefined, signal);
      const second = await (await open()).join(machine("m2"), undefined, signal);
      const onFirst = await assign("m1", "m2");
      assert.deepEqual(await first.locks.take("a.service", onFirst - 1, first.lease), { kind: "outdated" });
      assert.deepEqual(await first.locks.take("a.service", onFirst, first.lease), { kind: "locked" });
      assert.deepEqual(
        await first.locks.take("a.service", onFirst, first.lease),
        { kind: "locked" },
        "it has it already",
      );
      assert.deepEqual(await first.locks.held(), ["a.service"]);
      const onSecond = await assign("m2", "m1");
      assert.deepEqual(await first.locks.take("a.service", onFirst, first.lease), { kind: "outdated" });
      const held = { kind: "held", machine: "m1" };
      assert.deepEqual(await second.locks.take("a.service", onSecond, second.lease), held);
      await second.locks.release("a.service");
      assert.deepEqual(await second.locks.take("a.service", onSecond, second.lease), held, "it was not its own");
      await first.locks.release("a.service");
      assert.deepEqual(await second.locks.take("a.service", onSecond, second.lease), { kind: "locked" });
      await store.revoke(second.lease);
      assert.deepEqual(await second.locks.held(), []);
    },
  },
  {
    name: "a lock that was taken for an earlier lease of the machine is taken over",
    async run({ open, openStore, signal }) {
      const store = await openStore();
      await store.transact([], [{ put: "assign/m1/a.service", value: "" }]);
      const revision = (await store.read([{ key: "assign/m1/a.service" }])).ranges[0]![0]!.modRevision;
      const member = await (await open()).join(machine("m1"), undefined, signal);
      const earlier = await store.grant(30);
      await member.locks.take("a.service", revision, earlier);
      assert.deepEqual(await member.locks.take("a.service", revision, member.lease), { kind: "locked" });
      await store.revoke(earlier);
      assert.deepEqual(await member.locks.held(), ["a.service"]);
    },
  },
  {
    name: "a lease is renewed as often as requested, and counts from the start of a call that succeeded",
    async run({ open, signal }) {
      const clock = new ManualClock();
      const held = Promise.withResolvers<void>();
      let hangs = false;
      const renewals: number[] = [];
      const registry = await open({
        clock,
        wrap: (store) =>
          between(store, {
            async renew(lease) {
              renewals.push(clock.monotonic_ms());
              if (hangs) await held.promise;
              return await store.renew(lease);
            },
          }),
      });
      const start_ms = clock.monotonic_ms();
      const member = await registry.join(machine("m1"), undefined, signal);
      assert.deepEqual([member.renewedAt_ms, member.ttl_ms], [start_ms, 30_000]);
      member.renewEvery(1_000);
      await until("the shorter interval to be used", () => {
        clock.advance(1_000);
        return Promise.resolve(renewals.length > 1);
      });
      hangs = true;
      const before = renewals.length;
      await until("a renewal to hang", () => {
        clock.advance(1_000);
        return Promise.resolve(renewals.length > before);
      });
      const begun_ms = renewals.at(-1)!;
      clock.advance(500);
      assert.ok(member.renewedAt_ms < begun_ms);
      held.resolve();
      await until("the renewal to count", () => member.renewedAt_ms === begun_ms);
    },
  },
  {
    name: "a machine whose states cannot be written for a while stays present",
    async run({ open, openStore, signal }) {
      let refuse = false;
      const renewed: number[] = [];
      const registry = await open({
        agentTtl_s: 2,
        wrap: (store) =>
          between(store, {
            transact: (compares, ops) =>
              refuse ? Promise.reject(new StoreUnavailableError("writes hang")) : store.transact(compares, ops),
            read: (ranges) => refuse ? Promise.reject(new StoreUnavailableError("reads hang")) : store.read(ranges),
            async renew(lease) {
              renewed.push(performance.now());
              return await store.renew(lease);
            },
          }),
      });
      const member = await registry.join(machine("m1"), undefined, signal);
      refuse = true;
      const since_ms = performance.now();
      const published = member.publish(statesOf("m1", "a.service"));
      await until(
        "the lease to be older than it lives",
        () => Promise.resolve(renewed.length > 0 && (renewed.at(-1) ?? 0) - since_ms > 3_000),
      );
      assert.deepEqual(await keys(await openStore(), "machine/"), ["machine/m1"]);
      refuse = false;
      await within(published, () => "the states to be written");
    },
  },
  {
    name: "a machine whose address changed says so under the same lease",
    async run({ open, signal }) {
      const registry = await open();
      const member = await registry.join(machine("m1", { ip: "10.0.0.1" }), undefined, signal);
      const lease = member.lease;
      await member.update(machine("m1", { ip: "10.0.0.2" }));
      await member.publish(statesOf("m1", "a.service"));
      const cluster = await registry.read();
      assert.deepEqual([cluster.machines.get("m1")?.ip, member.lease], ["10.0.0.2", lease]);
      assert.equal(cluster.states.size, 1);
    },
  },
];
