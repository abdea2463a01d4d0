import assert from "node:assert/strict";
import {
  entryName,
  type HostName,
  judgeHostKey,
  keyTypeName,
  knownHostLine,
  knownKeyTypes,
  md5Fingerprint,
  parseKnownHosts,
  sha256Fingerprint,
} from "./known_hosts.ts";

const key = { type: "ssh-ed25519", key: "AAAAC3NzaC1lZDI1NTE5AAAAIHkz7XiIjZjDPY17GhB/BCjoAeVH1f1mcj36lQSVY8kp" };
const other = "AAAAC3NzaC1lZDI1NTE5AAAAILDSpHfWqk58fQcvjEaXn0bKOfRweMV6waUdGUHGJM3Y";
const host: HostName = { names: ["10.0.0.1", "Box.example"], port: 22 };

const cases: { name: string; file: string; host?: HostName; verdict: unknown }[] = [
  { name: "an empty file knows nobody", file: "", verdict: { verdict: "unknown" } },
  { name: "the address", file: `10.0.0.1 ssh-ed25519 ${key.key}`, verdict: { verdict: "known" } },
  {
    name: "the name it was asked for by",
    file: `box.example ssh-ed25519 ${key.key} me`,
    verdict: { verdict: "known" },
  },
  { name: "one of several names", file: `a,10.0.0.1 ssh-ed25519 ${key.key}`, verdict: { verdict: "known" } },
  { name: "a star", file: `10.0.* ssh-ed25519 ${key.key}`, verdict: { verdict: "known" } },
  { name: "a question mark", file: `10.0.0.? ssh-ed25519 ${key.key}`, verdict: { verdict: "known" } },
  { name: "a dot is a dot", file: `10x0.0.1 ssh-ed25519 ${key.key}`, verdict: { verdict: "unknown" } },
  { name: "an exception wins", file: `!10.0.0.1,10.0.* ssh-ed25519 ${key.key}`, verdict: { verdict: "unknown" } },
  { name: "another key", file: `# hi\n10.0.0.1 ssh-ed25519 ${other}`, verdict: { verdict: "changed", line: 2 } },
  {
    name: "any matching key will do",
    file: `10.0.0.1 ssh-ed25519 ${other}\n10.0.0.1 ssh-ed25519 ${key.key}`,
    verdict: { verdict: "known" },
  },
  {
    name: "a key of another type is another key",
    file: "10.0.0.1 ssh-rsa AAAA",
    verdict: { verdict: "changed", line: 1 },
  },
  {
    name: "a revoked key, though known",
    file: `10.0.0.1 ssh-ed25519 ${key.key}\n@revoked * ssh-ed25519 ${key.key}`,
    verdict: { verdict: "revoked", line: 2 },
  },
  { name: "another key is revoked", file: `@revoked * ssh-ed25519 ${other}`, verdict: { verdict: "unknown" } },
  {
    name: "an authority is not understood",
    file: `@cert-authority * ssh-ed25519 ${key.key}`,
    verdict: { verdict: "unknown" },
  },
  {
    name: "another port is another host",
    file: `10.0.0.1 ssh-ed25519 ${key.key}`,
    host: { ...host, port: 2222 },
    verdict: { verdict: "unknown" },
  },
  {
    name: "another port between brackets",
    file: `[10.0.0.1]:2222 ssh-ed25519 ${key.key}`,
    host: { ...host, port: 2222 },
    verdict: { verdict: "known" },
  },
  {
    // Made by ssh-keygen -H.
    name: "a hashed name",
    file: "|1|rkQrq2kzBVFtsDLFZnFT1T/L9TE=|JfszO7heJl3HHdwn6mEvrE3Nbr4= ssh-ed25519 " + key.key,
    host: { names: ["192.168.7.7"], port: 22 },
    verdict: { verdict: "known" },
  },
  { name: "a line without a key is no line", file: "10.0.0.1 ssh-ed25519", verdict: { verdict: "unknown" } },
];

for (const { name, file, host: asked = host, verdict } of cases) {
  Deno.test(`known hosts: ${name}`, () => {
    assert.deepEqual(judgeHostKey(parseKnownHosts(file), asked, key), verdict);
  });
}

Deno.test("known hosts: the types known for a host come once each, revoked ones not", () => {
  const file = `10.0.0.1 ssh-rsa AAAA\nbox.example ssh-rsa BBBB\n* ssh-ed25519 CCCC\n@revoked * ssh-dss DDDD\n`;
  assert.deepEqual(knownKeyTypes(parseKnownHosts(file), host), ["ssh-rsa", "ssh-ed25519"]);
});

Deno.test("known hosts: what is written down is found again", () => {
  const line = knownHostLine({ names: ["fe80::1"], port: 2022 }, key);
  assert.equal(line, `[fe80::1]:2022 ssh-ed25519 ${key.key}\n`);
  assert.deepEqual(judgeHostKey(parseKnownHosts(line), { names: ["fe80::1"], port: 2022 }, key), { verdict: "known" });
  assert.equal(entryName("box", 22), "box");
});

Deno.test("known hosts: fingerprints are those of ssh-keygen -l", async () => {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, `${key.type} ${key.key}\n`);
  try {
    for (const [hash, mine] of [["md5", "MD5:" + md5Fingerprint(key.key)], ["sha256", sha256Fingerprint(key.key)]]) {
      const args = ["-l", "-E", hash as string, "-f", path];
      const { stdout } = await new Deno.Command("ssh-keygen", { args }).output();
      assert.equal(new TextDecoder().decode(stdout).split(" ")[1], mine);
    }
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("known hosts: key types have the names they always had in messages", () => {
  const types = ["ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp256", "ssh-ed25519"];
  assert.deepEqual(types.map(keyTypeName), ["RSA", "DSA", "ECDSA", "ssh-ed25519"]);
});
