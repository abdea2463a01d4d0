import assert from "node:assert/strict";
import type { Transaction } from "./commit.ts";
import { type Outcome, outcomeOf, witnesses } from "./outcome.ts";
import type { KeyValue } from "./store.ts";

const touch = { put: "written", value: "" };
const unit = { put: "unit/a", value: "wish" };
const create: Transaction = { compares: [{ key: "unit/a", mod: 0 }], ops: [unit, touch] };
const change: Transaction = { compares: [{ key: "unit/a", mod: 5 }, { key: "target/a", mod: 6 }], ops: [unit, touch] };
const destroy: Transaction = {
  compares: [{ key: "unit/a", mod: 5 }, { key: "target/a", mod: 6 }],
  ops: [{ delete: "unit/a" }, { delete: "target/a" }, { delete: "assign/m/a" }, touch],
};
const metadata: Transaction = { compares: [], ops: [{ put: "metadata/m/k", value: "v" }, touch] };
const creates: Transaction = {
  compares: [{ key: "unit/a", mod: 0 }],
  ops: [unit, { put: "assign/m/a", value: "wish" }, touch],
};

/** What is known to have been so before the transaction was sent, and what the store is at afterwards. */
const [before, now] = [10, 20];

const cases: readonly {
  readonly name: string;
  readonly of: Transaction;
  readonly written: number;
  readonly found: Readonly<Record<string, readonly [value: string, mod: number]>>;
  readonly want: Outcome;
}[] = [
  { name: "nobody has written since", of: create, written: 10, found: {}, want: "not done" },
  { name: "metadata, and nobody has written since", of: metadata, written: 9, found: {}, want: "not done" },
  {
    name: "metadata, and somebody has written since",
    of: metadata,
    written: 11,
    found: { "metadata/m/k": ["v", 11] },
    want: "unknown",
  },
  { name: "created as asked for", of: create, written: 12, found: { "unit/a": ["wish", 12] }, want: { done: now } },
  { name: "created otherwise", of: create, written: 12, found: { "unit/a": ["other", 12] }, want: "unknown" },
  { name: "not there: never created, or destroyed since", of: create, written: 12, found: {}, want: "unknown" },
  {
    name: "what is not compared tells nothing",
    of: creates,
    written: 12,
    found: { "unit/a": ["wish", 12] },
    want: { done: now },
  },
  {
    name: "the unit is as it was, though its text is the one asked for",
    of: change,
    written: 12,
    found: { "unit/a": ["wish", 5], "target/a": ["m", 13] },
    want: "not done",
  },
  { name: "changed as asked for", of: change, written: 12, found: { "unit/a": ["wish", 12] }, want: { done: now } },
  { name: "changed, and changed again", of: change, written: 14, found: { "unit/a": ["other", 14] }, want: "unknown" },
  { name: "destroyed", of: destroy, written: 12, found: {}, want: { done: now } },
  { name: "destroyed and created again", of: destroy, written: 14, found: { "unit/a": ["x", 14] }, want: "unknown" },
  {
    name: "not destroyed, but moved",
    of: destroy,
    written: 12,
    found: { "unit/a": ["wish", 5], "target/a": ["m2", 15] },
    want: "not done",
  },
];

for (const { name, of, written, found, want } of cases) {
  Deno.test(`what became of a transaction: ${name}`, () => {
    const all: Readonly<Record<string, readonly [string, number]>> = { ...found, written: ["", written] };
    const kvs = witnesses(of).flatMap((key): [string, KeyValue][] => {
      const [value, modRevision] = all[key] ?? [];
      if (value === undefined || modRevision === undefined) return [];
      return [[key, { key, value, modRevision, createRevision: 1, lease: "" }]];
    });
    assert.deepEqual(outcomeOf(of, new Map(kvs), before, now), want);
  });
}

Deno.test("what tells of a transaction is what it both compares and writes, and what every operator touches", () => {
  assert.deepEqual(witnesses(destroy), ["written", "unit/a", "target/a"]);
  assert.deepEqual(witnesses(metadata), ["written"]);
});
