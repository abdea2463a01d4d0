import assert from "node:assert/strict";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { FakeHosts } from "../testing/fake_remote.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";

function cluster(): FakeApi {
  const api = new FakeApi();
  api.add("a.service", "launched", "Service.ExecStart=/bin/true");
  api.intercept = (request) => new URL(request.url).pathname === "/readyz" ? new Response("ok") : undefined;
  return api;
}

/** Machines that let nobody in. */
function closed(): FakeHosts {
  const hosts = new FakeHosts();
  hosts.refusal = "no key";
  return hosts;
}

Deno.test("doctor: a login that fails is a warning where the API tells journals", async () => {
  const api = cluster();
  api.journals.set("a.service", () => "a line\n");
  const { status, stdout } = await fleetctl(api, "doctor", new FakeIo(), closed());
  assert.equal(status, 0);
  assert.match(
    stdout,
    /^warn {3}ssh: .*: no key\n {7}Only fleetctl ssh needs it: status, journal and logs ask the API\.$/m,
  );
});

Deno.test("doctor: a login that fails is a failure where the API cannot tell journals, and the reason is given", async () => {
  const api = cluster();
  api.intercept = (request, path) =>
    path.endsWith("/journal")
      ? refusal(502, "api_peer_cafile is not set")
      : new URL(request.url).pathname === "/readyz"
      ? new Response("ok")
      : undefined;
  const { status, stdout } = await fleetctl(api, "doctor", new FakeIo(), closed());
  assert.equal(status, 1);
  assert.match(
    stdout,
    /^FAIL {3}ssh: .*: no key\n {7}status, journal and logs need it.*api_peer_cafile is not set\)\.$/m,
  );
});

Deno.test("doctor: a login that fails to a machine without units, or to this one, is a warning", async () => {
  const here = closed();
  here.machineId = "454c34ef00000000000000000000cafe";
  assert.equal((await fleetctl(cluster(), "doctor", new FakeIo(), here)).status, 0);
  const empty = new FakeApi();
  empty.intercept = cluster().intercept;
  assert.equal((await fleetctl(empty, "doctor", new FakeIo(), closed())).status, 0);
});

Deno.test("doctor: another store names the command that accepts it", async () => {
  const api = cluster();
  const reason = "this is another store. If this is the right store, say so with: fleetctl accept-store";
  api.intercept = (request) =>
    new URL(request.url).pathname === "/readyz" ? new Response(reason, { status: 503 }) : undefined;
  const { status, stdout } = await fleetctl(api, "doctor");
  assert.equal(status, 1);
  assert.match(stdout, /^ {7}Restore the right store or, .*: fleetctl --endpoint=unix:\/\/\/fake\.sock accept-store$/m);
});

/** A certificate that is valid from 2026-11-28 to 2026-12-01. */
const certificate = `-----BEGIN CERTIFICATE-----
MIIBbTCCAROgAwIBAgIULOZzdge2DDpnRotjXN5ED2sgjzcwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBeDAeFw0yNjExMjgwODUyNTlaFw0yNjEyMDEwODUyNTlaMAwx
CjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATN1DGtZaQTmBqp
Xmgc28wkXIQ87IFbp1FKlv2sEeIkmD4v/SCRXSTsGW/tVpnkyyKnDtUnqQqsR5St
lRCXgLsIo1MwUTAdBgNVHQ4EFgQUCgkXKD/LkVDEdI8yIECIQ3uI0ugwHwYDVR0j
BBgwFoAUCgkXKD/LkVDEdI8yIECIQ3uI0ugwDwYDVR0TAQH/BAUwAwEB/zAKBggq
hkjOPQQDAgNIADBFAiBWZvq7qMRGDaegz2oSg30Wf2Bc2gy9KBukCf2kC3NI3QIh
ANlWXF+0bVlfZcPGLg6qtTctY6q5g3/IZRpQf1utCWFc
-----END CERTIFICATE-----
`;

const moments: [wall_ms: number, line: RegExp, status: number][] = [
  [Date.UTC(2026, 5, 1), /^ok {5}certificate: c\.pem \(--cert-file\) is valid until 2026-12-01$/m, 0],
  [
    Date.UTC(2026, 10, 29),
    /^warn {3}certificate: c\.pem \(--cert-file\) expires on 2026-12-01\n {7}Have a new one/m,
    0,
  ],
  [Date.UTC(2027, 0, 1), /^FAIL {3}certificate: c\.pem \(--cert-file\) expired on 2026-12-01\n {7}Have a new one/m, 1],
];

for (const [wall_ms, line, status] of moments) {
  Deno.test(`doctor: a certificate on ${new Date(wall_ms).toISOString().slice(0, 10)}`, async () => {
    const io = new FakeIo();
    io.files.set("c.pem", certificate);
    io.wall_ms = () => wall_ms;
    const ran = await fleetctl(cluster(), "doctor --no-ssh --cert-file=c.pem --key-file=k.pem", io);
    assert.match(ran.stdout, line);
    assert.equal(ran.status, status);
  });
}
