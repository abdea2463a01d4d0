/** The manual pages: complete, and without faults that a checker of manual pages finds. */

import assert from "node:assert/strict";
import { commands } from "../../ctl/commands/index.ts";
import { fleetOptionNames } from "../../registry/requirements.ts";
import { options } from "../../daemon/config/options.ts";
import { manPages } from "../../packaging/man/pages.ts";
import { manSource } from "../../packaging/man/roff.ts";
import { run } from "../lab/process.ts";

const read = (name: string) => Deno.readTextFile(new URL(`../../docs/reference/${name}.md`, import.meta.url));
const [configuration, unitOptions, files] = await Promise.all([
  read("configuration"),
  read("unit-options"),
  read("files"),
]);
const pages = manPages(commands, { configuration, unitOptions, files });
const sources = new Map(pages.map((page) => [`${page.name}.${page.section}`, manSource(page, "1.2.3", "2026-01-02")]));

Deno.test("there is a page for each command that people use, the daemon, and both kinds of files", () => {
  const wanted = commands.filter(({ isHidden }) => !isHidden).map(({ name }) => `fleetctl-${name}.1`);
  const found = [...sources.keys()].sort();
  assert.deepEqual(found, [...wanted, "fleet.conf.5", "fleet.unit.5", "fleetctl.1", "fleetd.8"].sort());
});

Deno.test("mandoc finds no fault in any page", async () => {
  const directory = await Deno.makeTempDir({ prefix: "fleet-man-" });
  try {
    for (const [name, source] of sources) await Deno.writeTextFile(`${directory}/${name}`, source);
    const names = [...sources.keys()].map((name) => `${directory}/${name}`);
    const { code, stdout, stderr } = await run(["mandoc", "-T", "lint", "-W", "warning", ...names]);
    assert.equal(code, 0, stdout + stderr);
    // The checker does find a fault.
    await Deno.writeTextFile(`${directory}/bad.1`, ".TH BAD 1\n.SH NAME\nbad\n.XY\n");
    assert.notEqual((await run(["mandoc", "-T", "lint", "-W", "warning", `${directory}/bad.1`])).code, 0);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("every option is in its page", () => {
  const conf = sources.get("fleet.conf.5")!;
  for (const { name } of Object.values(options)) assert.ok(conf.includes(`\\fB${name}\\fP`), name);
  const unit = sources.get("fleet.unit.5")!;
  for (const name of fleetOptionNames) assert.ok(unit.includes(`\\fB${name}=\\fP`), name);
});

Deno.test("text cannot become a request or an escape of roff", () => {
  const source = manSource(
    {
      name: "x",
      section: 1,
      summary: "y",
      markdown: "## Description\n\n.de a\n\n'x \\fB `\\n` a-b\n\n```\n.so /etc/passwd\n```",
      seeAlso: ["z(1)"],
    },
    "1",
    "2026-01-02",
  );
  const lines = source.split("\n");
  assert.ok(lines.includes("\\&.de a"), source);
  assert.ok(lines.includes("\\&.so /etc/passwd"), source);
  assert.ok(source.includes("\\(aqx \\efB \\fB\\en\\fP a\\-b"), source);
});
