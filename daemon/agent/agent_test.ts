/** An agent: the life of a unit, restarts of the daemon, globals, drains. */

import assert from "node:assert/strict";
import type { UnitName } from "../../registry/model.ts";
import { FakeSystemd } from "../../systemd/testing/fake_systemd.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { drainAlone } from "./drain.ts";
import { daemonText, oneshotText, otherText, withAgent } from "../../tests/support/agent_fixture.ts";

Deno.test("an agent does nothing before it has a view of the store", () =>
  withAgent(async (fixture) => {
    fixture.machine.files.set("old.service", daemonText);
    await ManualClock.settle();
    assert.deepEqual([...fixture.machine.files.keys()], ["old.service"]);
    assert.deepEqual(fixture.machine.calls.filter((call) => /Start|Stop|Disable/.test(call)), []);
  }));

Deno.test("a unit is launched, stopped, launched again and removed", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    fixture.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "loaded inactive dead");
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    fixture.assign();
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "absent");
    assert.equal(fixture.machine.files.size, 0);
    assert.equal(fixture.intents.size, 0);
  }));

Deno.test("a changed file stops the unit, replaces the file and starts it, with at most one reload", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    const reloads = fixture.machine.reloads;
    fixture.assign(["a.service", otherText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    assert.equal(fixture.machine.files.get("a.service"), otherText);
    assert.ok(fixture.machine.reloads - reloads <= 1);
    assert.equal(fixture.calls("StartUnit"), 2);
  }));

Deno.test("the state of an inactive unit has the result of its start job, until there is another job", () =>
  withAgent(async (fixture) => {
    const job = (unit: UnitName) => fixture.published.get(unit)?.job;
    fixture.assign(["a.service", daemonText, "launched"], ["once.service", oneshotText, "launched"]);
    await ManualClock.settle();
    assert.deepEqual([fixture.state("a.service"), job("a.service")], ["launched active running", undefined]);
    assert.deepEqual([fixture.state("once.service"), job("once.service")], ["launched inactive dead", "done"]);
    fixture.assign(["once.service", oneshotText, "loaded"]);
    await ManualClock.settle();
    assert.deepEqual([fixture.state("once.service"), job("once.service")], ["loaded inactive dead", undefined]);
    fixture.assign(["once.service", oneshotText, "launched"]);
    await ManualClock.settle();
    assert.equal(job("once.service"), "done");
    fixture.assign(["once.service", `${oneshotText}# new\nExecStart=/bin/false\n`, "loaded"]);
    await ManualClock.settle();
    assert.deepEqual([fixture.state("once.service"), job("once.service")], ["loaded inactive dead", undefined]);
  }));

Deno.test("the health of an active unit is published when it changes, and a failing check stops nothing", () =>
  withAgent(async (fixture) => {
    const url = "http://localhost:8080/";
    const text = `${daemonText}[X-Fleet]\nHealthCheck=${url}\n`;
    fixture.assign(["a.service", text, "launched"], ["plain.service", daemonText, "launched"]);
    await ManualClock.settle();
    const health = () => fixture.published.get("a.service")!;
    assert.equal(health().healthReason, `${url} does not answer: Connection refused`);
    assert.equal(fixture.published.get("plain.service")!.health, undefined);
    fixture.health.answers.set(url, 200);
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.deepEqual([health().health, health().healthReason], ["passing", undefined]);
    const before = fixture.published;
    fixture.clock.advance(10_000);
    await ManualClock.settle();
    assert.equal(fixture.published, before, "nothing has changed");
    fixture.health.answers.set(url, 500);
    fixture.clock.advance(10_000);
    await ManualClock.settle();
    assert.equal(health().health, "failing");
    assert.equal(fixture.state("a.service"), "launched active running");
    assert.equal(fixture.calls("StopUnit") + fixture.calls("RestartUnit"), 0);
    fixture.assign(["a.service", text, "loaded"], ["plain.service", daemonText, "launched"]);
    await ManualClock.settle();
    assert.deepEqual([fixture.state("a.service"), health().health], ["loaded inactive dead", undefined]);
  }));

Deno.test("a daemon that is killed and started again repeats no command", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["once.service", oneshotText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("once.service"), "launched inactive dead");
    await fixture.end();
    const before = fixture.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call));
    fixture.begin();
    await ManualClock.settle();
    assert.deepEqual(fixture.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call)), before);
    assert.equal(fixture.state("once.service"), "launched inactive dead");
    assert.equal(fixture.published.get("once.service")!.job, "done", "it has ended well, and was not never started");
  }));

Deno.test("changes made while the daemon was down are carried out when it starts again", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "launched"]);
    await ManualClock.settle();
    await fixture.end();
    fixture.assign(["a.service", daemonText, "loaded"]);
    fixture.begin();
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "loaded inactive dead");
    assert.equal(fixture.state("b.service"), "absent");
  }));

Deno.test("a restart is done once, even if the daemon restarts as well", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.assign(["a.service", daemonText, "launched", 9]);
    await ManualClock.settle();
    assert.equal(fixture.calls("RestartUnit"), 1);
    assert.equal(fixture.published.get("a.service")?.restart, 9);
    await fixture.end();
    fixture.begin();
    await ManualClock.settle();
    assert.equal(fixture.calls("RestartUnit"), 1);
  }));

Deno.test("a global runs if the machine's metadata and units allow it", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    fixture.globals(
      ["yes.service", `${daemonText}[X-Fleet]\nGlobal=true\nMachineMetadata=role=web\n`],
      ["elsewhere.service", `${daemonText}[X-Fleet]\nGlobal=true\nMachineMetadata=role=db\n`],
      ["rival.service", `${daemonText}[X-Fleet]\nGlobal=true\nConflicts=a.service\n`],
    );
    await ManualClock.settle();
    assert.equal(fixture.state("yes.service"), "launched active running");
    assert.equal(fixture.state("elsewhere.service"), "absent");
    assert.equal(fixture.state("rival.service"), "absent");
    fixture.assign();
    await ManualClock.settle();
    assert.equal(fixture.state("rival.service"), "launched active running");
  }));

Deno.test("draining removes every unit from the machine", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    const drained = fixture.agent.drain();
    await ManualClock.settle();
    assert.equal(await drained, true);
    assert.equal(fixture.machine.files.size, 0);
    assert.equal(fixture.intents.size, 0);
  }));

Deno.test("a drain resolves to false if the agent ends first", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.systemd.unstoppable.add("a.service");
    const heard: boolean[] = [];
    void fixture.agent.drain().then((isEmpty) => heard.push(isEmpty));
    await ManualClock.settle();
    assert.equal(heard.length, 0);
    await fixture.end();
    void fixture.agent.drain().then((isEmpty) => heard.push(isEmpty));
    await ManualClock.settle();
    assert.deepEqual(heard, [false, false]);
    assert.ok(fixture.machine.files.has("a.service"));
  }));

Deno.test("a daemon that is stopped before it has joined removes the units that an earlier one has left", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    await fixture.end();
    const drained = drainAlone({
      systemd: new FakeSystemd(fixture.machine),
      memory: fixture.memory,
      clock: fixture.clock,
      log: (_level, message) => fixture.logged.push(message),
      safetyNet_ms: 60_000,
    });
    await ManualClock.settle();
    await drained;
    assert.equal(fixture.machine.files.size, 0);
    assert.equal(fixture.intents.size, 0);
    assert.equal(fixture.calls("StopUnit a.service"), 1);
    assert.equal(fixture.state("a.service"), "launched active running", "a state was published");
  }));

Deno.test("a loaded unit that something else has started is stopped once on request", () =>
  withAgent(async (fixture) => {
    const wanting = `[Unit]\nWants=b.service\n${daemonText}`;
    fixture.assign(["a.service", wanting, "loaded"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.assign(["a.service", wanting, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "loaded active running");
    fixture.assign(["a.service", wanting, "launched"], ["b.service", daemonText, "loaded", 8]);
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "loaded inactive dead");
    assert.equal(fixture.published.get("b.service")?.restart, 8);
    await (await fixture.systemd.start("b.service")).done;
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "loaded active running", "it is asked for once");
  }));

Deno.test("a loaded unit is not stopped for older requests", () =>
  withAgent(async (fixture) => {
    fixture.assign(["b.service", daemonText, "loaded", 8]);
    await ManualClock.settle();
    assert.equal(fixture.published.get("b.service")?.restart, 8);
    assert.equal(fixture.calls("StopUnit"), 0);
  }));

Deno.test("a requested start starts a unit that does not run, and leaves a running unit alone", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.exit("b.service", 1);
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "launched failed failed");
    fixture.requestStart(9);
    await ManualClock.settle();
    for (const unit of ["a.service", "b.service"]) {
      assert.equal(fixture.state(unit), "launched active running");
      assert.equal(fixture.published.get(unit)?.restart, 9);
    }
    assert.equal(fixture.calls("RestartUnit"), 0);
    assert.equal(fixture.calls("StopUnit"), 0);
  }));
