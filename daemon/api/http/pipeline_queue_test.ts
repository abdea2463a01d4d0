import assert from "node:assert/strict";
import { Turns } from "./pipeline_queue.ts";

Deno.test("requests of one connection take turns, those of others do not wait", () => {
  const turns = new Turns<object>();
  const [a, b] = [{}, {}];
  const begun: string[] = [];
  const take = (connection: object, name: string) => turns.take(connection, () => begun.push(name));
  assert.deepEqual([take(a, "a1"), take(a, "a2"), take(b, "b1"), take(a, "a3")], [0, 1, 0, 2]);
  assert.deepEqual(begun, ["a1", "b1"]);
  turns.done(a);
  turns.done(b);
  assert.deepEqual(begun, ["a1", "b1", "a2"]);
  turns.drop(a);
  turns.done(a);
  assert.deepEqual(begun, ["a1", "b1", "a2"], "what was dropped does not begin");
  assert.equal(take(a, "a4"), 0);
  turns.done(a);
  assert.equal(take(a, "a5"), 0, "when all are done the next begins at once");
});
