import assert from "node:assert/strict";
import * as codec from "../schema/codec.ts";
import { MachineViewBuilder } from "./machine_view.ts";
import type { WatchEvent } from "../store/port.ts";

const orders = codec.encodeAssignment({ hash: "h", desiredState: "launched", restart: 0 });
const global = codec.encodeUnit({
  hash: "h",
  fleetOptions: [{ section: "X-Fleet", name: "Global", value: "true" }],
  desiredState: "launched",
  restart: 0,
  launchedAt: 1,
});

function bench() {
  const logged: string[] = [];
  const view = new MachineViewBuilder(
    "m1",
    (level, _message, fields) => logged.push(`${level} ${fields?.["error"]}`),
  );
  const kv = (key: string, value: string, modRevision: number) => ({
    key,
    value,
    createRevision: 1,
    modRevision,
    lease: "",
  });
  const write = (revision: number, values: Readonly<Record<string, string | undefined>>) => {
    const events = Object.entries(values).map(([key, value]): WatchEvent =>
      value === undefined
        ? { kind: "delete", key, modRevision: revision }
        : { kind: "put", kv: kv(key, value, revision) }
    );
    view.apply({ revision, events });
  };
  const look = () => {
    const { assignments, globals, unreadable } = view.view("store");
    return { assigned: [...assignments.keys()], globals: [...globals.keys()], unreadable: [...unreadable].sort() };
  };
  return { logged, view, kv, write, look };
}

Deno.test("unreadable assignments and globals are neither present nor deleted", () => {
  const { view, write, look } = bench();
  write(1, { "assign/m1/a.service": orders, "global/g.service": global });
  write(2, { "assign/m1/a.service": "{", "global/g.service": "{" });
  assert.deepEqual(look(), { assigned: [], globals: [], unreadable: ["a.service", "g.service"] });
  assert.equal(view.deletions, 0);
  write(3, { "assign/m1/a.service": orders, "global/g.service": global });
  assert.deepEqual(look(), { assigned: ["a.service"], globals: ["g.service"], unreadable: [] });
});

Deno.test("a deleted unreadable key is gone", () => {
  const { view, write, look } = bench();
  write(1, { "assign/m1/a.service": "{", "global/g.service": "{" });
  write(2, { "assign/m1/a.service": undefined, "global/g.service": undefined });
  assert.deepEqual(look(), { assigned: [], globals: [], unreadable: [] });
  assert.equal(view.deletions, 2);
});

Deno.test("a readable record of the unit takes precedence over an unreadable one", () => {
  const { write, look } = bench();
  write(1, {
    "assign/m1/a.service": orders,
    "global/a.service": "{",
    "assign/m1/g.service": "{",
    "global/g.service": global,
  });
  assert.deepEqual(look(), { assigned: ["a.service"], globals: ["g.service"], unreadable: [] });
  write(2, { "assign/m1/a.service": undefined });
  assert.deepEqual(look().unreadable, ["a.service"]);
});

Deno.test("a full read finds unreadable values, and each revision is logged once", () => {
  const { logged, view, kv, look } = bench();
  for (let read = 0; read < 2; read++) {
    view.reset([kv("assign/m1/a.service", "{", 3)], 3);
    assert.deepEqual(look().unreadable, ["a.service"]);
    assert.equal(logged.length, 1);
  }
  view.reset([kv("assign/m1/a.service", "[]", 4)], 4);
  assert.equal(logged.length, 2);
  assert.match(logged[1]!, /^warn cannot read key assign\/m1\/a.service/);
  view.reset([], 5);
  assert.deepEqual(look().unreadable, []);
});

Deno.test("an assignment that is missing in a later full read counts as deleted, one that is unreadable does not", () => {
  const { view, kv } = bench();
  view.reset([kv("assign/m1/a.service", orders, 1), kv("assign/m1/b.service", orders, 1)], 1);
  assert.deepEqual([view.deletions, view.withdrawn], [0, new Set()]);
  view.reset([kv("assign/m1/b.service", "{", 2)], 2);
  assert.deepEqual([view.deletions, view.withdrawn], [1, new Set(["a.service"])]);
  view.reset([], 3);
  assert.deepEqual(view.withdrawn, new Set(["a.service", "b.service"]), "no deletion has been accepted yet");
});
