import assert from "node:assert/strict";
import { FakeApi } from "../testing/fake_api.ts";
import { fleetctl } from "../testing/fake_terminal.ts";

/** Starts units that fail in systemd, and returns the lines on standard error. */
async function failing(names: readonly string[], prepare: (api: FakeApi) => void): Promise<string[]> {
  const api = new FakeApi();
  for (const name of names) api.add(`${name}.service`, "loaded", "Service.ExecStart=/bin/false");
  api.onDesiredState = (name) => {
    api.units.get(name)!.currentState = "launched";
    api.publishUnit(name);
    api.reportState(name, "activating", "start");
    api.reportState(name, "failed", "failed", "exit-code");
  };
  prepare(api);
  const { status, stderr } = await fleetctl(api, `start ${names.join(" ")}`);
  assert.equal(status, 1);
  return stderr.trimEnd().split("\n");
}

const reason = "unit a.service failed: systemd reports it loaded, failed (failed): exit-code";

Deno.test("a failed start prints systemd's result and the unit's last log lines", async () => {
  let queries: readonly string[] = [];
  const lines = await failing(["a"], (api) => {
    api.journals.set("a.service", () => "12:00:01 m1 sh[7]: no disk\n12:00:02 m1 systemd[1]: Failed.\n");
    queries = api.journalQueries;
  });
  assert.deepEqual(lines, [
    `Error waiting for units: ${reason}`,
    "Last log lines of a.service on 454c34ef.../10.77.0.11:",
    "  12:00:01 m1 sh[7]: no disk",
    "  12:00:02 m1 systemd[1]: Failed.",
  ]);
  assert.deepEqual(queries, ["?machineID=454c34ef00000000000000000000cafe&lines=10&output=short"]);
});

const silent: Record<string, (api: FakeApi) => void> = {
  "the API has no journals": () => {},
  "its machine cannot be reached": (api) => api.intercept = (_, path) => answer(path, 502),
  "the API refuses": (api) => api.intercept = (_, path) => answer(path, 403),
  "its log is empty": (api) => api.journals.set("a.service", () => ""),
  "the journal does not arrive": (api) => api.journals.set("a.service", () => new ReadableStream()),
};

function answer(path: string, code: number): Response | undefined {
  if (!path.endsWith("/journal")) return undefined;
  return new Response(JSON.stringify({ error: { code, message: "no" } }), { status: code });
}

for (const [why, prepare] of Object.entries(silent)) {
  Deno.test(`a failed start prints how to see the log if ${why}`, async () => {
    assert.deepEqual(await failing(["a"], prepare), [
      `Error waiting for units: ${reason}`,
      "To see the log of a.service: fleetctl journal a.service",
    ]);
  });
}

Deno.test("the logs of the first few of many failed units are printed", async () => {
  const names = ["a", "b", "c", "d", "e"];
  const lines = await failing(names, (api) => {
    for (const name of names) api.journals.set(`${name}.service`, () => `${name} is broken\n`);
  });
  assert.deepEqual(lines.filter((line) => line.startsWith("  ")), ["  a is broken", "  b is broken", "  c is broken"]);
  assert.deepEqual(lines.filter((line) => line.startsWith("To see")), [
    "To see the log of d.service: fleetctl journal d.service",
    "To see the log of e.service: fleetctl journal e.service",
  ]);
});

Deno.test("the output of an endless journal is limited", async () => {
  const lines = await failing(["a"], (api) => {
    api.journals.set("a.service", () => {
      const bytes = new TextEncoder().encode("again and again\n");
      return new ReadableStream({ pull: (controller) => controller.enqueue(bytes) });
    });
  });
  assert.ok(lines.length > 100 && lines.length < 2000, `${lines.length} lines`);
});
