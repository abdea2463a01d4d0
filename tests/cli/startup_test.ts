import assert from "node:assert/strict";
import { parse } from "../architecture/source.ts";

const root = new URL("../../", import.meta.url);

/** Returns the packages that a file loads before its first line runs, and each with the file that imports it. */
function packagesAtStart(entry: string): Map<string, string> {
  const packages = new Map<string, string>();
  const seen = new Set([entry]);
  for (const path of seen) {
    const { imports } = parse(path, Deno.readTextFileSync(new URL(path, root)));
    for (const { specifier, path: imported, dynamic, typeOnly } of imports) {
      if (dynamic || typeOnly) continue;
      if (imported === undefined) packages.set(specifier, path);
      else if (imported.endsWith(".ts")) seen.add(imported);
    }
  }
  return packages;
}

Deno.test("fleetctl starts without SSH, etcd and YAML, which only some commands need", () => {
  const packages = packagesAtStart("ctl/main.ts");
  assert.deepEqual([...packages.keys()].filter((name) => !name.startsWith("node:")).sort(), [
    "eventsource-parser",
  ]);
});
