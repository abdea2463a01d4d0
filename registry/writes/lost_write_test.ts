import assert from "node:assert/strict";
import type { Transaction } from "./transactions.ts";
import { marked, type Outcome, outcomesOf, witnesses } from "./lost_write.ts";
import type { KeyValue } from "../store/port.ts";

const touch = { put: "written", value: "" };
const unit = { put: "unit/a", value: "asked" };
const create: Transaction = { compares: [{ key: "unit/a", mod: 0 }], ops: [unit, touch] };
const change: Transaction = { compares: [{ key: "unit/a", mod: 5 }, { key: "target/a", mod: 6 }], ops: [unit, touch] };
const destroy: Transaction = {
  compares: [{ key: "unit/a", mod: 5 }, { key: "target/a", mod: 6 }],
  ops: [{ delete: "unit/a" }, { delete: "target/a" }, { delete: "assign/m/a" }, touch],
};
const metadata: Transaction = { compares: [], ops: [{ put: "metadata/m/k", value: "v" }, touch] };
const creates: Transaction = {
  compares: [{ key: "unit/a", mod: 0 }],
  ops: [unit, { put: "assign/m/a", value: "asked" }, touch],
};
const restart: Transaction = { ...change, restarts: true };
const createOther: Transaction = {
  compares: [{ key: "unit/b", mod: 0 }],
  ops: [{ put: "unit/b", value: "asked" }, touch],
};

/** What is known to have been so before they were sent, and what the store is at afterwards. */
const [before, now] = [10, 20];

const cases: readonly {
  readonly name: string;
  readonly of: Transaction | readonly Transaction[];
  readonly written: readonly [mark: string, mod: number];
  readonly found: Readonly<Record<string, readonly [value: string, mod: number]>>;
  readonly want: Outcome | readonly Outcome[];
}[] = [
  { name: "nobody has written since", of: create, written: ["other", 10], found: {}, want: "not done" },
  { name: "metadata, and nobody has written since", of: metadata, written: ["other", 9], found: {}, want: "not done" },
  {
    name: "metadata, and somebody else has written since",
    of: metadata,
    written: ["other", 11],
    found: { "metadata/m/k": ["v", 11] },
    want: "unknown",
  },
  {
    name: "its mark is there, and tells of all that were sent together",
    of: [metadata, create, restart],
    written: ["mine", 12],
    found: {},
    want: [{ done: 12 }, { done: 12 }, { done: 12 }],
  },
  {
    name: "created as asked for, by whomever",
    of: create,
    written: ["other", 12],
    found: { "unit/a": ["asked", 12] },
    want: { done: now },
  },
  {
    name: "created otherwise",
    of: create,
    written: ["other", 12],
    found: { "unit/a": ["other", 12] },
    want: "unknown",
  },
  {
    name: "not there: never created, or destroyed since",
    of: create,
    written: ["other", 12],
    found: {},
    want: "unknown",
  },
  {
    name: "what is not compared tells nothing",
    of: creates,
    written: ["other", 12],
    found: { "unit/a": ["asked", 12] },
    want: { done: now },
  },
  {
    name: "the unit is as it was, though its text is the one asked for",
    of: change,
    written: ["other", 12],
    found: { "unit/a": ["asked", 5], "target/a": ["m", 13] },
    want: "not done",
  },
  {
    name: "changed as asked for",
    of: change,
    written: ["other", 12],
    found: { "unit/a": ["asked", 12] },
    want: { done: now },
  },
  {
    name: "changed, and changed again",
    of: change,
    written: ["other", 14],
    found: { "unit/a": ["other", 14] },
    want: "unknown",
  },
  {
    name: "restarted by somebody, who may be another",
    of: restart,
    written: ["other", 12],
    found: { "unit/a": ["asked", 12] },
    want: "unknown",
  },
  {
    name: "restarted by nobody",
    of: restart,
    written: ["other", 12],
    found: { "unit/a": ["asked", 5] },
    want: "not done",
  },
  { name: "destroyed", of: destroy, written: ["other", 12], found: {}, want: { done: now } },
  {
    name: "destroyed and created again",
    of: destroy,
    written: ["other", 14],
    found: { "unit/a": ["x", 14] },
    want: "unknown",
  },
  {
    name: "not destroyed, but moved",
    of: destroy,
    written: ["other", 12],
    found: { "unit/a": ["asked", 5], "target/a": ["m2", 15] },
    want: "not done",
  },
  {
    name: "one of some that was not done tells of the others, whatever others have done",
    of: [createOther, change, metadata],
    written: ["other", 12],
    found: { "unit/b": ["asked", 12], "unit/a": ["old", 5] },
    want: ["not done", "not done", "not done"],
  },
  {
    name: "each of some for itself",
    of: [createOther, change, metadata],
    written: ["other", 12],
    found: { "unit/b": ["asked", 12], "unit/a": ["other", 13] },
    want: [{ done: now }, "unknown", "unknown"],
  },
];

for (const { name, of, written, found, want } of cases) {
  Deno.test(`what became of a transaction: ${name}`, () => {
    const round = "ops" in of ? [of] : of;
    const sent = { round, mark: "mine", before };
    const all: Readonly<Record<string, readonly [string, number]>> = { ...found, written };
    const kvs = witnesses(sent).flatMap((key): [string, KeyValue][] => {
      const [value, modRevision] = all[key] ?? [];
      if (value === undefined || modRevision === undefined) return [];
      return [[key, { key, value, modRevision, createRevision: 1, lease: "" }]];
    });
    assert.deepEqual(outcomesOf(sent, new Map(kvs), now), [want].flat());
  });
}

Deno.test("what tells of transactions is what they both compare and write, and what every operator touches", () => {
  const of = (...round: Transaction[]) => witnesses({ round, mark: "mine", before });
  assert.deepEqual(of(destroy), ["written", "unit/a", "target/a"]);
  assert.deepEqual(of(metadata, change), ["written", "unit/a"]);
});

Deno.test("a mark takes the place of none, and changes nothing else", () => {
  assert.deepEqual(marked(create, "mine"), { ...create, ops: [unit, { put: "written", value: "mine" }] });
});
