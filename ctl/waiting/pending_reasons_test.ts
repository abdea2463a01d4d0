import assert from "node:assert/strict";
import type { ExplanationEntity, MachineExplanationEntity } from "../../daemon/api/v1/types.ts";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";
import { whyItWaits } from "./pending_reasons.ts";

const option = "Service.ExecStart=/bin/true";
const leader = "454c34ef00000000000000000000cafe";

const explanation = (fields: Partial<ExplanationEntity>, isLed = true): ExplanationEntity => ({
  ...{ name: "a.service", desiredState: "launched", hash: "", revision: 1 },
  ...{ outcome: "waiting", summary: "none of 2 machines will take it" },
  ...(isLed && { leader }),
  ...fields,
});

const refusing = (id: string, ...reasons: string[]): MachineExplanationEntity => ({
  machineID: id.padEnd(32, "0"),
  eligibility: "rejected",
  reasons: reasons.map((reason) => ({ reason, rule: "MachineMetadata" })),
});

const texts: readonly { name: string; of: Partial<ExplanationEntity>; isLed?: boolean; told: string[] }[] = [
  {
    name: "reasons by machine",
    of: { machines: [{ ...refusing("aa", "x", "y"), primaryIP: "10.0.0.1" }, refusing("bb", "y")] },
    told: [
      "Unit a.service waits: none of 2 machines will take it",
      "  aa000000.../10.0.0.1: x",
      "  aa000000.../10.0.0.1, bb000000...: y",
    ],
  },
  {
    name: "a reason of many machines",
    of: { machines: ["aa", "bb", "cc", "dd"].map((id) => refusing(id, "x")) },
    told: ["Unit a.service waits: none of 2 machines will take it", "  4 machines: x"],
  },
  {
    name: "more than fits",
    of: { machines: [refusing("aa", ...Array.from({ length: 12 }, (_, index) => `reason ${index}`))] },
    told: [
      "Unit a.service waits: none of 2 machines will take it",
      ...Array.from({ length: 10 }, (_, index) => `  aa000000...: reason ${index}`),
      "  and more: fleetctl explain a.service tells everything",
    ],
  },
  {
    name: "notes and warnings, each once",
    of: {
      summary: "nobody leads",
      machines: [refusing("aa", "bad")],
      notes: ["peer"],
      warnings: ["bad", "nobody leads"],
    },
    told: ["Unit a.service waits: nobody leads", "  aa000000...: bad", "  peer"],
  },
  {
    name: "a machine that is away",
    of: { outcome: "placed", summary: "gone", machines: [{ machineID: "m", eligibility: "offline" }] },
    told: ["Unit a.service waits: gone"],
  },
  { name: "nothing of a unit that is just being placed", of: { next: "place it" }, told: [] },
  {
    name: "a unit that nobody is there to place",
    of: { next: "place it", summary: "nobody leads" },
    isLed: false,
    told: ["Unit a.service waits: nobody leads"],
  },
  { name: "nothing of a unit that has a machine", of: { outcome: "placed" }, told: [] },
  { name: "nothing of an inactive unit", of: { outcome: "inactive" }, told: [] },
];

for (const { name, of, isLed, told } of texts) {
  Deno.test(`why it waits: ${name}`, () => assert.deepEqual(whyItWaits(explanation(of, isLed)), told));
}

/** What is said on standard error, but for notices that nothing has changed. */
function moving(text: string): string {
  return text.split("\n").filter((line) => !line.includes(" has not moved for ")).join("\n");
}

const timedOut = (goal: string) =>
  `Error waiting for units: timed out waiting for unit a.service to report state ${goal}\n`;

for (const [verb, goal] of [["start", "launched"], ["load", "loaded"]] as const) {
  Deno.test(`${verb}: why a unit has no machine is told once, while it is waited for`, async () => {
    const api = new FakeApi();
    api.add("a.service", "inactive", option);
    api.onDesiredState = () => {};
    api.explanations.set("a.service", explanation({ machines: [refusing("aa", "no zone")] }));
    const { status, stdout, stderr } = await fleetctl(api, `${verb} --block-attempts=8 a`);
    assert.deepEqual([status, stdout], [1, ""]);
    const told = "Unit a.service waits: none of 2 machines will take it\n  aa000000...: no zone\n";
    assert.equal(moving(stderr), told + timedOut(goal));
  });
}

Deno.test("start: a unit that is placed in time is not asked about", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.explanations.set("a.service", explanation({}));
  const { status, stderr } = await fleetctl(api, "start a");
  assert.deepEqual([status, stderr], [0, ""]);
  assert.ok(!api.requests.some((request) => request.endsWith("/explain")));
});

Deno.test("start: what a wait tells stands on standard output where standard error is no terminal", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", "Service.ExecStart=/bin/a");
  api.onDesiredState = () => {};
  api.explanations.set("a.service", explanation({}));
  const io = new FakeIo();
  io.isPiped = true;
  const { stdout, stderr } = await fleetctl(api, "start --block-attempts=8 a", io);
  assert.match(stdout, /^Unit a\.service waits: /m);
  assert.equal(moving(stderr), timedOut("launched"));
});

Deno.test("start: a unit that was just being placed is asked about again", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.onDesiredState = () => {};
  api.explanations.set("a.service", explanation({ next: "place it" }));
  let asked = 0;
  api.intercept = (_request, path) => {
    if (path.endsWith("/explain") && ++asked === 2) api.explanations.set("a.service", explanation({ summary: "no" }));
    return undefined;
  };
  const { stderr } = await fleetctl(api, "start --block-attempts=8 a");
  assert.equal(moving(stderr), "Unit a.service waits: no\n" + timedOut("launched"));
  assert.equal(asked, 2);
});

Deno.test("start: a machine that says nothing of its unit", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.onDesiredState = (name) => {
    api.units.get(name)!.machineID = leader;
    api.publishUnit(name);
  };
  const machines = [{ machineID: leader, eligibility: "offline" }];
  api.explanations.set("a.service", explanation({ outcome: "placed", summary: "its machine is away", machines }));
  const { stderr } = await fleetctl(api, "start --block-attempts=8 a");
  assert.equal(moving(stderr), "Unit a.service waits: its machine is away\n" + timedOut("launched"));
});

Deno.test("start: of hundreds of units that wait, a few are asked about at a time", async () => {
  const api = new FakeApi();
  const names = Array.from({ length: 40 }, (_, index) => `u${index}.service`);
  for (const name of names) {
    api.add(name, "inactive", option);
    api.explanations.set(name, explanation({ name }));
  }
  api.onDesiredState = () => {};
  const { stderr } = await fleetctl(api, `start --block-attempts=8 ${names.join(" ")}`);
  const told = stderr.split("\n").filter((line) => / waits: /.test(line));
  assert.equal(told.length, names.length);
  assert.equal(new Set(told).size, names.length);
});

Deno.test("start: a server that cannot explain is asked once", async () => {
  const api = new FakeApi();
  for (const name of ["a.service", "b.service"]) api.add(name, "inactive", option);
  api.onDesiredState = (name) => name === "b.service" && api.reconcile(name);
  const { stderr } = await fleetctl(api, "start --block-attempts=8 a b");
  assert.equal(moving(stderr), timedOut("launched"));
  assert.equal(api.requests.filter((request) => request.endsWith("/explain")).length, 1);
});

Deno.test("start: a refusal to explain goes to the log, and is tried again", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.onDesiredState = () => {};
  let asked = 0;
  api.intercept = (_request, path) => path.endsWith("/explain") && ++asked > 0 ? refusal(503, "away") : undefined;
  const io = new FakeIo();
  const log: string[] = [];
  io.log = (level, text) => log.push(`${level} ${text}`);
  const { stderr } = await fleetctl(api, "start --block-attempts=8 a", io);
  assert.equal(moving(stderr), timedOut("launched"));
  assert.ok(asked > 1, `asked ${asked} times`);
  assert.equal(log[0], "DEBUG no reason why unit a.service waits: googleapi: Error 503: away");
});

Deno.test("start: a reason that has changed is told, and so are its notices", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.onDesiredState = () => {};
  api.explanations.set("a.service", explanation({ summary: "no machine is large enough" }));
  api.intercept = (_request, path) => {
    if (path.endsWith("/explain")) {
      setTimeout(() => api.explanations.set("a.service", explanation({ summary: "all are full" })), 1);
    }
    return undefined;
  };
  const { stderr } = await fleetctl(api, "start --timeout=75 a");
  assert.match(stderr, /^Unit a\.service waits: no machine is large enough\n/);
  assert.match(stderr, /\nUnit a\.service waits: all are full\n/);
  assert.match(stderr, /\nUnit a\.service has not moved for \d+ s, [^\n]*: all are full\n/);
  assert.equal(stderr.split(" waits: ").length, 3, "each reason is told once");
});
