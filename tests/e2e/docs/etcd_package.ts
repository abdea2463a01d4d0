/** Stands in for Debian's packages of etcd on machines that no mirror reaches: the programs are those of this host. */

import { existsSync } from "node:fs";
import type { Bind } from "../../lab/machine.ts";

/** Shell commands that install etcd as Debian's package does: programs, user, unit, and a running single member. */
export const install_etcd = `useradd --system --user-group --home-dir /var/lib/etcd etcd
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

/** Returns the mounts that {@link install_etcd} needs. Throws if this host has no etcd. */
export function etcdBinds(): readonly Bind[] {
  return ["etcd", "etcdctl"].map((name) => ({ host: programPath(name), guest: `/opt/etcd/${name}` }));
}

/** Returns the path of a program of this host. Throws if it is not in PATH. */
function programPath(name: string): string {
  const dirs = (Deno.env.get("PATH") ?? "").split(":");
  const found = dirs.map((dir) => `${dir}/${name}`).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${name} is not in PATH`);
  return Deno.realPathSync(found);
}
