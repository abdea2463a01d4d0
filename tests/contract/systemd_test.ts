/** The contract of {@link import("../../systemd/port.ts").Systemd}, over the fake and over a real machine's. */

import assert from "node:assert/strict";
import { openSystemd } from "../../systemd/dbus/open.ts";
import { openBusConnector } from "../../systemd/dbus/dbus_next.ts";
import { Manager } from "../../systemd/dbus/manager.ts";
import { subscribe } from "../../systemd/dbus/signals.ts";
import type { Log } from "../../runtime/log.ts";
import { DbusSystemd } from "../../systemd/dbus/client.ts";
import { FakeMachine, FakeSystemd } from "../../systemd/testing/fake_systemd.ts";
import { isPermanent, type Systemd } from "../../systemd/port.ts";
import { openUnitDirectory } from "../../systemd/unit_directory.ts";
import { withLab } from "../lab/lab.ts";
import type { Machine } from "../lab/machine.ts";
import { until } from "../lab/process.ts";
import { prepare } from "../prepare_host.ts";
import type { SystemdFixture } from "./systemd_fixture.ts";
import { systemdCases } from "./systemd_suite.ts";

await prepare();

const unitsDirectory = "/run/fleet/units";

function fakeFixture(): SystemdFixture {
  const machine = new FakeMachine();
  return {
    open: () => new FakeSystemd(machine),
    reloads: () => Promise.resolve(machine.reloads),
    isWantedBy: (target, unit) => Promise.resolve(machine.enabled.has(`${target}/${unit}`)),
    writeFile: (name, text) => Promise.resolve(void machine.files.set(name, text)),
    removeFile: (name) => Promise.resolve(void machine.files.delete(name)),
    hasFile: (name) => Promise.resolve(machine.files.has(name)),
    hasLink: (name) => Promise.resolve(machine.links.has(name) || machine.aliases.has(name)),
    removeLink(name) {
      machine.links.delete(name);
      return Promise.resolve(machine.systemctl("Reload"));
    },
    blockLink(name, isBlocked) {
      machine.blocked[isBlocked ? "add" : "delete"](name);
      return Promise.resolve();
    },
    removeWants(target, unit) {
      machine.removeWants(target, unit);
      return Promise.resolve(machine.systemctl("Reload"));
    },
    writeAdminFile(name, text) {
      machine.adminFiles.set(name, text);
      return Promise.resolve(machine.systemctl("Reload"));
    },
    removeAdminFile(name) {
      machine.adminFiles.delete(name);
      return Promise.resolve(machine.systemctl("Reload"));
    },
    systemctl: (verb, name) => Promise.resolve(machine.systemctl(verb === "start" ? "StartUnit" : "StopUnit", name)),
    isActive: (name) => Promise.resolve(machine.isActive(name)),
    loseBus: () => Promise.resolve(machine.loseBus()),
    restoreBus: () => Promise.resolve(machine.restoreBus()),
  };
}

function openReal(machine: Machine, requestTimeout_ms = 10_000, log: Log = () => {}): Systemd {
  return openSystemd({
    unitsDirectory: machine.root + unitsDirectory,
    unitsDirectoryForSystemd: unitsDirectory,
    bus: machine.busAddress,
    log,
    journalRoot: machine.root,
    requestTimeout_ms,
  });
}

/** Counts systemd's reloads by their signals, on a separate connection. */
async function countReloads(machine: Machine): Promise<{ count(): Promise<number>; close(): void }> {
  let reloads = 0;
  const bus = await openBusConnector({ bus: machine.busAddress, timeout_ms: 10_000 }).connect({
    signal: ({ member, args }) => void (member === "Reloading" && args[0] === true && reloads++),
    closed: () => {},
  });
  await subscribe(bus);
  return {
    async count() {
      await new Manager(bus).subscribe().catch(() => {}); // A refusal (already subscribed) arrives after the signals.
      return reloads;
    },
    close: () => bus.close(),
  };
}

function realFixture(machine: Machine, reloads: () => Promise<number>): SystemdFixture {
  return {
    open: () => openReal(machine),
    reloads,
    async isWantedBy(target, unit) {
      const { code } = await machine.run(["test", "-L", `/run/systemd/system/${target}.wants/${unit}`]);
      return code === 0;
    },
    writeFile: (name, text) => machine.writeFile(`${unitsDirectory}/${name}`, text),
    removeFile: async (name) => void await machine.must(["rm", `${unitsDirectory}/${name}`]),
    async hasFile(name) {
      return (await machine.run(["test", "-f", `${unitsDirectory}/${name}`])).code === 0;
    },
    hasLink: async (name) => (await machine.run(["test", "-L", `/run/systemd/system/${name}`])).code === 0,
    removeLink: async (name) => void await machine.sh(`rm /run/systemd/system/${name}; systemctl daemon-reload`),
    blockLink: async (name, isBlocked) =>
      void await machine.must([isBlocked ? "mkdir" : "rmdir", `/run/systemd/system/${name}`]),
    removeWants: async (target, unit) =>
      void await machine.sh(`rm /run/systemd/system/${target}.wants/${unit}; systemctl daemon-reload`),
    async writeAdminFile(name, text) {
      if (text !== undefined) await machine.writeFile(`/etc/systemd/system/${name}`, text);
      else await machine.sh(`ln -s /dev/null /etc/systemd/system/${name}`);
      await machine.must(["systemctl", "daemon-reload"]);
    },
    removeAdminFile: async (name) => void await machine.sh(`rm /etc/systemd/system/${name}; systemctl daemon-reload`),
    systemctl: async (verb, name) => void await machine.must(["systemctl", verb, name]),
    isActive: async (name) => (await machine.run(["systemctl", "is-active", "--quiet", name])).code === 0,
    loseBus: async () => void await machine.must(["systemctl", "stop", "dbus.socket", "dbus.service"]),
    restoreBus: async () => void await machine.must(["systemctl", "start", "dbus.socket", "dbus.service"]),
  };
}

Deno.test("the fake systemd", async (test) => {
  for (const each of systemdCases) {
    await test.step(each.name, async () => {
      const fixture = fakeFixture();
      const systemd = fixture.open();
      try {
        await each.run(systemd, fixture);
      } finally {
        await systemd.close();
      }
    });
  }
});

/** Cases that need a real machine's bus. */
const machineCases: readonly { name: string; run(systemd: Systemd, machine: Machine): Promise<void> }[] = [
  {
    name: "three hundred pending calls are rejected at once when the bus is killed, and later calls succeed",
    async run(systemd, machine) {
      await machine.must(["pkill", "-STOP", "-x", "dbus-daemon"]);
      const names = Array.from({ length: 300 }, (_, index) => `missing${index}.service`);
      const calls = Promise.allSettled(names.map((name) => systemd.statuses(new Set([name]))));
      await machine.must(["pkill", "-KILL", "-x", "dbus-daemon"]);
      const codes = (await calls).map((result) => result.status === "rejected" && result.reason.code);
      assert.deepEqual(new Set(codes), new Set(["unavailable"]));
      await connectedAgain(systemd);
      assert.deepEqual(await systemd.install(new Map([["after.service", sleeper]])), new Map());
      assert.equal(await (await systemd.start("after.service")).done, "done");
      assert.equal(await (await systemd.stop("after.service")).done, "done");
      assert.deepEqual(await systemd.uninstall(new Set(["after.service"])), new Map());
    },
  },
  {
    name: "three hundred concurrent calls stay below the bus's limit of pending replies",
    async run(systemd, machine) {
      const names = Array.from({ length: 300 }, (_, index) => `missing${index}.service`);
      await machine.must(["pkill", "-STOP", "-x", "dbus-daemon"]);
      const calls = Promise.all(names.map((name) => systemd.statuses(new Set([name]))));
      await machine.must(["pkill", "-CONT", "-x", "dbus-daemon"]);
      await calls;
    },
  },
  {
    name: "a call to a hanging bus fails at its deadline, and a later call succeeds",
    async run(_, machine) {
      const systemd = openReal(machine, 300);
      try {
        await systemd.ready();
        await machine.must(["pkill", "-STOP", "-x", "dbus-daemon"]);
        try {
          await assert.rejects(systemd.start("missing.service"), {
            code: "org.freedesktop.DBus.Error.Timeout",
            message: `cannot start "missing.service": Get was not answered within 300 ms`,
          });
        } finally {
          await machine.must(["pkill", "-CONT", "-x", "dbus-daemon"]);
        }
        await connectedAgain(systemd);
      } finally {
        await systemd.close();
      }
    },
  },
  {
    name: "after systemctl daemon-reexec units keep running and changes are reported",
    async run(systemd, machine) {
      await systemd.install(new Map([["same.service", sleeper]]));
      await (await systemd.start("same.service")).done;
      const before = (await systemd.statuses(new Set(["same.service"]))).get("same.service");
      await machine.must(["systemctl", "daemon-reexec"]);
      await connectedAgain(systemd);
      assert.deepEqual((await systemd.statuses(new Set(["same.service"]))).get("same.service"), before);
      assert.equal(await (await systemd.stop("same.service")).done, "done");
      await systemd.uninstall(new Set(["same.service"]));
    },
  },
  {
    name: "a start that would always be refused is a permanent failure",
    async run(systemd) {
      const contradicts = `[Unit]\nRequires=other.service\nConflicts=other.service\n${sleeper}`;
      const behindItself = `[Unit]\nRequires=ahead.service\nAfter=ahead.service\n${sleeper}`;
      const files = new Map([
        ["contradicts.service", contradicts],
        ["other.service", sleeper],
        ["behind.service", behindItself],
        ["ahead.service", `[Unit]\nAfter=behind.service\n${sleeper}`],
      ]);
      assert.deepEqual(await systemd.install(files), new Map());
      for (const [name, says] of [["contradicts", /conflicting jobs/], ["behind", /order is cyclic/]] as const) {
        const refusal = await systemd.start(`${name}.service`).then(() => undefined, (error) => error);
        assert.match(String(refusal), says);
        assert.ok(isPermanent(refusal), name);
      }
      assert.deepEqual(await systemd.uninstall(new Set(files.keys())), new Map());
    },
  },
  {
    name: "drop-ins of a unit are logged once and after each change; drop-ins of all services are not logged",
    async run(_, machine) {
      const logged: string[] = [];
      const systemd = openReal(machine, 10_000, (_, message) => void (/drop-in/.test(message) && logged.push(message)));
      const directory = "/etc/systemd/system";
      const dropIn = async (path: string) => {
        await machine.must(["mkdir", "-p", `${directory}/${path.replace(/\/.*/, "")}`]);
        await machine.writeFile(`${directory}/${path}`, "[Service]\nNice=1\n");
        await machine.must(["systemctl", "daemon-reload"]);
      };
      const checkedUntil = async (lines: number) => {
        await until(`${lines} lines about drop-ins`, async () => {
          await systemd.check();
          return logged.length >= lines || undefined;
        });
        await systemd.check();
      };
      try {
        await systemd.ready();
        await dropIn("service.d/all.conf");
        await systemd.install(new Map([["changed.service", sleeper], ["plain.service", sleeper]]));
        await systemd.check();
        assert.deepEqual(logged, []);
        const first = `${directory}/changed.service.d/first.conf`;
        await dropIn("changed.service.d/first.conf");
        await checkedUntil(1);
        assert.deepEqual(logged, [`drop-in files of this machine change "changed.service": ${first}`]);
        await dropIn("changed.service.d/second.conf");
        await checkedUntil(2);
        const second = `${directory}/changed.service.d/second.conf`;
        assert.deepEqual(logged.slice(1), [
          `drop-in files of this machine change "changed.service": ${first}, ${second}`,
        ]);
        await systemd.uninstall(new Set(["changed.service", "plain.service"]));
      } finally {
        await systemd.close();
        await machine.sh(`rm -r ${directory}/service.d ${directory}/changed.service.d; systemctl daemon-reload`);
      }
    },
  },
  {
    name: "a command runs with the user and groups of its unit, without a shell and without variables",
    async run(systemd, machine) {
      const unit = "asked.service";
      await systemd.install(new Map([[unit, `${sleeper}User=daemon\nSupplementaryGroups=games\n`]]));
      await (await systemd.start(unit)).done;
      const run = (...argv: string[]) => systemd.runAs(unit, argv, 20_000);
      assert.equal(await run("/bin/sh", "-c", 'test "$(id -un) $(id -Gn)" = "daemon daemon games"'), undefined);
      assert.equal(await run("/bin/sh", "-c", 'test "$0" = "\\$HOME%n;"', "$HOME%n;"), undefined);
      assert.equal(await run("/bin/sh", "-c", "exit 7"), "it exited with status 7");
      assert.equal(await run("/bin/sh", "-c", "kill -9 $$"), "it was killed by signal 9");
      assert.equal(await run("/nothing/here"), "the program cannot be executed");
      const dynamic = "dynamic.service";
      await systemd.install(new Map([[dynamic, `${sleeper}DynamicUser=yes\n`]]));
      await (await systemd.start(dynamic)).done;
      const pid = (await machine.sh(`systemctl show --value -p MainPID ${dynamic}`)).trim();
      const uid = (await machine.must(["stat", "-c", "%u", `/proc/${pid}`])).trim();
      assert.ok(Number(uid) > 60_000, uid);
      assert.equal(await systemd.runAs(dynamic, ["/bin/sh", "-c", `test "$(id -u)" = ${uid}`], 20_000), undefined);
      await (await systemd.stop(dynamic)).done;
      await systemd.uninstall(new Set([dynamic]));
      // What a daemon leaves that was killed while a command ran.
      const left = "systemd-run --unit=fleet-health-asked.service --property=Type=oneshot --no-block /bin/sleep 1000";
      await machine.sh(left);
      assert.equal(await run("/bin/true"), undefined);
      await machine.sh(left.replace("/bin/sleep 1000", "/bin/false"));
      await until("the leftover to fail", async () => {
        const { code } = await machine.run(["systemctl", "is-failed", "--quiet", "fleet-health-asked.service"]);
        return code === 0 || undefined;
      });
      assert.equal(await run("/bin/true"), undefined);
      // A unit of the machine with that name is not touched.
      await machine.writeFile("/run/systemd/system/fleet-health-asked.service", sleeper);
      await machine.sh("systemctl daemon-reload; systemctl start fleet-health-asked.service");
      assert.match((await run("/bin/true")) ?? "", /systemd cannot run it: .*fleet-health-asked.service/);
      await machine.must(["systemctl", "is-active", "--quiet", "fleet-health-asked.service"]);
      await machine.sh("systemctl stop fleet-health-asked.service; rm /run/systemd/system/fleet-health-asked.service");
      await machine.must(["systemctl", "daemon-reload"]);
      await (await systemd.stop(unit)).done;
      await systemd.uninstall(new Set([unit]));
    },
  },
  {
    name: "an unusable bus address is named in the error",
    async run(_, machine) {
      const bus = `${machine.busAddress}.not`;
      const systemd = openSystemd({ unitsDirectory: machine.root + unitsDirectory, bus, log: () => {} });
      await assert.rejects(systemd.ready(), { code: "unavailable", message: new RegExp(`at ${bus}: `) });
      await systemd.close();
    },
  },
  {
    name: "ownJob returns the job of the process's unit",
    async run(_, machine) {
      const stubborn = `${sleeper}ExecStop=/bin/sleep 1000\nTimeoutStopSec=1000\n`;
      await machine.writeFile("/run/systemd/system/own.service", stubborn);
      await machine.must(["systemctl", "start", "own.service"]);
      const pid = Number(await machine.sh("systemctl show --value -p MainPID own.service"));
      const systemd = new DbusSystemd({
        connector: { ...openBusConnector({ bus: machine.busAddress, timeout_ms: 10_000 }), pid },
        directory: openUnitDirectory(machine.root + unitsDirectory, () => {}),
        pathForSystemd: unitsDirectory,
        log: () => {},
        loadLog: () => Promise.resolve([]),
      });
      try {
        assert.equal(await systemd.ownJob(), undefined);
        await machine.must(["systemctl", "restart", "--no-block", "own.service"]);
        assert.equal(await systemd.ownJob(), "restart");
        await machine.must(["systemctl", "stop", "--no-block", "own.service"]);
        assert.equal(await systemd.ownJob(), "stop");
        await machine.must(["systemctl", "kill", "--signal=KILL", "own.service"]);
      } finally {
        await systemd.close();
      }
    },
  },
];

const sleeper = "[Service]\nExecStart=/bin/sleep 1000\n";

/** Resolves when systemd is connected again after a loss of the bus. Failed attempts are repeated. */
async function connectedAgain(systemd: Systemd): Promise<void> {
  await until("the bus to come back", async () => {
    await systemd.ready();
    await systemd.statuses(new Set(["missing.service"]));
    return true;
  });
}

Deno.test("a real systemd", async (test) => {
  await withLab({ machines: 1, etcd: 0 }, async (lab) => {
    const [machine] = lab.machines;
    assert.ok(machine);
    for (const each of systemdCases) {
      await test.step(each.name, async () => {
        const systemd = openReal(machine);
        const reloads = await countReloads(machine);
        try {
          await systemd.ready();
          await each.run(systemd, realFixture(machine, reloads.count));
        } finally {
          reloads.close();
          await systemd.close();
        }
      });
    }
    for (const each of machineCases) {
      await test.step(each.name, async () => {
        const systemd = openReal(machine);
        try {
          await systemd.ready();
          await each.run(systemd, machine);
        } finally {
          await systemd.close();
        }
      });
    }
  });
});
