import assert from "node:assert/strict";
import { Budget } from "./budget.ts";

Deno.test("a budget grants no more than its capacity, and a second release of a grant has no effect", () => {
  const budget = new Budget(2);
  const [first, second] = [budget.take(), budget.take()];
  assert.ok(first && second);
  assert.equal(budget.take(), undefined);
  first();
  first();
  assert.ok(budget.take());
  assert.equal(budget.take(), undefined);
});

Deno.test("a budget grants the whole amount or nothing", () => {
  const budget = new Budget(10);
  const release = budget.take(8);
  assert.equal(budget.take(3), undefined);
  assert.ok(budget.take(2));
  release?.();
  assert.ok(budget.take(8));
  assert.equal(budget.take(), undefined);
});
