import assert from "node:assert/strict";
import type { Departure, Machine, MassLoss } from "../../registry/model.ts";
import type { LossStep } from "../../registry/mod.ts";
import { nextLossStep } from "./mass_loss.ts";

const limits = { share: 0.5, grace_s: 300 };
const now_ms = 1_000;

interface Scene {
  readonly present: readonly string[];
  readonly lost?: readonly string[];
  readonly held?: readonly string[];
  readonly departed?: readonly string[];
  readonly loss?: Partial<MassLoss>;
}

function next({ present, lost = [], held = [], departed = [], loss }: Scene, under = limits): LossStep | undefined {
  const cluster = {
    machines: new Map(present.map((id) => [id, {} as Machine])),
    departed: new Map(departed.map((id): [string, Departure] => [id, "lost"])),
    ...(loss && { massLoss: { machines: [], since_ms: 0, until_ms: 300_000, isOver: false, revision: 7, ...loss } }),
  };
  return nextLossStep(cluster, { recent: new Set(lost), held: new Set(held) }, under, now_ms);
}

const begun = (...machines: string[]) => ({
  ...{ kind: "await", machines, since_ms: 1_000, until_ms: 301_000, grace_s: 300 },
});

Deno.test("the engine waits if more than the threshold of the machines are lost at once", () => {
  assert.equal(next({ present: ["a", "b"], lost: ["c", "d"] }), undefined, "half of four");
  assert.deepEqual(next({ present: ["a"], lost: ["d", "c", "b"] }), begun("b", "c", "d"));
  assert.deepEqual(next({ present: ["a"], lost: ["b", "c"] }), begun("b", "c"), "two of three");
  assert.equal(next({ present: ["a", "b", "c"], lost: ["d", "e"] }), undefined, "two of five");
  assert.equal(next({ present: ["a", "b", "c"] }), undefined);
});

Deno.test("the loss of a single machine, or of machines that were stopped or given up, is no mass loss", () => {
  assert.equal(next({ present: [], lost: ["a"] }), undefined);
  assert.equal(next({ present: ["a"], lost: ["b"] }, { share: 0.1, grace_s: 300 }), undefined);
  assert.equal(next({ present: ["a"], lost: ["b", "c"], departed: ["c"] }), undefined);
});

Deno.test("a threshold of 1 or a grace of 0 turns the brake off", () => {
  assert.equal(next({ present: ["a"], lost: ["b", "c"] }, { share: 1, grace_s: 300 }), undefined);
  assert.equal(next({ present: ["a"], lost: ["b", "c"] }, { share: 0.5, grace_s: 0 }), undefined);
});

Deno.test("machines that are lost during the wait are recorded, without a longer wait", () => {
  const loss = { machines: ["b", "c"] };
  assert.equal(next({ present: ["a"], loss }), undefined, "a new leader waits on");
  assert.equal(next({ present: ["a", "b"], loss }), undefined, "until all are back");
  assert.deepEqual(next({ present: ["z"], lost: ["a"], loss }), {
    ...{ kind: "await", machines: ["a", "b", "c"], since_ms: 0, until_ms: 300_000 },
  });
});

Deno.test("the wait ends when all machines are back, also those that were stopped in the meantime", () => {
  const loss = { machines: ["b", "c"] };
  assert.deepEqual(next({ present: ["a", "b", "c"], loss }), { kind: "resume" });
  assert.deepEqual(next({ present: ["a", "b"], departed: ["c"], loss }), { kind: "resume" });
});

Deno.test("after the wait the missing machines are given up, unless they vanished a moment ago", () => {
  const loss = { machines: ["b", "c", "d"], isOver: true };
  assert.deepEqual(next({ present: ["a", "b"], loss }), { kind: "give up", machines: ["c", "d"] });
  assert.deepEqual(next({ present: ["a", "b"], lost: ["d"], held: ["d"], loss }), { kind: "give up", machines: ["c"] });
});
