import assert from "node:assert/strict";
import { DialError } from "../terminal/port.ts";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";

Deno.test("fd-forward connects its standard streams to the socket, and fails if nothing listens there", async () => {
  const io = new FakeIo();
  assert.deepEqual(await fleetctl(new FakeApi(), "fd-forward /run/x.sock", io), { status: 0, stdout: "", stderr: "" });
  assert.deepEqual(io.forwarded, ["/run/x.sock"]);
  io.forward = () => Promise.reject(new DialError("dial unix /run/x.sock: no such file"));
  const ran = await fleetctl(new FakeApi(), "fd-forward /run/x.sock", io);
  const stderr = "Failed dialing remote address: dial unix /run/x.sock: no such file\n";
  assert.deepEqual(ran, { status: 1, stdout: "", stderr });
});
