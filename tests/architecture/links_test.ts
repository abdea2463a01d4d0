/** The links in Markdown: each leads to a file, a heading or a well-formed address of another host. */

import assert from "node:assert/strict";
import { join } from "node:path/posix";
import { fileURLToPath } from "node:url";
import { readMarkdown } from "../../packaging/site/markdown.ts";
import { filesOf } from "./source.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Returns an error for an address of another host that cannot be right. No host is asked. */
function faultOf(address: string): string | undefined {
  if (!URL.canParse(address)) return "cannot be parsed";
  const { protocol, hostname } = new URL(address);
  if (protocol === "mailto:") return undefined;
  if (protocol !== "https:") return "is not encrypted: use https";
  return /^[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}$/.test(hostname) ? undefined : "names no public host";
}

/** Returns what is wrong with the links of a page. `read` returns a Markdown page; `exists` knows every file and folder. */
async function brokenLinks(
  path: string,
  read: (path: string) => Promise<string>,
  exists: (path: string) => Promise<boolean>,
): Promise<string[]> {
  const broken: string[] = [];
  for (const { to } of readMarkdown(path, await read(path)).links) {
    if (/^[a-z]+:/.test(to)) {
      const fault = faultOf(to);
      if (fault !== undefined) broken.push(`${path}: the link to ${to} ${fault}`);
      continue;
    }
    const [file = "", anchor] = to.split("#");
    const target = file === "" ? path : join(path, "..", file);
    const isThere = await exists(target) && (anchor === undefined || target.endsWith(".md") &&
        readMarkdown(target, await read(target)).headings.some(({ id }) => id === anchor));
    if (!isThere) broken.push(`${path}: links to ${to}, which does not exist`);
  }
  return broken;
}

Deno.test("a broken link is found", async () => {
  const pages: Record<string, string> = {
    "a.md": "# A\n\n[b](b.md#c) [gone](gone.md) [no](b.md#no) [self](#a) [f](folder) ![i](../i.png) `[code](x.md)`\n" +
      "[x] [h](http://example.com) [local](https://fleet/v1) [bad](https://) [good](https://etcd.io/docs/#x) http://HOST:PORT\n\n[x]: gone\n",
    "b.md": "# B\n\n```sh\n# no\n```\n\n## C\n",
  };
  const read = (path: string) => Promise.resolve(pages[path]!);
  assert.deepEqual(await brokenLinks("a.md", read, (path) => Promise.resolve(path in pages || path === "folder")), [
    "a.md: links to gone.md, which does not exist",
    "a.md: links to b.md#no, which does not exist",
    "a.md: links to ../i.png, which does not exist",
    "a.md: links to gone, which does not exist",
    "a.md: the link to http://example.com is not encrypted: use https",
    "a.md: the link to https://fleet/v1 names no public host",
    "a.md: the link to https:// cannot be parsed",
  ]);
});

Deno.test("every link in Markdown leads to a file, a heading or a well-formed address", async () => {
  const read = (path: string) => Deno.readTextFile(root + path);
  const exists = (path: string) => Deno.stat(root + path).then(() => true, () => false);
  const paths = await filesOf(root, ".md");
  assert.ok(paths.includes("docs/guides/deploy.md") && paths.includes("README.md"));
  const broken = (await Promise.all(paths.map((path) => brokenLinks(path, read, exists)))).flat();
  assert.deepEqual(broken, []);
});
