import assert from "node:assert/strict";
import {
  entryName,
  type HostName,
  keyTypeName,
  knownHostLine,
  knownKeyTypes,
  lookUpHostKey,
  md5Fingerprint,
  parseKnownHosts,
  sha256Fingerprint,
} from "./known_hosts.ts";

const key = { type: "ssh-ed25519", key: "AAAAC3NzaC1lZDI1NTE5AAAAIHkz7XiIjZjDPY17GhB/BCjoAeVH1f1mcj36lQSVY8kp" };
const other = "AAAAC3NzaC1lZDI1NTE5AAAAILDSpHfWqk58fQcvjEaXn0bKOfRweMV6waUdGUHGJM3Y";
const host: HostName = { names: ["10.0.0.1", "Box.example"], port: 22 };

const cases: { name: string; file: string; host?: HostName; verdict: unknown }[] = [
  { name: "a host is unknown to an empty file", file: "", verdict: { verdict: "unknown" } },
  { name: "a host is known by its address", file: `10.0.0.1 ssh-ed25519 ${key.key}`, verdict: { verdict: "known" } },
  {
    name: "a host is known by the name that the user gave",
    file: `box.example ssh-ed25519 ${key.key} me`,
    verdict: { verdict: "known" },
  },
  {
    name: "a host is known by one of several names",
    file: `a,10.0.0.1 ssh-ed25519 ${key.key}`,
    verdict: { verdict: "known" },
  },
  { name: "a star matches any text", file: `10.0.* ssh-ed25519 ${key.key}`, verdict: { verdict: "known" } },
  {
    name: "a question mark matches one character",
    file: `10.0.0.? ssh-ed25519 ${key.key}`,
    verdict: { verdict: "known" },
  },
  { name: "a dot matches only a dot", file: `10x0.0.1 ssh-ed25519 ${key.key}`, verdict: { verdict: "unknown" } },
  {
    name: "a negated pattern overrides the others",
    file: `!10.0.0.1,10.0.* ssh-ed25519 ${key.key}`,
    verdict: { verdict: "unknown" },
  },
  {
    name: "another key of the host is a change",
    file: `# hi\n10.0.0.1 ssh-ed25519 ${other}`,
    verdict: { verdict: "changed", line: 2 },
  },
  {
    name: "one matching key of several is enough",
    file: `10.0.0.1 ssh-ed25519 ${other}\n10.0.0.1 ssh-ed25519 ${key.key}`,
    verdict: { verdict: "known" },
  },
  {
    name: "a key of another type is a change",
    file: "10.0.0.1 ssh-rsa AAAA",
    verdict: { verdict: "changed", line: 1 },
  },
  {
    name: "a revoked key is refused although it is known",
    file: `10.0.0.1 ssh-ed25519 ${key.key}\n@revoked * ssh-ed25519 ${key.key}`,
    verdict: { verdict: "revoked", line: 2 },
  },
  {
    name: "the revocation of another key changes nothing",
    file: `@revoked * ssh-ed25519 ${other}`,
    verdict: { verdict: "unknown" },
  },
  {
    name: "the key of a certificate authority is not a host key",
    file: `@cert-authority * ssh-ed25519 ${key.key}`,
    verdict: { verdict: "unknown", authority: 1 },
  },
  {
    name: "another port is another host",
    file: `10.0.0.1 ssh-ed25519 ${key.key}`,
    host: { ...host, port: 2222 },
    verdict: { verdict: "unknown" },
  },
  {
    name: "a host on another port stands between brackets",
    file: `[10.0.0.1]:2222 ssh-ed25519 ${key.key}`,
    host: { ...host, port: 2222 },
    verdict: { verdict: "known" },
  },
  {
    // Made by ssh-keygen -H.
    name: "a hashed name matches",
    file: "|1|rkQrq2kzBVFtsDLFZnFT1T/L9TE=|JfszO7heJl3HHdwn6mEvrE3Nbr4= ssh-ed25519 " + key.key,
    host: { names: ["192.168.7.7"], port: 22 },
    verdict: { verdict: "known" },
  },
  { name: "a line without a key is skipped", file: "10.0.0.1 ssh-ed25519", verdict: { verdict: "unknown" } },
];

for (const { name, file, host: asked = host, verdict } of cases) {
  Deno.test(`known hosts: ${name}`, () => {
    assert.deepEqual(lookUpHostKey(parseKnownHosts(file), asked, key), verdict);
  });
}

Deno.test("known hosts: the key types of a host come once each, without revoked ones", () => {
  const file = `10.0.0.1 ssh-rsa AAAA\nbox.example ssh-rsa BBBB\n* ssh-ed25519 CCCC\n@revoked * ssh-dss DDDD\n`;
  assert.deepEqual(knownKeyTypes(parseKnownHosts(file), host), ["ssh-rsa", "ssh-ed25519"]);
});

Deno.test("known hosts: a line that was added is found", () => {
  const line = knownHostLine({ names: ["fe80::1"], port: 2022 }, key);
  assert.equal(line, `[fe80::1]:2022 ssh-ed25519 ${key.key}\n`);
  assert.deepEqual(lookUpHostKey(parseKnownHosts(line), { names: ["fe80::1"], port: 2022 }, key), { verdict: "known" });
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

Deno.test("known hosts: key types have the names of fleet 1.0 in messages", () => {
  const types = ["ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp256", "ssh-ed25519"];
  assert.deepEqual(types.map(keyTypeName), ["RSA", "DSA", "ECDSA", "ssh-ed25519"]);
});
