import assert from "node:assert/strict";
import { FakeMachine, FakeSystemd } from "../testing/fake_systemd.ts";

Deno.test("an installation that cannot be undone says what has failed, and what is left", async () => {
  const machine = new FakeMachine();
  machine.failNext("enable", "a.service");
  machine.failNext("disable", "a.service");
  const systemd = new FakeSystemd(machine);
  const text = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
  const failures = await systemd.install(new Map([["a.service", text]]));
  assert.equal(
    failures.get("a.service")?.message,
    "Failed to enable systemd unit a.service: made to fail: enable a.service; " +
      'cleaning up failed as well: cannot disable "a.service": made to fail: disable a.service',
  );
  await systemd.close();
});
