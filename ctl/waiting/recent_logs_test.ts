import assert from "node:assert/strict";
import { FakeApi } from "../testing/fake_api.ts";
import { fleetctl } from "../testing/fake_terminal.ts";

/** Starts units that fail in systemd, and returns what was said on standard error. */
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

Deno.test("a unit that fails to start: systemd's result, its last lines, and exit status 1", async () => {
  let queries: readonly string[] = [];
  const said = await failing(["a"], (api) => {
    api.journals.set("a.service", () => "12:00:01 m1 sh[7]: no disk\n12:00:02 m1 systemd[1]: Failed.\n");
    queries = api.journalQueries;
  });
  assert.deepEqual(said, [
    `Error waiting for units: ${reason}`,
    "The last lines that a.service logged on 454c34ef.../10.77.0.11:",
    "  12:00:01 m1 sh[7]: no disk",
    "  12:00:02 m1 systemd[1]: Failed.",
  ]);
  assert.deepEqual(queries, ["?machineID=454c34ef00000000000000000000cafe&lines=10&output=short"]);
});

const silent: Record<string, (api: FakeApi) => void> = {
  "the API has no journals": () => {},
  "its machine cannot be asked": (api) => api.intercept = (_, path) => answer(path, 502),
  "the API refuses": (api) => api.intercept = (_, path) => answer(path, 403),
  "it has logged nothing": (api) => api.journals.set("a.service", () => ""),
  "the journal does not come": (api) => api.journals.set("a.service", () => new ReadableStream()),
};

function answer(path: string, code: number): Response | undefined {
  if (!path.endsWith("/journal")) return undefined;
  return new Response(JSON.stringify({ error: { code, message: "no" } }), { status: code });
}

for (const [why, prepare] of Object.entries(silent)) {
  Deno.test(`a unit that fails to start, and ${why}: how to see its journal`, async () => {
    assert.deepEqual(await failing(["a"], prepare), [
      `Error waiting for units: ${reason}`,
      "What a.service has logged: fleetctl journal a.service",
    ]);
  });
}

Deno.test("of many units that fail, the first few tell why", async () => {
  const names = ["a", "b", "c", "d", "e"];
  const said = await failing(names, (api) => {
    for (const name of names) api.journals.set(`${name}.service`, () => `${name} is broken\n`);
  });
  assert.deepEqual(said.filter((line) => line.startsWith("  ")), ["  a is broken", "  b is broken", "  c is broken"]);
  assert.deepEqual(said.filter((line) => line.startsWith("What")), [
    "What d.service has logged: fleetctl journal d.service",
    "What e.service has logged: fleetctl journal e.service",
  ]);
});

Deno.test("a journal without an end does not fill the screen", async () => {
  const said = await failing(["a"], (api) => {
    api.journals.set("a.service", () => {
      const line = new TextEncoder().encode("again and again\n");
      return new ReadableStream({ pull: (controller) => controller.enqueue(line) });
    });
  });
  assert.ok(said.length > 100 && said.length < 2000, `${said.length} lines`);
});
