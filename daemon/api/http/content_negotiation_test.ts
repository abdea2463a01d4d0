import assert from "node:assert/strict";
import { prefers } from "./content_negotiation.ts";

const cases: readonly (readonly [accept: string | null, json: boolean])[] = [
  [null, false],
  ["", false],
  ["*/*", false],
  ["text/plain", false],
  ["image/png", false],
  ["application/json", true],
  ["Application/JSON", true],
  [" application/json ; charset=utf-8", true],
  ["application/json-seq", false],
  ["application/json, text/plain", false],
  ["text/plain, application/json", false],
  ["text/plain;q=0.5, application/json", true],
  ["text/html, application/json;q=0.9, */*;q=0.8", true],
  ["application/json;q=0.5, text/*", false],
  ["application/json;Q=0.9,text/plain; q=0.8", true],
  ["application/*", true],
  ["application/json;q=0, */*", false],
  ["application/json;q=0", false],
  ["*/*, text/plain;q=0", true],
  ["application/json;q=2, text/plain;q=0.9", true],
  ['text/plain;x="a, application/json"', false],
  ['application/json;x="a,\\",text/plain"', true],
  [",,application/json,,", true],
];

for (const [accept, json] of cases) {
  Deno.test(`Accept: ${accept} is for ${json ? "JSON" : "text"}`, () => {
    assert.equal(prefers(accept, "application/json", "text/plain"), json);
  });
}
