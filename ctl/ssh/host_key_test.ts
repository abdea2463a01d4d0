import assert from "node:assert/strict";
import { FakeIo } from "../testing/fake_terminal.ts";
import { checkOfHost } from "./host_key.ts";

const key = { type: "ssh-ed25519", key: "AAAAC3NzaC1lZDI1NTE5AAAAIHkz7XiIjZjDPY17GhB/BCjoAeVH1f1mcj36lQSVY8kp" };
const authority = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILDSpHfWqk58fQcvjEaXn0bKOfRweMV6waUdGUHGJM3Y";
const file = "/home/anna/.fleetctl/known_hosts";
const unsupported = (line: number) =>
  `WARN ${file}:${line}: @cert-authority is not supported: the certificate of 10.0.0.1 is not checked\n`;

/** Checks the host 10.0.0.1 against a known_hosts file; the user answers every question with `answer`. */
async function check(text: string, answer?: string): Promise<{ error: string; stderr: string; added: string }> {
  const io = new FakeIo();
  io.answers = () => answer;
  io.files.set(file, text);
  const appendLine = (path: string, line: string) =>
    Promise.resolve(void io.files.set(path, io.files.get(path)! + line));
  const { verify } = await checkOfHost({ io, local: { appendLine }, file, strict: true }, {
    names: ["10.0.0.1"],
    port: 22,
  });
  const error = await verify(key).then(() => "", (error: Error) => error.message);
  return { error, stderr: io.stderr, added: io.files.get(file)!.slice(text.length) };
}

Deno.test("a host with a certificate authority and an unknown key is asked about, and the authority's line is named", async () => {
  const { error, stderr, added } = await check(`# authorities\n@cert-authority 10.* ${authority}\n`, "yes");
  assert.equal(error, "");
  assert.ok(stderr.startsWith(unsupported(2)), stderr);
  assert.equal(added, `10.0.0.1 ${key.type} ${key.key}\n`);
});

Deno.test("a host with a certificate authority and an unknown key is refused without a terminal", async () => {
  const { error, stderr, added } = await check(`@cert-authority * ${authority}\n`);
  assert.match(error, /^unauthorized host: its key is not in \S+known_hosts, and there is no terminal/);
  assert.ok(stderr.startsWith(unsupported(1)), stderr);
  assert.equal(added, "");
});

Deno.test("a certificate authority is not mentioned for a known key, nor for other hosts", async () => {
  const known = await check(`@cert-authority * ${authority}\n10.0.0.1 ${key.type} ${key.key}\n`);
  assert.deepEqual(known, { error: "", stderr: "", added: "" });
  assert.doesNotMatch((await check(`@cert-authority *.example ${authority}\n`)).stderr, /cert-authority/);
});

Deno.test("a revoked key is refused, even if it is known as well or is the key of an authority", async () => {
  for (const other of [`10.0.0.1 ${key.type} ${key.key}`, `@cert-authority * ${key.type} ${key.key}`, ""]) {
    const { error, stderr } = await check(`${other}\n@revoked * ${key.type} ${key.key}\n`, "yes");
    assert.equal(error, "host key revoked");
    assert.match(stderr, /marked as revoked in \S+known_hosts:2!\nHost key verification failed\.\n$/);
  }
});

Deno.test("a line with an unknown marker is named and ignored", async () => {
  const { error, stderr } = await check(`@trusted 10.0.0.1 ${key.type} ${key.key}\n`);
  assert.match(error, /^unauthorized host/);
  assert.ok(stderr.startsWith(`WARN ${file}:1: unknown marker @trusted: line ignored\n`), stderr);
});
