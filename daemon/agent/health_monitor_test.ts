import assert from "node:assert/strict";
import type { UnitName } from "../../registry/model.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { FakeHealthProbe } from "./fake_health_probe.ts";
import { HealthMonitor, type HealthProbe } from "./health_monitor.ts";
import type { Current } from "./plan.ts";

const url = "http://localhost:8080/";
const texts = new Map([
  ["plain", "[Service]\nExecStart=/bin/a\n"],
  ["checked", `[Service]\nExecStart=/bin/a\n[X-Fleet]\nHealthCheck=${url}\n`],
  ["changed", `[Service]\nExecStart=/bin/b\n[X-Fleet]\nHealthCheck=/bin/false\n`],
]);

function units(...rows: [name: UnitName, hash: string, active: string, invocation: string][]) {
  return new Map(rows.map(([name, hash, active, invocation]): [UnitName, Current] => {
    const rest = { name, load: "loaded", sub: "running", result: "success", since_ms: 1 };
    return [name, { name, hash, commanded: "launched", restart: 0, status: { ...rest, active, invocation } }];
  }));
}

/** Runs a monitor, which is ended afterwards. */
async function monitoring(
  run: (monitor: HealthMonitor, fake: FakeHealthProbe, clock: ManualClock, changes: () => number) => Promise<void>,
  wrap: (probe: HealthProbe) => HealthProbe = (probe) => probe,
): Promise<void> {
  const [fake, clock, stop] = [new FakeHealthProbe(), new ManualClock(), new AbortController()];
  let changes = 0;
  const monitor = new HealthMonitor({ probe: wrap(fake.probe), clock, log: () => {}, changed: () => changes++ });
  const running = monitor.run(stop.signal);
  try {
    await run(monitor, fake, clock, () => changes);
  } finally {
    stop.abort();
    await running;
  }
}

Deno.test("an active unit is checked, and only a change of its health is reported", async () => {
  await monitoring(async (monitor, fake, clock, changes) => {
    monitor.update(units(["a.service", "checked", "active", "i1"], ["b.service", "plain", "active", "i2"]), texts);
    await ManualClock.settle();
    assert.deepEqual(fake.checked, ["a.service"]);
    assert.equal(monitor.healthOf("a.service").health, "failing");
    assert.deepEqual(monitor.healthOf("b.service"), {});
    fake.answers.set(url, 200);
    clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(monitor.healthOf("a.service").health, "passing");
    assert.equal(changes(), 2);
    clock.advance(10_000);
    await ManualClock.settle();
    assert.deepEqual([fake.checked.length, changes()], [3, 2]);
  });
});

Deno.test("a unit that is not active is not checked and has no health", async () => {
  await monitoring(async (monitor, fake, clock) => {
    fake.answers.set(url, 200);
    for (const active of ["activating", "inactive", "failed", "deactivating"]) {
      monitor.update(units(["a.service", "checked", active, "i1"]), texts);
      clock.advance(20_000);
      await ManualClock.settle();
    }
    assert.deepEqual(fake.checked, []);
    monitor.update(units(["a.service", "checked", "active", "i1"]), texts);
    await ManualClock.settle();
    assert.equal(monitor.healthOf("a.service").health, "passing");
    monitor.update(units(["a.service", "checked", "failed", "i1"]), texts);
    assert.deepEqual(monitor.healthOf("a.service"), {});
  });
});

Deno.test("a new run and a new check begin without health, and are checked at once", async () => {
  await monitoring(async (monitor, fake) => {
    fake.answers.set(url, 200);
    monitor.update(units(["a.service", "checked", "active", "i1"]), texts);
    await ManualClock.settle();
    monitor.update(units(["a.service", "checked", "active", "i2"]), texts);
    assert.deepEqual(monitor.healthOf("a.service"), {}, "restarted");
    await ManualClock.settle();
    assert.equal(monitor.healthOf("a.service").health, "passing");
    // The text of a file that stays is read only once.
    monitor.update(units(["a.service", "checked", "active", "i2"]), new Map());
    assert.equal(monitor.healthOf("a.service").health, "passing");
    monitor.update(units(["a.service", "changed", "active", "i2"]), texts);
    assert.deepEqual(monitor.healthOf("a.service"), {}, "another check");
    await ManualClock.settle();
    assert.equal(monitor.healthOf("a.service").healthReason, "it exited with status 1");
    assert.equal(fake.checked.length, 3);
  });
});

Deno.test("a result that arrives after the unit has started again is dropped", async () => {
  const answers: ((failure: string | undefined) => void)[] = [];
  const slow: HealthProbe = () => new Promise((resolve) => answers.push(resolve));
  await monitoring(async (monitor) => {
    monitor.update(units(["a.service", "checked", "active", "i1"]), texts);
    await ManualClock.settle();
    monitor.update(units(["a.service", "checked", "active", "i2"]), texts);
    await ManualClock.settle();
    assert.equal(answers.length, 1, "one check of a unit at a time");
    answers[0]!(undefined);
    await ManualClock.settle();
    assert.deepEqual(monitor.healthOf("a.service"), {});
    assert.equal(answers.length, 2);
    answers[1]!("refused");
    await ManualClock.settle();
    assert.equal(monitor.healthOf("a.service").healthReason, "refused");
  }, () => slow);
});

Deno.test("a check that cannot be made keeps the health, and is made again", async () => {
  let isAway = false;
  const wrap = (probe: HealthProbe): HealthProbe => (...args) =>
    isAway ? Promise.reject(new Error("D-Bus is away")) : probe(...args);
  await monitoring(async (monitor, fake, clock) => {
    fake.answers.set(url, 200);
    monitor.update(units(["a.service", "checked", "active", "i1"]), texts);
    await ManualClock.settle();
    isAway = true;
    clock.advance(10_000);
    await ManualClock.settle();
    assert.equal(monitor.healthOf("a.service").health, "passing");
    isAway = false;
    fake.answers.set(url, 503);
    clock.advance(10_000);
    await ManualClock.settle();
    assert.equal(monitor.healthOf("a.service").health, "failing");
  }, wrap);
});

Deno.test("a machine makes eight checks at a time, the longest waiting first", async () => {
  const answers: (() => void)[] = [];
  const asked: UnitName[] = [];
  const slow: HealthProbe = (unit) => {
    asked.push(unit);
    return new Promise((resolve) => answers.push(() => resolve(undefined)));
  };
  await monitoring(async (monitor, _fake, clock) => {
    const names = Array.from({ length: 20 }, (_, index) => `u${index}.service`);
    monitor.update(
      units(...names.map((name) => [name, "checked", "active", "i"] as [string, string, string, string])),
      texts,
    );
    await ManualClock.settle();
    assert.deepEqual(asked, names.slice(0, 8));
    clock.advance(60_000);
    answers[0]!();
    await ManualClock.settle();
    assert.deepEqual(asked, names.slice(0, 9), "the ninth, not the first again");
  }, () => slow);
});
