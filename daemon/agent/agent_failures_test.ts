/** An agent whose commands fail, are refused or have no effect. */

import assert from "node:assert/strict";
import { StoreUnavailableError } from "../../registry/mod.ts";
import type { JobResult } from "../../systemd/port.ts";
import { isLeftToSystemd } from "./job_results.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { daemonText, failingText, oneshotText, otherText, withAgent } from "../../tests/support/agent_fixture.ts";

Deno.test("a restart is reported when systemd's job has ended", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched", 5]);
    await ManualClock.settle();
    assert.equal(fixture.published.get("a.service")?.restart, 5);
    fixture.machine.holdJobs();
    fixture.assign(["a.service", daemonText, "launched", 9]);
    await ManualClock.settle();
    assert.equal(fixture.calls("RestartUnit"), 1);
    assert.equal(fixture.published.get("a.service")?.restart, 5);
    fixture.machine.releaseJobs();
    await ManualClock.settle();
    assert.equal(fixture.calls("RestartUnit"), 1);
    assert.equal(fixture.published.get("a.service")?.restart, 9);
  }));

Deno.test("one unit's failure is reported, is retried later, and delays no other unit", () =>
  withAgent(async (fixture) => {
    fixture.machine.failNext("start", "a.service");
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "launched active running");
    assert.equal(fixture.state("a.service"), "loaded inactive dead");
    assert.match(fixture.published.get("a.service")?.error ?? "", /a\.service/);
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    assert.equal(fixture.published.get("a.service")?.error, undefined);
  }));

Deno.test("a unit whose file cannot be installed is reported", () =>
  withAgent(async (fixture) => {
    fixture.machine.failNext("link", "a.service");
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "inactive inactive dead");
    assert.match(fixture.published.get("a.service")?.error ?? "", /a\.service/);
  }));

Deno.test("a unit that fails stays launched: systemd restarts it, not the agent", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", failingText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched failed failed");
    assert.equal(fixture.published.get("a.service")?.result, "exit-code");
    fixture.clock.advance(120_000);
    await ManualClock.settle();
    assert.equal(fixture.calls("StartUnit"), 1);
  }));

Deno.test("a command that cannot be recorded is not given, and delays no other", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.unrecordable.add("a.service").add("new.service");
    fixture.assign(
      ["a.service", daemonText, "launched"],
      ["b.service", daemonText, "launched"],
      ["new.service", daemonText, "launched"],
    );
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "launched active running");
    assert.equal(fixture.state("a.service"), "loaded inactive dead");
    assert.equal(fixture.state("new.service"), "inactive inactive dead");
    for (const unit of ["a.service", "new.service"]) assert.match(fixture.published.get(unit)!.error!, /cannot write/);
    fixture.unrecordable.clear();
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    for (const unit of ["a.service", "new.service"]) assert.equal(fixture.state(unit), "launched active running");
  }));

Deno.test("a restart that systemd refuses is reported, does not count as done, and is retried", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched", 5]);
    await ManualClock.settle();
    fixture.machine.failNext("restart", "a.service");
    fixture.assign(["a.service", daemonText, "launched", 9]);
    await ManualClock.settle();
    assert.match(fixture.published.get("a.service")!.error!, /cannot restart "a.service"/);
    assert.equal(fixture.published.get("a.service")!.restart, 5);
    assert.equal(fixture.state("a.service"), "launched active running");
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.published.get("a.service")!.restart, 9);
    assert.equal(fixture.published.get("a.service")!.error, undefined);
  }));

Deno.test("a service that systemd could not start has an error, and is not started again", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n", "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched failed failed");
    assert.match(fixture.published.get("a.service")!.error!, /start job ended with "failed"/);
    fixture.clock.advance(120_000);
    await ManualClock.settle();
    assert.equal(fixture.calls("StartUnit"), 1);
  }));

Deno.test("a container that could not be started is left to systemd as a service is, and a volume is tried again", () =>
  withAgent(async (fixture) => {
    const oneshot = "[Service]\nType=oneshot\n";
    fixture.assign(["web.container", oneshot, "launched"], ["data.volume", oneshot, "launched"]);
    await ManualClock.settle();
    for (const unit of ["web.container", "data.volume"]) fixture.machine.exit(unit, 1);
    await ManualClock.settle();
    assert.equal(fixture.state("web.container"), "launched failed failed");
    assert.match(fixture.published.get("web.container")!.error!, /start job ended with "failed"/);
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.calls("StartUnit web.container"), 1);
    assert.equal(fixture.calls("StartUnit data.volume"), 2);
  }));

Deno.test("the result of a start decides whether it is left to systemd", () => {
  const units = ["a.service", "a.container", "a.kube", "a.pod", "a.volume", "a.image", "a.socket"];
  const leftAfter = (result: JobResult) => units.filter((unit) => isLeftToSystemd(unit, result));
  assert.deepEqual(leftAfter("failed"), ["a.service", "a.container", "a.kube", "a.pod"]);
  assert.deepEqual(leftAfter("dependency"), ["a.service"], "the image of a container is tried again as well");
});

Deno.test("during a stop job no other command is given for its unit, whatever its desired state", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.holdJobs();
    fixture.assign();
    await ManualClock.settle();
    fixture.assign(["a.service", otherText, "launched"]);
    await ManualClock.settle();
    fixture.assign(["a.service", daemonText, "launched", 9]);
    await ManualClock.settle();
    assert.deepEqual([fixture.calls("StopUnit"), fixture.calls("StartUnit"), fixture.calls("RestartUnit")], [1, 1, 0]);
    fixture.machine.releaseJobs();
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    assert.deepEqual([fixture.calls("StopUnit"), fixture.calls("StartUnit"), fixture.calls("RestartUnit")], [1, 2, 0]);
    assert.equal(fixture.published.get("a.service")!.restart, 9, "its start is its restart");
  }));

Deno.test("a stop without effect is reported, and repeated with backoff", () =>
  withAgent(async (fixture) => {
    fixture.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "launched"]);
    await ManualClock.settle();
    fixture.systemd.unstoppable.add("mnt.mount");
    fixture.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "loaded"]);
    await ManualClock.settle();
    assert.match(
      fixture.published.get("mnt.mount")!.error!,
      /active \(mounted\) after a stop job that ended with "failed"/,
    );
    assert.equal(fixture.systemd.stops, 1);
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.systemd.stops, 2);
    fixture.systemd.unstoppable.clear();
    fixture.clock.advance(2_000);
    await ManualClock.settle();
    assert.equal(fixture.state("mnt.mount"), "loaded inactive dead");
    assert.equal(fixture.published.get("mnt.mount")!.error, undefined);
  }));

Deno.test("a retry that becomes due during a look is not delayed", () =>
  withAgent(async (fixture) => {
    fixture.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "launched"]);
    await ManualClock.settle();
    fixture.systemd.unstoppable.add("mnt.mount");
    fixture.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "loaded"]);
    await ManualClock.settle();
    fixture.clock.advance(999);
    fixture.looking = () => {
      fixture.looking = () => {};
      fixture.clock.advance(2);
    };
    fixture.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "loaded"]);
    await ManualClock.settle();
    assert.equal(fixture.systemd.stops, 1);
    fixture.clock.advance(1);
    await ManualClock.settle();
    assert.equal(fixture.systemd.stops, 2);
  }));

Deno.test("a loaded unit that its socket starts again is left running, and has no error", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.holdJobs();
    fixture.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.systemd.startedBehind.add("a.service");
    fixture.machine.releaseJobs();
    await ManualClock.settle();
    fixture.clock.advance(60_000);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "loaded active running");
    assert.equal(fixture.published.get("a.service")!.error, undefined);
    assert.equal(fixture.calls("StopUnit"), 1);
    // It goes all the same when it is to go.
    fixture.assign();
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "absent");
  }));

Deno.test("a unit that systemd does not stop has an error while it runs", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.failNext("stop", "a.service");
    fixture.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    assert.match(fixture.published.get("a.service")!.error!, /cannot stop "a.service"/);
  }));

const refused = () => Promise.reject(new StoreUnavailableError("http://e:2379 did not answer"));

Deno.test("while the store is away, failed units are tried again and units are removed", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", otherText, "launched"]);
    await ManualClock.settle();
    fixture.readAway = refused;
    fixture.machine.failNext("start", "b.service");
    fixture.machine.failNext("stop", "a.service");
    fixture.assign(["b.service", otherText, "launched", 2]);
    await ManualClock.settle();
    fixture.clock.advance(60_000);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "absent");
    assert.equal(fixture.state("b.service"), "launched active running");
    assert.deepEqual(fixture.logged.filter((line) => /trying again|did not answer/.test(line)), []);
  }));

for (
  const [how, away] of [["refuses", refused], ["does not answer", () => new Promise<undefined>(() => {})]] as const
) {
  Deno.test(`a unit whose file is missing because the store ${how} fails alone, and starts when the file comes`, () =>
    withAgent(async (fixture) => {
      fixture.assign(["a.service", daemonText, "launched"]);
      await ManualClock.settle();
      fixture.readAway = away;
      fixture.assign(["a.service", oneshotText, "launched"], ["b.service", daemonText, "launched"], [
        "c.service",
        otherText,
        "launched",
      ]);
      await ManualClock.settle();
      fixture.clock.advance(250);
      await ManualClock.settle();
      assert.equal(fixture.state("b.service"), "launched active running", "its file was known");
      assert.equal(fixture.state("c.service"), "inactive inactive dead");
      assert.match(
        fixture.published.get("c.service")!.error!,
        /unit file [0-9a-f]{40} (from|has not come from) the store/,
      );
      assert.equal(fixture.state("a.service"), "launched active running", "the old version runs on");
      assert.equal(fixture.machine.files.get("a.service"), daemonText);
      if (how === "does not answer") return;
      for (let second = 0; second < 20; second++) {
        fixture.clock.advance(1_000);
        await ManualClock.settle();
      }
      assert.equal(fixture.logged.filter((line) => line.includes("c.service")).length, 1, fixture.logged.join("\n"));
      fixture.readAway = undefined;
      fixture.clock.advance(1_000);
      await ManualClock.settle();
      assert.equal(fixture.state("c.service"), "launched active running");
      assert.equal(fixture.machine.files.get("a.service"), oneshotText);
    }));
}

Deno.test("a socket that could not be started is retried later, or together with its service", () =>
  withAgent(async (fixture) => {
    fixture.assign(["b.socket", "[Socket]\nListenStream=/run/b.sock\n", "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("b.socket"), "loaded inactive dead");
    assert.match(fixture.published.get("b.socket")!.error!, /start job ended with "failed"/);
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.calls("StartUnit b.socket"), 2);
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.calls("StartUnit b.socket"), 2, "each time later");
    const before = fixture.machine.calls.length;
    fixture.assign(
      ["b.socket", "[Socket]\nListenStream=/run/b.sock\n", "launched"],
      ["b.service", daemonText, "launched"],
    );
    await ManualClock.settle();
    const starts = fixture.machine.calls.slice(before).filter((call) => call.startsWith("StartUnit"));
    assert.deepEqual(starts, ["StartUnit b.socket replace", "StartUnit b.service replace"]);
    assert.equal(fixture.state("b.socket"), "launched active listening");
    assert.equal(fixture.published.get("b.socket")!.error, undefined);
  }));
