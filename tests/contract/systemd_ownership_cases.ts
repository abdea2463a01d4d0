/**
 * Cases of the contract of {@link Systemd}: which files are whose, and commands beside units.
 *
 * @module
 */

import assert from "node:assert/strict";
import { isPermanent, nameTaken, templateMissing } from "../../systemd/port.ts";
import {
  exiter,
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

export const ownershipCases: readonly SystemdCase[] = [
  {
    name: "a name of another unit on the machine is refused with that unit's file, and no file is left",
    async run(systemd, fixture) {
      await fixture.writeAdminFile("taken.service", exiter);
      await fixture.systemctl("start", "taken.service");
      const failures = await systemd.install(new Map([["taken.service", sleeper], ["free.service", sleeper]]));
      assert.deepEqual([...failures.keys()], ["taken.service"]);
      const refusal = failures.get("taken.service")!;
      assert.equal(refusal.code, nameTaken);
      assert.ok(isPermanent(refusal));
      assert.match(refusal.message, /"taken\.service".*\/etc\/systemd\/system\/taken\.service/);
      assert.deepEqual([await fixture.hasFile("taken.service"), await fixture.hasLink("taken.service")], [
        false,
        false,
      ]);
      assert.ok(await fixture.isActive("taken.service"));
      await fixture.systemctl("stop", "taken.service");
      await fixture.removeAdminFile("taken.service");
      await install(systemd, { "taken.service": sleeper });
      assert.equal(await start(systemd, "taken.service"), "done");
      await stop(systemd, "taken.service");
      await uninstall(systemd, "taken.service", "free.service");
    },
  },
  {
    name: "a masked name is refused, and no file is left",
    async run(systemd, fixture) {
      await fixture.writeAdminFile("masked.service", undefined);
      const failures = await systemd.install(new Map([["masked.service", sleeper]]));
      assert.match(failures.get("masked.service")!.message, /masked on this machine: systemctl unmask masked\.service/);
      assert.ok(isPermanent(failures.get("masked.service")));
      assert.deepEqual([await fixture.hasFile("masked.service"), await fixture.hasLink("masked.service")], [
        false,
        false,
      ]);
      await fixture.removeAdminFile("masked.service");
      await install(systemd, { "masked.service": sleeper });
      await uninstall(systemd, "masked.service");
    },
  },
  {
    name:
      "a unit file of an administrator that comes later: its unit is neither reported, started nor stopped as fleet's",
    async run(systemd, fixture) {
      await install(systemd, { "later.service": sleeper });
      await fixture.writeAdminFile("later.service", exiter);
      await fixture.systemctl("start", "later.service");
      assert.equal((await refused(systemd.start("later.service"))).code, nameTaken);
      assert.equal(await stop(systemd, "later.service"), "done");
      assert.ok(await fixture.isActive("later.service"), "the other unit was stopped");
      const refusals = await systemd.check();
      assert.deepEqual([...refusals.values()].map(({ code }) => code), [nameTaken]);
      assert.equal(await states(systemd, "later.service"), "not-found/inactive/dead");
      await fixture.systemctl("stop", "later.service");
      await fixture.removeAdminFile("later.service");
      assert.deepEqual(await systemd.check(), new Map());
      assert.equal(await start(systemd, "later.service"), "done");
      assert.equal(await states(systemd, "later.service"), "loaded/active/running");
      await stop(systemd, "later.service");
      await uninstall(systemd, "later.service");
    },
  },
  {
    name: "names that fleet depends on, and names that systemd ignores, are refused, and no file is left",
    async run(systemd, fixture) {
      const slice = "[Slice]\nMemoryHigh=100M\n";
      const files = new Map([["system.slice", slice], ["user.slice", slice], [".hidden.service", sleeper]]);
      const failures = await systemd.install(files);
      assert.deepEqual([...failures.keys()].sort(), [...files.keys()].sort());
      for (const [name, failure] of failures) {
        assert.match(failure.message, /^cannot install ".*": a unit of the name ".*" cannot be run: /);
        assert.ok(isPermanent(failure), name);
        assert.deepEqual([await fixture.hasFile(name), await fixture.hasLink(name)], [false, false], name);
      }
    },
  },
  {
    name: "an Alias= of another unit's name is refused, and no file is left",
    async run(systemd, fixture) {
      await fixture.writeAdminFile("taken.service", exiter);
      for (const alias of ["taken.service", "dbus.service", "%p.service fleet.service"]) {
        const claims = `${sleeper}[Install]\nWantedBy=multi-user.target\nAlias=${alias}\n`;
        const refusal = (await systemd.install(new Map([["claims.service", claims]]))).get("claims.service")!;
        assert.equal(refusal.code, nameTaken, alias);
        assert.match(
          refusal.message,
          /^cannot install "claims\.service": its Alias=(taken|dbus|fleet)\.service is refused: /,
        );
        assert.equal(await fixture.hasFile("claims.service"), false);
        assert.equal(await fixture.hasLink("dbus.service"), false);
      }
      await fixture.removeAdminFile("taken.service");
    },
  },
  {
    name: "one unit's Alias= and another unit's name exclude each other: the first one stays",
    async run(systemd, fixture) {
      const alias = `${sleeper}[Install]\nAlias=second.service\n`;
      await install(systemd, { "first.service": alias });
      assert.ok(await fixture.hasLink("second.service"));
      assert.deepEqual(await systemd.check(), new Map());
      assert.equal(await start(systemd, "first.service"), "done");
      const second = new Map([["second.service", exiter]]);
      assert.equal((await systemd.install(second)).get("second.service")!.code, nameTaken);
      assert.equal(await stop(systemd, "first.service"), "done");
      await uninstall(systemd, "first.service");
      assert.equal(await fixture.hasLink("second.service"), false);
      await install(systemd, { "second.service": exiter });
      const refusal = (await systemd.install(new Map([["first.service", alias]]))).get("first.service")!;
      assert.match(
        refusal.message,
        /its Alias=second\.service is refused: a unit of fleet on this machine has that name/,
      );
      assert.equal(await start(systemd, "second.service"), "done");
      assert.equal(await states(systemd, "second.service"), "loaded/active/exited");
      await stop(systemd, "second.service");
      await uninstall(systemd, "second.service");
    },
  },
  {
    name: "an instance's own file takes precedence over the machine's template, unless the machine runs the instance",
    async run(systemd, fixture) {
      await fixture.writeAdminFile("made@.service", exiter);
      await install(systemd, { "made@1.service": sleeper });
      assert.equal(await start(systemd, "made@1.service"), "done");
      assert.equal(await states(systemd, "made@1.service"), "loaded/active/running");
      assert.equal(await stop(systemd, "made@1.service"), "done");
      await fixture.removeLink("made@1.service");
      assert.equal(await start(systemd, "made@1.service"), "done", "its link is made again");
      assert.equal(await states(systemd, "made@1.service"), "loaded/active/running");
      assert.deepEqual(await systemd.check(), new Map());
      await stop(systemd, "made@1.service");
      await uninstall(systemd, "made@1.service");

      await fixture.systemctl("start", "made@2.service");
      const refusal = (await systemd.install(new Map([["made@2.service", sleeper]]))).get("made@2.service")!;
      assert.match(refusal.message, /systemd uses \/etc\/systemd\/system\/made@\.service for "made@2\.service"/);
      assert.ok(await fixture.isActive("made@2.service"), "the machine's own instance was touched");
      await fixture.systemctl("stop", "made@2.service");
      await fixture.removeAdminFile("made@.service");
    },
  },
  {
    name: "a file that an administrator removed can be installed again while its unit runs",
    async run(systemd, fixture) {
      await install(systemd, { "bare.service": wanted });
      assert.equal(await start(systemd, "bare.service"), "done");
      const { invocation } = await status(systemd, "bare.service");
      await fixture.removeFile("bare.service");
      await install(systemd, { "bare.service": wanted });
      assert.equal((await status(systemd, "bare.service")).invocation, invocation);
      assert.deepEqual(await systemd.check(), new Map());
      await fixture.removeFile("bare.service");
      assert.equal(await stop(systemd, "bare.service"), "done");
      await uninstall(systemd, "bare.service");
      assert.equal(await fixture.hasLink("bare.service"), false);
      assert.equal(await fixture.isWantedBy("multi-user.target", "bare.service"), false);
    },
  },
  {
    name: "a lost link is made again by a start, and by a check",
    async run(systemd, fixture) {
      await install(systemd, { "lost.service": sleeper });
      await fixture.removeLink("lost.service");
      assert.equal(await start(systemd, "lost.service"), "done");
      await stop(systemd, "lost.service");
      await fixture.removeLink("lost.service");
      assert.deepEqual(await systemd.check(), new Map());
      assert.ok(await fixture.hasLink("lost.service"));
      await uninstall(systemd, "lost.service");
      assert.equal(await fixture.hasLink("lost.service"), false);
    },
  },
  {
    name: "a lost enablement is made again by a check",
    async run(systemd, fixture) {
      await install(systemd, { "enabled.service": wanted });
      await fixture.removeWants("multi-user.target", "enabled.service");
      assert.deepEqual(await systemd.check(), new Map());
      assert.ok(await fixture.isWantedBy("multi-user.target", "enabled.service"));
      await uninstall(systemd, "enabled.service");
    },
  },
  {
    name: "a link that cannot be made is the failure of its unit alone",
    async run(systemd, fixture) {
      await install(systemd, { "blocked.service": sleeper, "neighbor.service": sleeper });
      await fixture.removeLink("blocked.service");
      await fixture.removeLink("neighbor.service");
      await fixture.blockLink("blocked.service", true);
      const failures = await systemd.check();
      assert.deepEqual([...failures.keys()], ["blocked.service"]);
      assert.match(failures.get("blocked.service")!.message, /cannot link "blocked\.service".*already exists/);
      assert.ok(await fixture.hasLink("neighbor.service"));
      await assert.rejects(systemd.start("blocked.service"), /cannot start "blocked\.service".*already exists/);
      assert.equal(await start(systemd, "neighbor.service"), "done");
      await fixture.blockLink("blocked.service", false);
      assert.deepEqual(await systemd.check(), new Map());
      assert.equal(await start(systemd, "blocked.service"), "done");
      for (const name of ["blocked.service", "neighbor.service"]) await stop(systemd, name);
      await uninstall(systemd, "blocked.service", "neighbor.service");
    },
  },
  {
    name: "an enablement that is lost in part is completed by a check",
    async run(systemd, fixture) {
      const twice = `${sleeper}\n[Install]\nWantedBy=multi-user.target graphical.target\n`;
      await install(systemd, { "twice.service": twice });
      await fixture.removeWants("graphical.target", "twice.service");
      assert.deepEqual(await systemd.check(), new Map());
      assert.ok(await fixture.isWantedBy("graphical.target", "twice.service"));
      const before = await fixture.reloads();
      await systemd.check();
      assert.equal(await fixture.reloads(), before, "nothing was amiss");
      await uninstall(systemd, "twice.service");
    },
  },
  {
    name: "a check without a finding causes no reload",
    async run(systemd, fixture) {
      await install(systemd, { "calm.service": wanted });
      await systemd.check();
      const before = await fixture.reloads();
      assert.deepEqual(await systemd.check(), new Map());
      assert.equal(await fixture.reloads(), before);
      await uninstall(systemd, "calm.service");
    },
  },
  {
    name: "a unit with RefuseManualStop= can be removed when it is inactive, but not stopped while it runs",
    async run(systemd) {
      const stubborn = `[Unit]\nRefuseManualStop=yes\n${sleeper}`;
      await install(systemd, { "stubborn.service": stubborn });
      assert.equal(await stop(systemd, "stubborn.service"), "done");
      assert.equal(await start(systemd, "stubborn.service"), "done");
      const refusal = await refused(systemd.stop("stubborn.service"));
      assert.match(refusal.message, /cannot stop "stubborn\.service": .*refuse manual start\/stop/);
      assert.ok(isPermanent(refusal));
      assert.equal(await states(systemd, "stubborn.service"), "loaded/active/running");
      await install(systemd, { "stubborn.service": sleeper });
      await stop(systemd, "stubborn.service");
      await uninstall(systemd, "stubborn.service");
    },
  },
  {
    name: "a command runs beside a unit to its end, again and again, and its failure is returned",
    async run(systemd) {
      await install(systemd, { "checked.service": sleeper });
      assert.equal(await start(systemd, "checked.service"), "done");
      const run = (...argv: string[]) => systemd.runAs("checked.service", argv, 1_000);
      assert.equal(await run("/bin/true"), undefined);
      assert.equal(await run("/bin/false"), "it exited with status 1");
      assert.equal(await run("/bin/true"), undefined);
      assert.equal(await run("/bin/sleep", "1000"), "it took longer than 1s");
      assert.equal(await run("/bin/false"), "it exited with status 1");
      assert.equal((await status(systemd, "checked.service")).active, "active");
      await (await systemd.stop("checked.service")).done;
      await uninstall(systemd, "checked.service");
    },
  },
  {
    name: "the error of a start and loadProblems name a bad setting of the file",
    async run(systemd) {
      await install(systemd, { "typo.service": "[Service]\nExecStrat=/bin/sleep 1000\n" });
      const refusal = await refused(systemd.start("typo.service"));
      assert.match(refusal.message, /bad unit file setting \(.*Service has no ExecStart=/);
      assert.ok(isPermanent(refusal));
      assert.match((await systemd.loadProblems("typo.service")).join("; "), /Service has no ExecStart=/);
      await uninstall(systemd, "typo.service");
    },
  },
  {
    name: "a socket with Accept=yes is refused until the template of its service is on the machine",
    async run(systemd, fixture) {
      const socket = new Map([["echo.socket", "[Socket]\nListenStream=127.0.0.1:7272\nAccept=yes\n"]]);
      const refusal = (await systemd.install(socket)).get("echo.socket")!;
      assert.equal(refusal.code, templateMissing);
      assert.match(refusal.message, /echo@\.service/);
      assert.equal(await fixture.hasFile("echo.socket"), false);
      await fixture.writeAdminFile("echo@.service", "[Service]\nStandardInput=socket\nExecStart=/bin/cat\n");
      assert.deepEqual(await systemd.install(socket), new Map());
      await uninstall(systemd, "echo.socket");
      await fixture.removeAdminFile("echo@.service");
    },
  },
];
