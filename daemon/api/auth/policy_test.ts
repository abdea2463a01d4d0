import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { authorize, isOpen, type Policy, policyWarnings, roleOf } from "./policy.ts";
import type { ConnectionInfo } from "../context.ts";
import { Tokens } from "./tokens.ts";

const hash = (token: string) => `sha256:${createHash("sha256").update(token).digest("hex")}`;
const tokens = Tokens.parse(`read dashboard ${hash("look")}\nwrite deployer ${hash("do")}`);

const network: ConnectionInfo = { kind: "network", remote: "10.0.0.2:4711", hosts: ["10.0.0.1:49153"] };
const loopback: ConnectionInfo = { kind: "loopback", remote: "127.0.0.1:4711", hosts: ["127.0.0.1:49153"] };
const unix: ConnectionInfo = { kind: "unix", remote: "unix", hosts: ["domain_sock"] };

interface Case {
  readonly name: string;
  readonly policy?: Policy;
  readonly connection: ConnectionInfo;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly target?: string;
  /** The name of the token or certificate that authorizes the request. */
  readonly as?: string;
  /** The role of that token or certificate; `write` if not given. */
  readonly role?: string;
  /** The refusal if the request is not a dry run. */
  readonly onlyDryRun?: string;
  /** The expected denial; undefined: allowed. */
  readonly want?: readonly [code: number, message: RegExp];
}

const shown = (problem?: string, ...organizations: string[]): ConnectionInfo => ({
  ...network,
  certificate: { subject: "someone", authorization: problem === undefined ? roleOf(organizations) : { problem } },
});
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

const foreign = { "sec-fetch-site": "cross-site" };

const cases: readonly Case[] = [
  ...["/ui/", "/ui", "/ui/main.js"].flatMap((target) => [
    { name: `the page needs no token: ${target}`, policy: { tokens }, connection: network, target },
    { name: `a link of another site may lead to ${target}`, connection: loopback, target, headers: foreign },
  ]),
  { name: "a closed address has no page", connection: network, target: "/ui/", want: [403, /closed/] },
  ...["/ui/../fleet/v1/units", "/ui/x/y", "/uix", "/ui?x", "/UI/"].map((target): Case => ({
    name: `no other path counts as the page: ${target}`,
    policy: { tokens },
    connection: network,
    target,
    want: [401, /token is required/],
  })),
  {
    name: "the page cannot be written to",
    policy: { tokens },
    connection: network,
    method: "PUT",
    target: "/ui/",
    want: [401, /token is required/],
  },
  ...["/fleet/v1/plan", "/v1-alpha/plan?alt=json"].map((target) => ({
    name: `a token for reading may plan: ${target}`,
    policy: { tokens },
    connection: network,
    method: "POST",
    target,
    headers: bearer("look"),
    as: "dashboard",
    role: "read",
  })),
  ...["/fleet/v1/plan/x", "/fleet/v1/units/plan/start", "/fleet/v1/%70lan", "//fleet/v1/plan", "/fleet/v1/planx"].map((
    target,
  ) => ({
    name: `a token for reading may do nothing else by POST: ${target}`,
    policy: { tokens },
    connection: network,
    method: "POST",
    target,
    headers: bearer("look"),
    want: [403, /^the token of "dashboard" may read only$/] as const,
  })),
  ...["/fleet/v1/drains", "/v1-alpha/drains?x"].map((target) => ({
    name: `a token for reading may do a dry run: ${target}`,
    policy: { tokens },
    connection: network,
    method: "POST",
    target,
    headers: bearer("look"),
    as: "dashboard",
    role: "read",
    onlyDryRun: 'the token of "dashboard" may read only',
  })),
  {
    name: "a certificate for reading may do a dry run",
    policy: { clientCertificates: true },
    connection: shown(undefined, "fleet:read"),
    method: "POST",
    target: "/fleet/v1/drains",
    as: "someone",
    role: "read",
    onlyDryRun: 'the certificate of "someone" may read only',
  },
  {
    name: "a token for writing may drain, also beside a certificate for reading",
    policy: { clientCertificates: true, tokens },
    connection: shown(undefined, "fleet:read"),
    method: "POST",
    target: "/fleet/v1/drains",
    headers: bearer("do"),
    as: "deployer",
  },
  {
    name: "an expired certificate may do no dry run",
    policy: { clientCertificates: true },
    connection: shown("it expired"),
    method: "POST",
    target: "/fleet/v1/drains",
    want: [403, /it expired$/],
  },
  ...[["DELETE", "/fleet/v1/drains/m1"], ["POST", "/fleet/v1/%64rains"], ["POST", "/fleet/v1/drains/"]].map((
    [method, target],
  ): Case => ({
    name: `a token for reading may do nothing else about drains: ${method} ${target}`,
    policy: { tokens },
    connection: network,
    method: method!,
    target: target!,
    headers: bearer("look"),
    want: [403, /^the token of "dashboard" may read only$/],
  })),
  { name: "unix: open", connection: unix, method: "DELETE" },
  {
    name: "unix: any host",
    connection: { ...unix, hosts: ["evil.example"] },
    headers: { origin: "http://x" },
  },
  {
    name: "unix: exactly one host",
    connection: { ...unix, hosts: ["a", "b"] },
    want: [400, /^expected 1 Host, got 2$/],
  },
  { name: "loopback: open", connection: loopback, method: "DELETE" },
  ...["localhost", "LOCALHOST:80", "127.0.0.1", "127.1.2.3:49153", "[::1]:49153", "[::1]", ""].map((host) => ({
    name: `loopback: host ${JSON.stringify(host)}`,
    connection: { ...loopback, hosts: [host] },
  })),
  { name: "loopback: no host, as HTTP/1.0 may", connection: { ...loopback, hosts: [] } },
  ...[
    ...["evil.example", "evil.example:49153", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1"],
    ...["evil.example#localhost", "localhost@evil.example", "127.0.0.1:80:80", "0.0.0.0", "[::]", "localhost\t"],
  ].map((host) => ({
    name: `loopback: a foreign name: ${JSON.stringify(host)}`,
    connection: { ...loopback, hosts: [host] },
    want: [403, /is not this machine: expect localhost/] as const,
  })),
  {
    name: "loopback: a foreign host in the target",
    connection: loopback,
    target: "http://evil.example/fleet/v1/units",
    want: [403, /"evil\.example" is not this machine/],
  },
  {
    name: "loopback: its own host in the target, a foreign one in the header",
    connection: { ...loopback, hosts: ["evil.example"] },
    target: "http://localhost/fleet/v1/units",
    want: [403, /"evil\.example" is not this machine/],
  },
  { name: "loopback: its own page", connection: loopback, headers: { origin: "http://127.0.0.1:49153" } },
  ...["http://evil.example", "null", "http://127.0.0.1:8080", "http://localhost:49153", "file://", ""].map((
    origin,
  ) => ({
    name: `loopback: a page from ${JSON.stringify(origin)}`,
    connection: loopback,
    headers: { origin },
    want: [403, /is not this server$/] as const,
  })),
  ...["cross-site", "same-site", "whatever"].map((site) => ({
    name: `loopback: a page that the browser calls ${site}`,
    connection: loopback,
    headers: { "sec-fetch-site": site },
    want: [403, /another site's pages/] as const,
  })),
  { name: "loopback: an address typed by the user", connection: loopback, headers: { "sec-fetch-site": "none" } },
  { name: "network: closed by default", connection: network, want: [403, /^this address is closed: set api_certfile/] },
  { name: "network: a token does not help", connection: network, headers: bearer("do"), want: [403, /is closed/] },
  { name: "network: a certificate does not help", connection: shown(), want: [403, /is closed/] },
  { name: "insecure: open", policy: { insecure: true }, connection: network, method: "PUT" },
  {
    name: "insecure: closed to foreign pages",
    policy: { insecure: true },
    connection: network,
    headers: { origin: "http://evil.example" },
    want: [403, /is not this server/],
  },
  { name: "tokens: none", policy: { tokens }, connection: network, want: [401, /^a bearer token is required$/] },
  { name: "tokens: wrong", policy: { tokens }, connection: network, headers: bearer("no"), want: [401, /not known/] },
  ...["Basic ZG86ZG8=", "Bearer", "Bearer ", "do", "Bearer do do", "Bearer dö"].map((authorization) => ({
    name: `tokens: ${authorization}`,
    policy: { tokens },
    connection: network,
    headers: { authorization },
    want: [401, /not known/] as const,
  })),
  {
    name: "tokens: a token for reading allows GET",
    policy: { tokens },
    connection: network,
    headers: bearer("look"),
    as: "dashboard",
    role: "read",
  },
  ...["PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TEST"].map((method) => ({
    name: `tokens: a token for reading does not allow ${method}`,
    policy: { tokens },
    connection: network,
    method,
    headers: bearer("look"),
    want: [403, /^the token of "dashboard" may read only$/] as const,
  })),
  {
    name: "tokens: a token for writing allows PUT",
    policy: { tokens },
    connection: network,
    method: "PUT",
    headers: bearer("do"),
    as: "deployer",
  },
  {
    name: "tokens: the scheme in any case",
    policy: { tokens },
    connection: network,
    headers: { authorization: "bearer  do" },
    as: "deployer",
  },
  {
    name: "certificates: none shown",
    policy: { clientCertificates: true },
    connection: network,
    want: [401, /^a client certificate is required$/],
  },
  {
    name: "certificates: a valid one",
    policy: { clientCertificates: true },
    connection: shown(),
    method: "DELETE",
    as: "someone",
  },
  {
    name: "certificates: an expired one",
    policy: { clientCertificates: true },
    connection: shown("it expired"),
    want: [403, /^the client certificate is not accepted: it expired$/],
  },
  ...[["Example Ltd"], ["fleet:write"], ["fleet:write", "Example Ltd"], ["fleets:read"]].map((organizations) => ({
    name: `certificates: one of ${organizations.join(" and ")} may write`,
    policy: { clientCertificates: true },
    connection: shown(undefined, ...organizations),
    method: "PUT",
    as: "someone",
  })),
  {
    name: "certificates: one for reading allows GET",
    policy: { clientCertificates: true },
    connection: shown(undefined, "fleet:read"),
    as: "someone",
    role: "read",
  },
  ...[["fleet:read"], ["Example Ltd", "fleet:read"], ["fleet:write", "fleet:read"]].map((organizations) => ({
    name: `certificates: one of ${organizations.join(" and ")} may not write`,
    policy: { clientCertificates: true },
    connection: shown(undefined, ...organizations),
    method: "POST",
    want: [403, /^the certificate of "someone" may read only$/] as const,
  })),
  ...[
    ...["fleet:reed", "fleet:Read", "Fleet:read", "fleet: read", "fleet:", " fleet:read", "fleet:read "],
    // A BMPString and a UniversalString as Node returns them; OpenSSL prints them like a role.
    ...[1, 3].map((zeros) => [..."fleet:read"].map((letter) => "\0".repeat(zeros) + letter).join("")),
    "\u200bfleet:read",
  ].map((name) => ({
    name: `certificates: a misspelt role, ${JSON.stringify(name)}, is none`,
    policy: { clientCertificates: true },
    connection: shown(undefined, name),
    want: [403, /is not a role: expect fleet:read or fleet:write$/] as const,
  })),
  {
    name: "both: a token for writing and a certificate for reading",
    policy: { clientCertificates: true, tokens },
    connection: shown(undefined, "fleet:read"),
    method: "PUT",
    headers: bearer("do"),
    as: "deployer",
  },
  {
    name: "certificates: a valid one from a foreign page",
    policy: { clientCertificates: true },
    connection: shown(),
    headers: { origin: "https://evil.example" },
    want: [403, /is not this server/],
  },
  {
    name: "both: a valid token and an expired certificate",
    policy: { clientCertificates: true, tokens },
    connection: shown("it expired"),
    headers: bearer("do"),
    as: "deployer",
  },
  {
    name: "both: none",
    policy: { clientCertificates: true, tokens },
    connection: network,
    want: [401, /^a client certificate or a bearer token is required$/],
  },
];

Deno.test("access decisions", async (test) => {
  for (
    const { name, policy = {}, connection, method = "GET", headers = {}, target = "/fleet/v1/units", ...expected }
      of cases
  ) {
    const { as, role = "write", want, ...more } = expected;
    await test.step(name, () => {
      const request = new Request("http://localhost/", { method });
      // Request drops headers that pages may not set; a server receives them all the same.
      const received = new Headers();
      for (const [key, value] of Object.entries(headers)) received.set(key, latin1(value));
      Object.defineProperty(request, "headers", { value: received });
      const { denial, ...allowed } = authorize(policy, request, target, connection);
      if (!want) assert.deepEqual(allowed, as === undefined ? {} : { as, role, ...more });
      else {
        assert.equal(denial?.code, want[0]);
        assert.match(denial.message, want[1]);
      }
    });
  }
});

const latin1 = (text: string) => text.replace(/[^ -~]/g, "\xff");

Deno.test("the operator is warned of open, closed and unencrypted network addresses", () => {
  const warnings = (policy: Policy, encrypted: boolean) =>
    policyWarnings(policy, encrypted).map((warning) => warning.split(":")[0]);
  assert.deepEqual(warnings({}, false), ["the API's network addresses refuse every request"]);
  assert.deepEqual(warnings({}, true), ["the API's network addresses refuse every request"]);
  assert.deepEqual(warnings({ tokens }, true), []);
  assert.deepEqual(warnings({ tokens }, false), ["the API's network addresses are not encrypted"]);
  assert.deepEqual(warnings({ clientCertificates: true }, true), []);
  assert.equal(warnings({ insecure: true }, false).length, 2);
  assert.equal(warnings({ insecure: true }, true).length, 1);
  assert.deepEqual([{}, { tokens }, { insecure: true }, { clientCertificates: true }].map(isOpen), [
    ...[false, true, true, true],
  ]);
});
