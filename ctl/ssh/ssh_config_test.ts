import assert from "node:assert/strict";
import { hostConfig, parseHostSpec, parseSshConfig } from "./ssh_config.ts";

const nothing = { identityFiles: [], identitiesOnly: false, jumps: [] };

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
    name: "ProxyJump through several",
    text: "ProxyJump anna@a:22, b\n",
    config: { ...nothing, jumps: ["anna@a:22", "b"] },
  },
  { name: "ProxyJump none", text: "Host box\nProxyJump none\nHost *\nProxyJump a\n", config: nothing },
  {
    name: "Match blocks are skipped",
    text: "Match user x\nUser anna\nMatch all\nPort 9\n",
    config: { ...nothing, port: 9 },
  },
  { name: "a port that is none", text: "Port ssh\n", config: nothing },
];

for (const { name, text, host = "box", config } of cases) {
  Deno.test(`~/.ssh/config: ${name}`, () => assert.deepEqual(hostConfig(parseSshConfig(text), host), config));
}

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
