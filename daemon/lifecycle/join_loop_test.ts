import assert from "node:assert/strict";
import type { MachineRecord } from "../../registry/model.ts";
import type { Membership, Registry, StoreMemory } from "../../registry/mod.ts";
import { limitRepeats } from "../../runtime/log_repeats.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { type JoinState, runJoinLoop } from "./join_loop.ts";
import { Notifier } from "../../runtime/notifier.ts";

Deno.test("a daemon that leaves the cluster forgets its lease first, and never saves it again", async () => {
  const events: string[] = [];
  const record = (event: string) => Promise.resolve(void events.push(event));
  const store: StoreMemory = { id: "s", revision: 1 };
  const held = { lease: "7" };
  const membership = {
    get lease() {
      return held.lease;
    },
    leave() {
      held.lease = "";
      return record("left");
    },
  } as unknown as Membership;
  const stop = new AbortController();
  await runJoinLoop({
    registry: {
      open: () => Promise.resolve(store),
      join: () => Promise.resolve(membership),
      memory: store,
    } as unknown as Registry,
    state: {
      lease: () => Promise.resolve(undefined),
      saveLease: (lease) => record(`lease ${lease}`),
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
    guard: () => Promise.resolve(),
    wakeup: new Notifier(),
    status: () => {},
  }, stop.signal);
  assert.deepEqual(events, ["lease 7", "lease undefined", "left", "lease undefined"]);
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
  const running = runJoinLoop({
    registry: {} as Registry,
    state: {} as JoinState,
    clock,
    log,
    identify: () => {
      tries++;
      return Promise.reject(new Error("cannot write /run/fleet/incarnation: no space left"));
    },
    work: () => Promise.resolve(),
    guard: () => Promise.resolve(),
    wakeup: new Notifier(),
    status: () => {},
  }, stop.signal);
  while (tries < 20) {
    await ManualClock.settle();
    clock.advance(5_000);
  }
  const line = "cannot write /run/fleet/incarnation: no space left; trying again, units are left as they are";
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
  await runJoinLoop({
    registry: {
      open: () => Promise.resolve({ id: "s", revision: 1 }),
      join: () => Promise.resolve(membership as unknown as Membership),
      get memory() {
        return { id: "s", revision: revision.value };
      },
    } as unknown as Registry,
    state: {
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
    guard: () => Promise.resolve(),
    wakeup: new Notifier(),
    status: () => {},
  }, stop.signal);
  assert.deepEqual(lines.slice(1), [
    ...["error: no space left", "error: no space left", "error: no space left"],
    "info: the daemon's files can be written again",
  ]);
  assert.deepEqual(saved, ["7", "8"]);
});

Deno.test("a machine whose files cannot be written joins all the same, and saves them when they can be", async () => {
  const lines: string[] = [];
  const saved: unknown[] = [];
  const disk = { isFull: true };
  const stop = new AbortController();
  const save = (value: unknown) => {
    if (disk.isFull) return Promise.reject(new Error("no space left"));
    return Promise.resolve(void saved.push(value));
  };
  const memory: StoreMemory = { id: "s", revision: 1 };
  await runJoinLoop({
    registry: {
      open: () => Promise.resolve(memory),
      join: () => Promise.resolve({ lease: "7" } as unknown as Membership),
      memory,
    } as unknown as Registry,
    state: {
      lease: () => Promise.resolve(undefined),
      saveLease: save,
      store: () => Promise.resolve(undefined),
      saveStore: save,
    },
    clock: new ManualClock(),
    log: (level, message) => lines.push(`${level}: ${message}`),
    identify: () => Promise.resolve({ id: "m1", ip: "10.0.0.1" } as MachineRecord),
    async work(member) {
      disk.isFull = false;
      member.remember();
      await ManualClock.settle();
      stop.abort();
    },
    guard: () => Promise.resolve(),
    wakeup: new Notifier(),
    status: ({ ready, reason }) => {
      lines.push(ready ? "ready" : `not ready: ${reason}`);
      if (!ready) stop.abort(); // would be repeated forever
    },
  }, stop.signal);
  assert.deepEqual(lines, [
    ...["error: no space left", "error: no space left", "ready", "info: this machine has joined the cluster"],
    "info: the daemon's files can be written again",
  ]);
  assert.deepEqual(saved, [memory, "7"]);
});
