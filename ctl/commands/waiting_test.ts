import assert from "node:assert/strict";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";

function cluster(...names: string[]): FakeApi {
  const api = new FakeApi();
  for (const name of names) api.add(name, "launched", "Service.ExecStart=/bin/true");
  return api;
}

Deno.test("--timeout limits a wait as a whole", async () => {
  const api = cluster("a.service");
  api.onDesiredState = () => {};
  const { status, stderr } = await fleetctl(api, "stop --timeout=1.5 a");
  assert.equal(status, 1);
  assert.match(stderr, /timed out waiting for unit a\.service to report state loaded/);
});

Deno.test("while a command waits, ^C has words; afterwards it has none", async () => {
  const api = cluster("a.service");
  const io = new FakeIo();
  let words: string[] = [];
  api.onDesiredState = (name) => {
    setTimeout(() => {
      words = [...io.interruptWords];
      api.reconcile(name);
    }, 20);
  };
  assert.equal((await fleetctl(api, "stop a", io)).status, 0);
  assert.deepEqual(words, ["Stopped waiting for a.service; the cluster continues with the request."]);
  assert.equal(io.interruptWords.size, 0);
});

/** How many restarts were under way together at most, and which were asked for. */
async function restarting(line: string, fails?: string): Promise<{ most: number; asked: string[]; status: number }> {
  const api = cluster("a.service", "b.service", "c.service", "d.service");
  let running = 0;
  let most = 0;
  const asked: string[] = [];
  api.onRestart = (name) => {
    asked.push(name);
    most = Math.max(most, ++running);
    setTimeout(() => {
      running--;
      if (name === fails) api.reportState(name, "failed", "failed", "exit-code");
      else api.reportState(name, "active", "running");
    }, 20);
  };
  const { status } = await fleetctl(api, line);
  return { most, asked, status };
}

Deno.test("restart goes one by one, --max-parallel several at a time", async () => {
  const all = ["a.service", "b.service", "c.service", "d.service"];
  assert.deepEqual(await restarting("restart a b c d"), { most: 1, asked: all, status: 0 });
  assert.deepEqual(await restarting("restart --max-parallel=2 *"), { most: 2, asked: all, status: 0 });
});

Deno.test("restart stops at the first that fails", async () => {
  const { asked, status } = await restarting("restart a b c d", "b.service");
  assert.deepEqual([asked, status], [["a.service", "b.service"], 1]);
});

Deno.test("- reads a unit from standard input", async () => {
  const api = new FakeApi();
  const io = new FakeIo();
  io.stdin = "[Service]\nExecStart=/bin/true\n";
  const ran = await fleetctl(api, "start --name=hello -", io);
  assert.deepEqual([ran.status, ran.stderr], [0, ""]);
  assert.match(ran.stdout, /^Unit hello\.service inactive\nUnit hello\.service launched on /);
  assert.deepEqual(api.units.get("hello.service")?.options, [
    { section: "Service", name: "ExecStart", value: "/bin/true" },
  ]);
});

for (const line of ["submit -", "submit --name=a x", "submit --name=a - -", "submit --name=a/b.service -"]) {
  Deno.test(`refused: ${line}`, async () => {
    const stderr = "Error creating units: - reads one unit from standard input: name it with --name=NAME\n";
    assert.deepEqual(await fleetctl(new FakeApi(), line), { status: 1, stdout: "", stderr });
  });
}
