/** The playbook and the user data of docs/guides/automate.md, on machines as they come from an installer. */

import assert from "node:assert/strict";
import { FleetCluster, sleeper } from "../../lab/fleet_cluster.ts";
import type { Lab } from "../../lab/lab.ts";
import { must } from "../../lab/process.ts";
import { cloud_init_disabled } from "../../lab/rootfs.ts";
import { install_etcd } from "./etcd_package.ts";

const examples = new URL("../../../examples/", import.meta.url).pathname;

/** Runs examples/ansible on new machines: it makes a cluster, and a second run changes nothing. `dist` has the programs. */
export async function followPlaybook(lab: Lab, dist: string): Promise<void> {
  const machines = await Promise.all([lab.add(), lab.add()]);
  // This stands in for a task of the playbook, which is skipped because a mirror cannot be reached.
  await Promise.all(machines.map((machine) => machine.sh(install_etcd)));
  const dir = `${lab.dir}/ansible`;
  await must(["cp", "-R", `${examples}ansible`, dir]);
  const addresses = machines.map(({ ip }) => `${ip}\n`).join("");
  const inventory = Deno.readTextFileSync(`${dir}/inventory.ini`);
  Deno.writeTextFileSync(`${dir}/inventory.ini`, inventory.replace(/(?:^10\.0\.0\.\d+\n)+/m, addresses));
  await must(["tar", "-C", dist, "-czf", `${dir}/fleet.tar.gz`, "."]);
  const first = await playbook(lab, dir);
  for (const { ip } of machines) assert.match(first, new RegExp(`^${ip} +: ok=\\d+ +changed=[1-9]\\d* `, "m"));
  const home = machines[0]!;
  const cluster = new FleetCluster(lab);
  await cluster.joined(machines);
  await cluster.put(home, "hello.service", "launched", sleeper);
  const [id] = (await cluster.active(home, ["hello.service"])).values();
  const pid = await cluster.pid(cluster.byId(id!), "hello.service");
  const second = await playbook(lab, dir);
  const recap = second.slice(second.indexOf("PLAY RECAP"));
  assert.equal(recap.match(/changed=0 +unreachable=0 +failed=0/g)?.length, 1 + machines.length, second);
  assert.equal(await cluster.pid(cluster.byId(id!), "hello.service"), pid);
}

/** Runs the playbook as the guide says, in a copy of its directory. Returns what it prints. */
async function playbook(lab: Lab, dir: string): Promise<string> {
  const ssh = `-F none -i ${lab.sshKey} -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes ` +
    `-o UserKnownHostsFile=${lab.knownHosts} -o ControlMaster=auto -o ControlPersist=10s`;
  const command = ["sh", "-ec", `cd ${dir}; exec ansible-playbook --skip-tags=packages fleet.yml`];
  // A login may take longer than ten seconds on a busy host.
  const env = { HOME: dir, ANSIBLE_SSH_ARGS: ssh, ANSIBLE_TIMEOUT: "60", ANSIBLE_NOCOLOR: "1", LC_ALL: "C.UTF-8" };
  const { code, stdout, stderr } = await lab.namespaced(command, { env, timeout_ms: 400_000 });
  assert.equal(code, 0, stdout + stderr);
  return stdout;
}

/** Stand in for a mirror that has etcd: the other packages of the user data are there already. */
const apt_get = `#!/bin/sh -e
case "$*" in
  *update) exit ;;
  *etcd-server*) ;;
  *) exec /usr/bin/apt-get "$@" ;;
esac
${install_etcd}`;
const apt_cache = `#!/bin/sh\nprintf '%s\\n' etcd-client etcd-server\nexec /usr/bin/apt-cache "$@"\n`;

/** Boots a new machine with the user data of examples/cloud-init: it is a member of its cluster after the first boot. */
export async function bootByCloudInit(lab: Lab, deb: string): Promise<void> {
  const machine = await lab.add({ base: "podman", on: false });
  const keys = `${lab.dir}/keys`;
  const [sha256] = (await must(["sha256sum", deb])).split(" ");
  await must([`${examples}cloud-init/make-user-data.sh`, keys, "file:///opt/fleet.deb", sha256!, machine.ip]);
  await must(["cp", deb, `${machine.disk}/opt/fleet.deb`]);
  await machine.writeFile("/usr/local/sbin/apt-get", apt_get, 0o755);
  await machine.writeFile("/usr/local/sbin/apt-cache", apt_cache, 0o755);
  const userData = await Deno.readTextFile(`${keys}/user-data-${machine.ip}.yaml`);
  await machine.writeFile("/var/lib/cloud/seed/nocloud/user-data", userData);
  await machine.writeFile("/var/lib/cloud/seed/nocloud/meta-data", "instance-id: first-boot\n");
  // The lab has configured the network.
  const lab_cfg = "network: {config: disabled}\ndatasource_list: [NoCloud]\n";
  await machine.writeFile("/etc/cloud/cloud.cfg.d/99_lab.cfg", lab_cfg);
  await Deno.remove(`${machine.disk}${cloud_init_disabled}`);
  await machine.boot();
  const { code, stdout, stderr } = await machine.run(["cloud-init", "status", "--wait", "--long"], {
    timeout_ms: 300_000,
  });
  const log = await machine.run(["cat", "/var/log/cloud-init-output.log"]);
  assert.equal(code, 0, `${stdout}${stderr}${log.stdout}`);
  await machine.must(["cloud-init", "schema", "--system"]);
  await new FleetCluster(lab).joined([machine]);
}
