import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { joinCluster } from "./membership.ts";
import type { MachineRecord, UnitState } from "../model.ts";
import type { StoreSession } from "../writes/session.ts";

Deno.test("publications that a store has not taken yet wait together", async () => {
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
  answer = Promise.resolve({ succeeded: true, revision: 4 });
  away.resolve({ succeeded: true, revision: 3 });
  await first;
  assert.equal(written.at(-1), "d.service", "the newest is in the store");
  const next = member.publish(states("e.service"));
  assert.notEqual(next, first);
  await next;
  stop.abort();
});
