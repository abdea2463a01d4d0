import assert from "node:assert/strict";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";

function cluster(): FakeApi {
  const api = new FakeApi();
  api.add("a.service", "launched", "Service.ExecStart=/bin/true");
  api.intercept = (request) => new URL(request.url).pathname === "/readyz" ? new Response("ok") : undefined;
  return api;
}

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
    /^warn {3}certificate: c\.pem \(--cert-file\) expires on 2026-12-01\n {7}Replace the cert/m,
    0,
  ],
  [
    Date.UTC(2027, 0, 1),
    /^FAIL {3}certificate: c\.pem \(--cert-file\) expired on 2026-12-01\n {7}Replace the cert/m,
    1,
  ],
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
