/** Runs the contract suite of {@link import("../../registry/store/port.ts").Store} against every implementation. */

import { openEtcdStore } from "../../registry/store/etcd/store.ts";
import { openSqliteStore } from "../../registry/store/sqlite.ts";
import type { Store } from "../../registry/store/port.ts";
import { EtcdServer } from "../lab/etcd.ts";
import { SimulatedEtcd } from "../sim/etcd.ts";
import { StoreClient } from "../sim/store_client.ts";
import type { StoreFixture } from "./store_fixture.ts";
import { storeCases } from "./store_suite.ts";

type Fixture = StoreFixture & { close(): Promise<void> };

async function runAll(test: Deno.TestContext, prepare: (index: number) => Promise<Fixture>): Promise<void> {
  for (const [index, each] of storeCases.entries()) {
    await test.step(each.name, async () => {
      const fixture = await prepare(index);
      try {
        await each.run(fixture);
      } finally {
        await fixture.close();
      }
    });
  }
}

/** Number of revisions that the SQLite stores of these tests keep as history. */
const remembered = 64;

function overSqlite(path: string): Fixture {
  const store = openSqliteStore({ path, history: { revisions: remembered, characters: 10_000_000 } });
  return {
    store,
    other: store,
    forgetHistory: () => overwrite(store),
    close: () => store.close(),
  };
}

async function overwrite(store: Store): Promise<void> {
  for (let i = 0; i <= remembered; i++) await store.transact([], [{ put: "overwritten", value: `${i}` }]);
}

Deno.test("a store in memory", (test) => runAll(test, () => Promise.resolve(overSqlite(":memory:"))));

Deno.test("a store in a file", async (test) => {
  const dir = await Deno.makeTempDir();
  try {
    await runAll(test, (index) => Promise.resolve(overSqlite(`${dir}/${index}.db`)));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

/** The store of the simulation, in real time and without faults. */
function overSimulation(): Fixture {
  const timers = new Set<ReturnType<typeof setTimeout>>();
  const timeline = {
    now_ms: () => performance.now(),
    after: (delay_ms: number, work: () => void) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        work();
      }, delay_ms);
      timers.add(timer);
      return () => {
        clearTimeout(timer);
        timers.delete(timer);
      };
    },
  };
  const etcd = new SimulatedEtcd(timeline);
  const process = { deliver: (work: () => void) => work(), onKill: () => {} };
  const arrive = (request: () => void) => request();
  const link = { delay_ms: () => 0, loses: () => false, arrive, applied: () => {} };
  const open = () => new StoreClient({ etcd, timeline, process, link, timeout_ms: 5_000 });
  return {
    store: open(),
    other: open(),
    forgetHistory: () => Promise.resolve(etcd.compact()),
    close: () => Promise.resolve(timers.forEach(clearTimeout)),
  };
}

Deno.test("a simulated store", (test) => runAll(test, () => Promise.resolve(overSimulation())));

Deno.test({
  name: "a store in etcd",
  // etcd3 destroys its sockets and clears its timers shortly after close() has returned.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(test) {
    await using etcd = await EtcdServer.start();
    await runAll(test, async (index) => {
      const open = () =>
        openEtcdStore({ endpoints: [etcd.endpoint], prefix: `/case-${index}/`, requestTimeout_ms: 5_000 });
      const [store, other] = [await open(), await open()];
      return {
        store,
        other,
        forgetHistory: async () => void await etcd.compact(),
        close: async () => {
          await store.close();
          await other.close();
        },
      };
    });
  },
});
