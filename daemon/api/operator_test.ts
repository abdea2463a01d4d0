import assert from "node:assert/strict";
import { answerOperator, type OperatorPorts } from "./operator.ts";
import { parseTarget } from "./target.ts";

const ports: OperatorPorts = {
  metrics: () => Promise.resolve("a 1\n"),
  acceptStore: () => Promise.resolve({ was: { id: "a", revision: 5 }, accepted: { revision: 2 } }),
};
const refusing: OperatorPorts = { acceptStore: () => Promise.resolve({ refusal: "no need" }) };

async function ask(method: string, path: string, given: OperatorPorts = ports) {
  const target = parseTarget(path);
  assert.equal(target.kind, "path");
  const reply = target.kind === "path" ? await answerOperator(method, target, given) : undefined;
  return reply && `${reply.status} ${await reply.text()}`;
}

const cases: readonly { name: string; ask: [string, string, OperatorPorts?]; want: string | undefined }[] = [
  { name: "metrics", ask: ["GET", "/metrics"], want: "200 a 1\n" },
  { name: "only whether there are metrics", ask: ["HEAD", "/metrics"], want: "200 " },
  {
    name: "metrics by another method",
    ask: ["POST", "/metrics"],
    want: '405 {"error":{"code":405,"message":"only GET and HEAD supported against this resource"}}',
  },
  { name: "metrics where there are none", ask: ["GET", "/metrics", {}], want: undefined },
  {
    name: "to accept the store",
    ask: ["POST", "/fleet/v1/store/accept"],
    want: '200 {"was":{"id":"a","revision":5},"accepted":{"revision":2}}',
  },
  {
    name: "to accept a store that is in no doubt",
    ask: ["POST", "/v1-alpha/store/accept", refusing],
    want: '409 {"error":{"code":409,"message":"no need"}}',
  },
  {
    name: "to read what only a POST does",
    ask: ["GET", "/fleet/v1/store/accept"],
    want: '405 {"error":{"code":405,"message":"only POST supported against this resource"}}',
  },
  { name: "something of the cluster", ask: ["GET", "/fleet/v1/units"], want: undefined },
];

for (const { name, ask: request, want } of cases) {
  Deno.test(`an operator asks for ${name}`, async () => assert.equal(await ask(...request), want));
}
