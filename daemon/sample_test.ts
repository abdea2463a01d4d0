/** The sample configuration and the docs agree with the daemon. */

import assert from "node:assert/strict";
import { parseConfig } from "./config/options.ts";

const root = new URL("../", import.meta.url);
const sample = await Deno.readTextFile(new URL("examples/fleet.conf.sample", root));
const optionLine = /^#([a-z_]+)=(.*)$/;

Deno.test("fleet.conf.sample names every option with its default", () => {
  const { texts } = parseConfig({ env: {} });
  const shown = sample.split("\n").flatMap((line) => {
    const [, name, value] = optionLine.exec(line) ?? [];
    return name === undefined ? [] : [[name, value] as const];
  });
  assert.deepEqual(Object.fromEntries(shown), Object.fromEntries(texts));
  assert.equal(new Set(shown.map(([name]) => name)).size, shown.length, "each once");
});

Deno.test("fleet.conf.sample is a configuration, as it is and with every option uncommented", () => {
  const all = sample.split("\n").map((line) => optionLine.test(line) ? line.slice(1) : line).join("\n");
  for (const text of [sample, all]) {
    const { config, warnings } = parseConfig({ file: { path: "/etc/fleet/fleet.conf", text }, env: {} });
    assert.deepEqual(config, parseConfig({ env: {} }).config);
    assert.deepEqual(warnings, []);
  }
});

Deno.test("docs/reference/configuration.md explains every option", async () => {
  const text = await Deno.readTextFile(new URL("docs/reference/configuration.md", root));
  for (const name of parseConfig({ env: {} }).texts.keys()) {
    assert.ok(text.includes(`| \`${name}\``), `${name} has no row`);
  }
});
