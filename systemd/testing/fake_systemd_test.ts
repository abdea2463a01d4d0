import assert from "node:assert/strict";
import { FakeMachine, FakeSystemd } from "./fake_systemd.ts";
import type { Systemd, SystemdError } from "../port.ts";

const sleeper = "[Service]\nExecStart=/bin/sleep 1000\n";

/** A machine with one installed unit. */
async function machineWith(...names: string[]): Promise<{ machine: FakeMachine; systemd: FakeSystemd }> {
  const machine = new FakeMachine();
  const systemd = new FakeSystemd(machine);
  assert.deepEqual(await systemd.install(new Map(names.map((name) => [name, sleeper]))), new Map());
  return { machine, systemd };
}

const activeState = async (systemd: Systemd, name: string) => {
  return (await systemd.statuses(new Set([name]))).get(name)?.active;
};

Deno.test("held jobs are accepted, and done when released", async () => {
  const { machine, systemd } = await machineWith("a.service", "b.service");
  machine.holdJobs();
  const [a, b] = await Promise.all([systemd.start("a.service"), systemd.start("b.service")]);
  assert.equal(await activeState(systemd, "a.service"), "inactive");
  machine.releaseJob("a.service");
  assert.equal(await a.done, "done");
  assert.equal(await activeState(systemd, "a.service"), "active");
  assert.equal(await activeState(systemd, "b.service"), "inactive");
  machine.releaseJobs();
  assert.equal(await b.done, "done");
  await systemd.close();
});

Deno.test("a stop replaces a start that waits; the same request again is the same job", async () => {
  const { machine, systemd } = await machineWith("a.service");
  machine.holdJobs();
  const [first, again] = [await systemd.start("a.service"), await systemd.start("a.service")];
  const stop = await systemd.stop("a.service");
  assert.deepEqual(await Promise.all([first.done, again.done]), ["canceled", "canceled"]);
  machine.releaseJobs();
  assert.equal(await stop.done, "done");
  await systemd.close();
});

Deno.test("a process that fails does not end a later process of its unit", async () => {
  let count = 0;
  let end = () => {};
  // The first work is the job, the second one the end of its process.
  const machine = new FakeMachine(undefined, (work) => ++count === 2 ? end = work : queueMicrotask(work));
  const systemd = new FakeSystemd(machine);
  await systemd.install(new Map([["a.service", "[Service]\nExecStart=/bin/false\n"]]));
  assert.equal(await (await systemd.start("a.service")).done, "done");
  assert.equal(await (await systemd.stop("a.service")).done, "done");
  await systemd.install(new Map([["a.service", sleeper]]));
  assert.equal(await (await systemd.start("a.service")).done, "done");
  end();
  assert.equal(await activeState(systemd, "a.service"), "active");
  await systemd.close();
});

Deno.test("a call can be made to fail once", async () => {
  const { machine, systemd } = await machineWith("a.service");
  machine.failNext("start", "a.service", "org.freedesktop.DBus.Error.AccessDenied");
  await assert.rejects(systemd.start("a.service"), {
    name: "SystemdError",
    code: "org.freedesktop.DBus.Error.AccessDenied",
    message: /^cannot start "a\.service": /,
  });
  assert.equal(await (await systemd.start("a.service")).done, "done");
  await systemd.close();
});

Deno.test("when linking several units fails, only the failing unit is refused, and its file is removed", async () => {
  const { machine, systemd } = await machineWith();
  machine.failNext("link", "bad.service"); // All together…
  machine.failNext("link", "bad.service"); // …and alone.
  const failures = await systemd.install(new Map(["ok.service", "bad.service"].map((name) => [name, sleeper])));
  assert.deepEqual([...failures.keys()], ["bad.service"]);
  assert.match(failures.get("bad.service")?.message ?? "", /^cannot link "bad\.service": /);
  assert.deepEqual([...machine.files.keys()], ["ok.service"]);
  await systemd.close();
});

Deno.test("a file that systemd has overlooked is found by one reload for all starts", async () => {
  const names = ["a.service", "b.service", "c.service"];
  const { machine, systemd } = await machineWith(...names);
  for (const name of names) machine.failNext("start", name, "org.freedesktop.systemd1.NoSuchUnit");
  const jobs = await Promise.all(names.map((name) => systemd.start(name)));
  assert.deepEqual(await Promise.all(jobs.map(({ done }) => done)), ["done", "done", "done"]);
  assert.equal(machine.reloads, 1);
  await systemd.close();
});

Deno.test("a reload that failed is still needed", async () => {
  const { machine, systemd } = await machineWith("a.service");
  await (await systemd.start("a.service")).done;
  await systemd.install(new Map([["a.service", `${sleeper}Nice=1\n`]]));
  machine.failNext("reload", "");
  await assert.rejects(systemd.reloadIfNeeded(), /^SystemdError: cannot reload/);
  assert.equal(await systemd.reloadIfNeeded(), true);
  assert.equal(await systemd.reloadIfNeeded(), false);
  await systemd.close();
});

Deno.test("a cached status needs no call, and a changed one only calls for what the signal did not carry", async () => {
  const { machine, systemd } = await machineWith("a.service");
  await (await systemd.start("a.service")).done;
  await activeState(systemd, "a.service");
  let before = machine.calls.length;
  assert.equal(await activeState(systemd, "a.service"), "active");
  assert.deepEqual(machine.calls.slice(before), []);
  before = machine.calls.length;
  const stop = new AbortController();
  const change = systemd.watch(stop.signal)[Symbol.asyncIterator]().next();
  machine.exit("a.service", 1);
  assert.deepEqual(await change, { done: false, value: { units: new Set(["a.service"]) } });
  stop.abort();
  assert.equal(await activeState(systemd, "a.service"), "failed");
  const asked = machine.calls.slice(before).map((call) => call.split(" ")[0]);
  assert.deepEqual(asked.sort(), ["Get", "ListUnitsByPatterns"]);
  await systemd.close();
});

Deno.test("units of the machine outlive the daemon", async () => {
  const { machine, systemd } = await machineWith("a.service");
  await (await systemd.start("a.service")).done;
  await systemd.close();
  const next = new FakeSystemd(machine);
  assert.deepEqual([...(await next.files()).keys()], ["a.service"]);
  assert.equal(await activeState(next, "a.service"), "active");
  await next.close();
});

Deno.test("without a bus ready and calls reject; after its return a change of all units is reported", async () => {
  const { machine, systemd } = await machineWith("a.service");
  machine.loseBus();
  const stop = new AbortController();
  const changes = systemd.watch(stop.signal)[Symbol.asyncIterator]();
  const change = changes.next();
  const refused = await systemd.start("a.service").then(() => undefined, (error: SystemdError) => error);
  assert.equal(refused?.code, "unavailable");
  machine.restoreBus();
  assert.deepEqual(await change, { done: false, value: { units: undefined } });
  assert.equal(await activeState(systemd, "a.service"), "inactive");
  stop.abort();
  assert.equal((await changes.next()).done, true);
  await systemd.close();
});

Deno.test("ready rejects without a bus, and the bus is used when it appears", async () => {
  const machine = new FakeMachine();
  machine.loseBus();
  const systemd = new FakeSystemd(machine);
  await assert.rejects(systemd.ready(), { code: "unavailable" });
  const second = systemd.ready();
  machine.restoreBus();
  await second;
  assert.equal(await systemd.reloadIfNeeded(), false);
  await systemd.close();
});

Deno.test("the job of the daemon's own unit", async () => {
  const { machine, systemd } = await machineWith();
  assert.equal(await systemd.ownJob(), undefined);
  machine.ownJob = "stop";
  assert.equal(await systemd.ownJob(), "stop");
  await systemd.close();
});
