/** Compares the files of a machine with the table in docs/reference/files.md. */

import assert from "node:assert/strict";
import type { Machine } from "./machine.ts";

/** A row of the table. */
interface Row {
  /** A path, in which `*` stands for any characters of a name. */
  readonly path: string;
  readonly mode: string;
  readonly owner: string;
}

/** Returns the rows of the table. */
export function fileTable(): readonly Row[] {
  const text = Deno.readTextFileSync(new URL("../../docs/reference/files.md", import.meta.url));
  const rows = [...text.matchAll(/^\| `(\S+)` +\| 0(\d{3}) \| (\w+) +\|/gm)];
  return rows.map(([, path, mode, owner]) => ({ path: path!, mode: mode!, owner: owner! }));
}

/**
 * Returns the row of a path: the one without a pattern, if there is one. A draft has the row of its file, and a file of
 * `fleetd --dev` that of the same file without it.
 */
function rowOf(path: string): Row | undefined {
  const name = path.replace(/\/\.?([^/]+)\.new$/, "/$1")
    .replace(/^\/run\/user\/\d+\/fleet-dev/, "/run/fleet/dev")
    .replace(/^\/run\/fleet\/dev\/(?!fleet\.sock$)/, "/run/fleet/");
  const pattern = (text: string) => new RegExp(`^${text.replaceAll(".", "\\.").replaceAll("*", "[^/]*")}$`);
  const matching = fileTable().filter((row) => pattern(row.path).test(name));
  return matching.find((row) => row.path === name) ?? matching[0];
}

/**
 * Checks that each file at and below `roots` has a row with its mode and its owner (its group is the owner's or root), and that each path of `present`, as it
 * is written in the table, exists. `fleetd`: the user that fleetd runs as.
 */
export async function checkFiles(
  machine: Machine,
  fleetd: string,
  roots: readonly string[],
  present: readonly string[],
): Promise<void> {
  // A file may be replaced during the walk.
  const walk = ["find", ...roots, "-ignore_readdir_race", "-printf", "%m %u:%g %p\\n"];
  const lines = (await machine.must(walk)).trim().split("\n");
  const found = new Set<string | undefined>();
  const wrong = lines.filter((line) => {
    const [mode, owners, path] = line.split(" ") as [string, string, string];
    const row = rowOf(path);
    found.add(row?.path);
    const owner = row?.owner === "fleetd" ? fleetd : row?.owner;
    return row?.mode !== mode.padStart(3, "0") || ![`${owner}:${owner}`, `${owner}:root`].includes(owners);
  });
  assert.deepEqual(wrong, [], "files that docs/reference/files.md does not list with this mode and owner");
  assert.deepEqual(present.filter((path) => !found.has(path)), [], `no such file among:\n${lines.join("\n")}`);
}
