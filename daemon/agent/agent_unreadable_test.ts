/** An agent and units that it cannot read. */

import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { commandsOf, daemonText, oneshotText, otherText, withAgent } from "../../tests/support/agent_fixture.ts";

Deno.test("a unit whose assignment cannot be read is left alone in any state, until it can be read", () =>
  withAgent(async (fixture) => {
    const before = [
      ["runs.service", daemonText, "launched", 5],
      ["loaded.service", daemonText, "loaded"],
      ["once.service", oneshotText, "launched"],
    ] as const;
    const names = before.map(([name]) => name);
    const every = ["every.service", `${daemonText}[X-Fleet]\nGlobal=true\n`] as const;
    fixture.globals(every);
    fixture.assign(...before);
    await ManualClock.settle();
    const [commands, files] = [commandsOf(fixture), [...fixture.machine.files.keys()]];
    fixture.unreadable(...names, "every.service", "absent.service");
    await ManualClock.settle();
    await fixture.end();
    fixture.begin();
    await ManualClock.settle();
    assert.deepEqual([commandsOf(fixture), [...fixture.machine.files.keys()]], [commands, files]);
    for (const name of ["runs.service", "every.service"]) assert.equal(fixture.state(name), "launched active running");
    fixture.globals(every);
    fixture.assign(...before);
    await ManualClock.settle();
    assert.deepEqual(commandsOf(fixture), commands);
    fixture.assign(...before.slice(1));
    await ManualClock.settle();
    assert.equal(fixture.state("runs.service"), "absent");
  }));

Deno.test("an agent without a record of commands does not restart units that it could not read at its start", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched", 5]);
    await ManualClock.settle();
    await fixture.end();
    fixture.intents.clear();
    fixture.unreadable("a.service");
    const commands = commandsOf(fixture);
    fixture.begin();
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    fixture.assign(["a.service", daemonText, "launched", 5]);
    await ManualClock.settle();
    assert.deepEqual(commandsOf(fixture), commands);
    assert.equal(fixture.published.get("a.service")?.restart, 5);
  }));

Deno.test("a unit on the machine that cannot be read rules out globals that conflict with it", () =>
  withAgent(async (fixture) => {
    const globalAgainst = (text: string, names: string) => `${text}[X-Fleet]\nGlobal=true\nConflicts=${names}\n`;
    fixture.globals(["every.service", globalAgainst(daemonText, "")]);
    fixture.assign(["job.service", `${daemonText}[X-Fleet]\nConflicts=late.service\n`, "launched"]);
    await ManualClock.settle();
    const commands = commandsOf(fixture);
    fixture.unreadable("job.service", "every.service", "elsewhere.service");
    fixture.globals(["late.service", globalAgainst(otherText, "")], [
      "against.service",
      globalAgainst(otherText, "every.service"),
    ]);
    await ManualClock.settle();
    assert.deepEqual(commandsOf(fixture), commands);
    // A unit that is not on the machine conflicts with no other.
    fixture.globals(["here.service", globalAgainst(otherText, "elsewhere.service")]);
    await ManualClock.settle();
    assert.equal(fixture.state("here.service"), "launched active running");
  }));

Deno.test("draining removes units that cannot be read as well", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.unreadable("a.service");
    await ManualClock.settle();
    assert.equal(await fixture.agent.drain(), true);
    assert.equal(fixture.machine.files.size, 0);
  }));

Deno.test("an agent without a record of commands neither restarts a running unit nor starts it again when it ends", () =>
  withAgent(async (fixture) => {
    const units = ["a.service", "b.service", "c.service"];
    fixture.assign(...units.map((unit) => [unit, daemonText, "launched", 5] as const));
    await ManualClock.settle();
    await fixture.end();
    fixture.intents.clear();
    const before = fixture.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call));
    fixture.begin();
    await ManualClock.settle();
    for (const unit of units) assert.equal(fixture.published.get(unit)?.restart, 5);
    fixture.machine.exit("b.service", 0);
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "launched inactive dead");
    assert.deepEqual(fixture.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call)), before);
    // A new desired state is carried out as ever.
    fixture.assign(
      ["a.service", daemonText, "launched", 9],
      ["b.service", daemonText, "launched", 5],
      ["c.service", daemonText, "loaded", 5],
    );
    await ManualClock.settle();
    assert.equal(fixture.calls("RestartUnit a.service"), 1);
    assert.equal(fixture.published.get("a.service")?.restart, 9);
    assert.equal(fixture.state("c.service"), "loaded inactive dead");
    await fixture.end();
    fixture.begin();
    await ManualClock.settle();
    assert.equal(fixture.calls("RestartUnit"), 1);
    assert.equal(fixture.calls("StartUnit b.service"), 1);
  }));
