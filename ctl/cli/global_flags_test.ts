/** The global flags of fleet 1.0: their names, defaults and variables. */

import assert from "node:assert/strict";
import { FakeContextFile } from "../testing/fake_contexts.ts";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeHosts } from "../testing/fake_remote.ts";
import { FakeIo } from "../testing/fake_terminal.ts";
import type { Flags } from "./argv.ts";
import { globalFlags } from "./global_flags.ts";
import { runFleetctl } from "./run.ts";

function cluster(): FakeApi {
  const api = new FakeApi();
  api.add("launched.service", "launched", "Service.ExecStart=/bin/a");
  return api;
}

/** Runs a command line and returns the flags that the client was made with. */
async function run(line: string, env: Record<string, string> = {}, api = cluster()): Promise<Flags | undefined> {
  let seen: Flags | undefined;
  await runFleetctl(line.split(" "), env, {
    io: () => new FakeIo(),
    hosts: () => new FakeHosts(),
    contexts: new FakeContextFile(),
    client: (flags) => {
      seen = flags;
      return Promise.resolve(api.client());
    },
  });
  return seen;
}

/** A global flag of fleet 1.0, its default, and another value of it. */
const flags: readonly [name: string, fallback: string | number | boolean, given: string][] = [
  ["endpoint", "unix:///var/run/fleet.sock", "http://a"],
  ["driver", "API", "etcd"],
  ["etcd-key-prefix", "/_coreos.com/fleet/", "/x/"],
  ["request-timeout", 3, "7.5"],
  ["key-file", "", "k"],
  ["cert-file", "", "c"],
  ["ca-file", "", "ca"],
  ["tunnel", "", "host:2222"],
  ["ssh-username", "core", "anna"],
  ["ssh-timeout", 10, "2"],
  ["known-hosts-file", "~/.fleetctl/known_hosts", "~/hosts"],
  ["strict-host-key-checking", true, "false"],
  ["debug", false, "true"],
  ["experimental-api", true, "false"],
];

function valueOf(flags: Flags | undefined, name: string): string | number | boolean | undefined {
  const { kind } = globalFlags.find((spec) => spec.name === name)!;
  return kind === "switch" ? flags?.on(name) : kind === "text" ? flags?.text(name) : flags?.number(name);
}

for (const [name, fallback, given] of flags) {
  Deno.test(`as in fleet 1.0: global flag ${name}`, async () => {
    const variable = `FLEETCTL_${name.toUpperCase().replaceAll("-", "_")}`;
    const seen = async (line: string, env: Record<string, string>) => valueOf(await run(line, env), name);
    const value = typeof fallback === "number"
      ? Number(given)
      : typeof fallback === "boolean"
      ? given === "true"
      : given;
    assert.notEqual(value, fallback);
    assert.equal(await seen("list-units", {}), fallback);
    assert.equal(await seen("list-units", { [variable]: "" }), fallback);
    assert.equal(await seen("list-units", { [variable]: given }), value);
    assert.equal(await seen(`list-units --${name}=${given}`, { [variable]: `${fallback}` }), value);
  });
}

for (
  const [alias, name] of [["etcd-keyfile", "key-file"], ["etcd-certfile", "cert-file"], ["etcd-cafile", "ca-file"]]
) {
  Deno.test(`as in fleet 1.0: global flag ${alias}`, async () => {
    const variable = `FLEETCTL_${alias!.toUpperCase().replaceAll("-", "_")}`;
    assert.equal((await run(`--${alias}=x list-units`))?.text(name!), "x");
    assert.equal((await run("list-units", { [variable]: "x" }))?.text(name!), "x");
  });
}

Deno.test("as in fleet 1.0: requests carry alt=json", async () => {
  for (const line of ["list-machines", "list-units", "cat launched", "stop launched", "destroy launched"]) {
    const api = cluster();
    const queries: string[] = [];
    api.intercept = ({ url }, path) => void (path === "/events" || queries.push(new URL(url).search));
    await run(line, {}, api);
    assert.ok(queries.length > 0 && queries.every((query) => query.includes("alt=json")), `${line}: ${queries}`);
  }
});
