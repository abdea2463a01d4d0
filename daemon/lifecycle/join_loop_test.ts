import assert from "node:assert/strict";
import type { MachineRecord } from "../../registry/model.ts";
import type { Membership, Registry, StoreMemory } from "../../registry/mod.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { live } from "./join_loop.ts";
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

Deno.test("a memory that cannot be written is logged once, and the lease is saved again when it can be", async () => {
  const lines: string[] = [];
  const saved: (string | undefined)[] = [];
  const disk = { isFull: false };
  const revision = { value: 1 };
  const membership = { lease: "7" };
  const stop = new AbortController();
  const write = (number: number) => {
    return disk.isFull ? Promise.reject(new Error(`cannot write draft ${number}: no space left`)) : Promise.resolve();
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
        await write(0);
        saved.push(lease);
      },
      store: () => Promise.resolve(undefined),
      saveStore: () => write(revision.value),
    },
    clock: new ManualClock(),
    log: (level, message) => level === "error" && lines.push(message),
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
      stop.abort();
    },
    wakeup: new Wakeup(),
    status: () => {},
  }, stop.signal);
  assert.equal(lines.length, 1, lines.join("\n"));
  assert.deepEqual(saved, ["7", "8"]);
});
