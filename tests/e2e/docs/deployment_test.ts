/** docs/guides/deploy.md, typed as it stands there: three bare machines become a cluster with an encrypted etcd. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { buildFleet, FleetCluster } from "../../lab/fleet_cluster.ts";
import { type Lab, withLab } from "../../lab/lab.ts";
import type { Bind, Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";

const root = new URL("../../../", import.meta.url).pathname;

/** What Debian's package brings that the machines do not have: programs, unit, user, and an etcd that is started alone. */
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

/** A program of this host, for the machines. */
function program(name: string, guest: string): Bind {
  const dirs = (Deno.env.get("PATH") ?? "").split(":");
  const found = dirs.map((dir) => `${dir}/${name}`).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`there is no ${name} in PATH`);
  return { host: Deno.realPathSync(found), guest };
}

interface Section {
  readonly title: string;
  /** The commands of each block, in order. */
  readonly blocks: readonly string[];
}

/** What the page has before its first section, and every section with commands. */
function readPage(): readonly Section[] {
  const text = Deno.readTextFileSync(`${root}docs/guides/deploy.md`).replaceAll("10.0.0.", "10.77.0.");
  return text.split(/^## /m).map((section, index) => ({
    title: index === 0 ? "before all" : section.slice(0, section.indexOf("\n")),
    blocks: [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1]!),
  })).filter(({ title, blocks }) => title === "before all" || blocks.length > 0);
}

/** A workstation: a checkout, and an ssh that knows the machines. */
class Workstation {
  readonly #prelude: string;

  private constructor(private readonly lab: Lab, private readonly dir: string, prelude: string) {
    this.#prelude = prelude;
  }

  static async furnish(lab: Lab, dist: string, prelude: string): Promise<Workstation> {
    const dir = `${lab.dir}/workstation`;
    await Deno.mkdir(`${dir}/bin`, { recursive: true });
    const options = `-F none -i ${lab.sshKey} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes ` +
      `-o UserKnownHostsFile=${lab.knownHosts}`;
    for (const program of ["ssh", "scp"]) {
      const script = `#!/bin/sh\nexec /usr/bin/${program} ${options} "$@"\n`;
      await Deno.writeTextFile(`${dir}/bin/${program}`, script, { mode: 0o755 });
    }
    for (const part of ["packaging", "examples"]) await Deno.symlink(`${root}${part}`, `${dir}/${part}`);
    // Self-contained programs cannot be made on every host that runs this; those that were built are as good.
    const compile = `#!/bin/sh\ncp -R ${dist} dist\n`;
    await Deno.writeTextFile(`${dir}/compile.sh`, compile, { mode: 0o755 });
    return new Workstation(lab, dir, prelude);
  }

  /** Types commands; fails with all that was said when one does. Returns what was said on standard output. */
  async type(commands: string): Promise<string> {
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

async function follow(lab: Lab, dist: string, t: Deno.TestContext): Promise<void> {
  const [before, ...sections] = readPage();
  assert.equal(sections.length, 8);
  const station = await Workstation.furnish(lab, dist, before!.blocks.join("\n"));
  const cluster = new FleetCluster(lab);
  for (const machine of lab.machines) await machine.writeFile("/usr/local/sbin/apt-get", etcd_package, 0o755);
  const said = new Map<string, string>();
  const hello = "hello.service";
  let running: readonly (readonly [Machine, number])[] = [];
  const look = () =>
    Promise.all(lab.machines.map(async (machine) => [machine, await cluster.pid(machine, hello)] as const));
  for (const { title, blocks } of sections) {
    await t.step(title, async () => {
      for (const block of blocks) said.set(title, (said.get(title) ?? "") + await station.type(block));
      if (title.startsWith("5")) running = await look();
      if (/^(6|7|Fewer)/.test(title)) {
        await cluster.joined(lab.machines);
        assert.deepEqual(await look(), running, "units keep running");
      }
    });
  }
  const told = (number: number) => [...said].find(([title]) => title.startsWith(`${number}`))![1];
  await t.step("what the commands say", () => {
    assert.match(told(4), /^etcd_servers=https:\/\/10\.77\.0\.11:2379,.*# \/etc\/fleet\/fleet\.conf:1$/m);
    for (const { id, ip } of lab.machines) {
      assert.match(told(5), new RegExp(`^${id.slice(0, 8)}\\.\\.\\.\\t+${ip.replaceAll(".", "\\.")}\\t+rack=a$`, "m"));
    }
    assert.match(told(5), /Unit hello\.service launched on /);
    assert.match(told(6), /^hello\.service\t+\S+\t+active\t+running$/m);
    // One line a journal, and each machine has shown the one of the machine that has the unit.
    assert.equal(told(6).match(/ Started hello\.service/g)?.length, 3, told(6));
  });
  await t.step("with fewer rights, fleetd runs as the user fleet and says which file it may not read", async () => {
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
  });
  await t.step("a machine that boots is back, with its sockets", async () => {
    const machine = lab.machines[2]!;
    await machine.reboot();
    await cluster.joined([machine, ...lab.machines.filter((other) => other !== machine)]);
    const command = [...before!.blocks, ...sections.find(({ title }) => title.startsWith("6"))!.blocks].join("\n");
    const call = /dist\/fleetctl --endpoint(.|\n)*list-units/.exec(command)![0].replace("${machines%% *}", machine.ip);
    await until("the API on the network", async () => (await station.type(call)).includes(hello) || undefined);
  });
}

Deno.test("the way to a cluster, as docs/guides/deploy.md has it", async (t) => {
  const dist = await buildFleet();
  const binds = [
    program("etcd", "/opt/etcd/etcd"),
    program("etcdctl", "/opt/etcd/etcdctl"),
    { host: Deno.realPathSync(Deno.execPath()), guest: "/usr/local/bin/deno" },
  ];
  await withLab({ machines: 3, etcd: 0, binds }, (lab) => follow(lab, dist, t));
});
