import assert from "node:assert/strict";
import { Flags, flagsFromEnvironment, type FlagSpec, splitWords, UsageError } from "./argv.ts";

const specs: FlagSpec[] = [
  { name: "full", kind: "switch", fallback: false, help: "", letter: "l" },
  { name: "strict", kind: "switch", fallback: true, help: "" },
  { name: "fields", kind: "text", fallback: "a", help: "", letter: "f", aliases: ["columns"] },
  { name: "attempts", kind: "count", fallback: 0, help: "", letter: "a", isSigned: true },
  { name: "lines", kind: "count", fallback: 10, help: "" },
  { name: "ssh-timeout", kind: "seconds", fallback: 10, help: "" },
];

function read(line: string) {
  const { positionals, flags } = splitWords(line.split(" ").filter((word) => word !== ""), specs);
  return { positionals, flags: Object.fromEntries(flags.map(({ spec, value }) => [spec.name, value])) };
}

const understood: { line: string; positionals: string[]; flags: Record<string, unknown> }[] = [
  { line: "", positionals: [], flags: {} },
  { line: "a --full b", positionals: ["a", "b"], flags: { full: true } },
  { line: "--full a", positionals: ["a"], flags: { full: true } },
  { line: "-full -l --l", positionals: [], flags: { full: true } },
  { line: "--full=false", positionals: [], flags: { full: false } },
  { line: "--strict=0", positionals: [], flags: { strict: false } },
  { line: "--full false", positionals: ["false"], flags: { full: true } },
  { line: "--fields x,y a", positionals: ["a"], flags: { fields: "x,y" } },
  { line: "-fields=x=y", positionals: [], flags: { fields: "x=y" } },
  { line: "--fields=", positionals: [], flags: { fields: "" } },
  { line: "--columns=q", positionals: [], flags: { fields: "q" } },
  { line: "--fields --full", positionals: [], flags: { fields: "--full" } },
  { line: "--attempts -1", positionals: [], flags: { attempts: -1 } },
  { line: "--ssh-timeout 2.5", positionals: [], flags: { "ssh-timeout": 2.5 } },
  { line: "--ssh-timeout 30s", positionals: [], flags: { "ssh-timeout": 30 } },
  { line: "--ssh-timeout 1m500ms", positionals: [], flags: { "ssh-timeout": 60.5 } },
  { line: "--ssh-timeout 1d1.5h", positionals: [], flags: { "ssh-timeout": 91_800 } },
  { line: "ssh m -- ls -l --full", positionals: ["ssh", "m", "ls", "-l", "--full"], flags: {} },
  { line: "-fx=y -a20 u", positionals: ["u"], flags: { fields: "x=y", attempts: 20 } },
  { line: "-f=x", positionals: [], flags: { fields: "x" } },
  { line: "-fields x", positionals: [], flags: { fields: "x" } },
  { line: "a - b", positionals: ["a", "-", "b"], flags: {} },
];

for (const { line, ...expected } of understood) {
  Deno.test(`command line "${line}" is understood`, () => assert.deepEqual(read(line), expected));
}

const refused: { line: string; message: string }[] = [
  { line: "--nosuch", message: "unknown flag --nosuch" },
  { line: "-x=1", message: "unknown flag -x" },
  { line: "-lx", message: "unknown flag -lx" },
  { line: "--fx", message: "unknown flag --fx" },
  { line: "-ax", message: 'invalid value "x" for -a: expected a whole number' },
  { line: "a --fields", message: "flag --fields needs a value" },
  { line: "--full=maybe", message: 'invalid value "maybe" for --full: expected true or false' },
  { line: "--attempts x", message: 'invalid value "x" for --attempts: expected a whole number' },
  { line: "--attempts 1.5", message: 'invalid value "1.5" for --attempts: expected a whole number' },
  { line: "--lines=-1", message: 'invalid value "-1" for --lines: expected 0 or more' },
  {
    line: "--ssh-timeout=-1",
    message: 'invalid value "-1" for --ssh-timeout: expected a number of seconds, or a time such as 30s or 5m',
  },
  {
    line: "--ssh-timeout=3w",
    message: 'invalid value "3w" for --ssh-timeout: expected a number of seconds, or a time such as 30s or 5m',
  },
];

for (const { line, message } of refused) {
  Deno.test(`command line "${line}" is refused`, () => {
    assert.throws(() => read(line), (error) => error instanceof UsageError && error.message === message);
  });
}

Deno.test("the environment sets flags, empty variables do not, and names are in capitals", () => {
  const env = { FLEETCTL_FIELDS: "e", FLEETCTL_SSH_TIMEOUT: "", FLEETCTL_STRICT: "false", FLEETCTL_NOSUCH: "1" };
  assert.deepEqual([...flagsFromEnvironment(specs, env)], [["strict", false], ["fields", "e"]]);
});

Deno.test("the modern name of a variable beats the old one", () => {
  const env = { FLEETCTL_FIELDS: "new", FLEETCTL_COLUMNS: "old" };
  assert.deepEqual([...flagsFromEnvironment(specs, env)], [["fields", "new"]]);
});

Deno.test("a variable that makes no sense is named", () => {
  assert.throws(() => flagsFromEnvironment(specs, { FLEETCTL_SSH_TIMEOUT: "soon" }), /FLEETCTL_SSH_TIMEOUT/);
});

Deno.test("a flag not given has its fallback; reading an undeclared one is a mistake of the program", () => {
  const flags = new Flags(specs, new Map([["attempts", 3]]));
  assert.equal(flags.number("attempts"), 3);
  assert.equal(flags.text("fields"), "a");
  assert.equal(flags.on("strict"), true);
  assert.equal(flags.given("fields"), false);
  assert.throws(() => flags.on("nosuch"), /not declared/);
});
