import assert from "node:assert/strict";
import fc from "fast-check";
import "../tests/support/property_seed.ts";
import { parseUnitFile } from "../systemd/unit_file.ts";
import { checkUnit, doubtfulValues } from "./unit_check.ts";

const fleet = (...lines: string[]) => parseUnitFile(`[Unit]\nConflicts=not-ours\n[X-Fleet]\n${lines.join("\n")}\n`);
const warningsOf = (name: string, ...lines: string[]) => doubtfulValues(name, fleet(...lines)).join("; ");

Deno.test("correct values cause no warning", () => {
  const lines = [
    "MachineID=0123456789abcdef0123456789abcdef",
    "X-ConditionMachineID=%i",
    'MachineOf="a.service" \\\n  "b@%i.service"',
    "Conflicts=a* [b-c]d x.service",
    "Replaces=*",
    "MachineMetadata=[=1",
    'MachineMetadata="a=1 2" "load=50%" "c#=;"',
    ...["true", "T", "off", "F", "0"].map((value) => `Global=${value}`),
  ];
  for (const line of lines) assert.equal(warningsOf("x@01234567.service", line), "");
});

Deno.test("an empty value of any option causes a warning", () => {
  for (
    const name of [
      "MachineID",
      "MachineOf",
      "MachineMetadata",
      "Conflicts",
      "Replaces",
      "Global",
      "StopWhenDisconnected",
      "X-Conflicts",
    ]
  ) {
    assert.equal(warningsOf("x.service", `${name}=`), `${name} is empty and has no effect`);
    assert.equal(warningsOf("x.service", `${name}=""`), `${name} is empty and has no effect`);
  }
  assert.equal(warningsOf("x.service", "MachineOf=%i"), 'MachineOf="%i" is empty and has no effect');
  assert.equal(warningsOf("x@.service", "MachineOf=%i"), "");
  assert.equal(
    warningsOf("x.service", "MachineMetadata=slot=%i"),
    'MachineMetadata="slot=" has no value after = and has no effect',
  );
});

Deno.test("specifiers, variables, comments and quotes without effect cause a warning", () => {
  const cases: readonly (readonly [line: string, warning: string])[] = [
    ["MachineID=%m", 'MachineID contains "%m": only %n, %N, %p and %i are replaced'],
    ["Conflicts=100%%", 'Conflicts contains "%%": only %n, %N, %p and %i are replaced'],
    ["MachineMetadata=name=node-${ZONE}", 'MachineMetadata contains "${ZONE}": variables are not replaced'],
    ["MachineMetadata=name=$ZONE-1", 'MachineMetadata contains "$ZONE": variables are not replaced'],
    [
      "MachineMetadata=name=m1   # the big one",
      '"# the big one" is part of the value of MachineMetadata: a comment needs a line of its own',
    ],
    ["Global=true ; yes", '"; yes" is part of the value of Global: a comment needs a line of its own'],
    ...["'a=b'", '"a=b', 'a="b"', "“a=b”"].map((value) =>
      [
        `MachineMetadata=${value}`,
        `the quotes in MachineMetadata=${JSON.stringify(value)} are part of the value: ` +
        'write one value, or "value1" "value2"',
      ] as const
    ),
  ];
  for (const [line, warning] of cases) {
    assert.equal(warningsOf("x.service", line), warning);
    assert.equal(warningsOf("x@.service", line), warning);
  }
});

Deno.test("names and patterns that match no unit or machine cause a warning", () => {
  const cases: readonly (readonly [line: string, warning: string])[] = [
    [
      "MachineOf=a@1.service a@2.service",
      'MachineOf="a@1.service a@2.service" names no unit, so that the unit waits forever: ' +
      "invalid character ' ' in unit name; write each on a line of its own",
    ],
    [
      "X-ConditionMachineOf=web",
      'X-ConditionMachineOf="web" names no unit, so that the unit waits forever: unit name must contain "."',
    ],
    ["MachineOf=web@.service", 'MachineOf="web@.service" names a template, which never runs'],
    ["Conflicts=a.service web", 'Conflicts="web" matches no unit: unit name must contain "."'],
    [
      "Conflicts=a*,b*",
      'Conflicts="a*,b*" matches no unit: no unit name contains ","; write each on a line of its own',
    ],
    [
      "Replaces=a* b*",
      'Replaces="a* b*" matches no unit: no unit name contains " "; write each on a line of its own',
    ],
    [
      "MachineID=big-one",
      'MachineID="big-one" is not a machine ID: expected 32 hexadecimal digits, or the first 8 of them',
    ],
    [
      "MachineMetadata=name = m1",
      'the blanks in MachineMetadata="name = m1" are part of the key or the value: write key=value',
    ],
    ["MachineID=01234567\nMachineID=89abcdef", "only the first MachineID counts"],
    ["Spread=zone", "Spread has no effect in a unit that is not an instance of a template"],
    ["MoveAfter=3/10m", "MoveAfter has no effect without OnFailure=move"],
    ["Pin=maybe", 'Pin="maybe" counts as no: expected true, yes, 1, on, t, or false, no, 0, off, f'],
    ["Prefer=disk = ssd", 'the blanks in Prefer="disk = ssd" are part of the key or the value: write key=value'],
    ["Conflicts=a* [", 'malformed pattern "[" in Conflicts: it matches no unit'],
    ["Replaces=[a-]", 'malformed pattern "[a-]" in Replaces: it matches no unit'],
    ["X-Conflicts=b\\x*\nX-Conflicts=c[%i]", 'malformed pattern "c[]" in X-Conflicts: it matches no unit'],
    ...["y", "enabled", "true false"].map((value) =>
      [
        `Global=true\nGlobal=${value}`,
        `Global="${value}" counts as no: expected true, yes, 1, on, t, or false, no, 0, off, f`,
      ] as const
    ),
  ];
  for (const [line, warning] of cases) assert.equal(warningsOf("x.service", line), warning);
});

Deno.test("of an option with one value only the last one counts and causes a warning", () => {
  assert.equal(warningsOf("x.service", "Global=maybe", "Global=true"), "");
  assert.equal(warningsOf("x.service", "StopWhenDisconnected=", "StopWhenDisconnected=5s"), "");
  assert.equal(warningsOf("x.service", "Desired=$STATE", "Desired=loaded"), "");
  for (const name of ["x@.service", "x@true.service", "x@no.service"]) {
    assert.equal(warningsOf(name, "Global=%i"), "");
  }
  assert.match(warningsOf("x@y.service", "Global=%i"), /^Global="y" counts as no/);
});

Deno.test("the warning about a misspelled option or section has the right spelling", () => {
  const unknown = (name: string, text: string) =>
    checkUnit(name, parseUnitFile(text)).filter(({ kind }) => kind === "unknown")
      .map(({ message, option }) => `${option}: ${message}`);
  const cases: Readonly<Record<string, string>> = {
    "X-fleet": "X-Fleet",
    "x-fleet": "X-Fleet",
    "X-Fleet ": "X-Fleet",
    "X_Fleet": "X-Fleet",
    "Fleet": "X-Fleet",
    "service": "Service",
    "Servcie": "Service",
    "Services": "Service",
    "unit": "Unit",
    "Install:": "Install",
  };
  for (const [section, meant] of Object.entries(cases)) {
    assert.deepEqual(unknown("x.service", `[Unit]\na=b\n[${section}]\nc=d\ne=f`), [
      `1: unrecognized section: "[${section}]" (did you mean "[${meant}]"?)`,
    ]);
  }
  assert.deepEqual(unknown("x.service", "[X-Fleet]\nMachineMetaData=a=b\nFoo=1\n[X-Other]\na=b\n[Build]\nc=d"), [
    '0: unrecognized requirement in [X-Fleet] section: "MachineMetaData" (did you mean "MachineMetadata"?)',
    '1: unrecognized requirement in [X-Fleet] section: "Foo"',
  ]);
});

Deno.test("sections that systemd ignores cause a warning", () => {
  const doubtful = (name: string, text: string) =>
    checkUnit(name, parseUnitFile(text)).filter(({ kind }) => kind === "doubtful").map(({ message }) => message);
  assert.deepEqual(doubtful("x.service", "[Unit]\na=b\n[Service]\na=b\n[Install]\na=b\n[X-Other]\na=b"), []);
  assert.deepEqual(doubtful("x.timer", "[Service]\na=b\nc=d"), [
    'section "[Service]" is ignored in a unit of type timer',
  ]);
  assert.deepEqual(doubtful("x.service", "[Container]\na=b"), [
    'section "[Container]" is ignored in a unit of type service',
  ]);
  assert.deepEqual(doubtful("x.service", "[Strange]\na=b"), [
    'section "[Strange]" is unknown to systemd and ignored',
  ]);
  assert.deepEqual(doubtful("x.container", "[Container]\na=b\n[Service]\na=b\n[Quadlet]\na=b\n[Volume]\na=b"), [
    'section "[Volume]" is ignored in a unit of type container',
  ]);
});

for (
  const [name, text, why] of [
    ["dbus.container", "", /"dbus\.service": .* fleet depends on the machine's unit of that name/],
    ["x.container", "ServiceName=systemd-journald", /"systemd-journald\.service": .* fleet depends on/],
    ["x.container", "ServiceName=*", /"\*\.service": invalid character '\*' in unit name/],
    ["x.container", "ServiceName=../x", /invalid character '\/' in unit name/],
    [`${"x".repeat(249)}.volume`, "", /unit name exceeds maximum length/],
    ["x.container", "ServiceName=y", undefined],
    ["x@.container", "", undefined],
  ] as const
) {
  const service = text === "" ? name.slice(-20) : text;
  Deno.test(`a Quadlet file of which ${service} would be made is ${why ? "refused" : "accepted"}`, () => {
    const section = name.endsWith("volume") ? "Volume" : "Container";
    const options = parseUnitFile(`[${section}]\nImage=a\n${text}\n`);
    const invalid = checkUnit(name, options).filter(({ kind }) => kind === "invalid").map(({ message }) => message);
    assert.equal(invalid.length, why ? 1 : 0);
    if (why) assert.match(invalid[0]!, why);
  });
}

Deno.test("a section header within a continued value causes a warning", () => {
  const [found, ...more] = checkUnit(
    "x.service",
    parseUnitFile("[Service]\nExecStart=/bin/a \\\n[Install]\nAlias=b\nExecStop=/bin/b \\\n  [ab]c"),
  );
  assert.deepEqual([found, more], [{
    kind: "doubtful",
    message: '"[Install]" is part of the value of ExecStart: the line before ends in a backslash',
    option: 0,
  }, []]);
});

Deno.test("findings that fleet refuses come first", () => {
  const first = (name: string, text: string) => checkUnit(name, parseUnitFile(text))[0];
  assert.deepEqual(first("x.servcie", "[a]\nb=c"), { kind: "invalid", message: 'invalid unit type: "servcie"' });
  assert.equal(first("x.scope", "[Unit]\nb=c")?.kind, "invalid");
  assert.equal(first("x.service", "[X-fleet]\na=b\n[X-Fleet]\nMachineMetadata=a")?.kind, "invalid");
  assert.equal(first("x.service", "[Service]\nExecStart=/bin/true"), undefined);
});

Deno.test("a hostile file is checked in linear time, with a short message", () => {
  const size = 100_000;
  const hostiles: Readonly<Record<string, string>> = {
    "a long section": `[${"s".repeat(size)}]\n${"a=b\n".repeat(size / 4)}`,
    "many sections": Array.from({ length: size / 10 }, (_, index) => `[S${index}]\na=\n`).join(""),
    "a long comment": `[X-Fleet]\nConflicts=a ${"#".repeat(size)}\n`,
    "a long name": `[X-Fleet]\nMachineOf=${"a".repeat(size)}\n`,
    "a long continuation": `[Service]\na=${"\\\n [".repeat(size / 4)}\n`,
  };
  for (const [what, text] of Object.entries(hostiles)) {
    const messages = checkUnit("x.service", parseUnitFile(text)).map(({ message }) => message);
    assert.ok(messages.every((message) => message.length < 1000), what);
    assert.ok(messages.length <= size / 10, what);
  }
});

Deno.test("no options make the check throw", () => {
  const value = fc.string({ unit: fc.constantFrom(...'ab"= %in*[\\\n$#') });
  const options = fc.array(fc.record({
    section: fc.constantFrom("X-Fleet", "Unit", "", "x-fleet"),
    name: fc.constantFrom("MachineID", "MachineOf", "MachineMetadata", "Conflicts", "Replaces", "Global", "Foo", ""),
    value,
  }));
  fc.assert(
    fc.property(fc.constantFrom("x.service", "x@.service", "x@1.service", "x", ""), options, (name, options) => {
      for (const { option } of checkUnit(name, options)) assert.ok(option === undefined || options[option]);
    }),
  );
});
