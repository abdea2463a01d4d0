import assert from "node:assert/strict";
import type { Assignment, MachineView, Unit, UnitState } from "../../registry/model.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import { awaitedCopies, SettledCopies } from "./settled_copies.ts";

const texts = new Map([["h", "[Service]\nExecStart=/bin/true\n[X-Fleet]\nMinHealthyTime=10s\n"]]);
const copy: Assignment = {
  ...{ unit: "a.service", machine: "m", hash: "h", desiredState: "launched", restart: 0, revision: 7 },
};
const active: UnitState = {
  ...{ unit: "a.service", machine: "m", hash: "h", commanded: "launched", restart: 0 },
  ...{ load: "loaded", active: "active", sub: "running", since_ms: 1 },
};

/** A machine whose agent looks at one unit. */
function look(settled: SettledCopies, now_ms: number, state: UnitState, second: Assignment | undefined = copy) {
  const copies = second && new Map([[second.unit, second]]);
  return settled.mark(new Map([[state.unit, state]]), copies, texts, now_ms).get(state.unit)!.settled;
}

Deno.test("a copy settles when it has been healthy for MinHealthyTime=, and the agent looks again then", () => {
  const settled = new SettledCopies("m");
  assert.equal(look(settled, 0, { ...active, active: "activating" }), undefined);
  assert.equal(settled.next_ms(0), Infinity);
  assert.equal(look(settled, 1_000, active), undefined);
  assert.equal(settled.next_ms(1_000), 10_000);
  assert.equal(look(settled, 10_999, active), undefined);
  assert.equal(look(settled, 11_000, active), 7);
  assert.equal(settled.next_ms(11_000), Infinity);
});

Deno.test("another start, another file and another move of the same unit begin from the start", () => {
  const changes: readonly { readonly state?: Partial<UnitState>; readonly copy?: Partial<Assignment> }[] = [
    { state: { since_ms: 2 } },
    { state: { restarts: 1 } },
    { copy: { revision: 9 } },
  ];
  for (const changed of changes) {
    const settled = new SettledCopies("m");
    look(settled, 0, active);
    const later = { ...copy, ...changed.copy };
    assert.equal(look(settled, 15_000, { ...active, ...changed.state }, later), undefined, JSON.stringify(changed));
    assert.equal(look(settled, 25_000, { ...active, ...changed.state }, later), later.revision);
  }
});

Deno.test("a unit that fails, and one that is no copy, are not marked", () => {
  const settled = new SettledCopies("m");
  look(settled, 0, active);
  assert.equal(look(settled, 15_000, { ...active, active: "failed" }), undefined);
  assert.equal(look(settled, 30_000, active, undefined), undefined);
});

Deno.test("a machine reports on the file of a global unit that it has changed lately", () => {
  const fleetOptions = [{ section: "X-Fleet", name: "Global", value: "true" }];
  const file = { fleetOptions, requirements: parseRequirements("g.service", fleetOptions) };
  const awaited = (machines: readonly string[], unproven: readonly string[]) => {
    const unit: Unit = {
      ...{ name: "g.service", hash: "own", desiredState: "launched", restart: 2, launchedAt: 4, revision: 9, ...file },
      next: { hash: "next", ...file, machines, unproven },
    };
    const view = { machine: "m", globals: new Map([[unit.name, unit]]) } as Partial<MachineView> as MachineView;
    return [...awaitedCopies(view).values()].map((
      { unit, hash, restart, revision },
    ) => [unit, hash, restart, revision]);
  };
  assert.deepEqual(awaited(["m"], ["m"]), [["g.service", "next", 2, 4]]);
  assert.deepEqual(awaited(["m2"], ["m"]), [["g.service", "own", 2, 4]]);
  assert.deepEqual(awaited(["m", "m2"], ["m2"]), []);
});
