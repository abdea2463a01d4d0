/** Runs the commands of docs/guides/deploy.md unchanged: three bare machines become a cluster with an encrypted etcd. */

import assert from "node:assert/strict";
import { writeProgram } from "../../support/programs.ts";
import { existsSync } from "node:fs";
import { buildFleet, FleetCluster } from "../../lab/fleet_cluster.ts";
import { checkFiles } from "../../lab/file_table.ts";
import { type Lab, withLab } from "../../lab/lab.ts";
import type { Bind, Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";

const root = new URL("../../../", import.meta.url).pathname;

/** A replacement of apt-get that installs etcd as Debian's package does: programs, user, unit, and a running single member. */
const etcd_package = `#!/bin/sh -e
[ "$*" = "install -y etcd-server etcd-client" ]
useradd --system --user-group --home-dir /var/lib/etcd etcd
install -d -o etcd -g etcd -m 0700 /var/lib/etcd
cat >/lib/systemd/system/etcd.service <<END
[Unit]
After=network.target
Wants=network-online.target

[Service]
Environment=ETCD_NAME=%H ETCD_DATA_DIR=/var/lib/etcd/default
EnvironmentFile=-/etc/default/etcd
Type=notify
User=etcd
ExecStart=/usr/bin/etcd
Restart=on-abnormal

[Install]
WantedBy=multi-user.target
END
ln -s /opt/etcd/etcd /opt/etcd/etcdctl /usr/bin/
systemctl daemon-reload
systemctl enable --now etcd
`;

/** Returns a read-only mount of a program of this host. Throws if the program is not in PATH. */
function program(name: string, guest: string): Bind {
  const dirs = (Deno.env.get("PATH") ?? "").split(":");
  const found = dirs.map((dir) => `${dir}/${name}`).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${name} is not in PATH`);
  return { host: Deno.realPathSync(found), guest };
}

interface Section {
  readonly title: string;
  /** The commands of each block, in order. */
  readonly blocks: readonly string[];
}

/** Returns the part of the page before its first section, and every section with commands. */
function readPage(): readonly Section[] {
  const text = Deno.readTextFileSync(`${root}docs/guides/deploy.md`).replaceAll("10.0.0.", "10.77.0.");
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

async function followPage(lab: Lab, dist: string, t: Deno.TestContext): Promise<void> {
  const [before, ...sections] = readPage();
  assert.equal(sections.length, 8);
  const station = await Workstation.create(lab, dist, before!.blocks.join("\n"));
  const cluster = new FleetCluster(lab);
  for (const machine of lab.machines) await machine.writeFile("/usr/local/sbin/apt-get", etcd_package, 0o755);
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
    program("etcd", "/opt/etcd/etcd"),
    program("etcdctl", "/opt/etcd/etcdctl"),
    { host: Deno.realPathSync(Deno.execPath()), guest: "/usr/local/bin/deno" },
  ];
  await withLab({ machines: 3, etcd: 0, binds }, (lab) => followPage(lab, dist, t));
});
