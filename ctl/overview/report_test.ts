import assert from "node:assert/strict";
import { OverviewCollector } from "./overview.ts";
import { ageOf, overviewLines } from "./report.ts";

const m1 = "1".repeat(32);
const m2 = "2".repeat(32);
const now_ms = Date.UTC(2026, 10, 28);
const options = { endpoint: "unix:///fleet.sock", health: { ready: true, reason: "ok" }, now_ms, color: false };

/** Returns the overview of a stream's events, as lines. */
function linesOf(...events: readonly (readonly [event: string, data: unknown])[]): string[] {
  const collector = new OverviewCollector();
  for (const [event, data] of events) {
    const overview = collector.take({ event, data: JSON.stringify(data) });
    if (overview) return overviewLines(overview, options);
  }
  throw new Error("the events do not end with synced");
}

const failed = (name: string, ago_ms: number) => {
  const state = { name, machineID: m1, systemdActiveState: "failed", systemdLoadState: "loaded" };
  return ["state", { name, machineID: m1, state, result: "exit-code", since: now_ms - ago_ms }] as const;
};

Deno.test("an empty cluster without a leader is named as such", () => {
  assert.deepEqual(linesOf(["synced", { revision: 1 }]), [
    "Machines  0, no machine leads: no unit is placed",
    "Store     ready, revision 1 (unix:///fleet.sock)",
    "Units     0",
  ]);
});

Deno.test("the latest failures come first, and no part is longer than a screen", () => {
  const units = Array.from({ length: 13 }, (_, index) => failed(`u${index}.service`, (13 - index) * 60_000));
  const lines = linesOf(...units, ["synced", { revision: 1 }]);
  const part = lines.slice(lines.indexOf("Failed"));
  assert.equal(part.length, 12);
  assert.equal(part[1], "  u12.service on 11111111... for 60 s: exit-code");
  assert.equal(part[11], "  ... and 3 more: fleetctl list-units --filter state=failed");
});

Deno.test("cordoned machines, and machines that were lost at once, are shown with the reason", () => {
  const cordon = { machineID: m2, by: "anna", why: "disk is failing" };
  const lines = linesOf(
    ["machine", { id: m2, machine: { id: m2, primaryIP: "10.0.0.2", cordon } }],
    ["loss", { missing: [m1], present: 1, since: now_ms, until: now_ms }],
    ["synced", { revision: 1, leader: m2 }],
  );
  assert.equal(lines[0], "Machines  1, leader 22222222.../10.0.0.2");
  assert.match(lines.join("\n"), /\nCordoned\n {2}22222222\.\.\.\/10\.0\.0\.2 by anna: disk is failing$/);
  assert.match(
    lines.join("\n"),
    /\nMachines lost at once\n {2}The units of 11111111\.\.\. wait until \d\d:\d\d:\d\d, or/,
  );
});

Deno.test("a unit whose agent is refused counts as failed, one that runs although it has an old error does not", () => {
  const state = (active: string) => ({ name: "a.service", machineID: m1, systemdActiveState: active });
  const refused = linesOf(
    ["machine", { id: m1, machine: { id: m1, primaryIP: "10.0.0.1" } }],
    ["unit", { name: "a.service", unit: { name: "a.service", desiredState: "launched", machineID: m1 } }],
    ["state", { name: "a.service", machineID: m1, state: state("inactive"), error: "the file is masked" }],
    ["synced", { revision: 1 }],
  );
  assert.equal(refused.at(-1), "  a.service on 11111111.../10.0.0.1: the file is masked");
  assert.ok(refused.includes("Units     1: 1 failed"), refused.join("\n"));
  const running = linesOf(
    ["state", { name: "a.service", machineID: m1, state: state("active"), error: "it did not stop" }],
    ["synced", { revision: 1 }],
  );
  assert.equal(running.at(-1), "Units     0");
});

Deno.test("roll-outs that have ended well are not shown", () => {
  const rollout = (
    app: string,
    status: string,
  ) => ["rollout", { app, rollout: { app, id: "1", what: "apply", status } }];
  const lines = linesOf(
    rollout("done", "done") as [string, unknown],
    rollout("bad", "failed") as [string, unknown],
    ["synced", { revision: 1 }],
  );
  assert.deepEqual(lines.slice(-2), ["Roll-outs", "  bad: apply is failed, 0 of 0 changes done"]);
});

Deno.test("drains are shown with the number of units that are left", () => {
  const unit = (name: string) => ["unit", { name, unit: { name, desiredState: "launched", machineID: m1 } }] as const;
  const lines = linesOf(
    unit("a.service"),
    unit("b.service"),
    ["drain", { machineID: m1, status: "moving", by: "anna" }],
    ["drain", { machineID: m2, status: "done" }],
    ["synced", { revision: 1 }],
  );
  assert.deepEqual(lines.slice(-3), [
    "Drains",
    "  11111111... is being drained by anna, 2 units left",
    "  22222222... is drained",
  ]);
});

Deno.test("ages have one unit", () => {
  assert.deepEqual([0, 119_000, 300_000, 3 * 3_600_000, 50 * 3_600_000].map(ageOf), [
    ...["0 s", "119 s", "5 min", "3 h", "2 days"],
  ]);
});
