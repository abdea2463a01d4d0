/**
 * Prepares this host for the tests on real machines: `deno run -A tests/prepare_host.ts`. As root on Debian or Ubuntu it
 * installs missing packages; elsewhere it prints which programs are missing and their packages, and exits with code 1.
 */

import { existsSync } from "node:fs";
import { must, run } from "./lab/process.ts";
import { ensureBase } from "./lab/rootfs.ts";
import { rootMissing } from "./support/need_root.ts";

/** A program or file that the host must have. */
interface Need {
  /** Name of a program in PATH, or absolute path of a file. */
  readonly what: string;
  /** The Debian package that contains it. */
  readonly debian: string;
}

const needs: readonly Need[] = [
  { what: "systemd-nspawn", debian: "systemd-container" },
  { what: "mmdebstrap", debian: "mmdebstrap" },
  { what: "/usr/share/keyrings/debian-archive-keyring.gpg", debian: "debian-archive-keyring" },
  { what: "etcd", debian: "etcd-server" },
  { what: "etcdctl", debian: "etcd-client" },
  { what: "ip", debian: "iproute2" },
  { what: "ssh", debian: "openssh-client" },
  { what: "ssh-keygen", debian: "openssh-client" },
  { what: "nsenter", debian: "util-linux" },
  { what: "openssl", debian: "openssl" },
  { what: "python3", debian: "python3" },
  { what: "setpriv", debian: "util-linux" },
  { what: "setsid", debian: "util-linux" },
  { what: "mount", debian: "mount" },
  { what: "chroot", debian: "coreutils" },
];

/**
 * Programs that tests run on this host: shells, the browser, the checks of manual pages and packages, git, and those that use the
 * examples. Machines do not need them.
 */
const forTests: readonly Need[] = [
  ...["bash", "fish", "zsh", "chromium", "mandoc", "lintian", "git", "curl", "prometheus"].map((name) => ({
    what: name,
    debian: name,
  })),
  { what: "promtool", debian: "prometheus" },
  { what: "ansible-playbook", debian: "ansible-core" },
  { what: "rpmbuild", debian: "rpm" },
];

/** The services that packages would start, by package: on ports that tests or the host may use. */
const services: Readonly<Record<string, string>> = { "etcd-server": "etcd.service", prometheus: "prometheus.service" };

/** Returns the needs of machines that this host lacks. Also adds the system's program directories to PATH, which an ordinary user's PATH may lack. */
export function missingNeeds(): readonly Need[] {
  return missingOf(needs);
}

function missingOf(needs: readonly Need[]): readonly Need[] {
  const path = new Set((Deno.env.get("PATH") ?? "").split(":").filter((dir) => dir !== ""));
  for (const dir of ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]) path.add(dir);
  Deno.env.set("PATH", [...path].join(":"));
  return needs.filter(({ what }) => {
    return what.startsWith("/") ? !existsSync(what) : ![...path].some((dir) => existsSync(`${dir}/${what}`));
  });
}

/** Returns the reason why this host cannot boot machines, with advice; undefined if it can. */
export function unready(): string | undefined {
  if (Deno.build.os !== "linux") return `real machines need a Linux host, and this is ${Deno.build.os}`;
  const noRoot = rootMissing();
  if (noRoot !== undefined) return `${noRoot}: run the tests as root`;
  const missing = missingNeeds();
  if (missing.length > 0) {
    const packages = [...new Set(missing.map(({ debian }) => debian))].join(" ");
    return `this host lacks ${
      missing.map(({ what }) => what).join(", ")
    }: run tests/prepare_host.ts as root on Debian or Ubuntu, ` +
      `or install the packages that contain them (on Debian: ${packages})`;
  }
  return undefined;
}

/**
 * Installs the missing needs of machines and of `more`, and builds the root file system of most machines. Throws with the reason
 * if this host cannot boot machines.
 */
export async function prepare(more: readonly Need[] = []): Promise<void> {
  const missing = missingOf([...needs, ...more]);
  if (missing.length > 0 && Deno.uid() === 0 && existsSync("/usr/bin/apt-get")) {
    await install([...new Set(missing.map(({ debian }) => debian))]);
  }
  const reason = unready();
  if (reason !== undefined) throw new Error(reason);
  const lacking = missingOf(more).map(({ what }) => what).join(", ");
  if (lacking !== "") {
    throw new Error(`this host lacks ${lacking}, which tests use: install the packages that contain them`);
  }
  await ensureBase();
}

const apt = ["apt-get", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"];
// RUNLEVEL=1: invoke-rc.d starts no service in this run level (invoke-rc.d(8)).
const apt_env = { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1", LC_ALL: "C.UTF-8" };
const apt_timeout_ms = 900_000;

async function install(packages: readonly string[]): Promise<void> {
  const options = { env: apt_env, timeout_ms: apt_timeout_ms };
  console.error(`installing ${packages.join(" ")}`);
  const update = await run([...apt, "update"], options);
  // One dead mirror among several fails the whole update; the installation may succeed nevertheless.
  if (update.code !== 0) console.error(`apt-get update failed, trying the installation: ${lastLines(update.stderr)}`);
  const starting = existsSync("/run/systemd/system") ? packages.flatMap((name) => services[name] ?? []) : [];
  // A reboot removes the mask, which is in /run.
  if (starting.length > 0) await must(["systemctl", "mask", "--runtime", ...starting]);
  try {
    const command = [...apt, "install", "-y", "--no-install-recommends", ...packages];
    const first = await run(command, options);
    if (first.code === 0) return;
    // An earlier installation that was interrupted must be completed first.
    await run(["dpkg", "--configure", "-a", "--force-confold"], options);
    await run([...apt, "install", "-y", "--fix-broken"], options);
    const second = await run(command, options);
    if (second.code !== 0) throw new Error(`cannot install ${packages.join(" ")}: ${lastLines(second.stderr)}`);
  } finally {
    if (starting.length > 0) {
      await must(["systemctl", "unmask", "--runtime", ...starting]);
      await run(["systemctl", "disable", ...starting]); // fails if a package was not installed
    }
  }
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-5).join("\n");
}

if (import.meta.main) {
  try {
    await prepare(forTests);
    await ensureBase("podman");
    console.error("this host is ready for tests on real machines");
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exitCode = 1;
  }
}
