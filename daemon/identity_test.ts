import assert from "node:assert/strict";
import { readMachineId } from "./identity.ts";

Deno.test("a machine without a machine ID is told what is missing", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "0123456789abcdef0123456789abcdef\n");
    assert.equal(await readMachineId(path), "0123456789abcdef0123456789abcdef");
    await Deno.writeTextFile(path, "\n");
    await assert.rejects(readMachineId(path), /machine ID.*expected 32 hexadecimal digits/);
  } finally {
    await Deno.remove(path);
  }
  await assert.rejects(readMachineId(path), new RegExp(`cannot read ${path}`));
});
