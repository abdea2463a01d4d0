import assert from "node:assert/strict";
import fc from "fast-check";
import "../tests/support/property_seed.ts";
import {
  expandSpecifiers,
  isTemplate,
  isUnitFileName,
  mangleUnitName,
  misspelledType,
  parseUnitName,
  quote,
  templateOf,
  unrunnableName,
  unrunnableType,
  validateUnitName,
} from "./unit_name.ts";
import { globMatch } from "../runtime/glob.ts";

Deno.test("an invalid name is refused with the first rule that it breaks", async (t) => {
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

Deno.test("templates and instances are distinguished", () => {
  assert.deepEqual(["x@.service", "x@1.service", "x.service", "x@"].map(isTemplate), [true, false, false, false]);
  assert.deepEqual(["x@.service", "x@1.service", "x.service", "x@1"].map(templateOf), [
    undefined,
    "x@.service",
    undefined,
    undefined,
  ]);
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
    ["foo.container", "foo.container"],
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

Deno.test("no pattern and no name makes a function throw", () => {
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

Deno.test("types whose units systemd does not start from a file", () => {
  for (const name of ["a.service", "a.socket", "a@1.timer", "dev-sda.device", "a.slice", "srv.mount", "a.swap"]) {
    assert.equal(unrunnableType(name), undefined, name);
  }
  for (const name of ["a.scope", "a.snapshot", "a.busname"]) {
    assert.match(unrunnableType(name)!, /^a unit of type "[a-z]+" cannot be run: systemd /, name);
  }
});

Deno.test("valid names that systemd does not load from a file", () => {
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
    assert.match(unrunnableName(name)!, /cannot be run: fleet depends on the machine's unit/, name);
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

Deno.test("the name of a unit file ends in a type of unit, and a type that is almost one is a mistake", () => {
  for (const name of ["web.service", "a.b@.timer", "web.container"]) {
    assert.ok(isUnitFileName(name), name);
    assert.equal(misspelledType(name), undefined);
  }
  for (
    const name of ["README", "photo.png", ".service", ".hidden.service", "files/web.service/a.service", "a.service~"]
  ) {
    assert.ok(!isUnitFileName(name), name);
    assert.equal(misspelledType(name), undefined, name);
  }
  assert.equal(misspelledType("web.servic"), '".servic" is not a type of unit: did you mean ".service"?');
});
