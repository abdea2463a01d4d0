import assert from "node:assert/strict";
import { messageOf } from "../../../runtime/log.ts";
import { OutcomeUnknownError, StoreLimitError, StoreUnavailableError } from "../../mod.ts";
import { EtcdRefusedError, isDeniedAccess, isStaleToken, translate } from "./refusals.ts";

const request = {
  endpoints: "http://e:2379",
  username: "fleet",
  prefix: "/_coreos.com/fleet/",
  method: "txn",
  showsCertificate: false,
  sent: true,
};

/** An error as grpc-js throws it. */
function status(code: number, name: string, text: string): Error {
  return Object.assign(new Error(`${code} ${name}: etcdserver: ${text}`), { code });
}

const cases: readonly {
  readonly error: Error;
  readonly nameless?: true;
  readonly says: RegExp;
  readonly refused?: true;
  readonly limit?: true;
  readonly denied?: true;
  readonly stale?: true;
}[] = [
  {
    error: status(3, "INVALID_ARGUMENT", "user name is empty"),
    nameless: true,
    denied: true,
    says: /requires authentication \(set etcd_username and etcd_password, then systemctl reload fleet\)/,
  },
  {
    error: status(3, "INVALID_ARGUMENT", "authentication failed, invalid user ID or password"),
    denied: true,
    says: /does not accept user fleet .*systemctl reload fleet/,
  },
  {
    error: status(7, "PERMISSION_DENIED", "permission denied"),
    denied: true,
    says: /denies user fleet access below \/_coreos\.com\/fleet\//,
  },
  { error: status(16, "UNAUTHENTICATED", "invalid auth token"), denied: true, stale: true, says: /does not accept/ },
  {
    error: status(3, "INVALID_ARGUMENT", "revision of auth store is old"),
    denied: true,
    stale: true,
    says: /does not accept/,
  },
  {
    error: status(8, "RESOURCE_EXHAUSTED", "mvcc: database space exceeded"),
    says: /takes no writes .*compact and defragment it, then etcdctl alarm disarm/,
  },
  { error: status(8, "RESOURCE_EXHAUSTED", "too many requests"), says: /did not answer txn/ },
  { error: status(14, "UNAVAILABLE", "leader changed"), says: /did not answer txn.*leader changed/ },
  { error: status(14, "UNAVAILABLE", "request timed out"), says: /did not answer txn.*timed out/ },
  { error: status(15, "DATA_LOSS", "corrupt cluster"), says: /did not answer txn.*corrupt/ },
  {
    error: status(3, "INVALID_ARGUMENT", "too many operations in txn request"),
    limit: true,
    says: /takes no txn of this size \(.*--max-txn-ops\): .*too many operations/,
  },
  {
    error: status(3, "INVALID_ARGUMENT", "request is too large"),
    limit: true,
    says: /takes no txn of this size \(.*--max-request-bytes.*\): .*too large/,
  },
  {
    error: status(8, "RESOURCE_EXHAUSTED", "grpc: received message larger than max (2097600 vs. 2097152)"),
    limit: true,
    says: /takes no txn of this size/,
  },
  { error: status(11, "OUT_OF_RANGE", "mvcc: required revision has been compacted"), refused: true, says: /refused/ },
  { error: new Error("connection reset"), says: /did not answer txn.*: connection reset/ },
];

for (const { error, nameless, says, refused = false, limit = false, denied = false, stale = false } of cases) {
  Deno.test(`an error of etcd is translated: ${error.message}`, () => {
    const failure = translate(error, nameless ? { ...request, username: undefined } : request);
    assert.ok(failure.message.startsWith("etcd at http://e:2379 "), failure.message);
    assert.match(messageOf(failure), says);
    assert.equal(failure.cause, error);
    assert.equal(failure instanceof EtcdRefusedError, refused);
    assert.equal(failure instanceof StoreLimitError, limit);
    assert.equal(failure instanceof StoreUnavailableError, !refused && !limit);
    assert.equal(failure instanceof StoreUnavailableError && failure.isFull, says.source.includes("takes no writes"));
    // A request that etcd refuses with a reason was not applied, except for the write that fills its space.
    const expected = failure.message.includes("takes no writes") && "settled";
    const outcome = failure instanceof OutcomeUnknownError && (failure.settled ? "settled" : "unsettled");
    assert.equal(outcome, failure.message.includes("did not answer") ? "unsettled" : expected);
    assert.ok(!(translate(error, { ...request, sent: false }) instanceof OutcomeUnknownError), "it was not sent");
    assert.equal(isDeniedAccess(error), denied);
    assert.equal(isStaleToken(error), stale);
  });
}

const noConnection = (last: string) => `No connection established. Last error: ${last}. Resolution note: `;
const connections: readonly {
  readonly code: number;
  readonly text: string;
  readonly secure: boolean;
  readonly certificate?: true;
  readonly says: string;
}[] = [
  {
    ...{ code: 14, text: noConnection("write EPIPE (2026-11-28T08:36:19.143Z)"), secure: true },
    says: "closed the TLS handshake: if it requires a client certificate, set etcd_certfile and etcd_keyfile",
  },
  {
    ...{ code: 14, text: noConnection("read ECONNRESET (2026-11-28T08:36:19.143Z)"), secure: true },
    says: "closed the TLS handshake: if it requires a client certificate, set etcd_certfile and etcd_keyfile",
  },
  {
    code: 14,
    text: noConnection("received fatal alert: BadCertificate (2026-11-28T08:36:30.328Z)"),
    secure: true,
    certificate: true,
    says: "closed the TLS handshake: it does not accept the certificate in etcd_certfile " +
      "(received fatal alert: BadCertificate)",
  },
  ...["Failed to connect (2026-11-28T08:36:11.835Z)", "read ECONNRESET"].map((last) => ({
    ...{ code: 14, text: noConnection(last), secure: false },
    says: "closes connections: if it expects TLS, use https://",
  })),
  {
    code: 14,
    text: noConnection("Error: Client network socket disconnected before secure TLS connection was established"),
    secure: true,
    says: "does not complete the TLS handshake: if it does not use TLS, use http://",
  },
  {
    ...{ code: 14, text: noConnection("Error: unable to verify the first certificate"), secure: true },
    says: "is not trusted: unable to verify the first certificate; " +
      "etcd_cafile must contain the authority that signed its certificate",
  },
  {
    ...{ code: 14, text: noConnection("Error: connect ECONNREFUSED 127.0.0.1:1"), secure: false },
    says: "refuses connections: is etcd running there?",
  },
  {
    ...{ code: 14, text: "Name resolution failed for target dns:nosuch.invalid:2379", secure: false },
    says: "cannot be reached: its host name does not resolve",
  },
  { code: 4, text: "Deadline exceeded after 0.020s,Waiting for LB pick", secure: false, says: "does not answer" },
];

for (const { code, text, secure, certificate = false, says } of connections) {
  Deno.test(`a connection that fails over ${secure ? "https" : "http"} names its cause: ${text}`, () => {
    const endpoints = `${secure ? "https" : "http"}://e:2379`;
    const error = Object.assign(new Error(`${code} ${text}`), { code });
    const unsent = translate(error, { ...request, endpoints, showsCertificate: certificate, sent: false });
    assert.equal(messageOf(unsent), `etcd at ${endpoints} ${says}`);
    assert.ok(unsent instanceof StoreUnavailableError && !(unsent instanceof OutcomeUnknownError));
    assert.ok(
      translate(error, { ...request, endpoints, showsCertificate: certificate }) instanceof OutcomeUnknownError,
    );
  });
}

Deno.test("a missing lease is reported as not found, and a TypeError is returned unchanged", () => {
  const failure = translate(status(5, "NOT_FOUND", "requested lease not found"), request);
  assert.ok(failure instanceof EtcdRefusedError && failure.isNotFound);
  const mistake = new TypeError("no such method");
  assert.equal(translate(mistake, request), mistake);
});
