/** examples/ansible and examples/cloud-init: what can be checked without machines. */

import assert from "node:assert/strict";
import { parse } from "yaml";
import { must } from "../lab/process.ts";

const root = new URL("../../", import.meta.url).pathname;
const read = (path: string) => Deno.readTextFileSync(root + path);
const ips = ["10.0.0.11", "10.0.0.12", "10.0.0.13"];

/** Returns the settings of a file with lines like NAME=VALUE, without what depends on addresses. */
function settings(text: string): Map<string, string> {
  const lines = text.split("\n").flatMap((line) => /^\s*(\w+)=(.*)$/.exec(line) ?? []);
  const pairs = Array.from({ length: lines.length / 3 }, (_, at) => [lines[3 * at + 1]!, lines[3 * at + 2]!] as const);
  return new Map(pairs.map(([name, value]) => [name, /[$@{]/.test(value) ? "" : value]));
}

/** The settings of etcd and of fleetd that docs/guides/deploy.md writes. */
function deployed(): { readonly etcd: Map<string, string>; readonly fleet: Map<string, string> } {
  const blocks = [...read("docs/guides/deploy.md").matchAll(/<<END\n([^]*?)\nEND/g)].map(([, text]) => text!);
  const of = (start: RegExp) => settings(blocks.filter((text) => start.test(text)).join("\n"));
  return { etcd: of(/^ETCD_/), fleet: of(/^(etcd_servers|api_certfile)=/) };
}

Deno.test("Ansible and cloud-init configure etcd and fleetd as the deployment guide does", () => {
  const { etcd, fleet } = deployed();
  assert.ok(etcd.size > 10 && fleet.size > 8);
  etcd.set("ETCD_LISTEN_METRICS_URLS", "");
  fleet.delete("metadata");
  const files: { path: string; content: string }[] = parse(read("examples/cloud-init/user-data.yaml")).write_files;
  const file = (path: string) => files.find((file) => file.path === path)!.content;
  const sorted = (map: Map<string, string>) => [...map].sort();
  assert.deepEqual(sorted(settings(read("examples/ansible/templates/etcd.j2"))), sorted(etcd));
  assert.deepEqual(sorted(settings(read("examples/ansible/templates/fleet.conf.j2"))), sorted(fleet));
  assert.deepEqual(sorted(settings(file("/etc/default/etcd"))), sorted(etcd));
  assert.deepEqual(sorted(settings(file("/etc/fleet/fleet.conf"))), sorted(fleet));
});

Deno.test("Ansible accepts the playbook", async () => {
  const folder = `${root}examples/ansible`;
  const env = { ANSIBLE_CONFIG: `${folder}/ansible.cfg`, LC_ALL: "C.UTF-8" };
  await must(["ansible-playbook", "--syntax-check", `${folder}/fleet.yml`], { env, timeout_ms: 180_000 });
  const inventory = JSON.parse(
    await must(["ansible-inventory", "--inventory", `${folder}/inventory.ini`, "--list"], { env }),
  );
  assert.deepEqual(inventory.fleet.hosts, ips);
});

Deno.test("the user data of each machine has a certificate of its own", async () => {
  const dir = await Deno.makeTempDir({ prefix: "fleet-cloud-init-" });
  try {
    const make = `${root}examples/cloud-init/make-user-data.sh`;
    const printed = await must([make, `${dir}/keys`, "https://files.example.com/a|b.deb", "0".repeat(64), ...ips]);
    const paths = ips.map((ip) => `${dir}/keys/user-data-${ip}.yaml`);
    assert.deepEqual(printed.trim().split("\n"), paths);
    for (const [index, path] of paths.entries()) {
      assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
      const text = await Deno.readTextFile(path);
      assert.doesNotMatch(text, /@[A-Z]+@/);
      const files: { path: string; content: string }[] = parse(text).write_files;
      for (const [name, source] of [["cert", `${ips[index]}.pem`], ["key", `${ips[index]}.key`], ["ca", "ca.pem"]]) {
        const { content } = files.find((file) => file.path === `/etc/fleet/${name}.pem`)!;
        assert.equal(atob(content), await Deno.readTextFile(`${dir}/keys/${source}`));
      }
    }
    await must(["openssl", "verify", "-CAfile", `${dir}/keys/ca.pem`, ...ips.map((ip) => `${dir}/keys/${ip}.pem`)]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
