/** fleetctl on real machines with units that crash, are down, or cannot be started or stopped. */

import assert from "node:assert/strict";
import { type Case, Home, type Stage } from "./home.ts";
import type { Output } from "../../lab/process.ts";
import { until } from "../../lab/process.ts";

const service = (...lines: readonly string[]) => ["[Service]", ...lines, ""].join("\n");
const sleeping = "ExecStart=/bin/sleep infinity";
const on = (machine: { readonly id: string }) => `[X-Fleet]\nMachineID=${machine.id}\n`;

/** Runs fleetctl with the files of a home directory as its units. */
function withFiles(home: Home, verb: string, ...names: readonly string[]): Promise<Output> {
  return home.fleetctl([...verb.split(" "), ...names.map((name) => `${home.path}/${name}`)]);
}

async function activeState({ m1, cluster }: Stage, unit: string): Promise<string | undefined> {
  return (await cluster.states(m1)).find(({ name }) => name === unit)?.systemdActiveState;
}

/** Destroys units and checks that no machine has them. */
async function destroyAll(stage: Stage, home: Home, ...names: readonly string[]): Promise<void> {
  const { code, stderr } = await home.fleetctl(["destroy", ...names]);
  assert.equal(code, 0, stderr);
  const states = await stage.cluster.states(stage.m1);
  assert.deepEqual(states.filter(({ name }) => names.includes(name)), []);
}

const crashes: readonly Case[] = [
  {
    name: "a service that crashes right after its start makes start and restart fail, at every try",
    async run(stage) {
      const home = await Home.with(stage, [], {
        "at-once.service": service("ExecStart=/bin/false"),
        "soon.service": service("ExecStart=/bin/sh -c 'echo out of paper; sleep 0.1; exit 1'"),
        "again.service": service("Restart=always", "RestartSec=50ms", "ExecStart=/bin/sh -c 'sleep 0.2; exit 3'"),
      });
      for (let n = 0; n < 4; n++) {
        for (const name of ["at-once.service", "soon.service", "again.service"]) {
          const { code, stderr } = await withFiles(home, "start", name);
          assert.equal(code, 1, `${name} counts as started: ${stderr}`);
          assert.match(stderr, new RegExp(`unit ${name.replace(".", "\\.")} failed: `));
          await destroyAll(stage, home, name);
        }
      }
      const started = await withFiles(home, "start", "soon.service");
      assert.match(started.stderr, /: exit-code\n/);
      assert.match(started.stderr, /^ {2}.*out of paper$/m, "the last lines of its journal");
      const restarted = await home.fleetctl(["restart", "soon"]);
      assert.equal(restarted.code, 1, restarted.stderr);
      await destroyAll(stage, home, "soon.service");
    },
  },
  {
    name: "a service that systemd has restarted counts as failed although it is active",
    async run(stage) {
      const script = "test -e /run/second || { touch /run/second; sleep 0.2; exit 4; }; exec sleep infinity";
      const home = await Home.with(stage, [], {
        "second.service": service("Restart=always", "RestartSec=0", `ExecStart=/bin/sh -c '${script}'`) + on(stage.m1),
      });
      const { code, stderr } = await withFiles(home, "start", "second.service");
      assert.equal(code, 1);
      assert.match(stderr, /unit second\.service failed: .*(exit-code|has already restarted it once)/);
      await stage.cluster.active(stage.m1, ["second.service"]);
      await until("its machine to count the restart", async () => {
        const { stdout } = await home.fleetctl(["events", "--present", "--no-follow", "--output=json", "second"]);
        return stdout.includes('"restarts":1') || undefined;
      });
      assert.equal((await home.fleetctl(["restart", "second"])).code, 0, "a restart by fleet resets the count");
      await destroyAll(stage, home, "second.service");
    },
  },
  {
    name: "--settle 0, and a service with readiness notification, need no time of stability",
    async run(stage) {
      const notify = "/bin/sh -c 'systemd-notify --ready; exec sleep infinity'";
      const home = await Home.with(stage, [], {
        "dies.service": service("ExecStart=/bin/sh -c 'sleep 3; exit 1'"),
        "ready.service": service("Type=notify", "NotifyAccess=all", `ExecStart=${notify}`),
      });
      assert.equal((await withFiles(home, "start --settle 0", "dies.service")).code, 0);
      await until(
        "dies.service to fail",
        async () => await activeState(stage, "dies.service") === "failed" || undefined,
      );
      assert.equal((await withFiles(home, "start", "ready.service")).code, 0);
      await destroyAll(stage, home, "dies.service", "ready.service");
    },
  },
];

const again: readonly Case[] = [
  {
    name: "start of a launched unit that has failed or ended starts it again",
    async run(stage) {
      const test = "/bin/test -e /run/repaired";
      const home = await Home.with(stage, [], {
        "repairable.service": service("Type=oneshot", "RemainAfterExit=yes", `ExecStart=${test}`) + on(stage.m1),
        "ended.service": service("Type=oneshot", "ExecStart=/bin/sh -c 'echo x >>/run/ended'") + on(stage.m1),
      });
      assert.equal((await withFiles(home, "start", "repairable.service")).code, 1);
      const still = await home.fleetctl(["start", "repairable"]);
      assert.equal(still.code, 1, "it fails again, and that is reported");
      assert.match(still.stderr, /unit repairable\.service failed: systemd reports it loaded, failed \(failed\)/);
      const explained = await home.fleetctl(["explain", "repairable"]);
      assert.match(explained.stdout, /has started it, and it has failed since .*fleetctl start repairable\.service/);
      await stage.m1.writeFile("/run/repaired", "");
      const repaired = await home.fleetctl(["start", "repairable"]);
      assert.deepEqual([repaired.code, repaired.stderr], [0, ""]);
      assert.match(repaired.stdout, /^Unit repairable\.service launched on 01010101\.\.\./);
      assert.equal(await activeState(stage, "repairable.service"), "active");
      const idle = await home.fleetctl(["start", "repairable"]);
      assert.deepEqual([idle.code, idle.stdout, idle.stderr], [0, "", ""], "a running unit is left alone");
      for (const times of [1, 2]) {
        assert.equal((await withFiles(home, "start", "ended.service")).code, 0);
        assert.equal((await stage.m1.must(["cat", "/run/ended"])).length, 2 * times);
      }
      await destroyAll(stage, home, "repairable.service", "ended.service");
    },
  },
  {
    name: "start of a launched global unit starts it again on the machines where it does not run",
    async run(stage) {
      const { m1, m2, m3, cluster } = stage;
      const test = "/bin/test -e /run/ready";
      const text = service("Type=oneshot", "RemainAfterExit=yes", `ExecStart=${test}`);
      const home = await Home.with(stage, [], { "each.service": `${text}[X-Fleet]\nGlobal=true\n` });
      const become = (...wanted: readonly string[]) =>
        cluster.statesWhere(m1, `each.service to be ${wanted}`, (states) => {
          const ours = states.filter(({ name }) => name === "each.service");
          return ours.map(({ systemdActiveState }) => systemdActiveState).sort().join() === wanted.join();
        });
      assert.equal((await withFiles(home, "start", "each.service")).code, 0);
      await become("failed", "failed", "failed");
      await m1.writeFile("/run/ready", "");
      const again = await home.fleetctl(["start", "each"]);
      assert.deepEqual([again.code, again.stdout], [0, "Triggered global unit each.service start\n"]);
      await become("active", "failed", "failed");
      const running = await cluster.invocation(m1, "each.service");
      for (const machine of [m2, m3]) await machine.writeFile("/run/ready", "");
      assert.equal((await home.fleetctl(["start", "each"])).code, 0);
      await become("active", "active", "active");
      assert.equal(await cluster.invocation(m1, "each.service"), running, "the running unit on m1 is left alone");
      await home.fleetctl(["destroy", "each"]);
    },
  },
  {
    name: "a unit that is bound to a replaced or restarted unit runs again afterwards",
    async run(stage) {
      const { cluster, m1 } = stage;
      const side = "[Unit]\nBindsTo=front@%i.service\nAfter=front@%i.service\n" + service(sleeping);
      const home = await Home.with(stage, [], {
        "front@.service": service(sleeping),
        "side@.service": `${side}[X-Fleet]\nMachineOf=front@%i.service\n`,
      });
      assert.equal((await withFiles(home, "start", "front@1.service", "side@1.service")).code, 0);
      const machine = cluster.byId((await cluster.active(m1, ["side@1.service"])).get("side@1.service")!);
      let before = await cluster.pid(machine, "side@1.service");
      const runsAgain = async (event: string) => {
        await until(`the bound unit to run again after ${event}`, async () => {
          const now = await cluster.pid(machine, "side@1.service");
          return now > 0 && now !== before && await activeState(stage, "side@1.service") === "active" || undefined;
        });
        before = await cluster.pid(machine, "side@1.service");
      };
      await m1.writeFile(`${home.path}/front@.service`, service("ExecStart=/bin/sleep 1000000"));
      const replaced = await withFiles(home, "start --replace", "front@1.service");
      assert.deepEqual([replaced.code, replaced.stderr], [0, ""]);
      await runsAgain("a replacement");
      assert.equal((await home.fleetctl(["restart", "front@1"])).code, 0);
      await runsAgain("a restart");
      assert.equal((await home.fleetctl(["stop", "front@1"])).code, 0);
      assert.match(
        (await home.fleetctl(["explain", "side@1"])).stdout,
        /systemd stopped it together with Unit\(front@1/,
      );
      assert.equal((await home.fleetctl(["start", "front@1"])).code, 0);
      await runsAgain("a stop and a start");
      await destroyAll(stage, home, "side@1.service", "front@1.service");
    },
  },
  {
    name: "a unit runs again after its slice was replaced, whether the slice was started or only loaded",
    async run(stage) {
      const { cluster, m1 } = stage;
      const inside = service(sleeping, "Slice=shop.slice");
      const home = await Home.with(stage, [], {
        "shop.slice": "[Unit]\nDescription=one\n",
        "inside.service": `${inside}[X-Fleet]\nMachineOf=shop.slice\n`,
      });
      for (const command of ["load", "start"]) {
        assert.equal((await withFiles(home, command, "shop.slice")).code, 0);
        assert.equal((await withFiles(home, "start", "inside.service")).code, 0);
        const machine = cluster.byId((await cluster.active(m1, ["inside.service"])).get("inside.service")!);
        const before = await cluster.pid(machine, "inside.service");
        await m1.writeFile(`${home.path}/shop.slice`, `[Unit]\nDescription=${command} again\n`);
        const replaced = await withFiles(home, `${command} --replace`, "shop.slice");
        assert.deepEqual([replaced.code, replaced.stderr], [0, ""]);
        await until(`the unit to run again after ${command} --replace`, async () => {
          const now = await cluster.pid(machine, "inside.service");
          return now > 0 && now !== before && await activeState(stage, "inside.service") === "active" || undefined;
        });
        await destroyAll(stage, home, "inside.service", "shop.slice");
      }
    },
  },
];

const refusals: readonly Case[] = [
  {
    name: "start and load of a unit that systemd refuses end with the reason",
    async run(stage) {
      await stage.m1.must(["systemctl", "mask", "hidden.service"]);
      const home = await Home.with(stage, [], {
        "nothing.service": `[Unit]\nDescription=nothing to run\n${on(stage.m1)}`,
        "pulled.service": `[Unit]\nRefuseManualStart=yes\n${service(sleeping)}${on(stage.m1)}`,
        "hidden.service": service(sleeping) + on(stage.m1),
        "typo.service": service("ExecStrat=/bin/sleep infinity") + on(stage.m1),
      });
      const cases: readonly [name: string, says: RegExp][] = [
        ["nothing.service", /bad unit file setting/],
        ["pulled.service", /may be requested by dependency only/],
        ["hidden.service", /masked/],
        ["typo.service", /Unknown key.*ExecStrat/],
      ];
      for (const [name, says] of cases) {
        const { code, stderr } = await withFiles(home, "start --allow-unknown", name);
        assert.equal(code, 1, name);
        assert.match(stderr, says);
      }
      const tried = await home.fleetctl(["start", "nothing.service"]);
      assert.equal(tried.code, 1, "a second start fails as well");
      assert.match(tried.stderr, /unit nothing\.service cannot be started or stopped as it is/);
      await destroyAll(stage, home, ...cases.map(([name]) => name));
      await stage.m1.must(["systemctl", "unmask", "hidden.service"]);
      const loaded = await withFiles(home, "load", "nothing.service");
      assert.equal(loaded.code, 1);
      assert.match(loaded.stderr, /unit nothing\.service cannot be started as it is: systemd reports it bad-setting/);
      await destroyAll(stage, home, "nothing.service");
    },
  },
  {
    name: "stop and destroy of a unit that systemd refuses to stop end with the reason",
    async run(stage) {
      const home = await Home.with(stage, [], {
        "unstoppable.service": `[Unit]\nRefuseManualStop=yes\n${service(sleeping)}${on(stage.m1)}`,
      });
      assert.equal((await withFiles(home, "start", "unstoppable.service")).code, 0);
      for (const verb of ["stop", "restart", "destroy"]) {
        if (verb === "restart") assert.equal((await home.fleetctl(["start", "unstoppable"])).code, 0);
        const { code, stderr } = await home.fleetctl([verb, "unstoppable"]);
        assert.equal(code, 1, verb);
        assert.match(
          stderr,
          /unit unstoppable\.service cannot be started or stopped as it is: .*by dependency only/,
          verb,
        );
      }
      const path = "/run/fleet/units/unstoppable.service";
      await stage.m1.must([
        "sh",
        "-c",
        `sed -i /Refuse/d ${path}; systemctl daemon-reload; systemctl stop unstoppable`,
      ]);
      await stage.cluster.statesWhere(stage.m1, "unstoppable.service to be gone", (states) => {
        return !states.some(({ name }) => name === "unstoppable.service");
      });
    },
  },
  {
    name: "a busy mount is reported repeatedly while stop waits for it",
    async run(stage) {
      const { m1 } = stage;
      const mount = `[Mount]\nWhat=tmpfs\nWhere=/mnt/held\nType=tmpfs\n${on(m1)}`;
      const home = await Home.with(stage, [], { "mnt-held.mount": mount });
      assert.equal((await withFiles(home, "start", "mnt-held.mount")).code, 0);
      const hold = "exec 3>/mnt/held/file && exec sleep infinity";
      await m1.must(["systemd-run", "--unit=holder", "/bin/sh", "-c", hold]);
      await until(
        "the mount to be busy",
        async () => (await m1.run(["test", "-e", "/mnt/held/file"])).code === 0 || undefined,
      );
      const { code, stdout } = await home.fleetctl(["stop", "--timeout=25", "mnt-held.mount"]);
      assert.equal(code, 1);
      const reason = 'it is active \\(mounted\\) after a stop job that ended with "failed"';
      assert.match(stdout, new RegExp(`^Unit mnt-held\\.mount: ${reason}\n`));
      assert.match(stdout, new RegExp(`\nUnit mnt-held\\.mount has made no progress for 1\\d s and .*: ${reason}\n`));
      await m1.must(["systemctl", "stop", "holder.service"]);
      await destroyAll(stage, home, "mnt-held.mount");
    },
  },
];

const stops: readonly Case[] = [
  {
    name: "stop of a loaded unit that another unit has started stops it",
    async run(stage) {
      const home = await Home.with(stage, [], {
        "puller.service": `[Unit]\nWants=wanted.service\n${service(sleeping)}${on(stage.m1)}`,
        "wanted.service": service(sleeping) + on(stage.m1),
      });
      assert.equal((await withFiles(home, "load", "wanted.service")).code, 0);
      assert.equal((await withFiles(home, "start", "puller.service")).code, 0);
      await until(
        "wanted.service to be started",
        async () => await activeState(stage, "wanted.service") === "active" || undefined,
      );
      const { code, stderr } = await home.fleetctl(["stop", "wanted"]);
      assert.deepEqual([code, stderr], [0, "Successfully stopped units [wanted.service].\n"]);
      assert.equal((await stage.m1.run(["systemctl", "is-active", "wanted.service"])).stdout, "inactive\n");
      assert.equal(await activeState(stage, "puller.service"), "active");
      await destroyAll(stage, home, "puller.service", "wanted.service");
    },
  },
  {
    name: "stop of a unit that waits for a machine keeps it from being started",
    async run(stage) {
      const home = await Home.with(stage, [], {
        "waits.service": `${service(sleeping)}[X-Fleet]\nMachineMetadata=shelf=top\n`,
      });
      await withFiles(home, "start --no-block", "waits.service");
      const { code, stdout, stderr } = await home.fleetctl(["stop", "waits"]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^Unit waits\.service has no machine yet; its desired state is loaded now/);
      await home.fleetctl(["machine", "label", "0303", "shelf=top"]);
      await until(
        "waits.service to be loaded",
        async () => await activeState(stage, "waits.service") === "inactive" || undefined,
      );
      assert.equal((await stage.m3.run(["systemctl", "is-active", "waits.service"])).stdout, "inactive\n");
      await home.fleetctl(["machine", "label", "0303", "shelf="]);
      await destroyAll(stage, home, "waits.service");
    },
  },
];

const rolling: readonly Case[] = [
  {
    name: "start --replace leaves all instances but one active, and the template follows for the next instance",
    async run(stage) {
      const { m1, cluster } = stage;
      const names = ["shop@1.service", "shop@2.service", "shop@3.service"];
      const version = (n: number) =>
        `[Unit]\nDescription=version ${n}\n${service("ExecStartPre=/bin/sleep 0.5", sleeping)}`;
      const home = await Home.with(stage, [], { "shop@.service": version(1) });
      await withFiles(home, "submit", "shop@.service");
      assert.equal((await withFiles(home, "start", ...names)).code, 0);
      await m1.writeFile(`${home.path}/shop@.service`, version(2));
      let isOver = false;
      const replacing = withFiles(home, "start --replace", ...names).finally(() => isOver = true);
      const counts: number[] = [];
      while (!isOver) {
        const states = await cluster.states(m1);
        counts.push(
          states.filter(({ name, systemdActiveState }) => names.includes(name) && systemdActiveState === "active")
            .length,
        );
      }
      const { code, stderr } = await replacing;
      assert.deepEqual([code, stderr], [0, ""]);
      assert.equal(Math.min(...counts), 2, `active at a time: ${counts}`);
      const scaled = await withFiles(home, "start", "shop@4.service");
      assert.deepEqual([scaled.code, scaled.stderr], [0, ""]);
      assert.match((await home.fleetctl(["cat", "shop@4"])).stdout, /version 2/);

      await m1.writeFile(`${home.path}/shop@.service`, service("Type=oneshot", "ExecStart=/bin/false"));
      const failed = await withFiles(home, "start --replace", ...names);
      assert.equal(failed.code, 1);
      assert.match(
        failed.stderr,
        /\nNot replaced because shop@1\.service has failed: shop@2\.service, shop@3\.service\n$/,
      );
      for (const name of names.slice(1)) assert.equal(await activeState(stage, name), "active");
      await destroyAll(stage, home, ...names, "shop@4.service", "shop@.service");
    },
  },
  {
    name: "--timeout holds although the daemon hangs during a request for the explanation",
    async run(stage) {
      const { m1 } = stage;
      const home = await Home.with(stage, [], {
        "stuck.service": `${service(sleeping)}[X-Fleet]\nMachineMetadata=shelf=none\n`,
      });
      const began_ms = performance.now();
      const starting = home.run(["sh", "-c", "fleetctl start --timeout=4 ~/stuck.service >~/output"]);
      await until("the unit to be created", async () => {
        return (await home.read("output")).includes("Unit stuck.service inactive\n") || undefined;
      });
      await m1.must(["systemctl", "kill", "--signal=SIGSTOP", "fleet.service"]);
      try {
        const { code, stderr } = await starting;
        assert.equal(code, 1);
        assert.match(stderr, /timed out waiting for unit stuck\.service to report state launched(: .*)?\n/);
        const took_ms = performance.now() - began_ms;
        assert.ok(took_ms < 20_000, `${took_ms} ms`);
      } finally {
        await m1.must(["systemctl", "kill", "--signal=SIGCONT", "fleet.service"]);
      }
      await destroyAll(stage, home, "stuck.service");
    },
  },
];

/** Steps for a cluster of three machines. */
export const startCases: readonly Case[] = [...crashes, ...again, ...refusals, ...stops, ...rolling];
