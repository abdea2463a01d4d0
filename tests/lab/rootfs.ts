/** The root file systems that machines share: small Debians, built once and kept read-only in a cache. */

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { must } from "./process.ts";

/**
 * A root file system: `podman` can run containers by Quadlet, which the podman of `plain` is too old for, and can be set up by
 * cloud-init.
 */
export type BaseName = "plain" | "podman";

/** `python3` is what Ansible needs on a machine. */
const commonPackages = [
  "systemd",
  "dbus",
  "systemd-sysv",
  "iproute2",
  "openssh-server",
  "procps",
  "polkitd",
  "python3",
];

/** `catatonit` is the first process of a pod; `busybox` is all that a container needs. */
const podmanPackages = ["podman", "crun", "catatonit", "ca-certificates", "busybox-static"];

/** Packages that set up a machine at its first boot in a cloud. They do nothing while {@link cloud_init_disabled} exists. */
const cloudPackages = ["cloud-init", "curl"];

/** The file that keeps cloud-init from running at boot: a test of it removes the file. */
export const cloud_init_disabled = "/etc/cloud/cloud-init.disabled";

/** The root file system of containers on a machine with podman (`Rootfs=`), because no registry of images can be reached. */
export const container_root = "/opt/container";

/** The same as an image: `localhost/busybox:1`, in a file that `docker-archive:` stands for. */
export const container_image = "/opt/container.tar";

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

const podmanFiles: Readonly<Record<string, string>> = {
  [cloud_init_disabled]: "",
  // A machine of a lab has no session keyrings, no firewall, and no control groups with limits.
  "/etc/containers/containers.conf": `[containers]
keyring=false
[engine]
cgroup_manager="cgroupfs"
[engine.runtimes]
crun=["/opt/crun"]
[network]
firewall_driver="none"
`,
  "/opt/crun": `#!/bin/sh
exec /usr/bin/crun --cgroup-manager=disabled "$@"
`,
  // The machine's disk is an overlay already.
  "/etc/containers/storage.conf": `[storage]
driver="vfs"
runroot="/run/containers/storage"
graphroot="/var/lib/containers/storage"
`,
  "/opt/image/config.json": `{"os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:DIGEST"]}}`,
  "/opt/image/manifest.json": `[{"Config":"config.json","RepoTags":["localhost/busybox:1"],"Layers":["layer.tar"]}]`,
};

const podmanCommands: readonly string[] = [
  "chmod +x /opt/crun",
  `cd / && mkdir -p ${
    ["bin", "dev", "proc", "sys", "run", "tmp", "etc", "var"].map((name) => container_root + "/" + name).join(" ")
  }`,
  `cp /usr/bin/busybox ${container_root}/bin/busybox && chroot ${container_root} /bin/busybox --install -s /bin`,
  `cd /opt/image && tar -C ${container_root} -cf layer.tar . && ` +
  "sed -i s/DIGEST/$(sha256sum layer.tar | cut -c1-64)/ config.json && " +
  `tar -cf ${container_image} manifest.json config.json layer.tar && rm layer.tar`,
];

/** The input from which a root file system is built. */
interface Recipe {
  /** The release of Debian. */
  readonly suite: string;
  readonly packages: readonly string[];
  readonly masked: readonly string[];
  /** Text by path. */
  readonly files: Readonly<Record<string, string>>;
  /** Shell commands, run in the new root at the end. */
  readonly commands: readonly string[];
}

const recipes: Readonly<Record<BaseName, Recipe>> = {
  plain: { suite: "bookworm", packages: [...commonPackages, "rpm"], masked, files, commands },
  podman: {
    suite: "trixie",
    packages: [...commonPackages, ...podmanPackages, ...cloudPackages],
    masked,
    files: { ...files, ...podmanFiles },
    commands: [...commands, ...podmanCommands],
  },
};

/** Returns the directory of a shared root file system. If the cache lacks it, builds it, which takes half a minute. */
export async function ensureBase(name: BaseName = "plain"): Promise<string> {
  const cache = cacheDir();
  const recipe = recipes[name];
  const base = `${cache}/base-${createHash("sha256").update(JSON.stringify(recipe)).digest("hex").slice(0, 12)}`;
  if (existsSync(base)) return base;
  Deno.mkdirSync(cache, { recursive: true });
  using lock = await Deno.open(`${base}.lock`, { write: true, create: true });
  await lock.lock(true); // released when the file is closed, even after a crash
  if (!existsSync(base)) await build(base, recipe);
  return base;
}

/** Returns the directory for files that are kept between runs. */
export function cacheDir(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") || "/root"}/.cache`;
  return `${cache}/fleet-lab`;
}

/** Builds in a temporary directory and renames it, so that an existing base is always complete. The caller holds the lock. */
async function build(base: string, { suite, packages, masked, files, commands }: Recipe): Promise<void> {
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
