/** The root file systems that machines share: small Debians, built once and kept read-only in a cache. */

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { must } from "./process.ts";

/** A root file system: `podman` can run containers by Quadlet, which the podman of `plain` is too old for. */
export type BaseName = "plain" | "podman";

const plainPackages = ["systemd", "dbus", "systemd-sysv", "iproute2", "openssh-server", "procps", "polkitd"];

const bases: Readonly<Record<BaseName, { readonly suite: string; readonly packages: readonly string[] }>> = {
  plain: { suite: "bookworm", packages: plainPackages },
  podman: { suite: "trixie", packages: [...plainPackages, "podman", "crun", "ca-certificates", "busybox-static"] },
};

/**
 * The root file system of containers on a machine with podman: no registry of images can be reached, so that a container
 * runs from a directory (`Rootfs=`).
 */
export const container_root = "/opt/container";

/** Units that a machine of a lab does not need. Without them it boots in a third of a second. */
const masked = [
  "apt-daily-upgrade.timer",
  "apt-daily.timer",
  "console-getty.service",
  "dev-hugepages.mount",
  "dpkg-db-backup.timer",
  "e2scrub_all.timer",
  "e2scrub_reap.service",
  "fstrim.timer",
  "getty.target",
  "systemd-firstboot.service",
  "systemd-hwdb-update.service",
  "systemd-logind.service",
  "systemd-machine-id-commit.service",
  "systemd-networkd.service",
  "systemd-networkd.socket",
  "systemd-pstore.service",
  "systemd-random-seed.service",
  "systemd-sysusers.service",
  "systemd-tmpfiles-clean.timer",
  "systemd-update-utmp-runlevel.service",
  "systemd-update-utmp.service",
];

/** Path of a file that exists in a machine once its address, the bus and sshd are up. */
export const ready_file = "/run/fleet-lab-ready";

const files: Readonly<Record<string, string>> = {
  "/etc/systemd/system/lab-network.service": `[Unit]
Description=Address of this machine in its lab
DefaultDependencies=no
Before=network.target network-online.target
Wants=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/etc/lab-network
ExecStart=ip address replace \${ADDRESS} dev host0
ExecStart=ip link set host0 up
ExecStart=ip route replace default via \${GATEWAY}

[Install]
WantedBy=sysinit.target network-online.target
`,
  "/etc/systemd/system/lab-ready.service": `[Unit]
Description=This machine is ready for its lab
Requires=lab-network.service dbus.service ssh.service
After=lab-network.service dbus.service ssh.service systemd-user-sessions.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=touch ${ready_file}

[Install]
WantedBy=multi-user.target
`,
  // On the machine's disk, so that the journal from before a power cut can be read.
  "/etc/systemd/journald.conf.d/lab.conf": `[Journal]
Storage=persistent
SystemMaxUse=256M
RateLimitIntervalSec=0
`,
  "/etc/ssh/sshd_config.d/lab.conf": `HostKey /etc/ssh/ssh_host_ed25519_key
UseDNS no
MaxStartups 1000
MaxSessions 1000
`,
};

const commands: readonly string[] = [
  "useradd --create-home --uid 1000 --shell /bin/bash --password '*' core",
  "systemctl enable lab-network.service lab-ready.service ssh.service",
  // Each machine gets an identity of its own.
  "rm -f /etc/ssh/ssh_host_* /etc/hostname /etc/machine-id /etc/resolv.conf /var/lib/dbus/machine-id",
];

const podmanCommands: readonly string[] = [
  // A machine of a lab has no session keyrings, and its disk is an overlay already.
  "printf '[containers]\\nkeyring=false\\n' >/etc/containers/containers.conf",
  'printf \'[storage]\\ndriver="vfs"\\nrunroot="/run/containers/storage"\\ngraphroot="/var/lib/containers/storage"\\n\' ' +
  ">/etc/containers/storage.conf",
  `cd / && mkdir -p ${
    ["bin", "dev", "proc", "sys", "run", "tmp", "etc", "var"].map((name) => container_root + "/" + name).join(" ")
  }`,
  `cp /usr/bin/busybox ${container_root}/bin/busybox && chroot ${container_root} /bin/busybox --install -s /bin`,
];

/** Returns the directory of a shared root file system. If the cache lacks it, builds it, which takes half a minute. */
export async function ensureBase(name: BaseName = "plain"): Promise<string> {
  const cache = cacheDir();
  const { suite, packages } = bases[name];
  const all = name === "podman" ? [...commands, ...podmanCommands] : commands;
  const recipe = JSON.stringify({ suite, packages, masked, files, commands: all });
  const base = `${cache}/base-${createHash("sha256").update(recipe).digest("hex").slice(0, 12)}`;
  if (existsSync(base)) return base;
  Deno.mkdirSync(cache, { recursive: true });
  using lock = await Deno.open(`${base}.lock`, { write: true, create: true });
  await lock.lock(true); // released when the file is closed, even after a crash
  if (!existsSync(base)) await build(base, suite, packages, all);
  return base;
}

/** Returns the directory for files that are kept between runs. */
function cacheDir(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") || "/root"}/.cache`;
  return `${cache}/fleet-lab`;
}

/** Builds in a temporary directory and renames it, so that an existing base is always complete. The caller holds the lock. */
async function build(
  base: string,
  suite: string,
  packages: readonly string[],
  commands: readonly string[],
): Promise<void> {
  const dir = `${base}.tmp`;
  console.error(`building the root file system of the lab's machines in ${base}`);
  await must(["rm", "-rf", dir]); // left by a build that was killed
  // deno-fmt-ignore
  await must([
    "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", `--include=${packages.join(",")}`,
    "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg",
    "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*", "--aptopt=Acquire::Retries \"3\"",
    suite, dir,
  ], { timeout_ms: 900_000 });
  for (const [path, text] of Object.entries(files)) {
    Deno.mkdirSync(`${dir}${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
    Deno.writeTextFileSync(`${dir}${path}`, text);
  }
  for (const command of commands) await must(["chroot", dir, "sh", "-c", command]);
  for (const unit of masked) {
    await must(["ln", "-sf", "/dev/null", `${dir}/etc/systemd/system/${unit}`]);
  }
  Deno.mkdirSync(`${dir}/var/log/journal`, { recursive: true });
  Deno.renameSync(dir, base);
}
