import assert from "node:assert/strict";
import { systemClock } from "../../daemon/host/system_clock.ts";
import { ClusterRegistry } from "../cluster_registry.ts";
import { openSqliteStore } from "../store/sqlite.ts";

Deno.test("a watcher that leaves while the rate limiter holds back a view receives no further view", async () => {
  const leaves = new AbortController();
  const held = Promise.withResolvers<void>();
  const clock = {
    ...systemClock,
    /** Sleeps of the watch end only with the watch. */
    sleep: (duration_ms: number, signal?: AbortSignal) => {
      if (signal !== leaves.signal) return systemClock.sleep(duration_ms, signal);
      held.resolve();
      return new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    },
  };
  const store = await openSqliteStore({ path: ":memory:" });
  const writer = () => Promise.resolve("m1");
  const registry = new ClusterRegistry({ store, clock, log: () => {}, writer, agentTtl_s: 30, leaderTtl_s: 10 });
  try {
    await registry.open(undefined);
    let views = 0;
    const watching = (async () => {
      for await (const _view of registry.watch(leaves.signal)) views++;
    })();
    for (let count = 0, isHeld = false; !isHeld; count++) {
      await registry.commit({ kind: "metadata", machine: "m1", key: "count", value: `${count}` });
      isHeld = await Promise.race([held.promise.then(() => true), registry.read().then(() => false)]);
    }
    const before = views;
    leaves.abort("over");
    await watching;
    assert.equal(views, before);
  } finally {
    await registry.close();
    await store.close();
  }
});
