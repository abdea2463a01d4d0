import assert from "node:assert/strict";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";

const option = "Service.ExecStart=/bin/a";

Deno.test("start: --timeout holds although the server does not answer why the unit waits", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.onDesiredState = () => {};
  const client = api.client.bind(api);
  api.client = () => Object.assign(client(), { explain: () => new Promise<never>(() => {}) });
  const io = new FakeIo();
  const began_ms = io.now_ms();
  const { status, stderr } = await fleetctl(api, "start --timeout=5 a", io);
  const took_ms = io.now_ms() - began_ms;
  assert.equal(status, 1);
  assert.match(stderr, /timed out waiting for unit a\.service to report state launched\n/);
  assert.ok(took_ms >= 5000, `${took_ms} ms`);
});

Deno.test("restart: --timeout is for all units together", async () => {
  const api = new FakeApi();
  const names = Array.from({ length: 40 }, (_, index) => `u${index}.service`);
  for (const name of names) api.add(name, "launched", option);
  api.onRestart = (name) => {
    api.reportState(name, "deactivating", "stop-sigterm");
    api.reportState(name, "active", "running");
  };
  const { status, stderr } = await fleetctl(api, `restart --timeout=20 ${names.join(" ")}`);
  assert.equal(status, 1);
  assert.match(stderr, /timed out waiting for unit u\d+\.service to become active in systemd\n/);
});

Deno.test("while a command waits, ^C has a message; afterwards it has none", async () => {
  const api = new FakeApi();
  api.add("a.service", "launched", option);
  const io = new FakeIo();
  let messages: string[] = [];
  api.onDesiredState = (name) => {
    setTimeout(() => {
      messages = [...io.interruptMessages];
      api.reconcile(name);
    }, 20);
  };
  assert.equal((await fleetctl(api, "stop a", io)).status, 0);
  assert.deepEqual(messages, ["Stopped waiting for a.service; the cluster continues with the request."]);
  assert.equal(io.interruptMessages.size, 0);
});
