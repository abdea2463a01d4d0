import assert from "node:assert/strict";
import { runFleetctl } from "./run.ts";
import { ClientSetupError } from "../api/endpoint.ts";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeHosts } from "../testing/fake_remote.ts";
import { FakeIo, fleetctl, usageOf } from "../testing/fake_terminal.ts";
import { ReaderGoneError } from "../terminal/port.ts";
import { version } from "../version.ts";

const rootHelp =
  /^NAME:\n\tfleetctl - .*\n\nUSAGE:\n\tfleetctl .*\n\nVERSION:\n\t.*\n\nCOMMANDS:\n[^]*\tcat\t\tPrint .*[^]*\n\nOPTIONS:\n[^]*--endpoint string/;
const startHelp =
  /^NAME:\n\tstart - .*\n\nUSAGE:\n\tfleetctl start .*\n\nDESCRIPTION:\n\t[^]*\n\nOPTIONS:\n[^]*--no-block[^]*\n\nGLOBAL OPTIONS:\n[^]*--tunnel/;

const help: { line: string; page: RegExp }[] = [
  { line: "", page: rootHelp },
  { line: "help", page: rootHelp },
  { line: "--help", page: rootHelp },
  { line: "--h", page: rootHelp },
  { line: "-h", page: rootHelp },
  { line: "--endpoint unix:///x --version", page: rootHelp },
  { line: "help start", page: startHelp },
  { line: "help star", page: startHelp },
  { line: "start --help", page: startHelp },
  { line: "-h start", page: startHelp },
];

for (const { line, page } of help) {
  Deno.test(`"fleetctl ${line}" is help`, async () => {
    const { status, stdout, stderr } = await fleetctl(new FakeApi(), line);
    assert.match(stdout, page);
    assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  });
}

for (const line of ["--version", "-v", "version", "vers"]) {
  Deno.test(`"fleetctl ${line}" is the version`, async () => {
    const expected = { status: 0, stdout: `fleetctl version ${version}\n`, stderr: "" };
    assert.deepEqual(await fleetctl(new FakeApi(), line), expected);
  });
}

const startUsage =
  "Usage: fleetctl start [--no-block|--block-attempts=N|--timeout=S] [--settle=S] [--replace] [--max-parallel=N] UNIT... " +
  "(fleetctl help start says more)\n";
const seeHelp = "Run 'fleetctl --help' for usage.\n";
const unknownCommand = (name: string, similar = "") =>
  `Error: unknown command "${name}" for "fleetctl"${similar && `; did you mean ${similar}?`}\n${seeHelp}`;

const wrong: { name: string; line: string; stderr: string }[] = [
  { name: "an unknown command", line: "frobnicate", stderr: unknownCommand("frobnicate") },
  { name: "a misspelt command", line: "strt", stderr: unknownCommand("strt", "start or stop") },
  {
    name: "an ambiguous command",
    line: "list-unit",
    stderr: unknownCommand("list-unit", "list-unit-files or list-units"),
  },
  ...["ls", "ps", "get"].map((line) => ({
    name: `${line}, which lists in other programs,`,
    line,
    stderr: unknownCommand(line, "list-units"),
  })),
  { name: "an unknown flag", line: "start --nosuch a", stderr: `Error: unknown flag: --nosuch\n${startUsage}` },
  { name: "a flag of another command", line: "start --full a", stderr: `Error: unknown flag: --full\n${startUsage}` },
  {
    name: "an unknown flag whose value is a command's name",
    line: "--endpoint cat start --nosuch",
    stderr: `Error: unknown flag: --nosuch\n${startUsage}`,
  },
  { name: "a flag without a command", line: "--nosuch", stderr: `Error: unknown flag: --nosuch\n${seeHelp}` },
  { name: "help on an unknown topic", line: "help nosuch", stderr: `Unknown help topic [\`nosuch\`].\n${seeHelp}` },
  ...["list-machines", "doctor", "accept-store"].map((name) => ({
    name: `an argument of ${name}, which takes none,`,
    line: `${name} nosuch`,
    stderr: `Error: unexpected argument "nosuch"\n${usageOf(name)}`,
  })),
  ...["start", "stop", "load", "unload", "restart", "destroy", "submit", "status", "logs"].map((name) => ({
    name: `${name} without units`,
    line: name,
    stderr: `No units given\n${usageOf(name)}`,
  })),
  ...["cat", "journal", "ssh", "explain", "fd-forward"].map((name) => ({
    name: `${name} without an argument`,
    line: name,
    stderr: {
      cat: "One unit file must be provided\n",
      journal: "One unit file must be provided.\n",
      ssh: "Unable to proceed: one machine or unit must be provided\n",
      explain: "One unit must be provided\n",
      "fd-forward": "Provide a single argument\n",
    }[name] + usageOf(name),
  })),
];

for (const { name, line, stderr } of wrong) {
  Deno.test(`${name} is wrong usage, in two lines on standard error`, async () => {
    assert.deepEqual(await fleetctl(new FakeApi(), line), { status: 2, stdout: "", stderr });
    assert.equal(stderr.split("\n").length, 3);
  });
}

const remote: { line: string; ran: string }[] = [
  { line: "ssh a cat -n f", ran: "cat -n f" },
  { line: "ssh a journal --lines=3", ran: "journal --lines=3" },
  { line: "ssh a ls --nosuch -- --help", ran: "ls --nosuch -- --help" },
  { line: "ssh --unit a ls -l", ran: "ls -l" },
  { line: "ssh a -- ls -l", ran: "ls -l" },
  { line: "ss a ls -l", ran: "ls -l" },
  { line: "ssh a -A ls -A", ran: "ls -A" },
];

for (const { line, ran } of remote) {
  Deno.test(`"fleetctl ${line}": what follows the name of the remote command belongs to it`, async () => {
    const [api, hosts] = [new FakeApi(), new FakeHosts()];
    api.add("a.service", "launched", "Service.ExecStart=/bin/true");
    const result = await fleetctl(api, line, new FakeIo(), hosts);
    assert.deepEqual([result, hosts.ran], [{ status: 0, stdout: "", stderr: "" }, [`10.77.0.11: ${ran}`]]);
  });
}

Deno.test("flags of a command may stand before it, and -- ends them", async () => {
  const api = new FakeApi();
  api.add("-a.service", "launched", "Service.ExecStart=/bin/true");
  const ran = await fleetctl(api, "--no-block stop -- -a.service");
  assert.equal(ran.stdout, "Triggered unit -a.service stop\n");
});

async function endpointSeen(argv: string[], env: Record<string, string>): Promise<string> {
  let seen = "";
  const api = new FakeApi();
  await runFleetctl(argv, env, {
    io: () => new FakeIo(),
    hosts: () => new FakeHosts(),
    client: (flags) => {
      seen = flags.text("endpoint");
      return Promise.resolve(api.client());
    },
  });
  return seen;
}

Deno.test("the environment sets global flags, and the command line beats it", async () => {
  assert.equal(await endpointSeen(["list-units"], {}), "unix:///var/run/fleet.sock");
  assert.equal(await endpointSeen(["list-units"], { FLEETCTL_ENDPOINT: "http://e" }), "http://e");
  assert.equal(
    await endpointSeen(["list-units", "--endpoint=http://f"], { FLEETCTL_ENDPOINT: "http://e" }),
    "http://f",
  );
});

Deno.test("a client that cannot be set up is said before any command runs", async () => {
  const io = new FakeIo();
  const client = () => Promise.reject(new ClientSetupError("URL scheme undefined"));
  assert.equal(await runFleetctl(["list-units"], {}, { io: () => io, client, hosts: () => new FakeHosts() }), 1);
  assert.deepEqual([io.stdout, io.stderr], ["", "Unable to initialize client: URL scheme undefined\n"]);
});

for (const command of ["version", "help", "completion bash", "verify x", "complete -- sta", "fd-forward"]) {
  Deno.test(`${command}: no connection is made, even where the environment names a tunnel`, async () => {
    const io = new FakeIo();
    const client = () => Promise.reject(new Error("a client was made"));
    const start = { io: () => io, client, hosts: () => new FakeHosts() };
    await runFleetctl(command.split(" "), { FLEETCTL_TUNNEL: "10.77.0.12" }, start);
    assert.doesNotMatch(io.stderr, /a client was made/);
  });
}

Deno.test("--debug and FLEETCTL_DEBUG both ask for debug lines", async () => {
  const asked: boolean[] = [];
  const start = {
    io: (debug: boolean) => (asked.push(debug), new FakeIo()),
    client: () => Promise.resolve(new FakeApi().client()),
    hosts: () => new FakeHosts(),
  };
  await runFleetctl(["list-units", "--debug"], {}, start);
  await runFleetctl(["list-units"], { FLEETCTL_DEBUG: "true" }, start);
  assert.deepEqual(asked, [false, true, false, true]);
});

Deno.test("a command whose reader is gone ends without a word", async () => {
  const io = new FakeIo();
  io.out = () => {
    throw new ReaderGoneError("gone");
  };
  const client = () => Promise.resolve(new FakeApi().client());
  const start = { io: () => io, client, hosts: () => new FakeHosts() };
  await assert.rejects(runFleetctl(["list-units"], {}, start), ReaderGoneError);
  assert.equal(io.stderr, "");
});
