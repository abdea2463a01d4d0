/**
 * Makes this host ready for the tests on real machines: `deno run -A tests/prepare_host.ts`. As root on Debian or Ubuntu it
 * installs what is missing; elsewhere it says what is missing and how to get it, and ends with code 1.
 */

import { existsSync } from "node:fs";
import { must, run } from "./lab/process.ts";
import { ensureBase } from "./lab/rootfs.ts";
import { rootMissing } from "./support/need_root.ts";

/** Something the host must have: a program in the path, or a file. */
interface Need {
  readonly what: string;
  /** The Debian package that brings it. */
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

/** What tests/cli/completion_test.ts completes command lines in. Machines need none of it. */
const shells: readonly Need[] = ["bash", "fish", "zsh"].map((name) => ({ what: name, debian: name }));

/** What this host still lacks for machines. Also puts the system's own program directories on the path, where a plain user's lacks them. */
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

/** One sentence on why no machine can be booted here and what to do about it; undefined when one can. */
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
      `or install what brings them (Debian's packages: ${packages})`;
  }
  return undefined;
}

/**
 * Installs what is missing for machines, and `more`, and has the machines' root file system built. Throws with a sentence
 * on what stands in the way.
 */
export async function prepare(more: readonly Need[] = []): Promise<void> {
  const missing = missingOf([...needs, ...more]);
  if (missing.length > 0 && Deno.uid() === 0 && existsSync("/usr/bin/apt-get")) {
    await install([...new Set(missing.map(({ debian }) => debian))]);
  }
  const reason = unready();
  if (reason !== undefined) throw new Error(reason);
  const lacking = missingOf(more).map(({ what }) => what).join(", ");
  if (lacking !== "") throw new Error(`this host lacks ${lacking}, which tests use: install what brings them`);
  await ensureBase();
}

const apt = ["apt-get", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"];
// RUNLEVEL=1: invoke-rc.d starts no service in it (invoke-rc.d(8)).
const apt_env = { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1", LC_ALL: "C.UTF-8" };
const apt_timeout_ms = 900_000;

async function install(packages: readonly string[]): Promise<void> {
  const options = { env: apt_env, timeout_ms: apt_timeout_ms };
  console.error(`installing ${packages.join(" ")}`);
  const update = await run([...apt, "update"], options);
  // One dead mirror among several fails the whole update; whether what is needed can be had, the installation tells.
  if (update.code !== 0) console.error(`apt-get update failed, going on: ${lastLines(update.stderr)}`);
  const hush = packages.includes("etcd-server") && existsSync("/run/systemd/system");
  // The package would start its server on the well-known ports; the tests start their own. A mask in /run is gone after a reboot.
  if (hush) await must(["systemctl", "mask", "--runtime", "etcd.service"]);
  try {
    const command = [...apt, "install", "-y", "--no-install-recommends", ...packages];
    const first = await run(command, options);
    if (first.code === 0) return;
    // An installation that was interrupted earlier has to be finished first.
    await run(["dpkg", "--configure", "-a", "--force-confold"], options);
    await run([...apt, "install", "-y", "--fix-broken"], options);
    const second = await run(command, options);
    if (second.code !== 0) throw new Error(`cannot install ${packages.join(" ")}: ${lastLines(second.stderr)}`);
  } finally {
    if (hush) {
      await must(["systemctl", "unmask", "--runtime", "etcd.service"]);
      await run(["systemctl", "disable", "etcd.service"]); // fails where nothing was installed, which is as good
    }
  }
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-5).join("\n");
}

if (import.meta.main) {
  try {
    await prepare(shells);
    console.error("this host is ready for tests on real machines");
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exitCode = 1;
  }
}
