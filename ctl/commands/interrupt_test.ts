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

Deno.test("^C while apply follows a roll-out leaves it running, and names the commands that show and stop it", async () => {
  const api = new FakeApi();
  api.intercept = (_request, path) => {
    const units = [{ name: "a.service", change: "create", desiredState: "launched" }];
    return path === "/plan" ? Response.json({ revision: 1, units }) : undefined;
  };
  const io = new FakeIo();
  io.files.set("shop/a.service", "[Service]\nExecStart=/bin/a\n");
  let messages: string[] = [];
  api.onRollout = (app) => {
    void io.sleep(20).then(() => {
      messages = [...io.interruptMessages];
      api.progress(app, { status: "done" }, "healthy");
    });
  };
  assert.equal((await fleetctl(api, "apply --yes shop", io)).status, 0);
  assert.deepEqual(messages, [
    "The cluster continues the roll-out of shop. See: fleetctl rollout status shop. To stop it: fleetctl rollout abort shop",
  ]);
  assert.equal(io.interruptMessages.size, 0);
});
