/** docs/reference/glossary.md: sorted, and each word once. */

import assert from "node:assert/strict";

Deno.test("the glossary has each word once, in alphabetical order, with a meaning", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/reference/glossary.md", import.meta.url));
  const rows = [...page.matchAll(/^\| \*\*(.+?)\*\* +\| (.+?) +\|$/gm)];
  const words = rows.map(([, word]) => word!.replaceAll(/[`[\]]/g, ""));
  assert.ok(words.length > 50);
  assert.deepEqual(words, [...new Set(words)].sort((a, b) => a.localeCompare(b, "en")));
  for (const [, word, meaning] of rows) assert.ok(meaning!.length > 15, word!);
});
