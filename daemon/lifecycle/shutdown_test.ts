import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { closeAll, shutDown } from "./shutdown.ts";

const hangs = () => new Promise<void>(() => {});

const cases: readonly {
  readonly name: string;
  readonly job: () => Promise<string | undefined>;
  readonly member?: false;
  readonly drain?: () => Promise<void>;
  readonly leave?: () => Promise<void>;
  readonly want: readonly (string | RegExp)[];
}[] = [
  {
    name: "a stop",
    job: () => Promise.resolve("stop"),
    want: [/^info: stopping: unloading.*units$/, "drained", "left"],
  },
  {
    name: "a stop before it is in the cluster",
    job: () => Promise.resolve("stop"),
    member: false,
    want: [/^info: stopping: .* though it is not in the cluster$/, "drained"],
  },
  {
    name: "a restart",
    job: () => Promise.resolve("restart"),
    want: [/^info: .*left running \(systemd has a restart job/],
  },
  { name: "a signal", job: () => Promise.resolve(undefined), want: [/^info: .*left running \(systemd has no job/] },
  {
    name: "a systemd that cannot be asked",
    job: () => Promise.reject(new Error("the bus is away")),
    want: [/^warn: cannot distinguish a stop from a restart.*the bus is away$/, /^info: .*left running/],
  },
  {
    name: "a unit that does not end",
    job: () => Promise.resolve("stop"),
    drain: hangs,
    want: [/^info: stopping/, /^error: units may still be running.*still stopping after 60 ms; its record is left/],
  },
  {
    name: "units that cannot be stopped keep the machine in the cluster",
    job: () => Promise.resolve("stop"),
    drain: () => Promise.reject(new Error("the bus is away")),
    want: [/^info: stopping/, /^error: units may still be running.*the bus is away; its record is left/],
  },
  {
    name: "units that cannot be stopped before it is in the cluster",
    job: () => Promise.resolve("stop"),
    member: false,
    drain: () => Promise.reject(new Error("the bus is away")),
    want: [/^info: stopping/, /^error: units may still be running on this machine: the bus is away$/],
  },
  {
    name: "a store that refuses",
    job: () => Promise.resolve("stop"),
    leave: () => Promise.reject(new Error("permission denied")),
    want: [/^info: stopping/, "drained", /^warn: cannot remove this machine's record.*permission denied$/],
  },
  {
    name: "a store that is away",
    job: () => Promise.resolve("stop"),
    leave: hangs,
    want: [/^info: stopping/, "drained", /^warn: the store did not answer/],
  },
];

for (const { name, job, member = true, drain, leave, want } of cases) {
  Deno.test(`a daemon ends: ${name}`, async () => {
    const events: string[] = [];
    const clock = new ManualClock();
    const record = (event: string) => () => Promise.resolve(void events.push(event));
    const ended = shutDown({
      job,
      clock,
      log: (level, message) => events.push(`${level}: ${message}`),
      drain: drain ?? record("drained"),
      leave: member ? leave ?? record("left") : undefined,
      drainLimit_ms: 60,
      leaveLimit_ms: 5,
    });
    await ManualClock.settle();
    for (const limit_ms of [60, 5]) {
      clock.advance(limit_ms);
      await ManualClock.settle();
    }
    await ended;
    assert.equal(events.length, want.length, events.join("\n"));
    for (const [index, line] of want.entries()) {
      if (typeof line === "string") assert.equal(events[index], line);
      else assert.match(events[index]!, line);
    }
  });
}

Deno.test("a part that cannot be closed is logged, and the others are closed", async () => {
  const events: string[] = [];
  await closeAll([
    { what: "the API", close: () => Promise.reject(new Error("busy")) },
    { what: "nothing", close: () => undefined },
    { what: "the store", close: () => Promise.resolve(events.push("store closed")) },
  ], (level, message) => events.push(`${level}: ${message}`));
  assert.deepEqual(events, ["error: cannot close the API: busy", "store closed"]);
});
