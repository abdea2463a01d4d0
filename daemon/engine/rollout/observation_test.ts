import assert from "node:assert/strict";
import type { Cluster, Unit, UnitState } from "../../../registry/model.ts";
import { parseRequirements } from "../../../registry/requirements.ts";
import { Observation } from "./observation.ts";

const name = "a.service";
const unit: Unit = {
  ...{ name, hash: "h", fleetOptions: [], requirements: parseRequirements(name, []), desiredState: "launched" },
  ...{ restart: 0, launchedAt: 1, revision: 1 },
};

Deno.test("restarts before a unit was healthy for long enough do not count afterwards", () => {
  const observation = new Observation();
  const judge = (now_ms: number, restarts: number) => {
    const state: UnitState = {
      ...{ unit: name, machine: "m", hash: "h", commanded: "launched", restart: 0, restarts, since_ms: restarts },
      ...{ load: "loaded", active: "active", sub: "running" },
    };
    const cluster = {
      ...{ units: new Map([[name, unit]]), targets: new Map([[name, { unit: name, machine: "m" }]]) },
      ...{
        machines: new Map([["m", { id: "m" }]]),
        states: new Map([[name, new Map([["m", state]])]]),
        files: new Map(),
      },
    } as unknown as Cluster;
    const look = {
      cluster,
      unplaced: new Map(),
      now_ms,
      wall_ms: 0,
      quietSince_ms: 0,
      isRejoining: false,
      arriving: new Set<string>(),
    };
    return observation.judge(unit, look).kind;
  };
  assert.equal(judge(0, 0), "waiting");
  assert.equal(judge(1_000, 4), "waiting");
  assert.equal(judge(4_000, 4), "healthy");
  assert.equal(judge(500_000, 5), "waiting");
  assert.equal(judge(503_000, 5), "healthy");
  assert.equal(judge(504_000, 9), "waiting");
  assert.equal(judge(505_000, 14), "failed");
});
