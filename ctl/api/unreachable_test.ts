import assert from "node:assert/strict";
import { parseEndpoint } from "./endpoint.ts";
import { whyUnreachable } from "./unreachable.ts";

const place = "the fleet API at https://m1:49153";
const url = "error sending request for url (https://m1:49153/): client error (Connect): ";

const cases: { error: string; message: string }[] = [
  {
    error:
      "error sending request from 10.0.0.1:1 for http://m1/: client error (SendRequest): invalid HTTP version parsed",
    message: `cannot reach ${place}: the server speaks TLS: use https://`,
  },
  {
    error: url + "received corrupt message of type InvalidContentType",
    message: `cannot reach ${place}: the server speaks no TLS: use http://`,
  },
  {
    error: url + "invalid peer certificate: certificate expired: verification time 1795855189 (UNIX), " +
      "but certificate is not valid after 1580515200 (215339989 seconds ago)",
    message: `cannot reach ${place}: the server's certificate expired on 2020-02-01T00:00:00Z`,
  },
  {
    error: url + "invalid peer certificate: certificate not valid yet: verification time 1580515100 (UNIX), " +
      "but certificate is not valid before 1580515200 (100 seconds in future)",
    message: `cannot reach ${place}: the server's certificate is not valid before 2020-02-01T00:00:00Z: ` +
      "is the clock of this machine right?",
  },
  {
    error: "keys may not be consistent: KeyMismatch",
    message: `cannot reach ${place}: the key in --key-file is not that of the certificate in --cert-file`,
  },
  {
    error: url + "invalid peer certificate: UnknownIssuer",
    message: `cannot trust ${place}: UnknownIssuer. --ca-file names the authority that must have signed its ` +
      "certificate, and the certificate must name the host of --endpoint",
  },
];

for (const { error, message } of cases) {
  Deno.test(`an unreachable API: ${message.replace(/^.*49153: /, "")}`, () => {
    const cause = new TypeError("fetch failed", { cause: new Error(error) });
    assert.equal(whyUnreachable(parseEndpoint("https://m1:49153"), "/", { method: "GET" }, undefined, cause), message);
  });
}
