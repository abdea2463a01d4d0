import assert from "node:assert/strict";
import type { UnitStatus } from "../../systemd/port.ts";
import type { DesiredUnit } from "./desired.ts";
import { adopted, commanded, type Intent } from "./intent.ts";
import { type Current, plan } from "./plan.ts";

const name = "a.service";

function status(active = "inactive", invocation = ""): UnitStatus {
  return { name, load: "loaded", active, sub: "x", result: "success", invocation, since_ms: 0 };
}

function wanted(desiredState: "loaded" | "launched", more: Partial<DesiredUnit> = {}): DesiredUnit {
  return { name, hash: "h1", desiredState, restart: 0, ...more };
}

function current(state: "loaded" | "launched", more: Partial<Current> = {}): Current {
  const active = state === "launched" ? "active" : "inactive";
  return { name, hash: "h1", commanded: state, restart: 0, status: status(active), ...more };
}

const cases: readonly { name: string; wanted?: DesiredUnit; current?: Current; want: string[] }[] = [
  { name: "neither wanted nor here: nothing", want: [] },
  { name: "wanted loaded, not here: install", wanted: wanted("loaded"), want: ["install"] },
  { name: "wanted launched, not here: install and start", wanted: wanted("launched"), want: ["install", "start"] },
  { name: "loaded and wanted loaded: nothing", wanted: wanted("loaded"), current: current("loaded"), want: [] },
  { name: "launched and wanted launched: nothing", wanted: wanted("launched"), current: current("launched"), want: [] },
  {
    name: "loaded and wanted launched: start",
    wanted: wanted("launched"),
    current: current("loaded"),
    want: ["start"],
  },
  { name: "launched and wanted loaded: stop", wanted: wanted("loaded"), current: current("launched"), want: ["stop"] },
  {
    name: "launched, has exited, wanted launched: systemd's business",
    wanted: wanted("launched"),
    current: current("launched", { status: status("failed") }),
    want: [],
  },
  {
    name: "loaded, started by its socket, wanted loaded: left alone",
    wanted: wanted("loaded"),
    current: current("loaded", { status: status("active") }),
    want: [],
  },
  { name: "launched and no longer wanted: stop first", current: current("launched"), want: ["stop"] },
  {
    name: "launched, has ended and no longer wanted: stop first, since systemd may be about to start it again",
    current: current("launched", { status: status("inactive") }),
    want: ["stop"],
  },
  { name: "loaded, stopped and no longer wanted: remove", current: current("loaded"), want: ["remove"] },
  {
    name: "loaded, started by its socket, no longer wanted: stop first",
    current: current("loaded", { status: status("active") }),
    want: ["stop"],
  },
  {
    name: "launched with another file: stop first",
    wanted: wanted("launched", { hash: "h2" }),
    current: current("launched"),
    want: ["stop"],
  },
  {
    name: "stopped with another file: replace and start",
    wanted: wanted("launched", { hash: "h2" }),
    current: current("loaded"),
    want: ["remove", "install", "start"],
  },
  {
    name: "launched, restart asked for: restart",
    wanted: wanted("launched", { restart: 7 }),
    current: current("launched", { restart: 3 }),
    want: ["restart"],
  },
  {
    name: "launched, restart done: nothing",
    wanted: wanted("launched", { restart: 7 }),
    current: current("launched", { restart: 7 }),
    want: [],
  },
  {
    name: "loaded, launch and restart wanted: a start is enough",
    wanted: wanted("launched", { restart: 7 }),
    current: current("loaded"),
    want: ["start"],
  },
];

for (const { name: title, wanted, current, want } of cases) {
  Deno.test(`plan: ${title}`, () => {
    const steps = plan(
      new Map(wanted ? [[name, wanted]] : []),
      new Map(current ? [[name, current]] : []),
      new Set(),
    );
    assert.deepEqual(steps.map((step) => step.kind), want);
  });
}

Deno.test("plan: a unit that others need is stopped with them before it is replaced, and removed after them", () => {
  const kinds = (wantedUnits: DesiredUnit[], inUse: string[]) =>
    plan(
      new Map(wantedUnits.map((unit) => [name, unit])),
      new Map([[name, current("loaded")]]),
      new Set(),
      new Set(),
      new Set(inUse),
    ).map(({ kind }) => kind);
  const changed = wanted("loaded", { hash: "h2" });
  assert.deepEqual([kinds([changed], []), kinds([changed], [name])], [["remove", "install"], ["stop"]]);
  assert.deepEqual([kinds([], []), kinds([], [name])], [["remove"], []]);
});

Deno.test("plan: a held unit is left alone, its neighbor is not", () => {
  const other = "b.service";
  const steps = plan(
    new Map([[name, wanted("launched")], [other, wanted("launched", { name: other })]]),
    new Map(),
    new Set([name]),
  );
  assert.deepEqual(steps.map(({ unit, kind }) => [unit, kind]), [[other, "install"], [other, "start"]]);
});

const intents: readonly { name: string; intent?: Intent; status: UnitStatus; want: [string, number] }[] = [
  {
    name: "no memory, running: adopted as launched, and as restarted when asked",
    intent: adopted(status("active"), 4)!,
    status: status("active"),
    want: ["launched", 4],
  },
  {
    name: "adopted and ended since: still launched",
    intent: adopted(status("active", "i1"), 4)!,
    status: status("inactive", ""),
    want: ["launched", 4],
  },
  { name: "no memory, not running: loaded", status: status(), want: ["loaded", 0] },
  {
    name: "start confirmed, finished and forgotten by systemd: still launched",
    intent: { did: "start", done: true, invocation: "", restart: 4 },
    status: status("inactive", ""),
    want: ["launched", 4],
  },
  {
    name: "start not confirmed, same invocation: not done",
    intent: { did: "start", done: false, invocation: "i1", restart: 4 },
    status: status("inactive", "i1"),
    want: ["loaded", 0],
  },
  {
    name: "start not confirmed, new invocation: done",
    intent: { did: "start", done: false, invocation: "i1", restart: 4 },
    status: status("active", "i2"),
    want: ["launched", 4],
  },
  {
    name: "start not confirmed, invocation forgotten: not known to be done",
    intent: { did: "start", done: false, invocation: "i1", restart: 4 },
    status: status("inactive", ""),
    want: ["loaded", 0],
  },
  {
    name: "restart not confirmed, new invocation: done",
    intent: { did: "restart", done: false, invocation: "i1", restart: 4 },
    status: status("active", "i2"),
    want: ["launched", 4],
  },
  {
    name: "restart not confirmed, same invocation: to be given again",
    intent: { did: "restart", done: false, invocation: "i1", restart: 4 },
    status: status("active", "i1"),
    want: ["launched", 0],
  },
  {
    name: "stop not confirmed: to be given again",
    intent: { did: "stop", done: false, invocation: "i1", restart: 4 },
    status: status("active", "i1"),
    want: ["launched", 4],
  },
  {
    name: "stop confirmed: loaded",
    intent: { did: "stop", done: true, invocation: "i1", restart: 4 },
    status: status("active", "i1"),
    want: ["loaded", 4],
  },
];

Deno.test("intent: a unit without a record that does not run is not adopted", () => {
  assert.equal(adopted(status("inactive"), 4), undefined);
  assert.equal(adopted(status("failed"), 4), undefined);
});

for (const { name: title, intent, status, want } of intents) {
  Deno.test(`intent: ${title}`, () => {
    const { commanded: state, restart } = commanded(intent, status);
    assert.deepEqual([state, restart], want);
  });
}
