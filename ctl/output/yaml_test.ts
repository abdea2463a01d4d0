import assert from "node:assert/strict";
import { yamlObject } from "./yaml.ts";

const cases: { name: string; value: object; text: string }[] = [
  {
    name: "scalars are JSON",
    value: { a: 1, b: 'x: "y"', c: null, d: true },
    text: 'a: 1\nb: "x: \\"y\\""\nc: null\nd: true\n',
  },
  { name: "what is undefined is left out", value: { a: undefined, b: 1 }, text: "b: 1\n" },
  { name: "a mapping in a mapping", value: { a: { b: { c: 1 }, d: 2 } }, text: "a:\n  b:\n    c: 1\n  d: 2\n" },
  {
    name: "what is empty, and lists of scalars",
    value: { a: {}, b: [], c: ["x", 1] },
    text: 'a: {}\nb: []\nc: ["x",1]\n',
  },
  {
    name: "a list of mappings, with lists in them",
    value: { a: [{ b: 1, c: [{ d: 2 }, { e: { f: 3 } }] }, { g: 4 }] },
    text: "a:\n- b: 1\n  c:\n  - d: 2\n  - e:\n      f: 3\n- g: 4\n",
  },
];

for (const { name, value, text } of cases) {
  Deno.test(`YAML: ${name}`, () => assert.equal(yamlObject(value), text));
}
