import assert from "node:assert/strict";
import { parseEndpoint } from "./endpoint.ts";
import { whyUnreachable } from "./unreachable.ts";

const place = "the fleet API at https://m1:49153";
const url = "error sending request for url (https://m1:49153/): client error (Connect): ";

const cases: { said: string; says: string }[] = [
  {
    said:
      "error sending request from 10.0.0.1:1 for http://m1/: client error (SendRequest): invalid HTTP version parsed",
    says: `cannot reach ${place}: the server speaks TLS: use https://`,
  },
  {
    said: url + "received corrupt message of type InvalidContentType",
    says: `cannot reach ${place}: the server speaks no TLS: use http://`,
  },
  {
    said: url + "invalid peer certificate: certificate expired: verification time 1795855189 (UNIX), " +
      "but certificate is not valid after 1580515200 (215339989 seconds ago)",
    says: `cannot reach ${place}: the server's certificate expired on 2020-02-01T00:00:00Z`,
  },
  {
    said: url + "invalid peer certificate: certificate not valid yet: verification time 1580515100 (UNIX), " +
      "but certificate is not valid before 1580515200 (100 seconds in future)",
    says: `cannot reach ${place}: the server's certificate is not valid before 2020-02-01T00:00:00Z: ` +
      "is the clock of this machine right?",
  },
  {
    said: "keys may not be consistent: KeyMismatch",
    says: `cannot reach ${place}: the key in --key-file is not that of the certificate in --cert-file`,
  },
  {
    said: url + "invalid peer certificate: UnknownIssuer",
    says: `cannot trust ${place}: UnknownIssuer. --ca-file names the authority that must have signed its ` +
      "certificate, and the certificate must name the host of --endpoint",
  },
];

for (const { said, says } of cases) {
  Deno.test(`an API that cannot be reached: ${says.replace(/^.*49153: /, "")}`, () => {
    const cause = new TypeError("fetch failed", { cause: new Error(said) });
    assert.equal(whyUnreachable(parseEndpoint("https://m1:49153"), "/", { method: "GET" }, undefined, cause), says);
  });
}
