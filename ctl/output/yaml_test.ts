import assert from "node:assert/strict";
import { parse } from "yaml";
import { yamlDocument } from "./yaml.ts";

const cases: { name: string; value: object; text: string }[] = [
  { name: "an undefined property is left out", value: { a: undefined, b: 1 }, text: "b: 1\n" },
  { name: "an empty list", value: [], text: "[]\n" },
  {
    name: "text that looks like another type is quoted",
    value: { a: "no", b: "12:30", c: "null", d: "", e: 1 },
    text: 'a: "no"\nb: "12:30"\nc: "null"\nd: ""\ne: 1\n',
  },
  { name: "a repeated object is written out", value: Array(2).fill({ a: 1 }), text: "- a: 1\n- a: 1\n" },
];

for (const { name, value, text } of cases) Deno.test(`YAML: ${name}`, () => assert.equal(yamlDocument(value), text));

Deno.test("YAML: any text is kept, on one line and without control characters", () => {
  const value = { a: "x\x1b[2J: y\n# z", b: "word ".repeat(50), c: " - [", d: "\u2028\x9b" };
  const text = yamlDocument(value);
  assert.deepEqual(parse(text), value);
  assert.equal(text.split("\n").length, 5);
  assert.ok(!text.includes("\x1b"));
});
