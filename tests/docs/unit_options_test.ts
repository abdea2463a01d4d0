/** docs/reference/unit-options.md against the code that reads the [X-Fleet] section. */

import assert from "node:assert/strict";
import { deprecatedNames, fleetOptionNames, parseRequirements } from "../../registry/requirements.ts";
import { checkUnit, type Finding } from "../../registry/unit_check.ts";
import { readUnitFile } from "../../systemd/unit_file.ts";

const page = await Deno.readTextFile(new URL("../../docs/reference/unit-options.md", import.meta.url));

/** Returns the text below a heading, up to the next heading of the same or a higher level. */
function section(heading: string): string {
  const level = /^#+/.exec(heading)![0].length;
  const [, rest] = page.split(`\n${heading}\n`);
  assert.ok(rest !== undefined, `the page has no heading "${heading}"`);
  return rest.split(new RegExp(`\n#{2,${level}} `))[0]!;
}

/** Returns the rows of all tables of a text, each as its cells. */
function rows(text: string): string[][] {
  return text.split("\n").filter((line) => /^\| [^-]/.test(line))
    .map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()));
}

/** Returns what stands between backticks. */
const quoted = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);

/** Checks a service, or a unit of another name, with these lines in its [X-Fleet] section. */
function check(lines: readonly string[], name = "x.service"): Finding[] {
  const text = `[Service]\nExecStart=/bin/true\n[X-Fleet]\n${lines.join("\n")}\n`;
  return checkUnit(name, readUnitFile(text).options);
}

/** Returns the options of the overview, each with the heading of its section: related options share one. */
function overview(): readonly (readonly [name: string, heading: string])[] {
  const headings = [...section("## The options").matchAll(/^### (.+)$/gm)].map(([, name]) => name!);
  return rows(page.split("\n## ")[0]!).slice(1).map(([cell]) => {
    const [, name = "", anchor] = /^\[`(\w+)=`\]\(#(\w+)\)$/.exec(cell!) ?? [];
    return [name, headings.find((heading) => heading.toLowerCase() === anchor) ?? `(none for ${cell})`];
  });
}

Deno.test("every option has a row in the overview and a section, and there is no other", () => {
  assert.deepEqual(overview().map(([name]) => name), fleetOptionNames);
  const headings = [...section("## The options").matchAll(/^### (.+)$/gm)].map(([, name]) => name!);
  assert.deepEqual([...new Set(overview().map(([, heading]) => heading))], headings);
});

Deno.test("the section of every option shows it in an example", () => {
  for (const [name, heading] of overview()) {
    const examples = [...section(`### ${heading}`).matchAll(/```ini\n([\s\S]*?)```/g)].map(([, example]) => example);
    assert.ok(examples.some((example) => example!.includes(`\n${name}=`)), `${name} is in no example of ${heading}`);
  }
});

Deno.test("every example is a unit without errors and warnings", () => {
  const examples = [...page.matchAll(/```ini\n# (\S+)\n([\s\S]*?)```/g)];
  assert.equal(examples.length, page.match(/```ini/g)!.length, "each begins with its name in a comment");
  for (const [, name, text] of examples) {
    const { options, ignored } = readUnitFile(text!);
    assert.deepEqual(ignored, [], name!);
    assert.deepEqual(checkUnit(name!, options), [], name!);
  }
});

Deno.test("the table of older names is complete", () => {
  const documented = rows(section("## Older names")).slice(1).map((cells) => cells.map((cell) => quoted(cell)[0]!));
  const known = Object.entries(deprecatedNames).flatMap(([name, older]) => older.map((old) => [old, name]));
  assert.deepEqual(documented, known);
});

Deno.test("pairs of options are refused exactly if the page says that they exclude each other", () => {
  const excluded = rows(section("## Options that exclude each other")).slice(1).flatMap(([one, others]) =>
    quoted(others!).flatMap((other) => [`${quoted(one!)[0]} ${other}`, `${other} ${quoted(one!)[0]}`])
  );
  const sample: Readonly<Record<string, string>> = {
    ...{
      MachineID: "01234567",
      MachineMetadata: "a=b",
      Global: "true",
      StopWhenDisconnected: "10s",
      Instances: "3",
      Desired: "loaded",
      HealthCheck: "/bin/true",
      HealthTimeout: "5s",
      HealthInterval: "10s",
      MemoryReserve: "1G",
      CPUReserve: "1",
      Resources: "gpu=1",
      Spread: "zone",
      Prefer: "a=b",
      Pin: "true",
      OnFailure: "move",
      MoveAfter: "3/10m",
      MaxParallel: "2",
      HealthyDeadline: "1min",
      MinHealthyTime: "10s",
    },
  };
  const line = (name: string) => `${name}=${sample[name] ?? `${name.toLowerCase()}.service`}`;
  for (const one of fleetOptionNames) {
    for (const other of fleetOptionNames.filter((name) => name !== one)) {
      const refused = check([line(one), line(other)], "x@.service").some(({ kind }) => kind === "invalid");
      // An option of the page may have the value that is excluded, as in `OnFailure=move`.
      const isListed = excluded.some((pair) => {
        const [a = "", b = ""] = pair.split(" ");
        return line(one).startsWith(a) && line(other).startsWith(b);
      });
      assert.equal(refused, isListed, `${one} and ${other}`);
    }
  }
});

Deno.test("the findings that the page lists are those of the checks", () => {
  const [refused, unknown, doubtful] = section("## What fleetctl refuses and warns of").split(/\n\*\*/).slice(1);
  for (const [kind, text] of Object.entries({ invalid: refused, unknown, doubtful })) {
    const listed = rows(text!).slice(1);
    assert.ok(listed.length > 1, `the page lists ${kind} units`);
    for (const [lines, message] of listed) {
      const found = check(quoted(lines!));
      assert.deepEqual(found.map(({ kind }) => kind), [kind], lines!);
      assert.equal(`\`${found[0]!.message}\``, message, lines!);
    }
  }
});

Deno.test("the table of specifiers shows their values", () => {
  const [header, ...specifiers] = rows(section("### Specifiers"));
  assert.equal(specifiers.length, 4);
  for (const [specifier, ...values] of specifiers) {
    for (const [index, value] of values.entries()) {
      const unit = quoted(header![index + 1]!)[0]!;
      const options = [{ section: "X-Fleet", name: "Conflicts", value: quoted(specifier!)[0]! }];
      assert.deepEqual(
        parseRequirements(unit, options).conflicts,
        quoted(value).slice(0, 1),
        `${specifier} of ${unit}`,
      );
    }
  }
});
