import assert from "node:assert/strict";
import fc from "fast-check";
import "../tests/support/property_seed.ts";
import { maxLine_bytes, parseUnitFile } from "../systemd/unit_file.ts";
import type { Amounts } from "./reservation.ts";
import { fleetOptionsOf, parseRequirements, type Requirements, validateFleetOptions } from "./requirements.ts";

const fleet = (...lines: string[]) => parseUnitFile(`[Unit]\nConflicts=not-ours\n[X-Fleet]\n${lines.join("\n")}\n`);

const nothing: Requirements = {
  machineId: undefined,
  machineOf: [],
  machineMetadata: new Map(),
  prefer: undefined,
  conflicts: [],
  replaces: [],
  global: false,
  stopWhenDisconnected_ms: undefined,
  unique: false,
  reservation: undefined,
  expected: undefined,
  spread: undefined,
  pin: false,
  moveAfter: undefined,
  hasFiles: false,
  unknown: [],
  malformed: [],
};

const metadata = (entries: Record<string, string[]>) => ({ machineMetadata: new Map(Object.entries(entries)) });
const amounts = (reservation: Amounts) => ({ reservation, expected: reservation });
const explain = (value: string) =>
  `malformed MachineMetadata ${value}: expect key=value, or several as "key1=value1" "key2=value2"`;

Deno.test("the options of the [X-Fleet] section are parsed", async (t) => {
  const cases: readonly {
    readonly what: string;
    readonly lines: readonly string[];
    readonly name?: string;
    readonly asks: Partial<Requirements>;
  }[] = [
    { what: "nothing", lines: [], asks: {} },
    { what: "a machine", lines: ["MachineID=abc", "MachineID=def"], asks: { machineId: "abc" } },
    {
      what: "empty values, which ask for nothing",
      lines: [
        "MachineID=",
        'X-ConditionMachineID=""',
        "MachineOf=",
        "MachineOf=%i",
        "MachineMetadata=",
        "MachineMetadata=slot=",
        'MachineMetadata="" "slot=%i"',
        "Conflicts=",
        "Replaces=",
        "Global=",
      ],
      asks: {},
    },
    {
      what: "reservations, of which the last counts",
      lines: ["MemoryReserve=1G", "MemoryReserve=1.5G", "CPUReserve=150%", "Resources=gpu=1", "Resources=a=2, b=0"],
      asks: amounts({ cpu_m: 1_500, memory_bytes: 1.5 * 2 ** 30, resources: { gpu: 1, a: 2 } }),
    },
    { what: "no reservation", lines: ["MemoryReserve=1G", "MemoryReserve=", "CPUReserve=0"], asks: {} },
    {
      what: "spread, preference and a policy for failures",
      lines: ["Spread=zone:hard", 'Prefer="disk=ssd" "disk=nvme"', "Prefer=zone=a", "Pin=yes", "OnFailure=move"],
      name: "a@1.service",
      asks: {
        spread: { template: "a@.service", key: "zone", hard: true },
        prefer: new Map([["disk", ["ssd", "nvme"]], ["zone", ["a"]]]),
        pin: true,
        moveAfter: { failures: 3, within_ms: 600_000 },
      },
    },
    {
      what: "the number of failures",
      lines: ["Spread=%i", "OnFailure=move", "MoveAfter=5/1h"],
      name: "a@rack.service",
      asks: {
        spread: { template: "a@.service", key: "rack", hard: false },
        moveAfter: { failures: 5, within_ms: 3_600_000 },
      },
    },
    { what: "a spread of a unit that is no instance", lines: ["Spread=zone"], asks: {} },
    { what: "a number of failures that has no effect", lines: ["OnFailure=stay", "MoveAfter=5/1h"], asks: {} },
    {
      what: "malformed values",
      lines: ["MemoryReserve=lots", "CPUReserve=-1", "Resources=gpu", "Spread=a=b", "OnFailure=run", "MoveAfter=3"],
      asks: {
        malformed: [
          'malformed MemoryReserve "lots": expect an amount of memory, for example 512M or 2G',
          'malformed CPUReserve "-1": expect a number of CPUs, for example 0.5, or a percentage of one',
          'malformed Resources: expect name=number, such as gpu=1, with a whole number up to 1000000, found "gpu"',
          'malformed Spread "a=b": expect a metadata key, or key:hard',
          'malformed OnFailure "run": expect stay or move',
          'malformed MoveAfter "3": expect failures/time, for example 3/10m',
        ],
      },
    },
    { what: "an empty machine before another", lines: ["MachineID=", "MachineID=abc"], asks: { machineId: "abc" } },
    {
      what: "values that are continued in the next line",
      lines: [
        'MachineMetadata="a=1" \\\n   "b=2" \\\n# c\n"b=3"',
        "Conflicts=a \\\n b",
        'MachineOf="a.service" \\\n\t"b.service"',
      ],
      asks: {
        ...metadata({ a: ["1"], b: ["2", "3"] }),
        conflicts: ["a", "b"],
        machineOf: ["a.service", "b.service"],
      },
    },
    {
      what: "the modern name first",
      lines: ["X-ConditionMachineBootID=boot", "X-ConditionMachineID=old", "MachineID=new"],
      asks: { machineId: "new" },
    },
    {
      what: "then the older",
      lines: ["X-ConditionMachineBootID=boot", "X-ConditionMachineID=old"],
      asks: { machineId: "old" },
    },
    { what: "then the oldest", lines: ["X-ConditionMachineBootID=boot"], asks: { machineId: "boot" } },
    {
      what: "peers, not split at spaces",
      lines: ["MachineOf=a.service b.service", "X-ConditionMachineOf=c.service"],
      asks: { machineOf: ["c.service", "a.service b.service"] },
    },
    {
      what: "peers in quotes",
      lines: ['MachineOf="a.service" "b.service"'],
      asks: { machineOf: ["a.service", "b.service"] },
    },
    {
      what: "conflicts, split at spaces",
      lines: ["Conflicts=a* b*\t c*", "X-Conflicts=d", "Conflicts="],
      asks: { conflicts: ["d", "a*", "b*", "c*"] },
    },
    {
      what: "conflicts in quotes, split all the same",
      lines: ['Conflicts="a b" "c"'],
      asks: { conflicts: ["a", "b", "c"] },
    },
    { what: "replaces, not split", lines: ["Replaces=a* b*", "Replaces=c"], asks: { replaces: ["a* b*", "c"] } },
    { what: "the last Global wins", lines: ["Global=true", "Global=false"], asks: {} },
    {
      what: "a time span",
      lines: ["StopWhenDisconnected=1min", "StopWhenDisconnected=7s 500ms"],
      asks: { stopWhenDisconnected_ms: 7_500 },
    },
    {
      what: "no time span after an empty value",
      lines: ["StopWhenDisconnected=5s", "StopWhenDisconnected="],
      asks: {},
    },
    {
      what: "metadata: one key ORed, several ANDed",
      lines: ["MachineMetadata=a=1", 'MachineMetadata="b=2" "a=3"', "X-ConditionMachineMetadata=a=0"],
      asks: metadata({ a: ["0", "1", "3"], b: ["2"] }),
    },
    {
      what: "spaces inside quotes belong to the value",
      lines: ['MachineMetadata="a=1 2" "b= 3"'],
      asks: metadata({ a: ["1 2"], b: [" 3"] }),
    },
    {
      what: "two separating spaces harm no metadata",
      lines: ['MachineMetadata="a=1"  "b=2"'],
      asks: metadata({ a: ["1"], b: ["2"] }),
    },
    {
      what: "quotes within a value toggle",
      lines: ['Replaces="a"b"c" "d"  "e"'],
      asks: { replaces: ["abc", "d", "e"] },
    },
    {
      what: "metadata of names that objects know",
      lines: ["MachineMetadata=__proto__=1"],
      asks: { machineMetadata: new Map([["__proto__", ["1"]]]) },
    },
    {
      what: "malformed metadata is reported",
      lines: [
        "MachineMetadata=a=b c=d",
        "MachineMetadata=a=b=c",
        "MachineMetadata=x",
        "MachineMetadata==x",
        "MachineMetadata=ok=1",
      ],
      asks: {
        ...metadata({ ok: ["1"] }),
        malformed: ['"a=b c=d"', '"a=b=c"', '"x"', '"=x"'].map(explain),
      },
    },
    {
      what: "specifiers",
      name: "x@1.service",
      lines: ["MachineOf=%p-data@%i.service", "Conflicts=%p@*.service", "MachineMetadata=rack=%i", "Replaces=%N%n"],
      asks: {
        machineOf: ["x-data@1.service"],
        conflicts: ["x@*.service"],
        replaces: ["x@1x@1.service"],
        ...metadata({ rack: ["1"] }),
      },
    },
    {
      what: "unknown keys, once each",
      lines: ["MachineId=1", "Foo=2", "MachineId=3", "global=true"],
      asks: { unknown: ["MachineId", "Foo", "global"] },
    },
  ];
  for (const { what, lines, name = "x.service", asks } of cases) {
    await t.step(what, () => assert.deepEqual(parseRequirements(name, fleet(...lines)), { ...nothing, ...asks }));
  }
});

Deno.test("only true, yes, 1, on and t mean a global unit, in any case", () => {
  const global = (value: string) => parseRequirements("x.service", fleet(`Global=${value}`)).global;
  assert.deepEqual(["true", "TRUE", "Yes", "1", "on", "T"].map(global), Array(6).fill(true));
  assert.deepEqual(["y", "", "false", "2", "enabled", "o n"].map(global), Array(6).fill(false));
});

Deno.test("the name of the section is case-sensitive, and other sections are ignored", () => {
  const options = parseUnitFile("[x-fleet]\nGlobal=true\n[X-Fleet ]\nGlobal=true\n[Unit]\nGlobal=true\nConflicts=a");
  assert.deepEqual(parseRequirements("x.service", options), nothing);
});

Deno.test("options are accepted, or refused with a reason", async (t) => {
  const cases: readonly (readonly [lines: readonly string[], refusal: string | undefined])[] = [
    [[], undefined],
    [["Foo=unknown keys are no reason"], undefined],
    [["Global=true", "Conflicts=a", "MachineMetadata=a=b"], undefined],
    [["Global=true", "StopWhenDisconnected=1"], undefined],
    ...["999ms", "soon", "0", "-1s", "infinity"].map((value): [string[], string] => [
      [`StopWhenDisconnected=${value}`],
      `malformed StopWhenDisconnected "${value}": expect a time span of at least 1s, for example 10s`,
    ]),
    [["MachineOf=a.service", "Conflicts=b*"], undefined],
    [["MachineOf=a.service", "Replaces=b*"], undefined],
    [["MachineID=a", "MachineMetadata=a=b"], undefined],
    [["MachineID=a", "Global=false"], undefined],
    [["MachineOf=a.service", "Conflicts=a*"], 'unresolvable requirements: peer "a.service" matches conflict "a*"'],
    [["MachineOf=a.service", "Replaces=a*"], 'unresolvable requirements: peer "a.service" matches replace "a*"'],
    [["MachineOf=a", "Conflicts=a", "MachineID=x"], 'unresolvable requirements: peer "a" matches conflict "a"'],
    [["MachineOf=x@%i.service", "Conflicts=x@?.service"], undefined],
    [["MachineID=x", "MachineOf=a", "Conflicts=b"], "MachineID= and MachineOf= exclude each other"],
    [["MachineID=x", "Conflicts=b", "Global=true"], "MachineID= and Conflicts= exclude each other"],
    [["MachineID=x", "Global=true", "Replaces=b"], "MachineID= and Global=true exclude each other"],
    [["X-ConditionMachineBootID=x", "Replaces=b"], "MachineID= and Replaces= exclude each other"],
    [["Global=true", "MachineOf=a", "Replaces=b"], "Global=true and MachineOf= exclude each other"],
    [["Global=true", "Replaces=b", "Conflicts=c"], "Global=true and Replaces= exclude each other"],
    [["Conflicts=a", "Replaces=b"], "Conflicts= and Replaces= exclude each other"],
    [["MachineMetadata=a=b c=d", "Conflicts=a", "Replaces=b"], "Conflicts= and Replaces= exclude each other"],
    [["MachineMetadata=a=b c=d"], explain('"a=b c=d"')],
    [["MachineMetadata=rack=%i"], undefined],
    [["MachineMetadata=%i"], undefined],
    [["MachineMetadata="], undefined],
    [["MachineID=", "Global=true", "MachineOf="], undefined],
    [[`Conflicts=${"a ".repeat(256)}`], undefined],
    [[`Conflicts=${"a ".repeat(257)}`], "too many units named in [X-Fleet] section (max 256)"],
    [
      ["MachineOf=a", ...Array(128).fill("Conflicts=b"), ...Array(128).fill("Replaces=c")],
      "too many units named in " +
      "[X-Fleet] section (max 256)",
    ],
    [[...Array(128).fill("MachineMetadata=a=b"), ...Array(128).fill('MachineMetadata="c=d"')], undefined],
    [
      [...Array(128).fill("MachineMetadata=a=b"), ...Array(128).fill("MachineMetadata=x"), "MachineMetadata=c=d"],
      "too many values of MachineMetadata and Prefer in [X-Fleet] section (max 256)",
    ],
  ];
  for (const [lines, refusal] of cases) {
    const what = `${lines.join(", ").slice(0, 60)}: ${refusal ?? "taken"}`;
    await t.step(what, () => assert.equal(validateFleetOptions("x.service", fleet(...lines)), refusal));
  }
});

Deno.test("a template may require metadata with the specifiers of its instances", () => {
  assert.equal(validateFleetOptions("x@.service", fleet("MachineMetadata=rack=%i")), undefined);
  assert.equal(validateFleetOptions("x@1.service", fleet("MachineMetadata=rack=%i")), undefined);
  assert.equal(validateFleetOptions("x@.service", fleet("MachineMetadata=rack")), explain('"rack"'));
});

Deno.test("options that cannot be written as a unit file are refused with the parser's reason", () => {
  const refusal = (name: string, value: string) =>
    validateFleetOptions("x.service", [{ section: "Unit", name, value }]);
  assert.equal(refusal("a", "b".repeat(maxLine_bytes - 2)), "line too long (max 1048576 bytes)");
  assert.equal(refusal("a", "b".repeat(maxLine_bytes - 3)), undefined);
  assert.equal(refusal("a\nb", "c"), 'line without =: "a"');
  assert.match(refusal("a", "caf\udce9") ?? "", /not valid UTF-8/);
});

Deno.test("no options make a function throw", () => {
  const value = fc.string({ unit: fc.constantFrom(...'ab"= %in*[\\\n') });
  const options = fc.array(fc.record({
    section: fc.constantFrom("X-Fleet", "Unit"),
    name: fc.constantFrom("MachineID", "MachineOf", "MachineMetadata", "Conflicts", "Replaces", "Global", "Foo", ""),
    value,
  }));
  fc.assert(fc.property(options, (options) => {
    const { malformed } = parseRequirements("x@1.service", options);
    if (malformed.length > 0) assert.notEqual(validateFleetOptions("x@1.service", options), undefined);
  }));
});

Deno.test("the files that a Quadlet file refers to count as MachineOf=, except for a global one", () => {
  const stored = (name: string, text: string) => fleetOptionsOf(name, parseUnitFile(text)).map(({ value }) => value);
  const text = "[Container]\nVolume=data.volume:/data\nNetwork=front.network\n[X-Fleet]\nMachineOf=front.network\n";
  assert.deepEqual(stored("web.container", text), ["front.network", "data.volume"]);
  assert.deepEqual(stored("web.container", `${text.replace("MachineOf=front.network", "Global=true")}`), ["true"]);
  assert.deepEqual(stored("web.service", text), ["front.network"]);
});

Deno.test("the limits of a service are kept with its options, as hints of what it uses", () => {
  const text = "[Service]\nMemoryMax=8G\nMemoryMax=infinity\nMemoryHigh=2G\nCPUQuota=20%\nExecStart=/bin/a\n";
  const options = (more: string) => fleetOptionsOf("a.service", parseUnitFile(text + more));
  assert.deepEqual(options("").map(({ name, value }) => `${name}=${value}`), [
    "MemoryHigh=2G",
    "MemoryMax=infinity",
    "CPUQuota=20%",
  ]);
  const hinted = parseRequirements("a.service", options(""));
  assert.deepEqual(hinted.expected, { cpu_m: 200, memory_bytes: 2 * 2 ** 30, resources: {} });
  assert.equal(hinted.reservation, undefined);
  const { reservation, expected } = parseRequirements("a.service", options("[X-Fleet]\nMemoryReserve=1G\n"));
  assert.deepEqual(reservation, { cpu_m: 0, memory_bytes: 2 ** 30, resources: {} });
  assert.deepEqual(expected, { cpu_m: 200, memory_bytes: 2 ** 30, resources: {} });
});
