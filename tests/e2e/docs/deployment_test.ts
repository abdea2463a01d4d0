/**
 * Runs the commands of docs/guides/deploy.md unchanged: three bare machines become a cluster with an encrypted etcd. Then
 * those of other guides that begin with this cluster.
 */

import assert from "node:assert/strict";
import { writeProgram } from "../../support/programs.ts";
import { fleetctl } from "../../lab/fleet.ts";
import { buildFleet, FleetCluster } from "../../lab/fleet_cluster.ts";
import { checkFiles } from "../../lab/file_table.ts";
import { type Lab, withLab } from "../../lab/lab.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";
import { etcdBinds, install_etcd } from "./etcd_package.ts";

const root = new URL("../../../", import.meta.url).pathname;

/** Stands in for apt-get, because a mirror cannot be reached. */
const apt_get = `#!/bin/sh -e
[ "$*" = "install -y etcd-server etcd-client" ]
${install_etcd}`;

interface Section {
  readonly title: string;
  /** The commands of each block, in order. */
  readonly blocks: readonly string[];
}

/** Returns the part of a guide before its first section, and every section with commands. */
function readGuide(name: string): readonly Section[] {
  const text = Deno.readTextFileSync(`${root}docs/guides/${name}.md`).replaceAll("10.0.0.", "10.77.0.");
  return text.split(/^## /m).map((section, index) => ({
    title: index === 0 ? "before all" : section.slice(0, section.indexOf("\n")),
    blocks: [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1]!),
  })).filter(({ title, blocks }) => title === "before all" || blocks.length > 0);
}

/** The operator's workstation: a checkout, and ssh and scp configured for the lab's machines. */
class Workstation {
  readonly #prelude: string;

  private constructor(private readonly lab: Lab, private readonly dir: string, prelude: string) {
    this.#prelude = prelude;
  }

  static async create(lab: Lab, dist: string, prelude: string): Promise<Workstation> {
    const dir = `${lab.dir}/workstation`;
    await Deno.mkdir(`${dir}/bin`, { recursive: true });
    const options = `-F none -i ${lab.sshKey} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes ` +
      `-o UserKnownHostsFile=${lab.knownHosts}`;
    for (const program of ["ssh", "scp"]) {
      const script = `#!/bin/sh\nexec /usr/bin/${program} ${options} "$@"\n`;
      await writeProgram(`${dir}/bin/${program}`, script);
    }
    for (const part of ["packaging", "examples"]) await Deno.symlink(`${root}${part}`, `${dir}/${part}`);
    // Self-contained programs cannot be compiled on every test host; the launchers that are built already serve as well.
    const compile = `#!/bin/sh\ncp -R ${dist} dist\n`;
    await writeProgram(`${dir}/compile.sh`, compile);
    return new Workstation(lab, dir, prelude);
  }

  /** Runs commands in a shell. Throws with their output if one fails. Returns the standard output. */
  async run(commands: string): Promise<string> {
    const script = `cd ${this.dir}\n${this.#prelude}\n${commands}`;
    const output = await this.lab.namespaced(["sh", "-ec", script], {
      env: {
        HOME: this.dir,
        PATH: `${this.dir}/bin:${Deno.execPath().replace(/\/[^/]*$/, "")}:/usr/sbin:/usr/bin:/sbin:/bin`,
      },
      timeout_ms: 180_000,
    });
    const { code, stdout, stderr } = output;
    if (code !== 0) throw new Error(`code ${code}\n${commands}\n${stdout}\n${stderr}`);
    return stdout;
  }
}

/** Each way to authorize a client is named in the history of what it has changed. */
async function authorsAreNamed(cluster: FleetCluster, station: Workstation): Promise<void> {
  const [machine] = cluster.lab.machines;
  const sectionOf = (guide: string, start: string) => readGuide(guide).find(({ title }) => title.startsWith(start))!;
  const [call] = /^dist\/fleetctl --endpoint[^]*?(?=list-units)/m.exec(sectionOf("deploy", "6").blocks.join("\n"))!;
  await station.run(`mkdir page; printf '[Service]\nExecStart=/bin/sleep infinity\n' >page/page.service`);
  await station.run(`${call} apply --yes page`);
  // The guide on monitoring makes a token for reading. docs/guides/secure.md says how to make one for everything of it.
  const token = sectionOf("monitor", "1").blocks[0]!.replaceAll("prometheus", "pipeline").replace('"read', '"write');
  await station.run(token);
  const withToken = `${call.replace(/ --cert-file[^]*/, "")} --token-file $keys/pipeline.token`;
  await station.run(`${withToken} restart page.service`);
  await cluster.fleetctl(machine!, "restart", "page.service");

  const names = (text: string) =>
    text.trimEnd().replaceAll(/\t+/g, "\t").replaceAll(/ from 10\.77\.0\.\d+/g, " from ADDRESS").split("\n");
  const versions = await station.run(`${call} history --no-legend --fields=what,by page.service | grep -v ^on`);
  assert.deepEqual(names(versions), [
    "restart\tuid 0",
    "restart\tpipeline from ADDRESS",
    "apply\tme from ADDRESS",
  ]);
  assert.deepEqual(
    names(await station.run(`${call} history --no-legend --fields=version,what,by,units --app=page`)),
    ["1\tapply\tme from ADDRESS\tpage.service"],
  );
  await cluster.destroy(machine!, "page.service");
}

async function followPage(lab: Lab, dist: string, t: Deno.TestContext): Promise<void> {
  const [before, ...sections] = readGuide("deploy");
  assert.equal(sections.length, 8);
  const station = await Workstation.create(lab, dist, before!.blocks.join("\n"));
  const cluster = new FleetCluster(lab);
  for (const machine of lab.machines) await machine.writeFile("/usr/local/sbin/apt-get", apt_get, 0o755);
  const outputs = new Map<string, string>();
  const hello = "hello.service";
  let running: readonly (readonly [Machine, number])[] = [];
  const pids = () =>
    Promise.all(lab.machines.map(async (machine) => [machine, await cluster.pid(machine, hello)] as const));
  for (const { title, blocks } of sections) {
    await t.step(title, async () => {
      for (const block of blocks) outputs.set(title, (outputs.get(title) ?? "") + await station.run(block));
      if (title.startsWith("5")) running = await pids();
      if (/^(6|7|Fewer)/.test(title)) {
        await cluster.joined(lab.machines);
        assert.deepEqual(await pids(), running, "units keep running");
      }
    });
  }
  const outputOf = (number: number) => [...outputs].find(([title]) => title.startsWith(`${number}`))![1];
  await t.step("the commands print what the page promises", () => {
    assert.match(outputOf(4), /^etcd_servers=https:\/\/10\.77\.0\.11:2379,.*# \/etc\/fleet\/fleet\.conf:1$/m);
    for (const { id, ip } of lab.machines) {
      assert.match(
        outputOf(5),
        new RegExp(`^${id.slice(0, 8)}\\.\\.\\.\\t+${ip.replaceAll(".", "\\.")}\\t+rack=a$`, "m"),
      );
    }
    assert.match(outputOf(5), /Unit hello\.service launched on /);
    assert.match(outputOf(6), /^hello\.service\t+\S+\t+active\t+running$/m);
    // One line per journal: each machine has printed the journal of the machine that runs the unit.
    assert.equal(outputOf(6).match(/ Started hello\.service/g)?.length, 3, outputOf(6));
  });
  await t.step("files have the modes that docs/reference/files.md lists", async () => {
    const present = ["", "/fleet.conf", "/*.pem", "/key.pem"].map((name) => `/etc/fleet${name}`);
    for (const machine of lab.machines) await checkFiles(machine, "fleet", ["/etc/fleet", "/run/fleet"], present);
  });
  await t.step(
    "after the section on fewer rights, fleetd runs as the user fleet and reports which file it cannot read",
    async () => {
      for (const machine of lab.machines) {
        const pid = await cluster.pid(machine, "fleet.service");
        assert.equal((await machine.must(["ps", "-o", "user=", "-p", String(pid)])).trim(), "fleet");
      }
      const [machine] = lab.machines;
      await machine!.must(["chown", "root", "/etc/fleet/key.pem"]);
      const check = ["runuser", "-u", "fleet", "--", "fleetd", "--check-config"];
      const { code, stderr } = await machine!.run(check);
      assert.equal(code, 1);
      const advice = [...stderr.matchAll(
        /^error: \/etc\/fleet\/fleet\.conf:\d+: cannot read \/etc\/fleet\/key\.pem, the file that (\w+) names; .*, by (chown \d+ \S+): EACCES/gm,
      )];
      assert.deepEqual(advice.map(([, option]) => option), ["etcd_keyfile", "api_keyfile", "api_peer_keyfile"], stderr);
      const refused = await machine!.run(["systemctl", "reload", "fleet"]);
      assert.equal(refused.code, 1);
      assert.match(
        await machine!.journal("fleet.service"),
        /not reloaded.*cannot read \/etc\/fleet\/key\.pem.*chown \d+/,
      );
      await machine!.sh(advice[0]![2]!);
      await machine!.must(check);
      await machine!.must(["systemctl", "reload", "fleet"]);
    },
  );
  await t.step("docs/guides/monitor.md: a token that may read, and etcd's metrics", async () => {
    const blocks = readGuide("monitor").flatMap(({ blocks }) => blocks);
    assert.equal(blocks.length, 2);
    assert.deepEqual((await station.run(blocks[0]!)).match(/^fleet_ready 1$/gm)?.length, 3);
    await station.run(blocks[1]!);
    const { stdout } = await lab.namespaced(["curl", "--silent", `http://${lab.machines[0]!.ip}:2381/metrics`]);
    assert.match(stdout, /^etcd_server_has_leader 1$/m);
  });
  await t.step("docs/guides/secure.md: a client that may only read, and renewed certificates", async () => {
    const blocks = readGuide("secure").flatMap(({ blocks }) => blocks);
    assert.equal(blocks.length, 2);
    assert.match(await station.run(blocks[0]!), /^hello\.service\t+\S+\t+active\t+running$/m);
    const asAnna = blocks[0]!.slice(blocks[0]!.indexOf("dist/fleetctl")).replace("list-units", "stop hello");
    await assert.rejects(station.run(asAnna), /the certificate of "anna" may read only/);
    const certificates = () => Promise.all(lab.machines.map((machine) => machine.must(["cat", "/etc/fleet/cert.pem"])));
    const before = await certificates();
    assert.match(await station.run(blocks[1]!), /^ok +certificate: the certificate of https:/m);
    for (const [index, certificate] of (await certificates()).entries()) assert.notEqual(certificate, before[index]);
    await cluster.joined(lab.machines);
    assert.deepEqual(await pids(), running, "units keep running");
  });
  await t.step("history names the certificate, the token or the user of each change", () => {
    return authorsAreNamed(cluster, station);
  });
  await t.step("docs/guides/recover.md: a timer makes backups and keeps the newest", async () => {
    const machine = lab.machines[2]!;
    for (const name of ["fleet-backup.service", "fleet-backup.timer"]) {
      // This test may run at the time of the timer, which must not make a backup of its own.
      const unit = Deno.readTextFileSync(`${root}examples/backup/${name}`).replace("*-*-* 02:30", "2099-01-01");
      await machine.writeFile(`/etc/systemd/system/${name}`, unit);
    }
    const older = Array.from({ length: 31 }, (_, at) => `fleet-2026-01-${String(at + 1).padStart(2, "0")}T023000Z`);
    for (const name of older) await machine.writeFile(`/var/lib/fleet-backup/${name}/backup.json`, "{}");
    const [, nightly] = readGuide("recover").find(({ title }) => title.startsWith("Back up"))!.blocks;
    const names = (await machine.sh(nightly!)).trim().split("\n");
    assert.deepEqual(names.slice(0, -1), older.slice(2), "29 older ones are left");
    const directory = `/var/lib/fleet-backup/${names.at(-1)}`;
    assert.equal(await machine.must(["stat", "--format=%a", directory]), "700\n");
    assert.equal(await machine.must(["ls", directory]), `backup.json\n${hello}\n`);
    assert.match(await machine.must(["systemctl", "list-timers", "fleet-backup.timer"]), /fleet-backup\.service/);
    // A backup that fails removes nothing.
    const drop_in = "[Service]\nEnvironment=FLEETCTL_ENDPOINT=unix:///nowhere.sock\n";
    await machine.writeFile("/etc/systemd/system/fleet-backup.service.d/test.conf", drop_in);
    await machine.writeFile(`/var/lib/fleet-backup/${older[0]}/backup.json`, "{}");
    await machine.must(["systemctl", "daemon-reload"]);
    assert.equal((await machine.run(["systemctl", "start", "fleet-backup.service"])).code, 1);
    assert.equal((await machine.must(["ls", "/var/lib/fleet-backup"])).trim().split("\n").length, 31);
    await machine.must(["systemctl", "disable", "--now", "fleet-backup.timer"]);
  });
  await t.step("docs/guides/recover.md: a backup, and what it restores", async () => {
    const machine = lab.machines[1]!;
    const [backup] = readGuide("recover").find(({ title }) => title.startsWith("Back up"))!.blocks;
    await machine.sh(`cd /root && ${backup}`);
    const directory = (await machine.must(["sh", "-c", "ls -d /root/fleet-*"])).trim();
    const files = (await machine.must(["ls", directory])).trim().split("\n");
    assert.deepEqual(files, ["backup.json", hello]);
    await cluster.fleetctl(machine, "destroy", hello);
    const { code, stdout } = await fleetctl(machine, "restore", "--dry-run", directory);
    assert.equal(code, 2, "something would change");
    assert.match(stdout, /^\+ create hello\.service, launched$/m);
    await cluster.fleetctl(machine, "restore", directory);
    await cluster.active(machine, [hello]);
  });
  await t.step("a machine that reboots joins again, with its sockets", async () => {
    const machine = lab.machines[2]!;
    await machine.reboot();
    await cluster.joined([machine, ...lab.machines.filter((other) => other !== machine)]);
    const command = [...before!.blocks, ...sections.find(({ title }) => title.startsWith("6"))!.blocks].join("\n");
    const call = /dist\/fleetctl --endpoint(.|\n)*list-units/.exec(command)![0].replace("${machines%% *}", machine.ip);
    await until("the API on the network", async () => (await station.run(call)).includes(hello) || undefined);
  });
}

Deno.test("the commands of docs/guides/deploy.md set up a cluster", async (t) => {
  const dist = await buildFleet();
  const binds = [
    ...etcdBinds(),
    { host: Deno.realPathSync(Deno.execPath()), guest: "/usr/local/bin/deno" },
  ];
  await withLab({ machines: 3, etcd: 0, binds }, (lab) => followPage(lab, dist, t));
});
