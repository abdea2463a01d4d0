import assert from "node:assert/strict";
import fc from "fast-check";
import "../tests/support/property_seed.ts";
import {
  expandSpecifiers,
  globMatch,
  globMatcher,
  isInstance,
  isMalformedGlob,
  isTemplate,
  mangleUnitName,
  parseUnitName,
  quote,
  templateOf,
  unrunnableName,
  unrunnableType,
  validateUnitName,
} from "./unit_name.ts";

Deno.test("a name is valid, or the first rule it breaks is told", async (t) => {
  const cases: readonly (readonly [name: string, refusal: string | undefined])[] = [
    ["hello.service", undefined],
    ["a:b-c_d.e\\x2d@1.service", undefined],
    ["x@a@b.c.socket", undefined],
    ["x@.service", undefined],
    [".service", undefined],
    ["foo.slice", undefined],
    ["foo.snapshot", undefined],
    ["foo.busname", undefined],
    [`${"a".repeat(248)}.service`, undefined],
    ["", "unit name cannot be empty"],
    [`${"a".repeat(249)}.service`, "unit name exceeds maximum length (256)"],
    [`${"é".repeat(125)}.service`, "unit name exceeds maximum length (256)"],
    ["hello", 'unit name must contain "."'],
    ["hello.", 'unit name cannot end in "."'],
    ["hello.Service", 'invalid unit type: "Service"'],
    ['hello.foo"bar', 'invalid unit type: "foo\\"bar"'],
    ["hello.service ", 'invalid unit type: "service "'],
    ["@.", 'unit name cannot end in "."'],
    ["x@1.mount", 'invalid unit type for template: "mount"'],
    ["foo@.slice", 'invalid unit type for template: "slice"'],
    ["a b.service", "invalid character ' ' in unit name"],
    ["a/b.service", "invalid character '/' in unit name"],
    ["a'b.service", "invalid character '\\'' in unit name"],
    ["caf\u00e9.service", "invalid character 'é' in unit name"],
    ["a\nb.service", "invalid character '\\n' in unit name"],
    ["a\0b.service", "invalid character '\\x00' in unit name"],
    ["a😀b.service", "invalid character '😀' in unit name"],
    ["@x.service", 'unit name cannot start in "@"'],
    ["@ .service", "invalid character ' ' in unit name"],
  ];
  for (const [name, refusal] of cases) {
    await t.step(`${quote(name)}: ${refusal ?? "valid"}`, () => assert.equal(validateUnitName(name), refusal));
  }
});

Deno.test("a name has parts", async (t) => {
  const cases: readonly (readonly [string, ReturnType<typeof parseUnitName>])[] = [
    ["hello.service", { name: "hello", prefix: "hello", instance: undefined, type: "service", template: undefined }],
    ["a.b.socket", { name: "a.b", prefix: "a.b", instance: undefined, type: "socket", template: undefined }],
    ["x@.service", { name: "x@", prefix: "x", instance: "", type: "service", template: "x@.service" }],
    ["x@a.b@c.service", { name: "x@a.b@c", prefix: "x", instance: "a.b@c", type: "service", template: "x@.service" }],
    ["x.y@", { name: "x", prefix: "x", instance: undefined, type: "y@", template: undefined }],
    ["plain", undefined],
    ["x@1", undefined],
  ];
  for (const [name, parts] of cases) await t.step(name, () => assert.deepEqual(parseUnitName(name), parts));
});

Deno.test("templates and instances are told apart", () => {
  assert.deepEqual(["x@.service", "x@1.service", "x.service", "x@"].map(isTemplate), [true, false, false, false]);
  assert.deepEqual(["x@.service", "x@1.service", "x.service", "x@1"].map(isInstance), [false, true, false, false]);
  assert.deepEqual(["x@1.timer", "x@.timer", "x.timer"].map(templateOf), ["x@.timer", undefined, undefined]);
});

Deno.test("a command line argument names a unit", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["foo", "foo.service"],
    ["foo.1", "foo.1.service"],
    ["foo.service", "foo.service"],
    ["dir/foo.socket", "foo.socket"],
    ["/abs/dir/foo@1", "foo@1.service"],
    ["dir/foo.timer/", "foo.timer"],
    ["foo.automount", "foo.automount"],
    ["foo.target", "foo.target"],
    ["dir/foo.slice", "foo.slice"],
    ["foo.swap", "foo.swap"],
    ["foo.scope", "foo.scope"],
    ["foo.container", "foo.container.service"],
    ["foo.SERVICE", "foo.SERVICE.service"],
  ];
  for (const [argument, name] of cases) assert.equal(mangleUnitName(argument), name);
});

Deno.test("specifiers are replaced as plain text", () => {
  const cases: readonly (readonly [value: string, name: string, expanded: string])[] = [
    ["%n|%N|%p|%i", "x@1.service", "x@1.service|x@1|x|1"],
    ["%n|%N|%p|%i", "x.service", "x.service|x|x|"],
    ["%i%i-%p", "a@b.c@d.socket", "b.c@db.c@d-a"],
    ["%%n", "x.service", "%x.service"],
    ["%h %m 100%", "x.service", "%h %m 100%"],
    ["%p", "$&.service", "$&"],
    ["%n", "plain", "%n"],
  ];
  for (const [value, name, expanded] of cases) assert.equal(expandSpecifiers(value, name), expanded);
});

Deno.test("a pattern matches whole names", async (t) => {
  const cases: readonly (readonly [pattern: string, name: string, matches: boolean])[] = [
    ["a.service", "a.service", true],
    ["a.service", "a.servic", false],
    ["", "", true],
    ["", "a", false],
    ["*", "", true],
    ["*", "anything.service", true],
    ["*", "a/b", false],
    ["a*", "a.service", true],
    ["a*", "ba", false],
    ["*.service", "a.service", true],
    ["*a*b*", "xxaxxbxx", true],
    ["*a*b*", "xxbxxaxx", false],
    ["a*b", "a/b", false],
    ["a*/b", "ax/b", true],
    ["**x", "aax", true],
    ["a?c", "abc", true],
    ["a?c", "ac", false],
    ["a?c", "a/c", false],
    ["a?c", "a😀c", true],
    ["[a-c]x", "bx", true],
    ["[a-c]x", "dx", false],
    ["[^a-c]x", "dx", true],
    ["[^a-c]x", "bx", false],
    ["[!a]x", "!x", true],
    ["[abz]x", "zx", true],
    ["[\\]]x", "]x", true],
    ["[\\-z]x", "-x", true],
    ["[*]x", "*x", true],
    ["[*]x", "ax", false],
    ["[c-a]x", "bx", false],
    ["[à-ü]", "é", true],
    ["\\*", "*", true],
    ["\\*", "a", false],
    ["x\\.service", "x.service", true],
    ["web@*.service", "web@1.service", true],
    ["web@?.service", "web@10.service", false],
    ["*[", "a[", false],
    ["a[", "a", false],
    ["a[]", "a]", false],
    ["[]a]", "]", false],
    ["[^]a]", "b", false],
    ["[a-]", "a", false],
    ["[-a]", "a", false],
    ["[a-b-c]", "a", false],
    ["a\\", "a\\", false],
    ["*\\", "a", false],
    ["a*[", "b", false],
  ];
  for (const [pattern, name, matches] of cases) {
    await t.step(`${quote(pattern)} ${matches ? "matches" : "does not match"} ${quote(name)}`, () => {
      assert.equal(globMatch(pattern, name), matches);
    });
  }
});

/** What a pattern means, said by a regular expression instead. */
function asRegExp(pattern: string): RegExp {
  const literal = (char: string) => char.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
  const source = [...pattern].map((char) => char === "*" ? "[^/]*" : char === "?" ? "[^/]" : literal(char)).join("");
  return new RegExp(`^${source}$`, "u");
}

Deno.test("stars and question marks mean what a regular expression would", () => {
  const text = (chars: string) => fc.string({ unit: fc.constantFrom(...chars), maxLength: 9 });
  let matched = 0;
  fc.assert(
    fc.property(text("ab/.*?"), text("ab/."), (pattern, name) => {
      const expected = asRegExp(pattern).test(name);
      if (expected) matched++;
      assert.equal(globMatch(pattern, name), expected);
    }),
    { numRuns: 3000 },
  );
  assert(matched > 50, `only ${matched} matched`);
});

Deno.test("no pattern and no name make anything throw", () => {
  const text = fc.string({ unit: fc.constantFrom(..."ab*?[]^-\\@.%n\n/é😀\0\ud800") });
  fc.assert(fc.property(text, text, (pattern, name) => {
    globMatch(pattern, name);
    expandSpecifiers(pattern, name);
    mangleUnitName(name);
    const refusal = validateUnitName(name);
    assert(refusal !== undefined || parseUnitName(name) !== undefined);
    if (refusal === undefined) assert(globMatch(name.replace(/[*?[\\]/g, "\\$&"), name));
  }));
});

Deno.test("a pattern of many stars takes no more than pattern times name", () => {
  // With one way back for each star this would take longer than anyone waits.
  assert.equal(globMatch("a*".repeat(500) + "b", "a".repeat(1500)), false);
});

Deno.test("a pattern as long as a unit file is read once, and told apart from names at a glance", () => {
  const matches = globMatcher("*a".repeat(128 * 1024));
  const start_ms = performance.now();
  for (let index = 0; index < 100_000; index++) {
    assert.equal(matches(`aaaaaaaaaaaaaaaa-${index}.service`), false);
    // With a look at the whole pattern for each name it would take minutes.
    assert.ok(performance.now() - start_ms < 10_000, `${index} names take too long`);
  }
  const runs = globMatcher("*".repeat(128 * 1024));
  for (let index = 0; index < 10_000; index++) assert.equal(runs(`a-${index}.service`), true);
});

Deno.test("a pattern that is none is told from one that is", () => {
  for (const pattern of ["[", "a[", "[]", "[a", "[]a]", "[a-]", "[-a]", "[^", "a\\", "*[", "[\\"]) {
    assert.equal(isMalformedGlob(pattern), true, pattern);
  }
  for (const pattern of ["", "a.service", "*", "a[b]", "[^a-c]?", "\\[", "a]", "[\\]]"]) {
    assert.equal(isMalformedGlob(pattern), false, pattern);
  }
});

Deno.test("types of which systemd starts nothing from a file", () => {
  for (const name of ["a.service", "a.socket", "a@1.timer", "dev-sda.device", "a.slice", "srv.mount", "a.swap"]) {
    assert.equal(unrunnableType(name), undefined, name);
  }
  for (const name of ["a.scope", "a.snapshot", "a.busname"]) {
    assert.match(unrunnableType(name)!, /^a unit of type "[a-z]+" cannot be run: systemd /, name);
  }
});

Deno.test("names that are valid, and of which systemd has no unit from a file", () => {
  const long = (bytes: number) => `${"a".repeat(bytes - ".service".length)}.service`;
  for (const name of ["a.service", "a..service", "-a.slice", "a-.mount", "x@.service", long(255)]) {
    assert.deepEqual([validateUnitName(name), unrunnableName(name)], [undefined, undefined], name);
  }
  for (const name of [".service", ".a.service", "-.slice", "-.mount", long(256)]) {
    assert.equal(validateUnitName(name), undefined, name);
    assert.match(unrunnableName(name)!, /^a unit of the name ".*" cannot be run: systemd /, name);
  }
});

Deno.test("names of units that fleet depends on are refused, and names that only look like them are not", () => {
  for (
    const name of [
      ...["fleet.service", "fleet.socket", "dbus.service", "dbus-broker.service", "systemd-journald.socket"],
      ...["system.slice", "user.slice", "run.mount", "usr.automount", "run-fleet-units.mount", "sys-fs-cgroup.mount"],
    ]
  ) {
    assert.match(unrunnableName(name)!, /cannot be run: fleet itself depends on the machine's own unit/, name);
  }
  for (
    const name of [
      ...["fleet-web.service", "dbus.timer", "my-systemd-x.service", "fleet@1.service", "system-web.slice"],
      ...["run-web.mount", "run-fleetweb.mount", "tmp.mount", "srv-run.mount"],
    ]
  ) {
    assert.equal(unrunnableName(name), undefined, name);
  }
});
