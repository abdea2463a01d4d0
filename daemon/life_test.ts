import assert from "node:assert/strict";
import type { MachineRecord } from "../registry/model.ts";
import type { Membership, Registry, StoreMemory } from "../registry/mod.ts";
import { ManualClock } from "../tests/manual_clock.ts";
import { live } from "./life.ts";
import { Bell } from "./reconcile.ts";

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
    bell: new Bell(),
    status: () => {},
  }, stop.signal);
  assert.deepEqual(told, ["lease 7", "lease undefined", "left", "lease undefined"]);
});
