/**
 * Writes the site of the docs: `deno run -A packaging/site/main.ts DIRECTORY [--base=/PATH/]`. An adapter.
 *
 * @module
 */

import { dirname, join } from "node:path/posix";
import { fileURLToPath } from "node:url";
import { buildSite } from "./site.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const [directory = "", option = "--base=/"] = Deno.args;
const base = /^--base=(\/(?:.*\/)?)$/.exec(option)?.[1];
if (directory === "" || directory.startsWith("-") || base === undefined) {
  throw new Error("expected DIRECTORY [--base=/PATH/]");
}

/** Returns the Markdown files of a folder and, if `deep`, of the folders below it. */
async function markdownIn(folder: string, deep: boolean): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(join(root, folder))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory && deep) found.push(...await markdownIn(path, deep));
    if (entry.isFile && path.endsWith(".md")) found.push(path);
  }
  return found.sort();
}

async function bundleClient(): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    cwd: root,
    args: [
      ...["bundle", "--quiet", "--frozen", "--platform=browser", "--format=iife", "--minify"],
      ...[`--output=${join(directory, "site.js")}`, "packaging/site/client/main.ts"],
    ],
  }).output();
  if (!success) throw new Error(`deno bundle failed: ${new TextDecoder().decode(stderr)}`);
}

const paths = [...await markdownIn("", false), ...await markdownIn("docs", true)];
const pages = new Map(
  await Promise.all(paths.map(async (path) => [path, await Deno.readTextFile(join(root, path))] as const)),
);
const isFolder = (path: string) => Deno.statSync(join(root, path)).isDirectory;
const { texts, copies } = buildSite({ pages, isFolder }, base);
const assets: [from: string, to: string][] = [
  ...copies,
  ["packaging/site/client/style.css", "style.css"],
  ["daemon/ui/icon.svg", "icon.svg"],
];

// Pages of an earlier build that are gone must not stay. Only a directory that this program wrote is deleted.
if (await Deno.stat(join(directory, "search.js")).catch(() => undefined)) {
  await Deno.remove(directory, { recursive: true });
}
await Deno.mkdir(directory, { recursive: true });
const write = async (address: string, write: (path: string) => Promise<void>) => {
  const path = join(directory, address);
  await Deno.mkdir(dirname(path), { recursive: true });
  await write(path);
};
await Promise.all([
  bundleClient(),
  ...[...texts].map(([address, text]) => write(address, (path) => Deno.writeTextFile(path, text))),
  ...assets.map(([from, to]) => write(to, (path) => Deno.copyFile(join(root, from), path))),
]);
console.log(`${join(directory, "index.html")}: ${pages.size} pages`);
