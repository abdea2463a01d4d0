import assert from "node:assert/strict";
import type { StoredContent, UnitFileText } from "../../registry/model.ts";
import { unusedContentLife_ms, UnusedContents } from "./unused_contents.ts";

const [a, b] = ["a".repeat(64), "b".repeat(64)];
const contents = (...list: [string, number][]) =>
  new Map(list.map(([hash, revision]): [string, StoredContent] => [hash, { hash, size_bytes: 3, revision }]));
const file = (hash: string): UnitFileText => ({
  hash: "unit",
  text: `[X-Fleet]\nFile=x:x:0644:${hash}:3\n`,
  revision: 1,
});

Deno.test("a content that no unit file names is deleted after a while, one that is named never", () => {
  const unused = new UnusedContents();
  const cluster = { contents: contents([a, 5], [b, 6]), files: new Map([["unit", file(a)]]) };
  assert.deepEqual(unused.due(cluster, 1_000), []);
  assert.deepEqual(unused.due(cluster, unusedContentLife_ms), [], "the time counts from the first look");
  const deletion = { kind: "forget", hash: b, size_bytes: 3, revision: 6 };
  assert.deepEqual(unused.due(cluster, 1_000 + unusedContentLife_ms + 10_000), [deletion]);
});

Deno.test("a content that was uploaded again, or was named for a while, gets the whole time again", () => {
  const unused = new UnusedContents();
  const files = new Map<string, UnitFileText>();
  unused.due({ contents: contents([a, 5], [b, 6]), files }, 0);
  unused.due({ contents: contents([a, 5], [b, 6]), files: new Map([["unit", file(b)]]) }, 20_000);
  const again = { contents: contents([a, 9], [b, 6]), files };
  assert.deepEqual(unused.due(again, 40_000), []);
  assert.deepEqual(unused.due(again, unusedContentLife_ms + 10_000), []);
  const due = unused.due(again, unusedContentLife_ms + 50_000).map((each) => "hash" in each && each.hash);
  assert.deepEqual(due, [a, b]);
});
