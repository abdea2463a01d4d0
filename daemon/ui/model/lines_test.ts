/// <reference lib="deno.ns" />

import assert from "node:assert/strict";
import { lineSplitter, maxLine } from "./lines.ts";

Deno.test("lines are complete with their line break, however the text is cut", () => {
  const split = lineSplitter();
  assert.deepEqual(["on", "e\ntwo\nth", "ree", "\n"].map(split), [[], ["one", "two"], [], ["three"]]);
});

Deno.test("a line without end becomes lines of the longest length", () => {
  const split = lineSplitter();
  const lines = Array.from({ length: 10 }, () => split("x".repeat(maxLine))).flat();
  assert.deepEqual(lines.map(({ length }) => length), Array(9).fill(maxLine));
  assert.deepEqual(split("\n").map(({ length }) => length), [maxLine]);
});
