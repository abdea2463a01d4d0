/** An agent and units that systemd stops together with others. */

import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { commandsOf, daemonText, otherText, withAgent } from "../../tests/support/agent_fixture.ts";

const sidekickText = `[Unit]\nBindsTo=web@%i.service\n${daemonText}`;

Deno.test("a unit that systemd stops together with a replaced one is started again when that is active", () =>
  withAgent(async (fixture) => {
    fixture.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.holdJobs();
    fixture.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", otherText, "launched"]);
    await ManualClock.settle();
    // What systemd does to the bound unit.
    fixture.machine.exit("side@1.service", 0);
    await ManualClock.settle();
    assert.equal(fixture.state("side@1.service"), "loaded inactive dead");
    assert.equal(
      fixture.published.get("side@1.service")?.error,
      "systemd stopped it together with Unit(web@1.service); it is started again when that unit is active",
    );
    // The next daemon knows the waiting unit as well.
    await fixture.end();
    fixture.begin();
    await ManualClock.settle();
    const before = commandsOf(fixture).length;
    fixture.machine.releaseJobs();
    await ManualClock.settle();
    for (const unit of ["web@1.service", "side@1.service"]) {
      assert.equal(fixture.state(unit), "launched active running");
    }
    assert.equal(fixture.published.get("side@1.service")?.error, undefined);
    const starts = commandsOf(fixture).slice(before).filter((call) => call.startsWith("Start"));
    assert.deepEqual(starts, ["StartUnit web@1.service replace", "StartUnit side@1.service replace"]);
  }));

Deno.test("a unit that systemd stopped together with another waits while that should be stopped, unless a start is requested", () =>
  withAgent(async (fixture) => {
    fixture.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.holdJobs();
    fixture.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.machine.exit("side@1.service", 0);
    fixture.machine.releaseJobs();
    await ManualClock.settle();
    assert.equal(fixture.state("side@1.service"), "loaded inactive dead");
    fixture.assign(["side@1.service", sidekickText, "launched", 7], ["web@1.service", daemonText, "loaded"]);
    await ManualClock.settle();
    assert.equal(fixture.state("side@1.service"), "launched active running");
  }));

Deno.test("a unit that a failed restart has brought down is started again when the other unit is active", () =>
  withAgent(async (fixture) => {
    const webText = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep infinity\n";
    const units = (restart: number) =>
      [["side@1.service", sidekickText, "launched"], ["web@1.service", webText, "launched", restart]] as const;
    fixture.assign(...units(0));
    await ManualClock.settle();
    fixture.machine.exit("web@1.service", 0);
    await ManualClock.settle();
    fixture.assign(...units(5));
    await ManualClock.settle();
    // The restarted unit fails, and systemd stops the unit bound to it.
    fixture.machine.exit("web@1.service", 1);
    fixture.machine.exit("side@1.service", 0);
    await ManualClock.settle();
    assert.equal(fixture.state("side@1.service"), "loaded inactive dead");
    fixture.assign(...units(6));
    await ManualClock.settle();
    fixture.machine.exit("web@1.service", 0);
    await ManualClock.settle();
    assert.equal(fixture.state("side@1.service"), "launched active running");
  }));

Deno.test("a unit that was stopped with a loaded one, which ran for it, is started again when that has its new file", () =>
  withAgent(async (fixture) => {
    fixture.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", daemonText, "loaded"]);
    await ManualClock.settle();
    // What systemd does for BindsTo=.
    fixture.machine.systemctl("StartUnit", "web@1.service", "replace");
    await ManualClock.settle();
    assert.equal(fixture.state("web@1.service"), "loaded active running");
    fixture.machine.holdJobs();
    fixture.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", otherText, "loaded"]);
    await ManualClock.settle();
    fixture.machine.exit("side@1.service", 0);
    await ManualClock.settle();
    assert.match(fixture.published.get("side@1.service")?.error ?? "", /^systemd stopped it together with Unit/);
    await fixture.end();
    fixture.begin();
    await ManualClock.settle();
    fixture.machine.releaseJobs();
    await ManualClock.settle();
    assert.equal(fixture.state("side@1.service"), "launched active running");
    assert.equal(fixture.published.get("side@1.service")?.error, undefined);
    // A stop that an operator requests is not undone.
    fixture.machine.systemctl("StartUnit", "web@1.service", "replace");
    await ManualClock.settle();
    fixture.machine.holdJobs();
    fixture.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", otherText, "loaded", 9]);
    await ManualClock.settle();
    fixture.machine.exit("side@1.service", 0);
    fixture.machine.releaseJobs();
    await ManualClock.settle();
    for (const unit of ["web@1.service", "side@1.service"]) assert.equal(fixture.state(unit), "loaded inactive dead");
  }));
