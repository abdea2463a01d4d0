/** The messages that docs/guides/troubleshoot.md quotes exist in the code. */

import assert from "node:assert/strict";
import { filesOf } from "../architecture/source.ts";

const root = new URL("../../", import.meta.url).pathname;

/** Returns the texts of a table's column, each as its parts between the marks for what differs. */
function quotedMessages(page: string): string[] {
  let column = -1;
  return page.split("\n").flatMap((line) => {
    if (!line.startsWith("|")) column = -1;
    const cells = line.split("|").map((cell) => cell.trim());
    if (column < 0) {
      column = cells.findIndex((cell) => cell === "message" || cell === "reason");
      return [];
    }
    return /^`(.*)`$/.exec(cells[column] ?? "")?.slice(1) ?? [];
  });
}

const partsOf = (message: string) => message.split(/[….]*…[….]*/).map((part) => part.trim()).filter((part) => part);

/** Returns a program's text with each literal in one piece, and `…` for what is inserted. */
function literals(source: string): string {
  return source.replaceAll(/["'`]\s*\+\s*(\([^()]*\)\s*\+\s*)?["'`]/g, "").replaceAll('\\"', '"')
    .replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, "…");
}

async function corpus(): Promise<string> {
  const folders = ["ctl", "daemon", "registry", "runtime", "systemd"];
  const paths = (await filesOf(root, ".ts")).filter((path) => folders.some((folder) => path.startsWith(`${folder}/`)))
    .filter((path) => !path.endsWith("_test.ts") && !path.includes("/testing/"));
  assert.ok(paths.length > 100);
  return (await Promise.all(paths.map((path) => Deno.readTextFile(root + path)))).map(literals).join("\n");
}

Deno.test("every message that the guide quotes is in the code", async () => {
  const page = await Deno.readTextFile(`${root}docs/guides/troubleshoot.md`);
  const messages = quotedMessages(page);
  assert.ok(messages.length > 60, `${messages.length}`);
  const source = await corpus();
  const unknown = messages.filter((message) => partsOf(message).some((part) => !source.includes(part)));
  assert.deepEqual(unknown, []);
  assert.ok(!source.includes("a message that no program prints"), "the test finds an unknown message");
});
