import assert from "node:assert/strict";
import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { DesiredUnit } from "./desired.ts";
import type { Current } from "./plan.ts";
import type { FailureMemory, SavedFailures } from "./failure_memory.ts";
import { RepeatedFailures } from "./repeated_failures.ts";

const name = "a.service";
const texts = new Map([
  ["moves", "[Service]\nExecStart=/bin/false\n[X-Fleet]\nOnFailure=move\nMoveAfter=3/60s\n"],
  ["stays", "[Service]\nExecStart=/bin/false\n"],
]);

/** A unit on a machine, and the times at which the agent looks. */
class Machine {
  /** The wall clock, which is an hour ahead of the monotonic one. */
  readonly clock: Pick<Clock, "now_ms" | "monotonic_ms"> = {
    now_ms: () => this.now_ms + 3_600_000,
    monotonic_ms: () => this.now_ms,
  };
  now_ms = 0;
  saved: ReadonlyMap<string, SavedFailures> = new Map();
  writes = 0;
  isFull = false;
  readonly logged: string[] = [];
  readonly log: Log = (_, message) => void this.logged.push(message);
  readonly #memory: FailureMemory = {
    load: () => Promise.resolve(this.saved),
    save: (failures) => {
      if (this.isFull) return Promise.reject(new Error("no space left on device"));
      this.saved = failures;
      this.writes++;
      return Promise.resolve();
    },
  };
  failures = new RepeatedFailures(this.clock as Clock, this.#memory);
  hash = "moves";
  restart = 0;
  active = "active";
  since_ms = 1;

  /** Another daemon takes the place of the one before, and its monotonic clock begins at 0. */
  async restartsDaemon(): Promise<void> {
    await this.failures.save(this.log);
    const wall_ms = this.now_ms + 3_600_000;
    const clock = { now_ms: () => wall_ms, monotonic_ms: () => 0 };
    this.failures = new RepeatedFailures(clock as Clock, this.#memory);
    await this.failures.load();
  }

  /** Looks at the unit. Returns the command that the next plan bases its steps on. */
  look(now_ms: number): string {
    const { hash, restart, active, since_ms } = this;
    const status = { name, load: "loaded", active, sub: active, result: "exit-code", invocation: "", since_ms };
    const current: Current = { name, hash, restart, commanded: "launched", status };
    const wanted: DesiredUnit = { name, hash, restart, desiredState: "launched" };
    return this.failures.update(new Map([[name, current]]), new Map([[name, wanted]]), texts, now_ms).get(name)!
      .commanded;
  }

  fails(now_ms: number): string {
    this.active = "failed";
    this.since_ms++;
    return this.look(now_ms);
  }

  runs(now_ms: number): string {
    this.active = "active";
    return this.look(now_ms);
  }
}

Deno.test("a unit with OnFailure=move is started again after growing pauses, until it has failed too often", () => {
  const machine = new Machine();
  assert.equal(machine.look(0), "launched");
  assert.deepEqual(machine.failures.failures(name), {});
  assert.equal(machine.fails(1_000), "launched");
  assert.deepEqual(machine.failures.failures(name), { failures: 1 });
  assert.equal(machine.failures.nextTry_ms(1_000), 5_000);
  assert.equal(machine.look(5_999), "launched");
  assert.equal(machine.look(6_000), "loaded");
  assert.equal(machine.look(6_001), "launched", "it is started once");
  machine.runs(6_100);
  assert.equal(machine.fails(7_000), "launched");
  assert.equal(machine.failures.nextTry_ms(7_000), 10_000);
  assert.equal(machine.look(17_000), "loaded");
  assert.equal(machine.fails(18_000), "launched");
  assert.deepEqual(machine.failures.failures(name), { failures: 3 });
  assert.equal(machine.failures.nextTry_ms(18_000), Infinity);
  assert.match(machine.failures.exhausted().get(name)!.error, /failed 3 times within 1m/);
  assert.equal(machine.look(1_000_000), "launched", "it stays failed");
  assert.deepEqual(machine.failures.failures(name), { failures: 3 });
});

Deno.test("failures that are older than the time of MoveAfter= do not count", () => {
  const machine = new Machine();
  machine.fails(0);
  machine.look(5_000);
  machine.runs(6_000);
  machine.fails(50_000);
  machine.look(60_000);
  machine.runs(61_000);
  assert.deepEqual(machine.failures.failures(name), { failures: 1 });
  machine.fails(62_000);
  assert.deepEqual(machine.failures.failures(name), { failures: 2 });
});

Deno.test("a start that systemd refuses counts as a failure", () => {
  const machine = new Machine();
  machine.fails(0);
  assert.equal(machine.look(5_000), "loaded");
  assert.equal(machine.look(64_999), "launched");
  machine.look(65_000);
  assert.deepEqual(machine.failures.failures(name), { failures: 1 }, "the first one is too old by now");
  assert.equal(machine.look(70_000), "loaded");
});

Deno.test("another file, or a restart by an operator, is counted from the beginning; a unit that stays is not counted", () => {
  const machine = new Machine();
  machine.fails(0);
  machine.restart = 7;
  machine.runs(1_000);
  assert.deepEqual(machine.failures.failures(name), {});
  machine.fails(2_000);
  assert.deepEqual(machine.failures.failures(name), { failures: 1 });
  machine.hash = "stays";
  machine.fails(3_000);
  assert.deepEqual(machine.failures.failures(name), {});
  assert.equal(machine.look(100_000), "launched");
});

Deno.test("failures count on after a restart of the daemon, within the time of MoveAfter=", async () => {
  const machine = new Machine();
  machine.fails(0);
  machine.look(5_000);
  machine.runs(6_000);
  machine.fails(50_000);
  machine.now_ms = 55_000;
  await machine.restartsDaemon();
  assert.equal(machine.look(0), "launched");
  assert.deepEqual(machine.failures.failures(name), { failures: 2 }, "the failure that was seen is not counted again");
  assert.equal(machine.failures.nextTry_ms(0), 5_000, "of ten seconds after the second failure five are left");
  assert.equal(machine.look(5_000), "loaded");
  machine.runs(5_500);
  assert.deepEqual(machine.failures.failures(name), { failures: 1 }, "the first one is older than a minute");
  machine.fails(6_000);
  machine.look(16_000);
  machine.fails(17_000);
  assert.match(machine.failures.exhausted().get(name)!.error, /failed 3 times/);

  // A unit that has failed too often stays failed.
  machine.now_ms = 0;
  await machine.failures.save(machine.log);
  await machine.restartsDaemon();
  assert.equal(machine.look(0), "launched");
  assert.equal(machine.failures.exhausted().size, 1);
  assert.equal(machine.failures.nextTry_ms(0), Infinity);
  machine.restart = 9;
  machine.runs(1);
  assert.deepEqual(machine.failures.failures(name), {}, "another request is counted from the beginning");
});

Deno.test("failures are saved only when they change", async () => {
  const machine = new Machine();
  machine.runs(0);
  await machine.failures.save(machine.log);
  assert.equal(machine.writes, 0);
  machine.fails(1_000);
  for (const now_ms of [1_000, 2_000]) {
    machine.now_ms = now_ms;
    machine.look(now_ms);
    await machine.failures.save(machine.log);
  }
  assert.equal(machine.writes, 1);
});

Deno.test("failures that cannot be saved are saved later, and the agent goes on meanwhile", async () => {
  const machine = new Machine();
  machine.isFull = true;
  machine.fails(1_000);
  await machine.failures.save(machine.log);
  await machine.failures.save(machine.log);
  assert.deepEqual(machine.logged, ["cannot save the failures of units: no space left on device"]);
  assert.deepEqual(machine.failures.failures(name), { failures: 1 });
  machine.isFull = false;
  await machine.failures.save(machine.log);
  assert.equal(machine.saved.size, 1);
});
