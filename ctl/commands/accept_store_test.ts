import assert from "node:assert/strict";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";

const was = { id: "abc", revision: 90 };

const cases: readonly { name: string; answer: Response; status: number; stdout?: string; stderr?: string }[] = [
  {
    name: "an empty store",
    answer: Response.json({ was, accepted: { revision: 1 } }),
    status: 0,
    stdout: "Accepted an empty store, in place of abc at revision 90\n",
  },
  {
    name: "another store",
    answer: Response.json({ was, accepted: { id: "def", revision: 7 } }),
    status: 0,
    stdout: "Accepted store def at revision 7, in place of abc at revision 90\n",
  },
  {
    name: "a backup",
    answer: Response.json({ was, accepted: { id: "abc", revision: 7 } }),
    status: 0,
    stdout: "Accepted the same store (abc) at the earlier revision 7, in place of abc at revision 90\n",
  },
  {
    name: "a store that is in no doubt",
    answer: refusal(409, "this machine's store is the one it knows"),
    status: 1,
    stderr: "Nothing to accept: this machine's store is the one it knows\n",
  },
];

for (const { name, answer, status, stdout = "", stderr = "" } of cases) {
  Deno.test(`accept-store: ${name}`, async () => {
    const api = new FakeApi();
    api.intercept = (request, path) => request.method === "POST" && path === "/store/accept" ? answer : undefined;
    assert.deepEqual(await fleetctl(api, "accept-store"), { status, stdout, stderr });
  });
}

Deno.test("accept-store asks on a terminal, and accepts nothing unless the answer is yes", async () => {
  const api = new FakeApi();
  api.intercept = ({ method }) =>
    method === "POST" ? Response.json({ was, accepted: { id: "def", revision: 7 } }) : undefined;
  const io = new FakeIo();
  io.answer = false;
  const { status, stderr } = await fleetctl(api, "accept-store", io);
  assert.equal(status, 1);
  assert.match(stderr, /^About to accept the store .* Go on\?\nNothing was done\..*\n$/);
  assert.deepEqual(api.writes, []);
  assert.equal((await fleetctl(api, "accept-store --yes", io)).status, 0);
  io.answer = true;
  assert.equal((await fleetctl(api, "accept-store", io)).status, 0);
});
