import assert from "node:assert/strict";
import { expandTokens, hostConfig, parseHostSpec } from "./config.ts";
import { readSshConfig } from "./config_include.ts";

const nothing = { identityFiles: [], certificateFiles: [], identitiesOnly: false, jumps: [], unsupported: [] };

const cases: { name: string; text: string; host?: string; config: unknown }[] = [
  { name: "an empty file says nothing", text: "", config: nothing },
  { name: "before the first Host is for all", text: "User anna\n", config: { ...nothing, user: "anna" } },
  { name: "only the hosts that are meant", text: "Host other\n  User anna\n", config: nothing },
  { name: "patterns", text: "Host web? 10.*\n User anna\n", host: "10.1.2.3", config: { ...nothing, user: "anna" } },
  { name: "an exception", text: "Host 10.* !10.1.*\n User anna\n", host: "10.1.2.3", config: nothing },
  {
    name: "the first value of an option counts",
    text: "Host box\n User anna\nHost *\n User bert\n Port 2222\n",
    config: { ...nothing, user: "anna", port: 2222 },
  },
  {
    name: "but every IdentityFile",
    text: "Host box\n IdentityFile ~/a\nHost *\n IdentityFile ~/b\n IdentitiesOnly yes\n",
    config: { ...nothing, identityFiles: ["~/a", "~/b"], identitiesOnly: true },
  },
  {
    name: "equals signs, quotes and any case",
    text: 'hOST=box\n\tuSER = "anna b"\n',
    config: { ...nothing, user: "anna b" },
  },
  { name: "comments", text: "# Host *\nHost box # not\n#User x\nPort 7\n", config: { ...nothing, port: 7 } },
  {
    name: "HostName with %h",
    text: "Host box\nHostName %h.example\n",
    config: { ...nothing, hostName: "box.example" },
  },
  {
    name: "HostKeyAlias, IdentityAgent and every CertificateFile",
    text: "Host box\nHostKeyAlias web\nIdentityAgent ~/agent\nCertificateFile ~/a\nHost *\nCertificateFile ~/b\n",
    config: { ...nothing, hostKeyAlias: "web", identityAgent: "~/agent", certificateFiles: ["~/a", "~/b"] },
  },
  {
    name: "options that decide how to connect and are not supported are named",
    text: "proxycommand nc %h %p\nBindAddress 10.0.0.1\nCompression yes\nAddressFamily any\n",
    config: { ...nothing, unsupported: ["ProxyCommand", "BindAddress"] },
  },
  {
    name: "a ProxyCommand behind a ProxyJump counts for nothing",
    text: "ProxyJump a\nProxyCommand nc %h %p\n",
    config: { ...nothing, jumps: ["a"] },
  },
  {
    name: "a Match block is not named where all it sets is of no importance",
    text: "Match exec true\nCompression yes\n",
    config: nothing,
  },
  {
    name: "ProxyJump through several",
    text: "ProxyJump anna@a:22, b\n",
    config: { ...nothing, jumps: ["anna@a:22", "b"] },
  },
  { name: "ProxyJump none", text: "Host box\nProxyJump none\nHost *\nProxyJump a\n", config: nothing },
  {
    name: "Match blocks are skipped",
    text: "Match user x\nUser anna\nMatch all\nPort 9\n",
    config: { ...nothing, port: 9, unsupported: ["Match"] },
  },
  { name: "Match All, in any case", text: "Match All\nPort 9\n", config: { ...nothing, port: 9 } },
  {
    name: "a Match block that is not understood ends at the next Host",
    text: 'Match host box exec "true"\nUser anna\nHostName elsewhere\nHost box\nPort 9\n',
    config: { ...nothing, port: 9, unsupported: ["Match"] },
  },
  {
    name: "Match all with more is not understood",
    text: "Match all canonical\nUser anna\n",
    config: { ...nothing, unsupported: ["Match"] },
  },
  {
    name: "Match ends a Host block",
    text: "Host box\nPort 7\nMatch user x\nUser anna\n",
    config: { ...nothing, port: 7, unsupported: ["Match"] },
  },
  { name: "a port that is none", text: "Port ssh\n", config: nothing },
];

for (const { name, text, host = "box", config } of cases) {
  Deno.test(`~/.ssh/config: ${name}`, async () =>
    assert.deepEqual(await configOf({ ".ssh/config": text }, host), config));
}

/** Files below /home/anna, but for those whose path begins with a slash. */
async function configOf(files: Readonly<Record<string, string>>, host = "box") {
  const all = new Map(
    Object.entries(files).map(([path, text]) => {
      return [path.startsWith("/") ? path : `/home/anna/${path}`, text] as const;
    }),
  );
  const blocks = await readSshConfig({
    readFile: (path) => Promise.resolve(all.get(path)),
    list: (directory) => {
      const below = [...all.keys()].filter((path) => path.startsWith(directory));
      return Promise.resolve([...new Set(below.map((path) => path.slice(directory.length).split("/")[0]!))].reverse());
    },
    path: (text) => Promise.resolve(text.replace(/^~/, "/home/anna")),
  });
  return hostConfig(blocks, host);
}

const included: { name: string; files: Record<string, string>; host?: string; config: unknown }[] = [
  {
    name: "is relative to ~/.ssh",
    files: { ".ssh/config": "Include more\n", ".ssh/more": "User anna\n" },
    config: { ...nothing, user: "anna" },
  },
  {
    name: "of ~ and of a whole path, in quotes or not",
    files: {
      ".ssh/config": 'Include ~/one "/etc/the other" # and so on\n',
      "one": "User anna\n",
      "/etc/the other": "Port 7\n",
    },
    config: { ...nothing, user: "anna", port: 7 },
  },
  {
    name: "of a pattern: in the order of names, none hidden; the first value counts",
    files: {
      ".ssh/config": "Include conf.d/*.conf\nUser last\n",
      ".ssh/conf.d/b.conf": "User bert\nPort 7\n",
      ".ssh/conf.d/a.conf": "User anna\n",
      ".ssh/conf.d/.hidden.conf": "IdentityFile no\n",
      ".ssh/conf.d/readme": "IdentityFile no\n",
    },
    config: { ...nothing, user: "anna", port: 7 },
  },
  {
    name: "of a pattern in the middle of a path",
    files: { ".ssh/config": "Include */ssh\n", ".ssh/a/ssh": "User anna\n", ".ssh/b/ssh": "Port 7\n" },
    config: { ...nothing, user: "anna", port: 7 },
  },
  {
    name: "of what is not there says nothing",
    files: { ".ssh/config": "Include a b/*\nPort 7\n" },
    config: { ...nothing, port: 7 },
  },
  {
    name: "in a block of other hosts does not count, whatever it says of this one",
    files: {
      ".ssh/config": "Host other\n Include more\n Port 7\n",
      ".ssh/more": "Host box\n User anna\nHost *\n Port 9\n",
    },
    config: nothing,
  },
  {
    name: "in a block of this host counts for it, and the block goes on behind it",
    files: {
      ".ssh/config": "Host box\n Include more\n Port 7\n",
      ".ssh/more": "Host other\n User bert\nHost *\n User anna\n",
    },
    config: { ...nothing, user: "anna", port: 7 },
  },
  {
    name: "in a Match block that is not understood does not count",
    files: { ".ssh/config": "Match user x\nInclude more\n", ".ssh/more": "Host *\nUser anna\n" },
    config: { ...nothing, unsupported: ["Match"] },
  },
  {
    name: "a block of an included file ends with the file",
    files: { ".ssh/config": "Include more\nUser anna\n", ".ssh/more": "Host other\nPort 7\n" },
    config: { ...nothing, user: "anna" },
  },
];

for (const { name, files, host, config } of included) {
  Deno.test(`~/.ssh/config: Include ${name}`, async () => assert.deepEqual(await configOf(files, host), config));
}

Deno.test("~/.ssh/config: Include goes 16 deep, and no deeper", async () => {
  const chain = (last: number) => ({
    ".ssh/config": "Include 1\n",
    ...Object.fromEntries(Array.from({ length: last }, (_, n) => [`.ssh/${n + 1}`, `Include ${n + 2}\n`])),
    [`.ssh/${last}`]: "User anna\n",
  });
  assert.deepEqual(await configOf(chain(16)), { ...nothing, user: "anna" });
  await assert.rejects(configOf(chain(17)), /\.ssh\/17: files include each other more than 16 deep/);
  await assert.rejects(configOf({ ".ssh/config": "Include config\n" }), /in circles/);
});

const specs: [string, unknown][] = [
  ["box", { host: "box" }],
  ["box:2222", { host: "box", port: 2222 }],
  ["anna@box", { host: "box", user: "anna" }],
  ["a@b@box:1", { host: "box", user: "a@b", port: 1 }],
  ["[fe80::1]:22", { host: "fe80::1", port: 22 }],
  ["[fe80::1]", { host: "fe80::1" }],
  ["fe80::1", { host: "fe80::1" }],
  ["box:", undefined],
  ["box:70000", undefined],
  ["", undefined],
];

for (const [text, spec] of specs) {
  Deno.test(`a host is read: ${JSON.stringify(text)}`, () => assert.deepEqual(parseHostSpec(text), spec));
}

Deno.test("~/.ssh/config: tokens stand for the host, the users and the home directory", () => {
  const tokens = { h: "10.0.0.1", r: "core", u: "anna", d: "/home/anna" };
  assert.equal(expandTokens("IdentityFile", "%d/%u/%r@%h%%", tokens), "/home/anna/anna/core@10.0.0.1%");
});

Deno.test("~/.ssh/config: a token that is not supported is named with its option", () => {
  assert.throws(() => expandTokens("IdentityFile", "~/%C", { h: "x" }), {
    message: "IdentityFile ~/%C in ~/.ssh/config: %C is not supported there",
  });
});
