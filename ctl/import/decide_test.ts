import assert from "node:assert/strict";
import { parseUnitFile } from "../../systemd/unit_file.ts";
import type { ComparedUnit } from "./compare.ts";
import { candidatesOf, decideCutOver, hasStopped, type Move } from "./decide.ts";
import type { OldUnit } from "./old_cluster.ts";
import { relatedGroups } from "./related.ts";

const machine = "01".repeat(16);
const machines = [{ id: machine }];
const service = "[Service]\nExecStart=/bin/true\n";

/** Returns a unit that runs in the old cluster, with other fields for some. */
function old(name: string, other: Partial<OldUnit> = {}, file = service): OldUnit {
  const { desiredState = "launched" } = other;
  const state = { name, machineID: machine, systemdActiveState: "active", systemdSubState: "running" };
  const states = desiredState === "inactive" ? [] : [state];
  const place = desiredState === "inactive" ? {} : { machineID: machine };
  const options = parseUnitFile(file);
  return { name, options, desiredState, currentState: desiredState, isGlobal: false, states, ...place, ...other };
}

/** Returns a unit that both clusters have with the same file. */
function same(old: OldUnit, desiredState = "inactive", other: Partial<ComparedUnit> = {}): ComparedUnit {
  return { name: old.name, change: "same", old, here: { name: old.name, desiredState }, warnings: [], ...other };
}

function decide(units: readonly OldUnit[], compared = units.map((unit) => same(unit))) {
  const cluster = { units, machines };
  return decideCutOver(candidatesOf(cluster, new Map()), new Map(compared.map((unit) => [unit.name, unit])), cluster);
}

Deno.test("a unit stays if this cluster could not run it, or the old one could not show that it has stopped", () => {
  const unit = old("a.service");
  const unplaceable = {
    why: "no machine will take it",
    machines: [{ machineID: machine, reasons: [{ rule: "capacity", reason: "full" }] }],
  };
  const cases: readonly (readonly [OldUnit, ComparedUnit, string])[] = [
    [unit, { ...same(unit), change: "refuse", refusal: "bad name" }, "bad name"],
    [unit, { ...same(unit), change: "create" }, "this cluster does not have it: import it first, without --start"],
    [unit, { ...same(unit), change: "differs" }, "its file here differs from that in the old cluster"],
    [unit, same(unit, "launched"), "it is launched in both clusters and may run twice: stop it in one of them"],
    [unit, same(unit, "inactive", { unplaceable }), "no machine will take it; 01010101: full"],
  ];
  for (const [unit, compared, why] of cases) {
    assert.deepEqual(decide([unit], [compared]).held, [{ name: "a.service", why }]);
  }
  const unstoppable: readonly (readonly [Partial<OldUnit>, RegExp])[] = [
    [{ machineID: "ff" }, /^its machine ff has left the old cluster/],
    [{ currentState: "loaded" }, /^it is not running in the old cluster yet \(its state there is loaded\)/],
    [
      { desiredState: "loaded" },
      /^it is only loaded in the old cluster, but something started it: stop it on machine 01/,
    ],
  ];
  for (const [other, why] of unstoppable) {
    const { held, groups } = decide([old("a.service", other)]);
    assert.match(held[0]!.why, why);
    assert.deepEqual(groups, []);
  }
});

Deno.test("a unit that systemd ties to one that stays, stays", () => {
  const socket = old("a.socket", { currentState: "inactive" }, "[Socket]\nListenStream=80\n");
  const { held, groups } = decide([old("a.service"), socket, old("b.service")]);
  assert.deepEqual(held.map(({ name }) => name), ["a.socket", "a.service"]);
  assert.equal(held[1]!.why, "systemd may start it together with a.socket, which stays");
  assert.deepEqual(groups.map((group) => group.map(({ name }) => name)), [["b.service"]]);
});

Deno.test("a unit stays if systemd ties it to one on its machine that is not selected, unless that one is global", () => {
  const web = old("web.service", {}, `[Unit]\nRequires=db.service log.service far.service\n${service}`);
  const far = old("far.service", { machineID: "02".repeat(16) });
  const units = [web, old("db.service"), old("log.service", { isGlobal: true }), far];
  const cluster = { units, machines };
  const decide = (...names: readonly string[]) => {
    const candidates = candidatesOf({ ...cluster, units: units.filter(({ name }) => names.includes(name)) }, new Map());
    return decideCutOver(candidates, new Map(units.map((unit) => [unit.name, same(unit)])), cluster);
  };
  const why = "systemd may start it together with db.service, which is not selected: name both";
  assert.deepEqual(decide("web.service").held, [{ name: "web.service", why }]);
  const { groups, held } = decide("web.service", "db.service");
  assert.deepEqual(groups.map((group) => group.map(({ name }) => name)), [["web.service", "db.service"]]);
  assert.deepEqual(held, []);
});

Deno.test("units are tied by their dependencies, MachineOf= and activation, not by their order alone", () => {
  const file = (text: string) => `[Unit]\n${text}\n${service}`;
  const units = [
    old("db.service"),
    old("web@1.service", {}, file("Requires=db.service\nAfter=other.service")),
    old("other.service"),
    old("log.service", {}, `${service}[X-Fleet]\nMachineOf=web@1.service\n`),
    old("job.timer", {}, "[Timer]\nOnCalendar=daily\n"),
    old("job.service"),
    old("in.socket", {}, "[Socket]\nListenStream=1\nService=out.service\n"),
    old("out.service"),
  ];
  const groups = relatedGroups(units).map((names) => names.sort()).sort();
  assert.deepEqual(groups, [
    ["db.service", "log.service", "web@1.service"],
    ["in.socket", "out.service"],
    ["job.service", "job.timer"],
    ["other.service"],
  ]);
});

Deno.test("a unit that runs here keeps running, also if the old cluster had it loaded only", () => {
  const unit = old("a.service", { desiredState: "loaded", states: [] });
  const [[move] = []] = decide([unit], [same(unit, "launched")]).groups;
  assert.equal(move?.target, "launched");
});

Deno.test("the record gives a unit that an interrupted move has stopped its desired state and its machine", () => {
  const record = new Map([["a.service", { desiredState: "launched", machineID: machine } as const]]);
  const cluster = { units: [old("a.service", { desiredState: "inactive" })], machines };
  const [candidate] = candidatesOf(cluster, record, machine);
  assert.deepEqual([candidate?.desiredState, candidate?.machineID], ["launched", machine]);
  assert.deepEqual(candidatesOf(cluster, new Map(), machine), []);
});

Deno.test("a unit has stopped when its machine reports so, and a missing state proves nothing", () => {
  const before = old("a.service");
  const move: Move = {
    name: before.name,
    old: before,
    desiredState: "launched",
    machineID: machine,
    target: "launched",
  };
  const state = (systemdActiveState: string) => [{ name: before.name, machineID: machine, systemdActiveState }];
  const loaded = { desiredState: "loaded", currentState: "loaded" };
  const now = (other: Partial<OldUnit>) => hasStopped(move, old("a.service", { ...loaded, ...other }));
  assert.ok(now({ states: state("inactive") }));
  assert.ok(now({ states: state("failed") }));
  for (const active of ["active", "activating", "deactivating", "reloading"]) {
    assert.ok(!now({ states: state(active) }));
  }
  assert.ok(!now({ states: [] }), "its state is missing");
  assert.ok(!now({ states: [...state("inactive"), ...state("active")] }), "it runs on another machine");
  assert.ok(!now({ states: state("inactive"), currentState: "launched" }), "its machine has not stopped it yet");
  assert.ok(!now({ states: state("inactive"), desiredState: "launched" }), "another client has launched it again");
  assert.ok(
    !now({ states: state("inactive"), machineID: "02".repeat(16) }),
    "its machine was lost, and another has it",
  );
  assert.ok(!hasStopped(move, undefined), "it is gone");
  assert.ok(
    !hasStopped(move, old("a.service", { desiredState: "inactive" })),
    "it was made inactive by another client",
  );
});
