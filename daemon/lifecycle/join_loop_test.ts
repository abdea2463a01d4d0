import assert from "node:assert/strict";
import type { MachineRecord } from "../../registry/model.ts";
import type { Membership, Registry, StoreMemory } from "../../registry/mod.ts";
import { limitRepeats } from "../../runtime/log_repeats.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { type JoinMemory, live } from "./join_loop.ts";
import { Wakeup } from "../reconcile.ts";

Deno.test("who leaves forgets its lease first, and never remembers it again", async () => {
  const told: string[] = [];
  const tell = (what: string) => Promise.resolve(void told.push(what));
  const store: StoreMemory = { id: "s", revision: 1 };
  const held = { lease: "7" };
  const membership = {
    get lease() {
      return held.lease;
    },
    leave() {
      held.lease = "";
      return tell("left");
    },
  } as unknown as Membership;
  const stop = new AbortController();
  await live({
    registry: {
      open: () => Promise.resolve(store),
      join: () => Promise.resolve(membership),
      memory: store,
    } as unknown as Registry,
    memory: {
      lease: () => Promise.resolve(undefined),
      saveLease: (lease) => tell(`lease ${lease}`),
      store: () => Promise.resolve(undefined),
      saveStore: () => Promise.resolve(),
    },
    clock: new ManualClock(),
    log: () => {},
    identify: () => Promise.resolve({ id: "m1", ip: "10.0.0.1" } as MachineRecord),
    async work(member) {
      await member.leave();
      stop.abort();
    },
    wakeup: new Wakeup(),
    status: () => {},
  }, stop.signal);
  assert.deepEqual(told, ["lease 7", "lease undefined", "left", "lease undefined"]);
});

Deno.test("a machine that cannot join logs the cause once, and then after growing pauses", async () => {
  const lines: string[] = [];
  const clock = new ManualClock();
  const stop = new AbortController();
  let tries = 0;
  const { log } = limitRepeats(
    (level, message, fields) => lines.push(`${level} ${fields?.repeated}: ${message}`),
    clock,
  );
  const running = live({
    registry: {} as Registry,
    memory: {} as JoinMemory,
    clock,
    log,
    identify: () => {
      tries++;
      return Promise.reject(new Error("cannot write /run/fleet/incarnation: no space left"));
    },
    work: () => Promise.resolve(),
    wakeup: new Wakeup(),
    status: () => {},
  }, stop.signal);
  while (tries < 20) {
    await ManualClock.settle();
    clock.advance(5_000);
  }
  const line =
    "cannot write /run/fleet/incarnation: no space left; trying again until it works, units are left as they are";
  assert.deepEqual(lines, [`error undefined: ${line}`, `error 11: ${line}`]);
  stop.abort();
  await running;
});

Deno.test("the lease is saved again when the daemon's files can be written again", async () => {
  const lines: string[] = [];
  const saved: (string | undefined)[] = [];
  const disk = { isFull: false };
  const revision = { value: 1 };
  const membership = { lease: "7" };
  const stop = new AbortController();
  const write = () => {
    return disk.isFull ? Promise.reject(new Error("no space left")) : Promise.resolve();
  };
  await live({
    registry: {
      open: () => Promise.resolve({ id: "s", revision: 1 }),
      join: () => Promise.resolve(membership as unknown as Membership),
      get memory() {
        return { id: "s", revision: revision.value };
      },
    } as unknown as Registry,
    memory: {
      lease: () => Promise.resolve(undefined),
      saveLease: async (lease) => {
        await write();
        saved.push(lease);
      },
      store: () => Promise.resolve(undefined),
      saveStore: write,
    },
    clock: new ManualClock(),
    log: (level, message) => lines.push(`${level}: ${message}`),
    identify: () => Promise.resolve({ id: "m1", ip: "10.0.0.1" } as MachineRecord),
    async work(member) {
      disk.isFull = true;
      membership.lease = "8";
      for (let round = 0; round < 3; round++) {
        revision.value++;
        member.remember();
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      disk.isFull = false;
      member.remember();
      await new Promise((resolve) => setTimeout(resolve, 0));
      stop.abort();
    },
    wakeup: new Wakeup(),
    status: () => {},
  }, stop.signal);
  assert.deepEqual(lines.slice(1), [
    ...["error: no space left", "error: no space left", "error: no space left"],
    "info: the daemon's memory of store and lease can be written again",
  ]);
  assert.deepEqual(saved, ["7", "8"]);
});
