import assert from "node:assert/strict";
import { PipelineQueue } from "./pipeline_queue.ts";

Deno.test("requests of one connection are handled one after the other, those of other connections at once", () => {
  const queue = new PipelineQueue<object>();
  const [a, b] = [{}, {}];
  const begun: string[] = [];
  const add = (connection: object, name: string) => queue.add(connection, () => begun.push(name));
  assert.deepEqual([add(a, "a1"), add(a, "a2"), add(b, "b1"), add(a, "a3")], [0, 1, 0, 2]);
  assert.deepEqual(begun, ["a1", "b1"]);
  queue.done(a);
  queue.done(b);
  assert.deepEqual(begun, ["a1", "b1", "a2"]);
  queue.drop(a);
  queue.done(a);
  assert.deepEqual(begun, ["a1", "b1", "a2"], "a dropped request does not begin");
  assert.equal(add(a, "a4"), 0);
  queue.done(a);
  assert.equal(add(a, "a5"), 0, "an idle connection begins its next request at once");
});
