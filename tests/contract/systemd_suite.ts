/**
 * What every {@link Systemd} must do, the fake as the real one.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  isPermanent,
  type JobResult,
  nameTaken,
  type Systemd,
  SystemdError,
  templateMissing,
  type UnitStatus,
} from "../../systemd/port.ts";

/** A machine with systemd, and operations of an administrator on it. */
export interface SystemdFixture {
  /** Opens systemd as another daemon of the same machine would. The caller closes it. */
  open(): Systemd;
  /** Returns how often systemd has reloaded so far. */
  reloads(): Promise<number>;
  /** Returns whether a unit is in a target's runtime `.wants`. */
  isWantedBy(target: string, unit: string): Promise<boolean>;
  /** Writes a file into fleet's directory, as an administrator. */
  writeFile(name: string, text: string): Promise<void>;
  /** Removes a file from fleet's directory, as an administrator. */
  removeFile(name: string): Promise<void>;
  /** Returns whether fleet's directory has a file. */
  hasFile(name: string): Promise<boolean>;
  /** Returns whether the runtime directory has a link to a unit, also one to another file. */
  hasLink(name: string): Promise<boolean>;
  /** Removes fleet's link to a unit, or its link in a target's `.wants`, and reloads, as an administrator. */
  removeLink(name: string): Promise<void>;
  removeWants(target: string, unit: string): Promise<void>;
  /** Puts a file in the place of fleet's link to a unit, so that the link cannot be made, or removes that file. */
  blockLink(name: string, isBlocked: boolean): Promise<void>;
  /** Writes a unit file to /etc/systemd/system, or masks the unit (`undefined`), and reloads, as an administrator. */
  writeAdminFile(name: string, text: string | undefined): Promise<void>;
  /** Reverts {@link writeAdminFile}, and reloads. */
  removeAdminFile(name: string): Promise<void>;
  /** Starts or stops a unit, as an administrator. */
  systemctl(verb: "start" | "stop", name: string): Promise<void>;
  isActive(name: string): Promise<boolean>;
  /** Stops the bus until {@link restoreBus}; resolves when it has ended. */
  loseBus(): Promise<void>;
  restoreBus(): Promise<void>;
}

/** One case of the contract. */
export interface SystemdCase {
  readonly name: string;
  run(systemd: Systemd, fixture: SystemdFixture): Promise<void>;
}

const sleeper = "[Service]\nExecStart=/bin/sleep 1000\n";
/** Has another sub state than {@link sleeper}. */
const exiter = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
const failing = "[Service]\nType=oneshot\nExecStart=/bin/false\n";
const wanted = `${sleeper}\n[Install]\nWantedBy=multi-user.target\n`;

const noSuchUnit = "org.freedesktop.systemd1.NoSuchUnit";

/** Far more than any operation needs. */
const patience_ms = 30_000;

async function install(systemd: Systemd, files: Record<string, string>): Promise<boolean> {
  assert.deepEqual(await systemd.install(new Map(Object.entries(files))), new Map());
  return await systemd.reloadIfNeeded();
}

async function uninstall(systemd: Systemd, ...names: string[]): Promise<boolean> {
  assert.deepEqual(await systemd.uninstall(new Set(names)), new Map());
  return await systemd.reloadIfNeeded();
}

async function start(systemd: Systemd, name: string): Promise<JobResult> {
  return await (await systemd.start(name)).done;
}

async function stop(systemd: Systemd, name: string): Promise<JobResult> {
  return await (await systemd.stop(name)).done;
}

async function status(systemd: Systemd, name: string): Promise<UnitStatus> {
  const found = (await systemd.statuses(new Set([name]))).get(name);
  assert.ok(found, `no status of ${name}`);
  return found;
}

/** Returns `LoadState/ActiveState/SubState`. */
async function states(systemd: Systemd, name: string): Promise<string> {
  const { load, active, sub } = await status(systemd, name);
  return `${load}/${active}/${sub}`;
}

/** Follows the reported changes of a unit until its status satisfies a condition. */
async function follow(systemd: Systemd, name: string, isReached: (status: UnitStatus) => boolean): Promise<UnitStatus> {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), patience_ms);
  const changes = systemd.watch(giveUp.signal)[Symbol.asyncIterator]();
  let next = changes.next();
  try {
    while (true) {
      const now = await status(systemd, name);
      if (isReached(now)) return now;
      const { done } = await next;
      assert.ok(!done, `${name} is ${now.active} (${now.sub}, ${now.result}), and no change was reported`);
      next = changes.next();
    }
  } finally {
    clearTimeout(timer);
    giveUp.abort();
    await next;
  }
}

/** Resolves when a change of all units is reported. Listens from the call on. */
async function anythingMayHaveChanged(systemd: Systemd): Promise<void> {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), patience_ms);
  try {
    for await (const { units } of systemd.watch(giveUp.signal)) if (units === undefined) return;
    assert.fail("no change of all units was reported");
  } finally {
    clearTimeout(timer);
  }
}

async function refused(promise: Promise<unknown>): Promise<SystemdError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof SystemdError, String(error));
    return error;
  }
  assert.fail("was not refused");
}

const ownershipCases: readonly SystemdCase[] = [
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

const lifeCases: readonly SystemdCase[] = [
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

const refusalCases: readonly SystemdCase[] = [
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

const reloadCases: readonly SystemdCase[] = [
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

const busCases: readonly SystemdCase[] = [
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

/** All cases of the contract. */
export const systemdCases: readonly SystemdCase[] = [
  ...lifeCases,
  ...ownershipCases,
  ...refusalCases,
  ...reloadCases,
  ...busCases,
];
