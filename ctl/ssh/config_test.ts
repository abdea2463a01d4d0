import assert from "node:assert/strict";
import { expandTokens, hostConfig, parseHostSpec } from "./config.ts";
import { readSshConfig } from "./config_include.ts";

const nothing = { identityFiles: [], certificateFiles: [], identitiesOnly: false, jumps: [], unsupported: [] };

const cases: { name: string; text: string; host?: string; config: unknown }[] = [
  { name: "an empty file sets nothing", text: "", config: nothing },
  {
    name: "options before the first Host apply to all hosts",
    text: "User anna\n",
    config: { ...nothing, user: "anna" },
  },
  { name: "a block applies only to its hosts", text: "Host other\n  User anna\n", config: nothing },
  {
    name: "Host takes patterns",
    text: "Host web? 10.*\n User anna\n",
    host: "10.1.2.3",
    config: { ...nothing, user: "anna" },
  },
  {
    name: "a negated pattern excludes a host",
    text: "Host 10.* !10.1.*\n User anna\n",
    host: "10.1.2.3",
    config: nothing,
  },
  {
    name: "the first value of an option counts",
    text: "Host box\n User anna\nHost *\n User bert\n Port 2222\n",
    config: { ...nothing, user: "anna", port: 2222 },
  },
  {
    name: "every IdentityFile counts",
    text: "Host box\n IdentityFile ~/a\nHost *\n IdentityFile ~/b\n IdentitiesOnly yes\n",
    config: { ...nothing, identityFiles: ["~/a", "~/b"], identitiesOnly: true },
  },
  {
    name: "equals signs, quotes and any case are accepted",
    text: 'hOST=box\n\tuSER = "anna b"\n',
    config: { ...nothing, user: "anna b" },
  },
  {
    name: "comments are skipped",
    text: "# Host *\nHost box # not\n#User x\nPort 7\n",
    config: { ...nothing, port: 7 },
  },
  {
    name: "HostName may contain %h",
    text: "Host box\nHostName %h.example\n",
    config: { ...nothing, hostName: "box.example" },
  },
  {
    name: "HostKeyAlias, IdentityAgent and every CertificateFile count",
    text: "Host box\nHostKeyAlias web\nIdentityAgent ~/agent\nCertificateFile ~/a\nHost *\nCertificateFile ~/b\n",
    config: { ...nothing, hostKeyAlias: "web", identityAgent: "~/agent", certificateFiles: ["~/a", "~/b"] },
  },
  {
    name: "unsupported options that change the connection are named",
    text: "proxycommand nc %h %p\nBindAddress 10.0.0.1\nCompression yes\nAddressFamily any\nRevokedHostKeys ~/krl\n",
    config: { ...nothing, unsupported: ["ProxyCommand", "BindAddress", "RevokedHostKeys"] },
  },
  {
    name: "a ProxyCommand after a ProxyJump is ignored",
    text: "ProxyJump a\nProxyCommand nc %h %p\n",
    config: { ...nothing, jumps: ["a"] },
  },
  {
    name: "a Match block that sets no relevant option is not named",
    text: "Match exec true\nCompression yes\n",
    config: nothing,
  },
  {
    name: "ProxyJump takes several hosts",
    text: "ProxyJump anna@a:22, b\n",
    config: { ...nothing, jumps: ["anna@a:22", "b"] },
  },
  {
    name: "ProxyJump none overrides a later ProxyJump",
    text: "Host box\nProxyJump none\nHost *\nProxyJump a\n",
    config: nothing,
  },
  {
    name: "Match blocks are skipped",
    text: "Match user x\nUser anna\nMatch all\nPort 9\n",
    config: { ...nothing, port: 9, unsupported: ["Match"] },
  },
  { name: "Match all counts in any case", text: "Match All\nPort 9\n", config: { ...nothing, port: 9 } },
  {
    name: "an unsupported Match block ends at the next Host",
    text: 'Match host box exec "true"\nUser anna\nHostName elsewhere\nHost box\nPort 9\n',
    config: { ...nothing, port: 9, unsupported: ["Match"] },
  },
  {
    name: "Match all with further conditions is not supported",
    text: "Match all canonical\nUser anna\n",
    config: { ...nothing, unsupported: ["Match"] },
  },
  {
    name: "Match ends a Host block",
    text: "Host box\nPort 7\nMatch user x\nUser anna\n",
    config: { ...nothing, port: 7, unsupported: ["Match"] },
  },
  { name: "an invalid port is ignored", text: "Port ssh\n", config: nothing },
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
    name: "takes a path relative to ~/.ssh",
    files: { ".ssh/config": "Include more\n", ".ssh/more": "User anna\n" },
    config: { ...nothing, user: "anna" },
  },
  {
    name: "takes ~ and absolute paths, with or without quotes",
    files: {
      ".ssh/config": 'Include ~/one "/etc/the other" # and so on\n',
      "one": "User anna\n",
      "/etc/the other": "Port 7\n",
    },
    config: { ...nothing, user: "anna", port: 7 },
  },
  {
    name: "of a pattern reads files in the order of their names, without hidden ones",
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
    name: "takes a pattern in the middle of a path",
    files: { ".ssh/config": "Include */ssh\n", ".ssh/a/ssh": "User anna\n", ".ssh/b/ssh": "Port 7\n" },
    config: { ...nothing, user: "anna", port: 7 },
  },
  {
    name: "of a missing file sets nothing",
    files: { ".ssh/config": "Include a b/*\nPort 7\n" },
    config: { ...nothing, port: 7 },
  },
  {
    name: "in a block of other hosts is ignored, even if the file names this host",
    files: {
      ".ssh/config": "Host other\n Include more\n Port 7\n",
      ".ssh/more": "Host box\n User anna\nHost *\n Port 9\n",
    },
    config: nothing,
  },
  {
    name: "in a block of this host applies, and the block continues after it",
    files: {
      ".ssh/config": "Host box\n Include more\n Port 7\n",
      ".ssh/more": "Host other\n User bert\nHost *\n User anna\n",
    },
    config: { ...nothing, user: "anna", port: 7 },
  },
  {
    name: "in an unsupported Match block is ignored",
    files: { ".ssh/config": "Match user x\nInclude more\n", ".ssh/more": "Host *\nUser anna\n" },
    config: { ...nothing, unsupported: ["Match"] },
  },
  {
    name: "ends a block of the included file with the file",
    files: { ".ssh/config": "Include more\nUser anna\n", ".ssh/more": "Host other\nPort 7\n" },
    config: { ...nothing, user: "anna" },
  },
];

for (const { name, files, host, config } of included) {
  Deno.test(`~/.ssh/config: Include ${name}`, async () => assert.deepEqual(await configOf(files, host), config));
}

Deno.test("~/.ssh/config: Include may be nested 16 deep", async () => {
  const chain = (last: number) => ({
    ".ssh/config": "Include 1\n",
    ...Object.fromEntries(Array.from({ length: last }, (_, n) => [`.ssh/${n + 1}`, `Include ${n + 2}\n`])),
    [`.ssh/${last}`]: "User anna\n",
  });
  assert.deepEqual(await configOf(chain(16)), { ...nothing, user: "anna" });
  await assert.rejects(configOf(chain(17)), /\.ssh\/17: Include is nested more than 16 deep/);
  await assert.rejects(configOf({ ".ssh/config": "Include config\n" }), /include itself/);
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
  Deno.test(`a host argument is parsed: ${JSON.stringify(text)}`, () => assert.deepEqual(parseHostSpec(text), spec));
}

Deno.test("~/.ssh/config: tokens are replaced by the host, the users and the home directory", () => {
  const tokens = { h: "10.0.0.1", r: "core", u: "anna", d: "/home/anna" };
  assert.equal(expandTokens("IdentityFile", "%d/%u/%r@%h%%", tokens), "/home/anna/anna/core@10.0.0.1%");
});

Deno.test("~/.ssh/config: an unsupported token is named with its option", () => {
  assert.throws(() => expandTokens("IdentityFile", "~/%C", { h: "x" }), {
    message: "IdentityFile ~/%C in ~/.ssh/config: the token %C is not supported",
  });
});
