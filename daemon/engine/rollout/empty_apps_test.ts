import assert from "node:assert/strict";
import type { Cluster, Rollout, Unit } from "../../../registry/model.ts";
import { EmptyApps } from "./empty_apps.ts";

const day_ms = 24 * 60 * 60_000;

/** Returns the apps that are forgotten one day after the cluster was first seen. */
function forgotten(units: readonly Partial<Unit>[]): readonly string[] {
  const rollouts = new Map(["db", "web"].map((app) => [app, { app, status: "done" } as Rollout]));
  const cluster = { rollouts, units: new Map(units.map((unit, at) => [`${at}`, unit])) } as unknown as Cluster;
  const apps = new EmptyApps();
  const look = {
    cluster,
    unplaced: new Map(),
    wall_ms: 0,
    quietSince_ms: 0,
    isRejoining: false,
    arriving: new Set<string>(),
  };
  assert.deepEqual(apps.decide({ ...look, now_ms: 0 }).updates, []);
  return apps.decide({ ...look, now_ms: day_ms }).updates.map(({ was }) => was.app);
}

Deno.test("an app without units is forgotten a day later", () => {
  assert.deepEqual(forgotten([{ app: "web" }, {}]), ["db"]);
});

Deno.test("no app is forgotten while a unit cannot be read, which may belong to it", () => {
  assert.deepEqual(forgotten([{ app: "web" }, { unreadable: "it is not JSON" }]), []);
});
