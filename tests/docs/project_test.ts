/** The files by which the project is run: the changelog, the version, and the templates of issues. */

import assert from "node:assert/strict";
import project from "../../deno.json" with { type: "json" };
import { parse } from "yaml";
import { commands } from "../../ctl/commands/index.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, root));

/** The groups of changes, in the order of https://keepachangelog.com/en/1.1.0/. */
const groups = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

/** Returns what is wrong with a changelog whose newest release must have this version. */
function faultsOf(changelog: string, version: string): string[] {
  const [head = "", ...releases] = changelog.split(/^## /m);
  const faults = /^# Changelog\n/.test(head) ? [] : ["it does not begin with # Changelog"];
  const dates: string[] = [];
  for (const [index, release] of releases.entries()) {
    const [title = "", ...lines] = release.split("\n");
    // The last release of CoreOS fleet, with which this file begins.
    if (title === "1.0.0" && index === releases.length - 1) continue;
    const [, number, date] = /^\[(\d+\.\d+\.\d+)\] - (unreleased|\d{4}-\d\d-\d\d)$/.exec(title) ?? [];
    if (number === undefined || date === undefined) faults.push(`${title}: not [VERSION] - DATE or unreleased`);
    if (index === 0 && number !== version) faults.push(`${title}: deno.json has ${version}`);
    if (index > 0 && date === "unreleased") faults.push(`${title}: an older release is unreleased`);
    if (date !== "unreleased") dates.push(date ?? "");
    const found = lines.filter((line) => line.startsWith("### ")).map((line) => line.slice(4));
    const known = groups.filter((group) => found.includes(group));
    if (found.join() !== known.join()) {
      faults.push(`${title}: the groups are ${found}, not some of ${groups}, once each`);
    }
    for (const part of release.split(/^### /m).slice(1)) {
      if (!/^.*\n\n- /.test(part)) faults.push(`${title}: ${part.split("\n", 1)} has no list of changes`);
    }
  }
  if (dates.join() !== dates.toSorted().reverse().join()) faults.push("the newest release is not first");
  return faults;
}

Deno.test("the changelog has the form of Keep a Changelog, and its newest version is that of deno.json", async () => {
  assert.deepEqual(faultsOf(await read("CHANGELOG.md"), project.version), []);
});

Deno.test("faults of a changelog are found", () => {
  const release = (title: string, group = "Added") => `## ${title}\n\n### ${group}\n\n- It.\n`;
  const good = `# Changelog\n\n${release("[1.2.0] - unreleased")}\n${
    release("[1.1.0] - 2026-01-02")
  }\n## 1.0.0\n\nOld.\n`;
  assert.deepEqual(faultsOf(good, "1.2.0"), []);
  const broken: [string, RegExp][] = [
    [good.replace("1.2.0", "1.3.0"), /deno\.json has 1\.2\.0/],
    [good.replace("unreleased", "soon"), /not \[VERSION\]/],
    [good.replace("2026-01-02", "unreleased"), /an older release is unreleased/],
    [good.replace("unreleased", "2025-01-02"), /the newest release is not first/],
    [good.replace("### Added", "### New"), /the groups are New/],
    [good.replace("### Added", "### Fixed\n\n- It.\n\n### Added"), /the groups are Fixed,Added/],
    [good.replace("- It.", "It."), /Added has no list/],
  ];
  for (const [text, fault] of broken) assert.match(faultsOf(text, "1.2.0").join("\n"), fault);
});

Deno.test("the version stands in deno.json alone", async () => {
  const { stdout } = await new Deno.Command("grep", {
    args: ["-rnF", project.version, "compile.sh", "packaging", "daemon", "ctl", "registry", "runtime", "systemd"],
    cwd: root.pathname,
  }).output();
  const lines = new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "");
  assert.deepEqual(lines.filter((line) => !/^[^:]*(_test|\/testing\/[^:]*)\.tsx?:/.test(line)), []);
});

Deno.test("templates of issues can be read, and ask for commands that exist", async () => {
  const folder = ".github/ISSUE_TEMPLATE";
  const names = [...Deno.readDirSync(new URL(folder, root))].map(({ name }) => name).sort();
  assert.deepEqual(names, ["bug.md", "proposal.md"]);
  for (const name of names.filter((name) => name.endsWith(".md"))) {
    const text = await read(`${folder}/${name}`);
    const [, head = ""] = /^---\n(.*?)^---\n/ms.exec(text) ?? [];
    assert.deepEqual(Object.keys(parse(head) as object), ["name", "about", "labels"]);
    for (const [, command] of text.matchAll(/fleetctl ([a-z-]+)/g)) {
      assert.ok(commands.some(({ name }) => name === command), `${name}: fleetctl ${command}`);
    }
  }
});
