/** The order in which an agent installs, loads and starts files, and files that change under it. */

import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { daemonText, otherText, withAgent } from "../../tests/support/agent_fixture.ts";

Deno.test("a unit that others are ordered after is started first and stopped last, whatever its name", () =>
  withAgent(async (fixture) => {
    const needy = `[Unit]\nAfter=z.service\n${daemonText}`;
    fixture.assign(
      ["a.service", needy, "launched"],
      ["b.service", daemonText, "launched"],
      ["b.socket", "[Socket]\nListenStream=/run/b.sock\n", "launched"],
      ["z.service", daemonText, "launched"],
    );
    // However long each takes to be recorded.
    fixture.slow.add("b.socket").add("z.service");
    await ManualClock.settle();
    const order = (member: string) => fixture.machine.calls.filter((call) => call.startsWith(member)).join(", ");
    assert.equal(
      order("StartUnit"),
      "StartUnit b.socket replace, StartUnit z.service replace, StartUnit a.service replace, StartUnit b.service replace",
    );
    for (const unit of ["a.service", "b.service", "z.service"]) fixture.slow.add(unit);
    fixture.assign();
    await ManualClock.settle();
    assert.equal(
      order("StopUnit"),
      "StopUnit b.service replace, StopUnit a.service replace, StopUnit z.service replace, StopUnit b.socket replace",
    );
  }));

Deno.test("files are installed and loaded before any unit is stopped or started", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    const before = fixture.machine.calls.length;
    const enabled = `${otherText}[Install]\nWantedBy=multi-user.target\n`;
    fixture.assign(["a.service", daemonText, "loaded"], ["b.service", enabled, "launched"]);
    await ManualClock.settle();
    const pattern = /^(LinkUnitFiles|Reload|StopUnit|StartUnit)( [^ ]*)?/;
    assert.deepEqual(fixture.machine.calls.slice(before).flatMap((call) => pattern.exec(call)?.[0] ?? []), [
      "LinkUnitFiles b.service", // Before the old file is removed: only a link of fleet's is removed with it.
      "LinkUnitFiles b.service",
      "Reload",
      "StopUnit a.service",
      "StartUnit b.service",
    ]);
  }));

Deno.test("a failed reload delays no stop; units that need it wait, and do not start from an old file", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.failNext("reload", "");
    const enabled = `${daemonText}[Install]\nWantedBy=multi-user.target\n`;
    fixture.assign(["a.service", daemonText, "loaded"], ["b.service", enabled, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.calls("StopUnit a.service"), 1);
    assert.equal(fixture.calls("StartUnit b.service"), 0);
    const reloads = fixture.machine.reloads;
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.machine.reloads - reloads, 1);
    assert.equal(fixture.state("a.service"), "loaded inactive dead");
    assert.equal(fixture.state("b.service"), "launched active running");
  }));

Deno.test("a file that cannot be removed is not overwritten", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.machine.failNext("disable", "a.service");
    fixture.assign(["a.service", otherText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.machine.files.get("a.service"), daemonText);
    assert.equal(fixture.calls("StartUnit"), 0);
    assert.match(fixture.published.get("a.service")!.error!, /cannot disable "a.service"/);
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.machine.files.get("a.service"), otherText);
    assert.equal(fixture.state("a.service"), "launched active running");
    assert.equal(fixture.published.get("a.service")!.error, undefined);
  }));

Deno.test("files that something else has removed or changed are mended at the next inventory", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.machine.files.delete("a.service");
    fixture.machine.files.set("b.service", otherText);
    fixture.clock.advance(60_000);
    await ManualClock.settle();
    assert.deepEqual([...fixture.machine.files].sort(), [["a.service", daemonText], ["b.service", daemonText]]);
    assert.equal(fixture.state("a.service"), "launched active running");
    assert.equal(fixture.calls("StopUnit a.service") + fixture.calls("RestartUnit a.service"), 0);
  }));

Deno.test("after a reload by an administrator, a unit with a foreign file in the place of its link is compared again", () =>
  withAgent(async (fixture) => {
    const error = () => fixture.published.get("a.service")?.error;
    fixture.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.machine.links.delete("a.service");
    fixture.machine.blocked.add("a.service");
    fixture.clock.advance(60_000);
    await ManualClock.settle();
    assert.match(error()!, /cannot link "a\.service": .*already exists: remove that/);
    fixture.machine.blocked.delete("a.service");
    fixture.machine.systemctl("Reload");
    await ManualClock.settle();
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(error(), undefined);
    assert.ok(fixture.machine.links.has("a.service"));
  }));

Deno.test("a new daemon makes up for a missing reload, and drops records of units that are gone", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    await fixture.end();
    fixture.machine.files.set("a.service", otherText);
    fixture.intents.set("gone.service", { did: "start", done: true, invocation: "", restart: 0 });
    const reloads = fixture.machine.reloads;
    fixture.assign(["a.service", otherText, "launched"]);
    fixture.begin();
    await ManualClock.settle();
    assert.equal(fixture.machine.reloads - reloads, 1);
    assert.deepEqual([...fixture.intents.keys()], ["a.service"]);
  }));

Deno.test("a stored file that cannot be read is a failure of its own unit", () =>
  withAgent(async (fixture) => {
    fixture.texts.set("f".repeat(40), "[Service\nExecStart=/bin/sleep infinity\n");
    fixture.globals(["g.service", `${daemonText}[X-Fleet]\nGlobal=true\n`]);
    fixture.assign(["b.service", daemonText, "launched"]);
    fixture.assignHash("broken.service", "f".repeat(40));
    await ManualClock.settle();
    for (const unit of ["b.service", "g.service"]) assert.equal(fixture.state(unit), "launched active running");
  }));

Deno.test("files that are on the machine are not read from the store, and none is read twice", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", otherText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.reads.length, 2);
    await fixture.end();
    fixture.begin();
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "launched active running");
    assert.equal(fixture.reads.length, 2);
  }));
