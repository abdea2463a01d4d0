/** The records of decisions in docs/internals/adr. */

import assert from "node:assert/strict";

const folder = new URL("../../docs/internals/adr/", import.meta.url);

Deno.test("decisions are numbered without holes and repetitions, and each title has the number of its file", async () => {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
  assert.deepEqual(names.map((name) => name.slice(0, 4)), names.map((_, index) => `${index + 1}`.padStart(4, "0")));
  for (const name of names) {
    const text = await Deno.readTextFile(new URL(name, folder));
    assert.match(text, new RegExp(`^# ADR ${Number(name.slice(0, 4))}: `), name);
  }
});
