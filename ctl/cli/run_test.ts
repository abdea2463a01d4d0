import assert from "node:assert/strict";
import { runFleetctl } from "./run.ts";
import { ClientSetupError } from "../api/endpoint.ts";
import { FakeContextFile } from "../testing/fake_contexts.ts";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeHosts } from "../testing/fake_remote.ts";
import { FakeIo } from "../testing/fake_terminal.ts";
import { ReaderGoneError } from "../terminal/port.ts";

Deno.test("an error in setting up the API client is reported, and no command runs", async () => {
  const io = new FakeIo();
  const client = () => Promise.reject(new ClientSetupError("URL scheme undefined"));
  assert.equal(
    await runFleetctl(["list-units"], {}, {
      io: () => io,
      client,
      hosts: () => new FakeHosts(),
      contexts: new FakeContextFile(),
    }),
    1,
  );
  assert.deepEqual([io.stdout, io.stderr], ["", "Unable to initialize client: URL scheme undefined\n"]);
});

for (const command of ["version", "help", "options", "completion bash", "verify x", "complete -- sta", "fd-forward"]) {
  Deno.test(`${command}: no connection is made, even where the environment names a tunnel`, async () => {
    const io = new FakeIo();
    const client = () => Promise.reject(new Error("a client was made"));
    const start = { io: () => io, client, hosts: () => new FakeHosts(), contexts: new FakeContextFile() };
    await runFleetctl(command.split(" "), { FLEETCTL_TUNNEL: "10.77.0.12" }, start);
    assert.doesNotMatch(io.stderr, /a client was made/);
  });
}

Deno.test("--debug and FLEETCTL_DEBUG both enable debug lines", async () => {
  const requested: boolean[] = [];
  const start = {
    io: (debug: boolean) => (requested.push(debug), new FakeIo()),
    client: () => Promise.resolve(new FakeApi().client()),
    hosts: () => new FakeHosts(),
    contexts: new FakeContextFile(),
  };
  await runFleetctl(["list-units", "--debug"], {}, start);
  await runFleetctl(["list-units"], { FLEETCTL_DEBUG: "true" }, start);
  assert.deepEqual(requested, [false, true, false, true]);
});

Deno.test("a command whose output pipe is closed ends without a message", async () => {
  const io = new FakeIo();
  io.out = () => {
    throw new ReaderGoneError("gone");
  };
  const client = () => Promise.resolve(new FakeApi().client());
  const start = { io: () => io, client, hosts: () => new FakeHosts(), contexts: new FakeContextFile() };
  await assert.rejects(runFleetctl(["list-units"], {}, start), ReaderGoneError);
  assert.equal(io.stderr, "");
});
