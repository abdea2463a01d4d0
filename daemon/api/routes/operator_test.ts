import assert from "node:assert/strict";
import { ApiFixture } from "../../../tests/support/api_fixture.ts";
import type { OperatorPorts } from "./operator.ts";

const ports: OperatorPorts = {
  metrics: () => Promise.resolve("a 1\n"),
  acceptStore: (keepUnits) =>
    Promise.resolve({ was: { id: "a", revision: 5 }, accepted: { revision: keepUnits ? 3 : 2 } }),
};
const refusing: OperatorPorts = { acceptStore: () => Promise.resolve({ refusal: "the store is verified" }) };

/** Sends a request to a daemon that cannot answer for the cluster. */
async function ask(method: string, path: string, given: OperatorPorts = ports) {
  await using api = await ApiFixture.open({ ...given, status: () => ({ ready: false }) });
  const { code, text } = await api.send(method, path);
  return `${code} ${text}`;
}

const notReady = '503 {"error":{"code":503,"message":"fleet server unable to communicate with etcd"}}';

const cases: readonly { name: string; ask: [string, string, OperatorPorts?]; want: string }[] = [
  { name: "metrics", ask: ["GET", "/metrics"], want: "200 a 1\n" },
  { name: "the head of the metrics", ask: ["HEAD", "/metrics"], want: "200 " },
  {
    name: "metrics by another method",
    ask: ["POST", "/metrics"],
    want: "200 a 1\n",
  },
  { name: "metrics of a daemon without any", ask: ["GET", "/metrics", {}], want: notReady },
  {
    name: "to accept the store",
    ask: ["POST", "/fleet/v1/store/accept"],
    want: '200 {"was":{"id":"a","revision":5},"accepted":{"revision":2}}',
  },
  {
    name: "to accept the store and keep the units",
    ask: ["POST", "/fleet/v1/store/accept/keep-units"],
    want: '200 {"was":{"id":"a","revision":5},"accepted":{"revision":3}}',
  },
  {
    name: "to accept a store that was accepted already",
    ask: ["POST", "/v1-alpha/store/accept", refusing],
    want: '409 {"error":{"code":409,"message":"the store is verified"}}',
  },
  {
    name: "GET where only POST is allowed",
    ask: ["GET", "/fleet/v1/store/accept"],
    want: '405 {"error":{"code":405,"message":"only POST supported against this resource"}}',
  },
  { name: "the units of the cluster", ask: ["GET", "/fleet/v1/units"], want: notReady },
];

for (const { name, ask: request, want } of cases) {
  Deno.test(`operator request: ${name}`, async () => assert.equal(await ask(...request), want));
}
