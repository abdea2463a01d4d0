/**
 * Cases of the contract of {@link Systemd}: the life of a unit, and what is refused.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  exiter,
  failing,
  follow,
  install,
  noSuchUnit,
  refused,
  sleeper,
  start,
  states,
  status,
  stop,
  type SystemdCase,
  uninstall,
} from "./systemd_fixture.ts";

export const lifeCases: readonly SystemdCase[] = [
  {
    name: "an installed file is listed until it is uninstalled",
    async run(systemd) {
      await install(systemd, { "one.service": sleeper, "two.service": exiter });
      const files = await systemd.files();
      assert.equal(files.get("one.service"), sleeper);
      assert.equal(files.get("two.service"), exiter);
      assert.equal(await states(systemd, "one.service"), "loaded/inactive/dead");
      assert.equal(await uninstall(systemd, "one.service", "two.service"), false);
      assert.deepEqual([...(await systemd.files()).keys()], []);
      assert.equal(await states(systemd, "one.service"), "not-found/inactive/dead");
    },
  },
  {
    name: "files that are not units are not listed",
    async run(systemd, fixture) {
      await fixture.writeFile("kept.service", sleeper);
      await fixture.writeFile("notes.txt", "mine");
      assert.deepEqual([...await systemd.files()], [["kept.service", sleeper]]);
      await uninstall(systemd, "kept.service");
      assert.deepEqual([...await systemd.files()], []);
      assert.ok(await fixture.hasFile("notes.txt"), "it is left alone");
    },
  },
  {
    name: "a started unit is active with a new invocation, a stopped one is inactive",
    async run(systemd) {
      assert.equal(await install(systemd, { "life.service": sleeper }), false);
      assert.equal((await status(systemd, "life.service")).invocation, "");
      assert.equal(await start(systemd, "life.service"), "done");
      const first = await status(systemd, "life.service");
      assert.equal(`${first.load}/${first.active}/${first.sub}/${first.result}`, "loaded/active/running/success");
      assert.match(first.invocation, /^[0-9a-f]{32}$/);
      assert.ok(first.since_ms > 0);
      assert.equal(await (await systemd.restart("life.service")).done, "done");
      const second = await status(systemd, "life.service");
      assert.equal(second.active, "active");
      assert.match(second.invocation, /^[0-9a-f]{32}$/);
      assert.notEqual(second.invocation, first.invocation);
      assert.equal(await start(systemd, "life.service"), "done");
      assert.equal((await status(systemd, "life.service")).invocation, second.invocation, "it was active already");
      assert.equal(await stop(systemd, "life.service"), "done");
      assert.equal(await states(systemd, "life.service"), "loaded/inactive/dead");
      assert.equal(await uninstall(systemd, "life.service"), false);
    },
  },
  {
    name: "a killed unit has failed, and a kill of a unit without processes succeeds",
    async run(systemd) {
      await install(systemd, { "doomed.service": sleeper });
      await start(systemd, "doomed.service");
      await systemd.kill("doomed.service");
      const killed = await follow(systemd, "doomed.service", ({ active }) => active === "failed");
      assert.equal(killed.result, "signal");
      await systemd.kill("doomed.service");
      await systemd.kill("nosuch.service");
      await uninstall(systemd, "doomed.service");
    },
  },
  {
    name: "a restart starts a stopped unit",
    async run(systemd) {
      await install(systemd, { "again.service": sleeper });
      assert.equal(await (await systemd.restart("again.service")).done, "done");
      assert.equal(await states(systemd, "again.service"), "loaded/active/running");
      await stop(systemd, "again.service");
      await uninstall(systemd, "again.service");
    },
  },
  {
    name: "a oneshot ends inactive, or stays active with RemainAfterExit",
    async run(systemd) {
      await install(systemd, { "shot.service": exiter.replace("RemainAfterExit=yes\n", ""), "stays.service": exiter });
      assert.equal(await start(systemd, "shot.service"), "done");
      assert.equal(await start(systemd, "stays.service"), "done");
      assert.equal(await states(systemd, "shot.service"), "loaded/inactive/dead");
      assert.equal(await states(systemd, "stays.service"), "loaded/active/exited");
      assert.equal((await status(systemd, "shot.service")).result, "success");
      await stop(systemd, "stays.service");
      await uninstall(systemd, "shot.service", "stays.service");
    },
  },
  {
    name: "a failed unit has a result until it is uninstalled",
    async run(systemd) {
      await install(systemd, { "bad.service": failing });
      assert.equal(await start(systemd, "bad.service"), "failed");
      const failed = await status(systemd, "bad.service");
      assert.equal(`${failed.active}/${failed.sub}/${failed.result}`, "failed/failed/exit-code");
      assert.equal(await stop(systemd, "bad.service"), "done", "it is stopped already");
      assert.equal((await status(systemd, "bad.service")).active, "failed");
      assert.equal(await uninstall(systemd, "bad.service"), false, "its failure is forgotten, so it is gone");
      assert.equal(await states(systemd, "bad.service"), "not-found/inactive/dead");
      await install(systemd, { "bad.service": failing });
      assert.equal(await states(systemd, "bad.service"), "loaded/inactive/dead");
      assert.equal((await status(systemd, "bad.service")).result, "success");
      await uninstall(systemd, "bad.service");
    },
  },
  {
    name: "a failure after a successful start is reported",
    async run(systemd) {
      await install(systemd, { "late.service": "[Service]\nExecStart=/bin/false\n" });
      assert.equal(await start(systemd, "late.service"), "done");
      const failed = await follow(systemd, "late.service", ({ active }) => active === "failed");
      assert.equal(failed.result, "exit-code");
      await uninstall(systemd, "late.service");
    },
  },
  {
    name: "socket, timer, path and target units are started and stopped",
    async run(systemd) {
      const files = {
        "t.service": sleeper,
        "t.socket": "[Socket]\nListenStream=/run/t-test.sock\n",
        "t.timer": "[Timer]\nOnActiveSec=1h\n",
        "t.path": "[Path]\nPathExists=/nonexistent/t\n",
        "t.target": "[Unit]\nDescription=t\n",
      };
      await install(systemd, files);
      const units = ["t.socket", "t.timer", "t.path", "t.target"];
      for (const name of units) assert.equal(await start(systemd, name), "done", name);
      const found = await systemd.statuses(new Set(units));
      assert.deepEqual(units.map((name) => `${found.get(name)?.active}/${found.get(name)?.sub}`), [
        "active/listening",
        "active/waiting",
        "active/waiting",
        "active/active",
      ]);
      assert.deepEqual([...found.values()].map(({ result }) => result), Array(4).fill("success"));
      for (const name of units) assert.equal(await stop(systemd, name), "done", name);
      assert.equal(await uninstall(systemd, ...Object.keys(files)), false);
    },
  },
  {
    name: "units whose names need escaping, and instances, are started and stopped",
    async run(systemd) {
      const names = ["a-b@x.y.service", "a-b@z.service", "foo\\x2dbar.service", "9lives:_.service"];
      await install(systemd, Object.fromEntries(names.map((name) => [name, sleeper])));
      assert.deepEqual([...(await systemd.files()).keys()].sort(), [...names].sort());
      for (const name of names) {
        assert.equal(await start(systemd, name), "done");
        assert.equal(await states(systemd, name), "loaded/active/running");
      }
      await stop(systemd, "a-b@x.y.service");
      await uninstall(systemd, "a-b@x.y.service");
      assert.equal(await states(systemd, "a-b@z.service"), "loaded/active/running", "another instance is left alone");
      for (const name of names.slice(1)) {
        const gone = follow(systemd, name, ({ active }) => active === "inactive");
        assert.equal(await stop(systemd, name), "done");
        await gone;
      }
      await uninstall(systemd, ...names.slice(1));
    },
  },
];

export const refusalCases: readonly SystemdCase[] = [
  {
    name: "the start of a missing unit is refused with its name, and its stop succeeds at once",
    async run(systemd) {
      for (const command of [systemd.start("missing.service"), systemd.restart("missing.service")]) {
        const error = await refused(command);
        assert.equal(error.code, noSuchUnit);
        assert.match(error.message, /missing\.service/);
      }
      assert.equal(await stop(systemd, "missing.service"), "done");
      assert.deepEqual(await systemd.uninstall(new Set(["missing.service"])), new Map());
      assert.equal(await states(systemd, "missing.service"), "not-found/inactive/dead");
      assert.equal(await systemd.reloadIfNeeded(), false);
    },
  },
  {
    name: "a template has a status, but cannot be started",
    async run(systemd) {
      await install(systemd, { "tpl@.service": sleeper, "tpl@1.service": sleeper });
      const found = await systemd.statuses(new Set(["tpl@.service", "tpl@1.service"]));
      assert.equal(found.get("tpl@.service")?.active, "inactive");
      assert.equal(found.get("tpl@1.service")?.load, "loaded");
      assert.match((await refused(systemd.start("tpl@.service"))).message, /tpl@\.service/);
      await uninstall(systemd, "tpl@.service", "tpl@1.service");
    },
  },
  {
    name: "a file that systemd cannot use has another load state",
    async run(systemd) {
      await install(systemd, { "wrong.service": "[Service]\nUser=root\n", "right.service": sleeper });
      const error = await refused(systemd.start("wrong.service"));
      assert.equal(error.code, "org.freedesktop.systemd1.BadUnitSetting");
      assert.match(error.message, /"wrong\.service"/);
      assert.equal(await states(systemd, "wrong.service"), "bad-setting/inactive/dead");
      assert.equal(await start(systemd, "right.service"), "done");
      await stop(systemd, "right.service");
      await uninstall(systemd, "wrong.service", "right.service");
    },
  },
  {
    name: "a unit that cannot be installed does not delay others",
    async run(systemd) {
      const files = {
        "fine.service": sleeper,
        "no type": sleeper,
        "nothing.service": `${sleeper}\n[Install]\nDefaultInstance=x\n`,
      };
      const failures = await systemd.install(new Map(Object.entries(files)));
      assert.deepEqual([...failures.keys()].sort(), ["no type", "nothing.service"]);
      assert.match(failures.get("no type")?.message ?? "", /^cannot install "no type": [^;]*$/);
      assert.match(failures.get("nothing.service")?.message ?? "", /^Failed to enable systemd unit nothing\.service: /);
      assert.deepEqual([...(await systemd.files()).keys()], ["fine.service"]);
      assert.equal((await refused(systemd.start("nothing.service"))).code, noSuchUnit);
      assert.equal(await start(systemd, "fine.service"), "done");
      await stop(systemd, "fine.service");
      await uninstall(systemd, "fine.service");
    },
  },
];
