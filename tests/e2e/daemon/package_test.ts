/**
 * The packages and install.sh, by the commands of docs/start/install.md: installed, upgraded and removed on machines.
 * Then machines that programs set up.
 */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { buildFleet } from "../../lab/fleet_cluster.ts";
import { withLab } from "../../lab/lab.ts";
import project from "../../../deno.json" with { type: "json" };
import type { Machine } from "../../lab/machine.ts";
import { must, run, until } from "../../lab/process.ts";
import { bootByCloudInit, followPlaybook } from "../docs/automation_cases.ts";
import { etcdBinds } from "../docs/etcd_package.ts";

const root = new URL("../../../", import.meta.url).pathname;
const path = `${Deno.execPath().replace(/\/[^/]*$/, "")}:${Deno.env.get("PATH") ?? ""}`;

interface Packages {
  readonly deb: string;
  readonly rpm: string;
}

const epoch = { SOURCE_DATE_EPOCH: "1767225600" };

function pathsOf(directory: string, version: string): Packages {
  return { deb: `${directory}/fleet_${version}_all.deb`, rpm: `${directory}/fleet-${version}-1.noarch.rpm` };
}

/** Builds both packages of version 1.0, with their checksums, in a directory. Returns their paths. */
async function buildPackages(directory: string): Promise<Packages> {
  const env = { PATH: path, FLEET_PACKAGE_VERSION: "1.0", ...epoch };
  await must([`${root}compile.sh`, "--deb", "--rpm", directory], { env, timeout_ms: 300_000 });
  return pathsOf(directory, "1.0");
}

/** Packs programs that are built already as version 1.1. Returns the paths of both packages. */
async function packNext(directory: string, dist: string): Promise<Packages> {
  const { deb, rpm } = pathsOf(directory, "1.1");
  const options = { env: epoch, timeout_ms: 300_000 };
  await must([`${root}packaging/deb/build.sh`, dist, "all", "1.1", deb], options);
  await must([`${root}packaging/rpm/build.sh`, dist, "noarch", "1.1", rpm], options);
  return { deb, rpm };
}

const property = async (machine: Machine, unit: string, name: string) =>
  (await machine.must(["systemctl", "show", `--property=${name}`, "--value", unit])).trim();

/** Returns the blocks of commands in a section of docs/start/install.md. */
function blocksOf(title: string): string[] {
  const page = Deno.readTextFileSync(`${root}docs/start/install.md`);
  const section = page.split(/^## /m).find((section) => section.startsWith(`${title}\n`)) ?? "";
  return [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1]!);
}

/** Runs the commands of a section that installs a package. Returns what they print. */
async function installOn(machine: Machine, section: string, option: string, name: string): Promise<string> {
  // The checkout and the editor of the page: the package is built already.
  const build = `#!/bin/sh -e\n[ "$*" = ${option} ]\nrm -rf dist\nmkdir dist\ncp /root/first${
    name.slice(-4)
  } dist/${name}\n`;
  await machine.writeFile("/root/fleet/compile.sh", build, 0o755);
  const edit = `#!/bin/sh\nsystemctl is-active fleet.service >/root/before\necho registry=embedded >"$1"\n`;
  await machine.writeFile("/usr/local/bin/editor", edit, 0o755);
  const [page, ...more] = blocksOf(section);
  assert.deepEqual(more, []);
  const installed = await machine.sh(`cd /root/fleet\n${page}`);
  assert.equal(await machine.must(["cat", "/root/before"]), "inactive\n", "it starts nothing before it is configured");
  return installed;
}

async function useOn(machine: Machine): Promise<void> {
  const installed = await installOn(machine, "Debian and Ubuntu", "--deb", "fleet_1.0_all.deb");
  assert.doesNotMatch(installed, /no deno in PATH/);
  assert.match(installed, /edit \/etc\/fleet\/fleet\.conf, then run: systemctl start fleet\.socket fleet\.service/);
  assert.equal(await property(machine, "fleet.service", "UnitFileState"), "enabled");
  await machine.writeFile("/root/web.service", "[Service]\nExecStart=/bin/sleep infinity\n");
  await machine.must(["fleetctl", "start", "/root/web.service"]);
  assert.match(await machine.must(["fleetctl", "--version"]), /^fleetctl version /);
  const files = (await machine.must(["dpkg", "--listfiles", "fleet"])).split("\n");
  // Some of them may not be there: small systems are set up to leave out manual pages.
  for (const file of ["man/man1/fleetctl-start.1.gz", "bash-completion/completions/fleetctl"]) {
    assert.ok(files.includes(`/usr/share/${file}`), file);
  }
}

async function upgradeOn(machine: Machine, upgrade: readonly string[]): Promise<void> {
  const [unit, daemon] = await Promise.all(
    ["web.service", "fleet.service"].map((name) => property(machine, name, "InvocationID")),
  );
  await machine.must(upgrade);
  assert.notEqual(await property(machine, "fleet.service", "InvocationID"), daemon, "fleetd was restarted");
  await until("an answer of the new fleetd", async () => {
    const { code, stdout } = await machine.run(["fleetctl", "list-units", "--no-legend", "--fields=unit,active"]);
    return code === 0 && /^web\.service\tactive$/m.test(stdout) ? true : undefined;
  });
  assert.equal(await property(machine, "web.service", "InvocationID"), unit, "the unit runs on");
  assert.equal(await machine.must(["cat", "/etc/fleet/fleet.conf"]), "registry=embedded\n", "the configuration stays");
}

async function removeFrom(machine: Machine): Promise<void> {
  await machine.must(["dpkg", "--remove", "fleet"]);
  assert.equal(await property(machine, "web.service", "ActiveState"), "inactive", "its units are stopped");
  for (const file of ["/usr/bin/fleetctl", "/usr/lib/fleet", "/usr/lib/systemd/system/fleet.service"]) {
    assert.notEqual((await machine.run(["test", "-e", file])).code, 0, file);
  }
  await machine.must(["test", "-e", "/etc/fleet/fleet.conf"]);
  await machine.must(["test", "-e", "/var/lib/fleet/fleet.db"]);
  await machine.must(["dpkg", "--purge", "fleet"]);
  for (const file of ["/etc/fleet/fleet.conf", "/var/lib/fleet", "/run/fleet"]) {
    assert.notEqual((await machine.run(["test", "-e", file])).code, 0, file);
  }
  assert.equal((await machine.run(["systemctl", "is-enabled", "fleet.service"])).code === 0, false);
}

/** Installs, upgrades and removes the rpm, by Debian's rpm. Leaves nothing on the machine. */
async function useRpmOn(machine: Machine): Promise<void> {
  // Debian's rpm asks for the first option. It knows no package of Debian, so that the package needs what is not there.
  const rpm = ["rpm", "--force-debian", "--nodeps"];
  const dnf = `#!/bin/sh -e\n[ "$1" = install ]\nexec ${rpm.join(" ")} --install "$2"\n`;
  await machine.writeFile("/usr/local/bin/dnf", dnf, 0o755);
  await installOn(machine, "Fedora", "--rpm", "fleet-1.0-1.noarch.rpm");
  await machine.must(["fleetctl", "start", "/root/web.service"]);
  assert.match(await machine.must(["getent", "passwd", "fleet"]), /:\/var\/lib\/fleet:/);
  await upgradeOn(machine, [...rpm, "--upgrade", "/root/second.rpm"]);
  assert.equal(await machine.must(["rpm", "--query", "fleet"]), "fleet-1.1-1.noarch\n");
  const verified = await machine.run(["rpm", "--verify", "--nodeps", "fleet"]);
  assert.match(verified.stdout, /^\S+ +c \/etc\/fleet\/fleet\.conf\n$/, "only the configuration was changed");
  await machine.must([...rpm, "--erase", "fleet"]);
  assert.equal(await property(machine, "web.service", "ActiveState"), "inactive", "its units are stopped");
  assert.equal(await property(machine, "fleet.service", "LoadState"), "not-found");
  assert.equal(await machine.must(["cat", "/etc/fleet/fleet.conf.rpmsave"]), "registry=embedded\n");
  for (
    const path of ["/usr/lib/fleet", "/usr/share/doc/fleet", "/etc/systemd/system/sockets.target.wants/fleet.socket"]
  ) {
    assert.notEqual((await machine.run(["test", "-e", path])).code, 0, path);
  }
  await machine.must(["test", "-e", "/var/lib/fleet/fleet.db"]);
  await machine.must(["rm", "-r", "/etc/fleet", "/var/lib/fleet", "/run/fleet"]);
}

/** Compares the files of both packages, and reads the properties of the rpm. */
async function checkRpm({ deb, rpm }: Packages): Promise<void> {
  assert.match(await must(["rpm", "--checksig", "--nosignature", rpm]), /digests OK\n$/);
  const query = async (format: string) =>
    (await must(["rpm", "--query", "--package", "--queryformat", format, rpm])).trimEnd().split("\n");
  const ofDebian = (await must(["dpkg-deb", "--contents", deb])).trimEnd().split("\n")
    .filter((line) => !line.startsWith("d")).map((line) => line.replace(/ -> .*/, "").replace(/.* \./, ""))
    .filter((path) => !/^\/usr\/share\/doc\/fleet\/(changelog\.gz|copyright)$/.test(path))
    .map((path) => path.replace("/vendor-completions/", "/site-functions/"));
  const files = (await query("[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES}\n]")).filter((line) =>
    !line.startsWith("d")
  );
  for (const line of files) assert.match(line, /^(-rwxr-xr-x|-rw-r--r--|lrwxrwxrwx) root \//);
  const license = "/usr/share/licenses/fleet/LICENSE";
  assert.deepEqual(files.map((line) => line.replace(/.* /, "")).sort(), [...ofDebian, license].sort());
  const flags = await query("[%{FILEFLAGS:fflags} %{FILENAMES}\n]");
  assert.deepEqual(flags.filter((line) => /^\S*c/.test(line)), ["cn /etc/fleet/fleet.conf"]);
}

/** Follows the section on other distributions. */
async function followPageOn(machine: Machine, t: Deno.TestContext, system: string): Promise<void> {
  const [install, configure, upgrade, remove, ...more] = blocksOf("Other distributions");
  assert.deepEqual(more, []);
  const run = (block: string) => machine.sh(`cd /root\n${block}`);
  const list = async () => (await machine.must(["cat", "/usr/local/lib/fleet/files"])).trimEnd().split("\n");
  await t.step(`on ${system}, the commands of the page install fleet, and units run`, async () => {
    assert.match(await run(install!), /^Edit \/etc\/fleet\/fleet\.conf, then run: /);
    assert.match(await run(configure!), new RegExp(`^${machine.id.slice(0, 8)}\\.\\.\\.`, "m"));
    await machine.must(["fleetctl", "start", "/root/web.service"]);
    assert.equal((await machine.must(["fleetctl", "--version"])).split(" ")[2], project.version);
    for (const file of await list()) await machine.must(["test", "-e", file]);
    await machine.must(["systemd-sysusers"]);
    assert.match(await machine.must(["getent", "passwd", "fleet"]), /:\/var\/lib\/fleet:/);
  });
  await t.step(`on ${system}, an upgrade by the page leaves units running`, async () => {
    const before = await property(machine, "web.service", "InvocationID");
    assert.match(await run(upgrade!), /^To use this version, run: systemctl restart fleet\.service$/m);
    await machine.must(["fleetctl", "wait", "web.service"]);
    assert.equal(await property(machine, "web.service", "InvocationID"), before);
    assert.equal(await machine.must(["cat", "/etc/fleet/fleet.conf"]), "registry=embedded\n");
  });
  await t.step(`on ${system}, a removal by the page stops units, and one of a running fleet is refused`, async () => {
    const files = await list();
    const early = await machine.run(["/usr/local/lib/fleet/install.sh", "--uninstall"]);
    assert.equal(early.code, 1);
    assert.match(early.stderr, /^install\.sh: fleet\.service is active .* systemctl disable --now /);
    await run(remove!);
    assert.equal(await property(machine, "web.service", "ActiveState"), "inactive");
    for (const file of files) assert.notEqual((await machine.run(["test", "-e", file])).code, 0, file);
    assert.equal(await property(machine, "fleet.service", "LoadState"), "not-found");
    await machine.must(["test", "-e", "/var/lib/fleet/fleet.db"]);
  });
}

Deno.test("packages and install.sh", async (t) => {
  const directory = await Deno.makeTempDir({ prefix: "fleet-package-" });
  try {
    const dist = await buildFleet();
    const first = await buildPackages(directory);
    const second = await packNext(directory, Deno.realPathSync(dist));
    await t.step("two builds of the same source are equal", async () => {
      const paths = [first.deb, first.rpm];
      const checksums = () => Promise.all(paths.map((path) => Deno.readTextFile(`${path}.sha256`)));
      const before = await checksums();
      for (const path of paths) await Deno.remove(path);
      await buildPackages(directory);
      assert.deepEqual(await checksums(), before);
      await must(["sh", "-c", `cd ${directory} && sha256sum --check --quiet *.sha256`]);
      for (const path of paths) assert.ok(existsSync(path));
    });
    await t.step("lintian finds no fault", async () => {
      const { code, stdout, stderr } = await run(["lintian", "--allow-root", "--fail-on", "warning", first.deb]);
      assert.equal(code, 0, stdout + stderr);
    });
    await t.step("the rpm has the files of the Debian package", () => checkRpm(first));
    const binds = [
      ...etcdBinds(),
      { host: Deno.realPathSync(Deno.execPath()), guest: "/usr/local/bin/deno" },
      ...(["deb", "rpm"] as const).flatMap((format) => [
        { host: first[format], guest: `/root/first.${format}` },
        { host: second[format], guest: `/root/second.${format}` },
      ]),
      { host: Deno.realPathSync(dist), guest: "/root/dist" },
    ];
    const machines = [{ name: "old" }, { name: "new", base: "podman" as const }];
    await withLab({ machines, etcd: 0, binds }, async (lab) => {
      for (const machine of lab.machines) {
        const system = (await machine.sh(". /etc/os-release; echo $VERSION_CODENAME")).trim();
        await t.step(`on ${system}, it is installed, and units run`, () => useOn(machine));
        await t.step(`on ${system}, an upgrade leaves units running`, () => {
          return upgradeOn(machine, ["dpkg", "--install", "/root/second.deb"]);
        });
        await t.step(`on ${system}, a removal stops them, and a purge leaves nothing`, () => removeFrom(machine));
        if (machine.name === "old") {
          await t.step(`on ${system}, the rpm is installed, upgraded and removed`, () => useRpmOn(machine));
        }
        await followPageOn(machine, t, system);
      }
      await t.step("by cloud-init, a machine with the package is a member after its first boot", () => {
        return bootByCloudInit(lab, first.deb);
      });
      await t.step("by Ansible, two machines become a cluster, and a second run changes nothing", () => {
        return followPlaybook(lab, dist);
      });
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
