import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { joinCluster } from "./membership.ts";
import type { MachineRecord, UnitState } from "../model.ts";
import type { KeyValue, Op } from "../store/port.ts";
import type { StoreSession } from "../writes/session.ts";
import { aborted } from "../../runtime/on_abort.ts";

Deno.test("pending publications share one promise, and so do pending updates of the record", async () => {
  let answer = Promise.resolve({ succeeded: true, revision: 2 });
  const written: string[] = [];
  const session = {
    endpoints: "a store",
    read: () => Promise.resolve({ revision: 1, ranges: [[], []] }),
    grant: () => Promise.resolve("1"),
    renew: () => Promise.resolve(30),
    transact: (_compares: unknown, ops: readonly { readonly put?: string }[]) => {
      written.push(...ops.flatMap(({ put }) => put === undefined ? [] : [put.replace(/^.*\//, "")]));
      return answer;
    },
    // deno-lint-ignore require-yield
    async *watch(_ranges: unknown, _after: unknown, signal: AbortSignal) {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    },
  } as unknown as StoreSession;
  const stop = new AbortController();
  const machine = { id: "m1", ip: "10.0.0.1", incarnation: "i", staticMetadata: {} } as unknown as MachineRecord;
  const clock = new ManualClock();
  const member = await joinCluster({ session, clock, log: () => {}, ttl_s: 30 }, machine, undefined, stop.signal);
  const states = (...names: string[]) =>
    new Map(names.map((name) => [name, { unit: name, machine: "m1" } as UnitState] as const));
  const away = Promise.withResolvers<{ succeeded: boolean; revision: number }>();
  answer = away.promise;
  const first = member.publish(states("a.service"));
  const others = ["b.service", "c.service", "d.service"].map((name) => member.publish(states(name)));
  assert.ok(others.every((other) => other === first));
  const updates = ["10.0.0.2", "10.0.0.3"].map((ip) => member.update({ ...machine, ip }));
  assert.equal(updates[1], updates[0]);
  assert.notEqual(updates[0], first);
  answer = Promise.resolve({ succeeded: true, revision: 4 });
  away.resolve({ succeeded: true, revision: 3 });
  await first;
  await updates[0];
  assert.equal(written.at(-1), "d.service", "the newest states are in the store");
  const next = member.publish(states("e.service"));
  assert.notEqual(next, first);
  await next;
  stop.abort();
});

Deno.test("a record that is deleted while this machine's keys are read is written again", async () => {
  let record: KeyValue | undefined;
  let hold = Promise.resolve();
  let reads = 0;
  const deletions = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const session = {
    endpoints: "a store",
    read: () => {
      reads++;
      const snapshot = { revision: 1, ranges: [record ? [record] : [], []] };
      return hold.then(() => snapshot);
    },
    grant: () => Promise.resolve("1"),
    renew: () => Promise.resolve(30),
    transact: (_compares: unknown, [op]: readonly Op[]) => {
      if (op && "put" in op) record = { key: op.put, value: op.value, createRevision: 1, modRevision: 2, lease: "1" };
      return Promise.resolve({ succeeded: true, revision: 2 });
    },
    async *watch(_ranges: unknown, _after: unknown, signal: AbortSignal) {
      for (const deletion of deletions) {
        await deletion.promise;
        yield { revision: 3, events: [{ kind: "delete", key: "machine/m1", modRevision: 3 }] };
      }
      await aborted(signal);
    },
  } as unknown as StoreSession;
  const stop = new AbortController();
  const machine = { id: "m1", ip: "10.0.0.1", incarnation: "i", staticMetadata: {} } as unknown as MachineRecord;
  const clock = new ManualClock();
  await joinCluster({ session, clock, log: () => {}, ttl_s: 30 }, machine, undefined, stop.signal);
  await ManualClock.settle();

  const before = reads;
  const held = Promise.withResolvers<void>();
  hold = held.promise;
  deletions[0]!.resolve();
  await ManualClock.settle();
  assert.equal(reads, before + 1, "the read that finds the record is in flight");
  record = undefined;
  deletions[1]!.resolve();
  await ManualClock.settle();
  hold = Promise.resolve();
  held.resolve();
  await ManualClock.settle();
  assert.equal((record as KeyValue | undefined)?.key, "machine/m1");
  stop.abort();
});
