import assert from "node:assert/strict";
import { CountLimit } from "./places.ts";

Deno.test("there are so many places and no more, and one is given back once", () => {
  const places = new CountLimit(2);
  const [first, second] = [places.take(), places.take()];
  assert.ok(first && second);
  assert.equal(places.take(), undefined);
  first();
  first();
  assert.ok(places.take());
  assert.equal(places.take(), undefined);
});
