/** Which requests commands send, where that matters and their output does not show it. */

import assert from "node:assert/strict";
import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";

Deno.test("one GET and one PUT start a new unit", async () => {
  const api = new FakeApi();
  const io = new FakeIo();
  io.files.set("a.service", "[Service]\nExecStart=/bin/a\n");
  await fleetctl(api, "start a.service", io);
  assert.deepEqual(api.requests.map((request) => request.split(" {")[0]), [
    "GET /units/a.service",
    "PUT /units/a.service",
    "GET /events",
  ]);
});

Deno.test("a list follows every page", async () => {
  const api = new FakeApi();
  for (let n = 10; n < 35; n++) api.add(`u${n}.service`, "inactive", "Service.ExecStart=/bin/true");
  api.pageSize = 10;
  const { stdout } = await fleetctl(api, "list-unit-files --no-legend --fields=unit");
  assert.equal(stdout, Array.from({ length: 25 }, (_, n) => `u${n + 10}.service\n`).join(""));
});

Deno.test("a list of units asks for the machines only if it shows them", async () => {
  const api = new FakeApi();
  await fleetctl(api, "list-units --fields=unit");
  assert.deepEqual(api.requests, ["GET /state"]);
});

Deno.test("verify sends no request", async () => {
  const api = new FakeApi();
  await fleetctl(api, "verify a.service");
  assert.deepEqual(api.requests, []);
});

Deno.test("a unit file that is not UTF-8 is refused with the line before anything is sent", async () => {
  const api = new FakeApi();
  const io = new FakeIo();
  io.files.set("a.service", "[Service]\nExecStart=/bin/a\nEnvironment=DRINK=caf\udce9\n");
  const { status, stderr } = await fleetctl(api, "submit a.service", io);
  assert.deepEqual([status, api.writes], [1, []]);
  assert.equal(
    stderr,
    "Error creating units: cannot use a.service: line 3: " +
      "the text is not valid UTF-8, which systemd ignores: convert the file to UTF-8\n",
  );
});

Deno.test("machine label sets and removes metadata in one request", async () => {
  const api = new FakeApi();
  const [{ id }] = api.machines as [MachineEntity];
  api.intercept = (request) => request.method === "PATCH" ? new Response(null, { status: 204 }) : undefined;
  let sent = "";
  const handle = api.handle.bind(api);
  api.handle = async (request) => {
    if (request.method === "PATCH") sent = await request.clone().text();
    return await handle(request);
  };
  const ran = await fleetctl(api, "machine label 454 disk=ssd=2 rack-");
  assert.deepEqual(JSON.parse(sent), [
    { op: "add", path: `/${id}/metadata/disk`, value: { value: "ssd=2" } },
    { op: "remove", path: `/${id}/metadata/rack` },
  ]);
  const machine = "Machine 454c34ef.../10.77.0.11";
  assert.deepEqual(ran, { status: 0, stdout: `${machine} disk=ssd=2\n${machine} rack removed\n`, stderr: "" });
});
