import assert from "node:assert/strict";
import { FileCache } from "./file_cache.ts";

/** Returns those of the hashes whose text a cache holds. */
const held = (cache: FileCache, hashes: string) => [...hashes].filter((hash) => cache.get(hash) !== undefined).join("");

Deno.test("the least recently used text is evicted first", () => {
  const cache = new FileCache(30);
  for (const hash of ["a", "b", "c"]) cache.set(hash, hash.repeat(10));
  assert.equal(cache.get("a"), "a".repeat(10));
  cache.set("d", "d".repeat(10));
  assert.equal(held(cache, "abcd"), "acd", "b was not read since a was");
});

Deno.test("texts that are stored again take their size once", () => {
  const cache = new FileCache(30);
  cache.set("a", "a".repeat(10));
  for (let round = 0; round < 10; round++) cache.set("b", "b".repeat(20));
  assert.equal(held(cache, "ab"), "ab");
});

Deno.test("a text above the limit is kept alone", () => {
  const cache = new FileCache(30);
  cache.set("a", "a".repeat(10));
  cache.set("b", "b".repeat(40));
  assert.equal(held(cache, "ab"), "b");
  cache.set("c", "c");
  assert.equal(held(cache, "bc"), "c");
});
