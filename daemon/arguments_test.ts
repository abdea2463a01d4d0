import assert from "node:assert/strict";
import { parseArguments } from "./arguments.ts";

const cases: readonly { name: string; args: string[]; want: unknown }[] = [
  { name: "nothing", args: [], want: { kind: "run", listen: [] } },
  { name: "a configuration file", args: ["--config", "/a"], want: { kind: "run", config: "/a", listen: [] } },
  {
    name: "a single dash and an equals sign",
    args: ["-config=/a=b"],
    want: { kind: "run", config: "/a=b", listen: [] },
  },
  {
    name: "several listeners",
    args: ["--listen", "127.0.0.1:1", "--listen=unix:/x"],
    want: { kind: "run", listen: ["127.0.0.1:1", "unix:/x"] },
  },
  { name: "a check", args: ["--check-config", "--config=/a"], want: { kind: "check", config: "/a" } },
  { name: "a trial", args: ["--dev"], want: { kind: "dev", listen: [] } },
  { name: "the version as a flag", args: ["-version"], want: { kind: "version" } },
  { name: "the version as a word", args: ["version"], want: { kind: "version" } },
  { name: "help", args: ["-h"], want: { kind: "help" } },
  {
    name: "a word, as if it were fleetctl",
    args: ["list-units"],
    want: {
      kind: "wrong",
      message: "fleetd takes no arguments. Did you mean to invoke fleetctl instead?",
      code: 1,
    },
  },
  {
    name: "an unknown flag",
    args: ["--nosuch"],
    want: { kind: "wrong", message: "flag provided but not defined: -nosuch", code: 2 },
  },
  {
    name: "a flag without its value",
    args: ["--config"],
    want: { kind: "wrong", message: "flag needs an argument: -config", code: 2 },
  },
];

for (const { name, args, want } of cases) {
  Deno.test(`fleetd's command line: ${name}`, () => assert.deepEqual(parseArguments("fleetd", args), want));
}
