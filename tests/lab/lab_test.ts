import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { prepare } from "../prepare_host.ts";
import { api_port, apiSocket, fleetctl } from "./fleet.ts";
import { Lab, withLab } from "./lab.ts";
import type { Machine } from "./machine.ts";
import { startTime } from "./owner.ts";
import { until } from "./process.ts";
import { removeStaleLabs } from "./stale.ts";

await prepare();

/** True if `from` receives a line from the sshd of `to` within `limit_s` seconds: a long limit where it must, a short one where it must not. */
async function reaches(from: Machine, to: Machine, limit_s = 20): Promise<boolean> {
  const { code } = await from.run([
    "timeout",
    `${limit_s}`,
    "bash",
    "-c",
    `exec 3<>/dev/tcp/${to.ip}/22 && read -r line <&3`,
  ]);
  return code === 0;
}

Deno.test("three real machines", async (t) => {
  const start = performance.now();
  await withLab({ machines: [{}, { files: { "/etc/motto": "steady\n" } }, {}] }, async (lab) => {
    const [m1, m2, m3] = lab.machines as [Machine, Machine, Machine];
    const boots = lab.machines.map((machine) => `${machine.name} ${Math.round(machine.boot_ms)}`).join(", ");
    console.log(`the lab was up after ${Math.round(performance.now() - start)} ms; boots in ms: ${boots}`);

    await t.step("each machine runs its own systemd, with its own identity and address", async () => {
      for (const machine of lab.machines) {
        const state = await machine.run(["systemctl", "is-system-running", "--wait"]);
        assert.equal(state.stdout, "running\n", (await machine.run(["systemctl", "--failed"])).stdout);
        assert.equal(await machine.sh("cat /etc/machine-id"), `${machine.id}\n`);
        assert.equal(await machine.sh("hostname"), `${machine.name}\n`);
        assert.match(await machine.sh("ip -4 -brief address show dev host0"), new RegExp(` ${machine.ip}/24`));
      }
      assert.deepEqual(lab.machines.map(({ ip }) => ip), ["10.77.0.11", "10.77.0.12", "10.77.0.13"]);
      assert.equal(new Set(lab.machines.map(({ id }) => id)).size, 3);
    });

    await t.step("each machine reaches all machines and etcd", async () => {
      for (const from of lab.machines) {
        for (const to of lab.machines) assert.ok(await reaches(from, to), `${from.name} to ${to.name}`);
        await from.must(["bash", "-c", "exec 3<>/dev/tcp/10.77.0.1/2379"]);
      }
    });

    await t.step("the bus of a machine can be reached from the host", async () => {
      const path = m1.busAddress.replace("unix:path=", "");
      using connection = await Deno.connect({ transport: "unix", path });
      await connection.write(new TextEncoder().encode("\0AUTH EXTERNAL 30\r\n"));
      const answer = new Uint8Array(64);
      const length = await connection.read(answer);
      assert.match(new TextDecoder().decode(answer.subarray(0, length ?? 0)), /^OK [0-9a-f]{32}\r\n/);
    });

    await t.step("root and core can log in over SSH", async () => {
      for (const user of ["root", "core"] as const) {
        const answer = await lab.ssh(m2, user, "whoami; hostname; exit 7");
        assert.deepEqual(answer, { code: 7, stdout: `${user}\nm2\n`, stderr: "" });
      }
    });

    await t.step("units on one machine do not affect those on another", async () => {
      await m1.must(["systemd-run", "--unit=mine", "sleep", "1000"]);
      const pid = await m1.sh("systemctl show --property=MainPID --value mine.service");
      assert.equal((await m2.run(["systemctl", "is-active", "mine.service"])).stdout, "inactive\n");
      await m2.must(["systemd-run", "--unit=mine", "sleep", "1000"]);
      await m2.must(["systemctl", "stop", "mine.service"]);
      assert.equal(await m1.sh("systemctl show --property=MainPID --value mine.service"), pid);
      await m1.must(["systemctl", "stop", "mine.service"]);
    });

    await t.step("a power cut loses memory, and keeps the disk and the journal", async () => {
      await m3.writeFile("/var/lib/kept", "kept\n");
      await m3.writeFile("/run/lost", "lost\n");
      await m3.sh("logger -t before 'logged before the cut'; journalctl --sync");
      const boot = await m3.bootId();
      await m3.powerCut();
      assert.equal(m3.running, false);
      assert.equal(await reaches(m1, m3, 2), false);
      assert.match(await m3.journal(), /before.*logged before the cut/);
      await m3.boot();
      assert.notEqual(await m3.bootId(), boot);
      assert.equal(await m3.sh("cat /var/lib/kept"), "kept\n");
      assert.equal((await m3.run(["test", "-e", "/run/lost"])).code, 1);
      assert.ok(await reaches(m1, m3));
    });

    await t.step("a shutdown runs the stop commands of units", async () => {
      const unit = "[Service]\nExecStart=sleep 1000\nExecStop=sh -c 'echo stopped >/var/lib/stopped'\n";
      await m3.writeFile("/etc/systemd/system/polite.service", unit);
      await m3.must(["systemctl", "start", "polite.service"]);
      await m3.shutdown();
      assert.equal(Deno.readTextFileSync(`${m3.disk}/var/lib/stopped`), "stopped\n");
      await m3.boot();
      await m3.reboot();
      assert.ok(await reaches(m1, m3));
    });

    await t.step("a partitioned machine runs but is unreachable, after a boot too, until it is healed", async () => {
      await m2.partition();
      assert.equal(await reaches(m1, m2, 2), false);
      assert.equal(await reaches(m2, m3, 2), false);
      assert.ok(await reaches(m1, m3));
      assert.equal(await m2.sh("cat /etc/motto"), "steady\n");
      await m2.powerCut();
      await m2.boot();
      assert.equal(await reaches(m1, m2, 2), false);
      await m2.heal();
      await until("m2 to be reached again", async () => await reaches(m1, m2) || undefined);
    });

    await t.step(
      "etcd responds, does not respond while paused, keeps data over a restart, loses data when wiped",
      async () => {
        await lab.etcd.must("put", "greeting", "hello");
        lab.etcd.pause();
        assert.notEqual((await lab.etcd.ctl("--command-timeout=500ms", "get", "greeting")).code, 0);
        lab.etcd.resume();
        await lab.etcd.stop();
        await lab.etcd.start();
        assert.equal(await lab.etcd.must("get", "--print-value-only", "greeting"), "hello\n");
        await lab.etcd.wipe();
        assert.equal(await lab.etcd.must("get", "--print-value-only", "greeting"), "");
      },
    );

    await t.step("a program that exceeds its timeout is killed in the machine as well", async () => {
      await assert.rejects(m1.run(["sleep", "4711"], { timeout_ms: 200 }), /still running after 200 ms/);
      await until(
        "the sleep to be gone",
        async () => (await m1.run(["pgrep", "-f", "sleep 4711"])).code === 1 || undefined,
      );
    });
  });
});

Deno.test("two labs exist at once, and disposing removes each completely", async () => {
  const twin = { id: "ab".repeat(16) };
  const names: string[] = [];
  {
    await using one = await Lab.create({ machines: [twin, twin], etcd: 0 });
    await using two = await Lab.create({ machines: [{ on: false }], etcd: 3 });
    names.push(one.name, two.name);
    assert.throws(() => one.etcd, /without etcd/);
    assert.deepEqual(one.machines.map(({ id }) => id), [twin.id, twin.id]);
    assert.equal(two.machine("m1").running, false);
    const late = await two.add({ name: "late" });
    assert.equal(late.ip, "10.77.0.12");
    // Two members of three are a quorum.
    await two.etcd.stop(2);
    await two.etcd.must("put", "greeting", "hello");
    await late.sh("systemctl is-system-running --wait");
  }
  const mounts = Deno.readTextFileSync("/proc/self/mounts");
  for (const name of names) {
    assert.ok(!mounts.includes(name));
    for (const dir of ["/run/fleet-lab", "/run/netns"]) assert.ok(!existsSync(`${dir}/${name}`));
  }
});

Deno.test("stale labs: the lab of a killed test process is removed, that of a running one is not", async () => {
  await using mine = await Lab.create({ machines: 1, etcd: 0 });
  const script = `import { Lab } from ${JSON.stringify(new URL("./lab.ts", import.meta.url).href)};
    const lab = await Lab.create({ machines: 1 });
    console.log(JSON.stringify([lab.name, lab.machines[0].pid, lab.etcd.members[0].pids[0]]));
    Deno.kill(Deno.pid, "SIGKILL");`;
  const output = await new Deno.Command(Deno.execPath(), { args: ["eval", script], stderr: "inherit" }).output();
  assert.equal(output.signal, "SIGKILL");
  const [name, ...pids] = JSON.parse(new TextDecoder().decode(output.stdout)) as [string, ...number[]];
  assert.ok(existsSync(`/run/netns/${name}`));
  assert.deepEqual(await removeStaleLabs(), [name]);
  assert.ok(!existsSync(`/run/netns/${name}`));
  assert.ok(!existsSync(`/run/fleet-lab/${name}`));
  for (const pid of pids) assert.equal(startTime(pid), undefined, `process ${pid} still runs`);
  assert.ok(mine.machine("m1").running);
  await mine.machine("m1").sh("true");
});

/** Replacements of the built programs: the daemon responds to every request with its configuration. */
const dummy = {
  "fleetd": `#!/bin/sh
exec deno run --quiet --no-prompt --allow-all "$(dirname "$(readlink -f "$0")")/fleetd.js"
`,
  "fleetd.js": `import { createServer } from "node:http";
const conf = Deno.readTextFileSync("/etc/fleet/fleet.conf");
for (let n = 0; n < Number(Deno.env.get("LISTEN_FDS")); n++) {
  createServer((_, response) => response.end(conf)).listen({ fd: 3 + n });
}
`,
  "fleetctl": '#!/bin/sh\necho fleetctl "$@"\n',
  "fleet.service": "[Service]\nExecStart=/usr/local/bin/fleetd\n[Install]\nWantedBy=multi-user.target\n",
  "fleet.socket": "[Socket]\nListenStream=/run/fleet.sock\n[Install]\nWantedBy=sockets.target\n",
};

Deno.test("fleet is installed, configured and started on every machine", async () => {
  const dist = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(dummy)) Deno.writeTextFileSync(`${dist}/${name}`, text, { mode: 0o755 });
    const fleet = { dist, units: dist, conf: { agent_ttl: "5s", verbosity: 1 }, tcp: true };
    const machines = [{ metadata: "role=web" }, { conf: { agent_ttl: "9s" } }];
    await withLab({ machines, etcd: 3, fleet }, async (lab) => {
      // The option that `tcp: true` adds comes first.
      const etcd =
        'api_insecure=true\netcd_servers="http://10.77.0.1:2379,http://10.77.0.2:2379,http://10.77.0.3:2379"\n';
      const expected = [
        `${etcd}agent_ttl="5s"\nverbosity=1\nmetadata="role=web"\n`,
        `${etcd}agent_ttl="9s"\nverbosity=1\n`,
      ];
      for (const [at, machine] of lab.machines.entries()) {
        using client = Deno.createHttpClient({ proxy: { transport: "unix", path: apiSocket(machine) } });
        assert.equal(await (await fetch("http://localhost/", { client })).text(), expected[at]);
        const port = `/dev/tcp/${machine.ip}/${api_port}`;
        const request = `exec 3<>${port}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`;
        const answer = await lab.namespaced(["bash", "-c", request]);
        assert.ok(answer.stdout.endsWith(expected[at]!), answer.stderr);
        assert.equal((await fleetctl(machine, "list-units")).stdout, "fleetctl list-units\n");
      }
    });
  } finally {
    await Deno.remove(dist, { recursive: true });
  }
});

Deno.test("the journals and logs of a lab are kept if its test fails", async () => {
  const printed = /--- the end of m1\.journal\.log\n.*what a pity/s;
  const script = `import { withLab } from ${JSON.stringify(new URL("./lab.ts", import.meta.url).href)};
    await withLab({ machines: 1 }, async (lab) => {
      await lab.machine("m1").sh("logger 'what a pity'; journalctl --sync");
      throw new Error("on purpose");
    });`;
  const output = await new Deno.Command(Deno.execPath(), { args: ["eval", script], stdout: "piped", stderr: "piped" })
    .output();
  const stderr = new TextDecoder().decode(output.stderr);
  assert.equal(output.code, 1);
  assert.match(stderr, printed);
  assert.match(stderr, /on purpose/);
  const dir = /logs of this lab are in (.*)/.exec(stderr)?.[1] ?? "";
  assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name).sort(), [
    "etcd0.log",
    "m1.console.log",
    "m1.journal.log",
  ]);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("an interrupted process removes its lab before it ends", async () => {
  const script = `import { Lab } from ${JSON.stringify(new URL("./lab.ts", import.meta.url).href)};
    const lab = await Lab.create({ machines: 1 });
    console.log(lab.name);
    await new Promise(() => setInterval(() => {}, 1000));`;
  const child = new Deno.Command(Deno.execPath(), { args: ["eval", script], stdout: "piped", stderr: "piped" }).spawn();
  const stderr = new Response(child.stderr).text();
  let name = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    name += text;
    if (name.endsWith("\n")) child.kill("SIGINT");
  }
  assert.equal((await child.status).signal, "SIGINT");
  assert.match(await stderr, /SIGINT: removing the machines, their network and their files/);
  for (const dir of ["/run/fleet-lab", "/run/netns"]) assert.ok(!existsSync(`${dir}/${name.trim()}`), dir);
});
