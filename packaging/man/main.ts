/**
 * Writes the manual pages into a directory, for `compile.sh`: `deno run packaging/man/main.ts DIRECTORY DATE`. An adapter.
 *
 * @module
 */

import { commands } from "../../ctl/commands/index.ts";
import { version } from "../../runtime/version.ts";
import { manPages } from "./pages.ts";
import { manSource } from "./roff.ts";

const [directory = "", date = ""] = Deno.args;
if (directory === "" || !/^\d{4}-\d\d-\d\d$/.test(date)) {
  throw new Error("expected a directory and a date, YYYY-MM-DD");
}
const read = (name: string) => Deno.readTextFile(new URL(`../../docs/reference/${name}.md`, import.meta.url));
const [configuration, unitOptions, files] = await Promise.all([
  read("configuration"),
  read("unit-options"),
  read("files"),
]);
for (const page of manPages(commands, { configuration, unitOptions, files })) {
  const folder = `${directory}/man${page.section}`;
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/${page.name}.${page.section}`, manSource(page, version, date));
}
