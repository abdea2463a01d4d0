/**
 * Runs every script in this folder. To accept the actual output as the expected one, run with `FLEET_UPDATE_SCENARIOS=1` and
 * review the difference.
 */

import assert from "node:assert/strict";
import { runScript } from "./script.ts";

const folder = new URL(".", import.meta.url);
const update = Deno.env.get("FLEET_UPDATE_SCENARIOS") === "1";

for (const { name } of [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1)) {
  if (!name.endsWith(".txt")) continue;
  Deno.test(`roll-out ${name}`, () => {
    const path = new URL(name, folder);
    const expected = Deno.readTextFileSync(path);
    const actual = runScript(expected);
    if (update) Deno.writeTextFileSync(path, actual);
    else assert.equal(actual, expected);
  });
}
