/**
 * Cases of the contract of {@link Systemd}: reloads, and the bus.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  anythingMayHaveChanged,
  exiter,
  failing,
  follow,
  install,
  refused,
  sleeper,
  start,
  states,
  status,
  stop,
  type SystemdCase,
  uninstall,
  wanted,
} from "./systemd_fixture.ts";

export const reloadCases: readonly SystemdCase[] = [
  {
    name: "a new file needs no reload; a replaced one needs one reload if the unit is in memory",
    async run(systemd, fixture) {
      const before = await fixture.reloads();
      assert.equal(await install(systemd, { "swap.service": sleeper, "twin.service": sleeper }), false);
      assert.equal(await install(systemd, { "swap.service": sleeper.replace("1000", "2000") }), false, "not loaded");
      assert.equal(await start(systemd, "swap.service"), "done");
      assert.equal(await start(systemd, "twin.service"), "done");
      assert.equal(await install(systemd, { "swap.service": sleeper.replace("1000", "2000") }), false, "same text");
      assert.equal(await fixture.reloads(), before);
      assert.equal(await install(systemd, { "swap.service": exiter, "twin.service": exiter }), true);
      assert.equal(await systemd.reloadIfNeeded(), false);
      assert.equal(await fixture.reloads(), before + 1);
      assert.equal((await status(systemd, "swap.service")).active, "active", "a reload stops nothing");
      assert.equal(await (await systemd.restart("swap.service")).done, "done");
      assert.equal(await states(systemd, "swap.service"), "loaded/active/exited", "the new text runs");
      await stop(systemd, "swap.service");
      await stop(systemd, "twin.service");
      await uninstall(systemd, "swap.service", "twin.service");
      assert.equal(await fixture.reloads(), before + 1);
    },
  },
  {
    name: "a unit that is uninstalled and at once installed with another text runs the new text",
    async run(systemd, fixture) {
      const before = await fixture.reloads();
      await install(systemd, { "phoenix.service": sleeper });
      await start(systemd, "phoenix.service");
      await stop(systemd, "phoenix.service");
      assert.deepEqual(await systemd.uninstall(new Set(["phoenix.service"])), new Map());
      assert.equal(await install(systemd, { "phoenix.service": exiter }), false);
      assert.equal(await start(systemd, "phoenix.service"), "done");
      assert.equal(await states(systemd, "phoenix.service"), "loaded/active/exited");
      assert.equal(await fixture.reloads(), before);

      assert.deepEqual(await systemd.uninstall(new Set(["phoenix.service"])), new Map(), "while it is active");
      assert.equal(await install(systemd, { "phoenix.service": sleeper }), true);
      assert.equal(await (await systemd.restart("phoenix.service")).done, "done");
      assert.equal(await states(systemd, "phoenix.service"), "loaded/active/running");
      await stop(systemd, "phoenix.service");
      await uninstall(systemd, "phoenix.service");
    },
  },
  {
    name: "the new text of a failed unit needs a reload, and then runs",
    async run(systemd) {
      await install(systemd, { "mend.service": failing });
      await start(systemd, "mend.service");
      assert.equal(await install(systemd, { "mend.service": sleeper }), true);
      assert.equal((await status(systemd, "mend.service")).active, "failed");
      assert.equal(await start(systemd, "mend.service"), "done");
      assert.equal(await states(systemd, "mend.service"), "loaded/active/running");
      await stop(systemd, "mend.service");
      await uninstall(systemd, "mend.service");
    },
  },
  {
    name: "a unit that another referred to before it had a file needs no reload",
    async run(systemd, fixture) {
      const before = await fixture.reloads();
      await install(systemd, { "needy.service": `[Unit]\nWants=later.service\n${sleeper}` });
      assert.equal(await start(systemd, "needy.service"), "done");
      assert.equal(await states(systemd, "later.service"), "not-found/inactive/dead");
      assert.equal(await install(systemd, { "later.service": sleeper }), false);
      assert.equal(await start(systemd, "later.service"), "done");
      assert.equal(await states(systemd, "later.service"), "loaded/active/running");
      assert.equal(await fixture.reloads(), before);
      await stop(systemd, "later.service");
      assert.equal(await install(systemd, { "later.service": exiter }), true, "stopped, but still referred to");
      assert.equal(await start(systemd, "later.service"), "done");
      assert.equal(await states(systemd, "later.service"), "loaded/active/exited");
      for (const name of ["needy.service", "later.service"]) await stop(systemd, name);
      assert.equal(await uninstall(systemd, "needy.service", "later.service"), false);
    },
  },
  {
    name: "a unit that is uninstalled while it runs needs a reload, and is not found after it has stopped",
    async run(systemd) {
      await install(systemd, { "orphan.service": sleeper });
      await start(systemd, "orphan.service");
      assert.equal(await uninstall(systemd, "orphan.service"), true);
      assert.equal((await status(systemd, "orphan.service")).active, "active", "nothing stops it");
      assert.equal(await stop(systemd, "orphan.service"), "done");
      assert.equal(await states(systemd, "orphan.service"), "not-found/inactive/dead");
    },
  },
  {
    name: "units with an [Install] section are enabled with one reload, and disabled when they are uninstalled",
    async run(systemd, fixture) {
      const before = await fixture.reloads();
      assert.equal(await install(systemd, { "en1.service": wanted, "en2.service": wanted }), true);
      assert.equal(await fixture.reloads(), before + 1);
      assert.ok(await fixture.isWantedBy("multi-user.target", "en1.service"));
      assert.equal(await install(systemd, { "en1.service": wanted }), false, "it is enabled already");
      assert.equal(await start(systemd, "en1.service"), "done");
      await stop(systemd, "en1.service");
      assert.equal(await states(systemd, "en1.service"), "loaded/inactive/dead");
      assert.equal(await uninstall(systemd, "en1.service", "en2.service"), true, "the target still refers to them");
      assert.equal(await fixture.isWantedBy("multi-user.target", "en1.service"), false);
      assert.equal(await states(systemd, "en1.service"), "not-found/inactive/dead");
    },
  },
  {
    name: "a reload that an earlier daemon missed is carried out",
    async run(systemd, fixture) {
      await install(systemd, { "undone.service": sleeper });
      await start(systemd, "undone.service");
      assert.deepEqual(await systemd.install(new Map([["undone.service", exiter]])), new Map());
      const next = fixture.open();
      try {
        assert.equal(await next.reloadIfNeeded(), true);
        assert.equal(await next.reloadIfNeeded(), false);
      } finally {
        await next.close();
      }
      await stop(systemd, "undone.service");
      await uninstall(systemd, "undone.service");
    },
  },
];

export const busCases: readonly SystemdCase[] = [
  {
    name: "a hundred starts are sent without waiting for each other",
    async run(systemd) {
      const names = Array.from({ length: 100 }, (_, index) => `many${index}.service`);
      await install(systemd, Object.fromEntries(names.map((name) => [name, sleeper])));
      const jobs = await Promise.all(names.map((name) => systemd.start(name)));
      const results = await Promise.all(jobs.map(({ done }) => done));
      assert.deepEqual(new Set(results), new Set(["done"]));
      const found = await systemd.statuses(new Set(names));
      assert.deepEqual([...found.keys()].sort(), [...names].sort());
      assert.deepEqual(new Set([...found.values()].map(({ active }) => active)), new Set(["active"]));
      assert.equal(new Set([...found.values()].map(({ invocation }) => invocation)).size, 100);
      const other = await Promise.all(
        (await Promise.all(names.map((name) => systemd.stop(name)))).map((job) => job.done),
      );
      assert.deepEqual(new Set(other), new Set(["done"]));
      await uninstall(systemd, ...names);
    },
  },
  {
    name: "changes are reported by name, coalesced for a slow reader, and end with the signal",
    async run(systemd) {
      await install(systemd, { "seen.service": sleeper, "seen2.service": sleeper });
      const end = new AbortController();
      const changes = systemd.watch(end.signal)[Symbol.asyncIterator]();
      const first = changes.next();
      for (const name of ["seen.service", "seen2.service"]) await start(systemd, name);
      for (const name of ["seen.service", "seen2.service"]) await stop(systemd, name);
      const reported = new Set<string>();
      for (const { value } of [await first, await changes.next()]) {
        for (const name of value?.units ?? []) reported.add(name);
      }
      assert.deepEqual([...reported].sort(), ["seen.service", "seen2.service"], "two changes hold everything");
      const idle = changes.next();
      end.abort();
      assert.deepEqual(await idle, { done: true, value: undefined });
      await uninstall(systemd, "seen.service", "seen2.service");
    },
  },
  {
    name: "a status is never older than an earlier command of another client",
    async run(systemd, fixture) {
      await install(systemd, { "shared.service": sleeper });
      const other = fixture.open();
      try {
        for (let round = 0; round < 5; round++) {
          const seen = follow(systemd, "shared.service", ({ active }) => active === "active");
          await start(other, "shared.service");
          const { invocation } = await seen;
          assert.equal(invocation, (await status(other, "shared.service")).invocation);
          const stopped = follow(systemd, "shared.service", ({ active }) => active === "inactive");
          await stop(other, "shared.service");
          await stopped;
        }
      } finally {
        await other.close();
      }
      await uninstall(systemd, "shared.service");
    },
  },
  {
    name: "a reload by another client is reported as a change of all units",
    async run(systemd, fixture) {
      await install(systemd, { "steady.service": sleeper });
      await start(systemd, "steady.service");
      const before = await status(systemd, "steady.service");
      const reported = anythingMayHaveChanged(systemd);
      const other = fixture.open();
      try {
        assert.equal(await install(other, { "steady.service": exiter }), true);
      } finally {
        await other.close();
      }
      await reported;
      assert.deepEqual(await status(systemd, "steady.service"), before);
      await stop(systemd, "steady.service");
      await uninstall(systemd, "steady.service");
    },
  },
  {
    name: "after a loss of the bus, pending jobs end, units keep running, and all operations work again",
    async run(systemd, fixture) {
      const slow =
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 1000\nTimeoutStartSec=infinity\n";
      await install(systemd, { "runs.service": sleeper, "slow.service": slow });
      await start(systemd, "runs.service");
      const before = await status(systemd, "runs.service");
      const job = await systemd.start("slow.service");
      await follow(systemd, "slow.service", ({ active }) => active === "activating");
      const back = anythingMayHaveChanged(systemd);
      await fixture.loseBus();
      assert.equal(await job.done, "unknown");
      const error = await refused(systemd.statuses(new Set(["runs.service"])));
      assert.equal(error.code, "unavailable");
      assert.equal((await refused(systemd.start("runs.service"))).code, "unavailable");
      assert.equal((await refused(systemd.install(new Map([["n.service", sleeper]])))).code, "unavailable");
      assert.equal((await systemd.files()).has("n.service"), false, "nothing was written");
      await fixture.restoreBus();
      await back;
      assert.deepEqual(await status(systemd, "runs.service"), before, "it has not been touched");
      const stopped = follow(systemd, "runs.service", ({ active }) => active === "inactive");
      assert.equal(await stop(systemd, "runs.service"), "done", "signals come again");
      await stopped;
      await stop(systemd, "slow.service");
      await uninstall(systemd, "runs.service", "slow.service");
    },
  },
  {
    name: "close ends all operations, and may be repeated",
    async run(_, fixture) {
      const systemd = fixture.open();
      await systemd.ready();
      await systemd.close();
      await systemd.close();
      assert.equal((await refused(systemd.ready())).code, "unavailable");
      assert.equal((await refused(systemd.start("x.service"))).code, "unavailable");
    },
  },
];
