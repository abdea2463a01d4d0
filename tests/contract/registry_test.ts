/** The contract of {@link import("../../registry/mod.ts").Registry}, over each store. */

import { openEtcdStore } from "../../registry/store/etcd/store.ts";
import { openSqliteStore } from "../../registry/store/sqlite.ts";
import type { Store } from "../../registry/store/port.ts";
import { EtcdServer } from "../lab/etcd.ts";
import { contentCases } from "./content_cases.ts";
import { etcdCases, limitCases, requestTimeout_ms } from "./registry_etcd_cases.ts";
import { fenceCases } from "./registry_fence_cases.ts";
import { rolloutCases } from "./registry_rollout_cases.ts";
import { unreadableCases } from "./unreadable_cases.ts";
import { type Case, fixtureOver, type RegistryFixture } from "./registry_fixture.ts";
import { registryCases } from "./registry_suite.ts";

async function runAll<Fixture extends RegistryFixture>(
  test: Deno.TestContext,
  cases: readonly Case<Fixture>[],
  prepare: (index: number) => Promise<Fixture & { close(): Promise<void> }>,
): Promise<void> {
  for (const [index, each] of cases.entries()) {
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

Deno.test("a registry over the embedded store", (test) =>
  runAll(test, everywhere, () => {
    const store = openSqliteStore({ path: ":memory:" });
    const fixture = fixtureOver(() => Promise.resolve(shared(store)));
    return Promise.resolve({ ...fixture, close: () => fixture.close().finally(() => store.close()) });
  }));

/** Cases that hold on every store. */
const everywhere: readonly Case[] = [
  ...registryCases,
  ...contentCases,
  ...fenceCases,
  ...rolloutCases,
  ...unreadableCases,
];

/** A view of the process's one embedded store that does not close it: other daemons of the case use it as well. */
function shared(store: Store): Store {
  return {
    endpoints: store.endpoints,
    read: (ranges) => store.read(ranges),
    transact: (compares, ops) => store.transact(compares, ops),
    watch: (ranges, after, signal) => store.watch(ranges, after, signal),
    grant: (ttl_s) => store.grant(ttl_s),
    renew: (lease) => store.renew(lease),
    revoke: (lease) => store.revoke(lease),
    close: () => Promise.resolve(),
  };
}

// etcd3's connections outlive close() by a moment: their sockets are destroyed and their timers cleared later.
const outlived = { sanitizeOps: false, sanitizeResources: false };

Deno.test({
  name: "a registry over etcd",
  ...outlived,
  async fn(test) {
    await using etcd = await EtcdServer.start();
    const cases = [...everywhere, ...limitCases];
    await runAll(test, cases, (index) => Promise.resolve(over(etcd, `/case-${index}/`, 10_000)));
  },
});

Deno.test({
  name: "a registry over an etcd with outages",
  ...outlived,
  async fn(test) {
    await runAll(test, etcdCases, async () => {
      const etcd = await EtcdServer.start();
      const fixture = over(etcd, "/fleet", requestTimeout_ms);
      const close = () => fixture.close().finally(() => etcd[Symbol.asyncDispose]());
      return { ...fixture, etcd, close };
    });
  },
});

function over(etcd: EtcdServer, prefix: string, requestTimeout_ms: number): ReturnType<typeof fixtureOver> {
  return fixtureOver(() => openEtcdStore({ endpoints: [etcd.endpoint], prefix, requestTimeout_ms }));
}
