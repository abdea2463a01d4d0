import assert from "node:assert/strict";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";

Deno.test("^C ends the program with a message only while a command waits", async () => {
  const api = new FakeApi();
  api.add("a.service", "launched", "Service.ExecStart=/bin/a");
  const io = new FakeIo();
  let messages: string[] = [];
  api.onDesiredState = (name) => {
    void io.sleep(20).then(() => {
      messages = [...io.interruptMessages];
      api.reconcile(name);
    });
  };
  assert.equal((await fleetctl(api, "stop a", io)).status, 0);
  assert.deepEqual(messages, ["Stopped waiting for a.service; the cluster continues with the request."]);
  assert.equal(io.interruptMessages.size, 0);
});
