import assert from "node:assert/strict";
import { referencePage, withReference } from "./reference.ts";

Deno.test("the reference of fleetctl is that of its help; otherwise run deno task docs", async () => {
  const page = await Deno.readTextFile(referencePage);
  assert.equal(page, await withReference(page));
});
