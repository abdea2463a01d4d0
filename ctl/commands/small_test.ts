import assert from "node:assert/strict";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";
import { DialError } from "../terminal/port.ts";
import { version } from "../version.ts";
import { commands } from "./index.ts";

const cases: { name: string; line: string; status?: number; stdout?: string; stderr?: string }[] = [
  {
    name: "cat prints the unit as it is stored, to the byte",
    line: "cat dir/a",
    stdout: "[Unit]\nDescription=A\n\n[Service]\nExecStart=/bin/a\nEnvironment=\n",
  },
  { name: "cat of an unknown unit", line: "cat b", status: 1, stderr: "Unit b.service not found\n" },
  {
    name: "cat of two of which one is unknown",
    line: "cat b a",
    status: 1,
    stdout: "# a.service\n[Unit]\nDescription=A\n\n[Service]\nExecStart=/bin/a\nEnvironment=\n",
    stderr: "Unit b.service not found\n",
  },
  { name: "version", line: "version", stdout: `fleetctl version ${version}\n` },
];

for (const { name, line, status = 0, stdout = "", stderr = "" } of cases) {
  Deno.test(name, async () => {
    const api = new FakeApi();
    api.add("a.service", "inactive", "Unit.Description=A", "Service.ExecStart=/bin/a", "Service.Environment=");
    assert.deepEqual(await fleetctl(api, line), { status, stdout, stderr });
  });
}

Deno.test("cat while the store is away", async () => {
  const api = new FakeApi();
  api.intercept = () => refusal(503, "away");
  const stderr = "Error retrieving Unit a.service: googleapi: Error 503: away\n";
  assert.deepEqual(await fleetctl(api, "cat a"), { status: 1, stdout: "", stderr });
});

Deno.test("fd-forward hands its socket to the terminal, and fails if it does not answer", async () => {
  const io = new FakeIo();
  assert.deepEqual(await fleetctl(new FakeApi(), "fd-forward /run/x.sock", io), { status: 0, stdout: "", stderr: "" });
  assert.deepEqual(io.forwarded, ["/run/x.sock"]);
  io.forward = () => Promise.reject(new DialError("dial unix /run/x.sock: no such file"));
  const ran = await fleetctl(new FakeApi(), "fd-forward /run/x.sock", io);
  const stderr = "Failed dialing remote address: dial unix /run/x.sock: no such file\n";
  assert.deepEqual(ran, { status: 1, stdout: "", stderr });
});

Deno.test("commands are in the order of their names, and flags of one name are of one kind", () => {
  const names = commands.map((command) => command.name);
  assert.deepEqual(names, names.toSorted());
  const kinds = new Map<string, string>();
  for (const { name, kind } of commands.flatMap((command) => command.flags)) {
    assert.equal(kinds.get(name) ?? kind, kind, `--${name}`);
    kinds.set(name, kind);
  }
});
