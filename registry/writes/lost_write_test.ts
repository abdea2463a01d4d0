import assert from "node:assert/strict";
import type { Transaction } from "./transactions.ts";
import { type LostWriteResult, marked, resultsOf, witnesses } from "./lost_write.ts";
import type { KeyValue } from "../store/port.ts";

const touch = { put: "written", value: "" };
const unit = { put: "unit/a", value: "requested" };
const create: Transaction = { compares: [{ key: "unit/a", mod: 0 }], ops: [unit, touch] };
const change: Transaction = { compares: [{ key: "unit/a", mod: 5 }, { key: "target/a", mod: 6 }], ops: [unit, touch] };
const destroy: Transaction = {
  compares: [{ key: "unit/a", mod: 5 }, { key: "target/a", mod: 6 }],
  ops: [{ delete: "unit/a" }, { delete: "target/a" }, { delete: "assign/m/a" }, touch],
};
const metadata: Transaction = { compares: [], ops: [{ put: "metadata/m/k", value: "v" }, touch] };
const creates: Transaction = {
  compares: [{ key: "unit/a", mod: 0 }],
  ops: [unit, { put: "assign/m/a", value: "requested" }, touch],
};
const restart: Transaction = { ...change, restarts: true };
const createOther: Transaction = {
  compares: [{ key: "unit/b", mod: 0 }],
  ops: [{ put: "unit/b", value: "requested" }, touch],
};

/** The store's revisions before the transactions were sent and after their response was lost. */
const [before, now] = [10, 20];

const cases: readonly {
  readonly name: string;
  readonly of: Transaction | readonly Transaction[];
  readonly written: readonly [mark: string, mod: number];
  readonly found: Readonly<Record<string, readonly [value: string, mod: number]>>;
  readonly want: LostWriteResult | readonly LostWriteResult[];
}[] = [
  { name: "no client has written since", of: create, written: ["other", 10], found: {}, want: "not applied" },
  {
    name: "metadata, and no client has written since",
    of: metadata,
    written: ["other", 9],
    found: {},
    want: "not applied",
  },
  {
    name: "metadata, and another client has written since",
    of: metadata,
    written: ["other", 11],
    found: { "metadata/m/k": ["v", 11] },
    want: "unknown",
  },
  {
    name: "the mark exists, so that all transactions sent together were applied",
    of: [metadata, create, restart],
    written: ["mine", 12],
    found: {},
    want: [{ applied: 12 }, { applied: 12 }, { applied: 12 }],
  },
  {
    name: "the unit was created with the requested values, by any client",
    of: create,
    written: ["other", 12],
    found: { "unit/a": ["requested", 12] },
    want: { applied: now },
  },
  {
    name: "the unit was created with other values",
    of: create,
    written: ["other", 12],
    found: { "unit/a": ["other", 12] },
    want: "unknown",
  },
  {
    name: "the unit does not exist: never created, or destroyed since",
    of: create,
    written: ["other", 12],
    found: {},
    want: "unknown",
  },
  {
    name: "a missing key that was not compared proves nothing",
    of: creates,
    written: ["other", 12],
    found: { "unit/a": ["requested", 12] },
    want: { applied: now },
  },
  {
    name: "the unit has its old mod-revision, although its value is the requested one",
    of: change,
    written: ["other", 12],
    found: { "unit/a": ["requested", 5], "target/a": ["m", 13] },
    want: "not applied",
  },
  {
    name: "the unit was changed to the requested value",
    of: change,
    written: ["other", 12],
    found: { "unit/a": ["requested", 12] },
    want: { applied: now },
  },
  {
    name: "the unit was changed to another value",
    of: change,
    written: ["other", 14],
    found: { "unit/a": ["other", 14] },
    want: "unknown",
  },
  {
    name: "the unit was restarted, maybe by another client",
    of: restart,
    written: ["other", 12],
    found: { "unit/a": ["requested", 12] },
    want: "unknown",
  },
  {
    name: "the unit was not restarted",
    of: restart,
    written: ["other", 12],
    found: { "unit/a": ["requested", 5] },
    want: "not applied",
  },
  { name: "the unit was destroyed", of: destroy, written: ["other", 12], found: {}, want: { applied: now } },
  {
    name: "the unit was destroyed and created again",
    of: destroy,
    written: ["other", 14],
    found: { "unit/a": ["x", 14] },
    want: "unknown",
  },
  {
    name: "the unit was not destroyed, but moved",
    of: destroy,
    written: ["other", 12],
    found: { "unit/a": ["requested", 5], "target/a": ["m2", 15] },
    want: "not applied",
  },
  {
    name: "one transaction that was not applied proves it for all, whatever other clients have written",
    of: [createOther, change, metadata],
    written: ["other", 12],
    found: { "unit/b": ["requested", 12], "unit/a": ["old", 5] },
    want: ["not applied", "not applied", "not applied"],
  },
  {
    name: "each of several transactions has its own result",
    of: [createOther, change, metadata],
    written: ["other", 12],
    found: { "unit/b": ["requested", 12], "unit/a": ["other", 13] },
    want: [{ applied: now }, "unknown", "unknown"],
  },
];

for (const { name, of, written, found, want } of cases) {
  Deno.test(`result of a lost write: ${name}`, () => {
    const transactions = "ops" in of ? [of] : of;
    const sent = { transactions, mark: "mine", before };
    const all: Readonly<Record<string, readonly [string, number]>> = { ...found, written };
    const kvs = witnesses(sent).flatMap((key): [string, KeyValue][] => {
      const [value, modRevision] = all[key] ?? [];
      if (value === undefined || modRevision === undefined) return [];
      return [[key, { key, value, modRevision, createRevision: 1, lease: "" }]];
    });
    assert.deepEqual(resultsOf(sent, new Map(kvs), now), [want].flat());
  });
}

Deno.test("the witnesses of transactions are `written` and the keys that they compare and write", () => {
  const of = (...transactions: Transaction[]) => witnesses({ transactions, mark: "mine", before });
  assert.deepEqual(of(destroy), ["written", "unit/a", "target/a"]);
  assert.deepEqual(of(metadata, change), ["written", "unit/a"]);
});

Deno.test("the mark replaces the value of `written` and nothing else", () => {
  assert.deepEqual(marked(create, "mine"), { ...create, ops: [unit, { put: "written", value: "mine" }] });
});
