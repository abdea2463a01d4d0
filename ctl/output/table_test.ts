import assert from "node:assert/strict";
import { alignRows } from "./table.ts";

const cases: { name: string; rows: string[][]; expected: string }[] = [
  { name: "no rows are no text", rows: [], expected: "" },
  { name: "the last cell is not padded", rows: [["a", "b"]], expected: "a\tb\n" },
  {
    name: "a column is as wide as its longest cell and one more, rounded up to 8",
    rows: [["UNIT", "SUB"], ["1234567", "x"], ["12345678", "y"]],
    expected: "UNIT\t\tSUB\n1234567\t\tx\n12345678\ty\n",
  },
  { name: "seven characters fill one stop", rows: [["1234567", "x"], ["", "y"]], expected: "1234567\tx\n\ty\n" },
  { name: "characters count, not bytes", rows: [["äöüäöüß", "x"]], expected: "äöüäöüß\tx\n" },
  { name: "an emoji is one character", rows: [["123456🚀", "x"]], expected: "123456🚀\tx\n" },
];

for (const { name, rows, expected } of cases) {
  Deno.test(`columns: ${name}`, () => assert.equal(alignRows(rows), expected));
}
