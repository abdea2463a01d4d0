import assert from "node:assert/strict";
import type { ExplanationEntity, MachineExplanationEntity } from "../../daemon/api/v1/types.ts";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";
import { pendingLines } from "./pending_reasons.ts";

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

const texts: readonly { name: string; of: Partial<ExplanationEntity>; isLed?: boolean; expected: string[] }[] = [
  {
    name: "each reason names its machines",
    of: { machines: [{ ...refusing("aa", "x", "y"), primaryIP: "10.0.0.1" }, refusing("bb", "y")] },
    expected: [
      "Unit a.service waits: none of 2 machines will take it",
      "  aa000000.../10.0.0.1: x",
      "  aa000000.../10.0.0.1, bb000000...: y",
    ],
  },
  {
    name: "a reason of many machines names their number",
    of: { machines: ["aa", "bb", "cc", "dd"].map((id) => refusing(id, "x")) },
    expected: ["Unit a.service waits: none of 2 machines will take it", "  4 machines: x"],
  },
  {
    name: "further lines are left to explain",
    of: { machines: [refusing("aa", ...Array.from({ length: 12 }, (_, index) => `reason ${index}`))] },
    expected: [
      "Unit a.service waits: none of 2 machines will take it",
      ...Array.from({ length: 10 }, (_, index) => `  aa000000...: reason ${index}`),
      "  and more: see fleetctl explain a.service",
    ],
  },
  {
    name: "notes and warnings come once each",
    of: {
      summary: "there is no leader",
      machines: [refusing("aa", "bad")],
      notes: ["peer"],
      warnings: ["bad", "there is no leader"],
    },
    expected: ["Unit a.service waits: there is no leader", "  aa000000...: bad", "  peer"],
  },
  {
    name: "a unit whose machine is offline waits",
    of: { outcome: "placed", summary: "gone", machines: [{ machineID: "m", eligibility: "offline" }] },
    expected: ["Unit a.service waits: gone"],
  },
  { name: "a unit that is just being placed has none", of: { next: "place it" }, expected: [] },
  {
    name: "a unit waits while there is no leader to place it",
    of: { next: "place it", summary: "there is no leader" },
    isLed: false,
    expected: ["Unit a.service waits: there is no leader"],
  },
  { name: "a unit that has a machine has none", of: { outcome: "placed" }, expected: [] },
  { name: "an inactive unit has none", of: { outcome: "inactive" }, expected: [] },
];

for (const { name, of, isLed, expected } of texts) {
  Deno.test(`pending reasons: ${name}`, () => assert.deepEqual(pendingLines(explanation(of, isLed)), expected));
}

/** Standard error without the notices that a unit makes no progress. */
function withoutNotices(text: string): string {
  return text.split("\n").filter((line) => !line.includes(" has made no progress for ")).join("\n");
}

const timedOut = (goal: string) =>
  `Error waiting for units: timed out waiting for unit a.service to report state ${goal}\n`;

for (const [verb, goal] of [["start", "launched"], ["load", "loaded"]] as const) {
  Deno.test(`${verb}: the reason why a unit has no machine is printed once during the wait`, async () => {
    const api = new FakeApi();
    api.add("a.service", "inactive", option);
    api.onDesiredState = () => {};
    api.explanations.set("a.service", explanation({ machines: [refusing("aa", "no zone")] }));
    const { status, stdout, stderr } = await fleetctl(api, `${verb} --block-attempts=8 a`);
    assert.deepEqual([status, stdout], [1, ""]);
    const reason = "Unit a.service waits: none of 2 machines will take it\n  aa000000...: no zone\n";
    assert.equal(withoutNotices(stderr), reason + timedOut(goal));
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

Deno.test("start: the reasons of a wait go to standard output if standard error is not a terminal", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", "Service.ExecStart=/bin/a");
  api.onDesiredState = () => {};
  api.explanations.set("a.service", explanation({}));
  const io = new FakeIo();
  io.isPiped = true;
  const { stdout, stderr } = await fleetctl(api, "start --block-attempts=8 a", io);
  assert.match(stdout, /^Unit a\.service waits: /m);
  assert.equal(withoutNotices(stderr), timedOut("launched"));
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
  assert.equal(withoutNotices(stderr), "Unit a.service waits: no\n" + timedOut("launched"));
  assert.equal(asked, 2);
});

Deno.test("start: a unit whose machine reports no state is explained", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.onDesiredState = (name) => {
    api.units.get(name)!.machineID = leader;
    api.publishUnit(name);
  };
  const machines = [{ machineID: leader, eligibility: "offline" }];
  api.explanations.set("a.service", explanation({ outcome: "placed", summary: "its machine is away", machines }));
  const { stderr } = await fleetctl(api, "start --block-attempts=8 a");
  assert.equal(withoutNotices(stderr), "Unit a.service waits: its machine is away\n" + timedOut("launched"));
});

Deno.test("start: the reasons of hundreds of units are all printed", async () => {
  const api = new FakeApi();
  const names = Array.from({ length: 40 }, (_, index) => `u${index}.service`);
  for (const name of names) {
    api.add(name, "inactive", option);
    api.explanations.set(name, explanation({ name }));
  }
  api.onDesiredState = () => {};
  const { stderr } = await fleetctl(api, `start --block-attempts=8 ${names.join(" ")}`);
  const reasons = stderr.split("\n").filter((line) => / waits: /.test(line));
  assert.equal(reasons.length, names.length);
  assert.equal(new Set(reasons).size, names.length);
});

Deno.test("start: a server that cannot explain is asked once", async () => {
  const api = new FakeApi();
  for (const name of ["a.service", "b.service"]) api.add(name, "inactive", option);
  api.onDesiredState = (name) => name === "b.service" && api.reconcile(name);
  const { stderr } = await fleetctl(api, "start --block-attempts=8 a b");
  assert.equal(withoutNotices(stderr), timedOut("launched"));
  assert.equal(api.requests.filter((request) => request.endsWith("/explain")).length, 1);
});

Deno.test("start: a refused explanation is logged and requested again", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.onDesiredState = () => {};
  let asked = 0;
  api.intercept = (_request, path) => path.endsWith("/explain") && ++asked > 0 ? refusal(503, "away") : undefined;
  const io = new FakeIo();
  const log: string[] = [];
  io.log = (level, text) => log.push(`${level} ${text}`);
  const { stderr } = await fleetctl(api, "start --block-attempts=8 a", io);
  assert.equal(withoutNotices(stderr), timedOut("launched"));
  assert.ok(asked > 1, `asked ${asked} times`);
  assert.equal(log[0], "DEBUG cannot explain why unit a.service waits: away (HTTP 503)");
});

Deno.test("start: a changed reason is printed, and its notices repeat it", async () => {
  const api = new FakeApi();
  const io = new FakeIo();
  api.add("a.service", "inactive", option);
  api.onDesiredState = () => {};
  api.explanations.set("a.service", explanation({ summary: "no machine is large enough" }));
  api.intercept = (_request, path) => {
    if (path.endsWith("/explain")) {
      void io.sleep(1).then(() => api.explanations.set("a.service", explanation({ summary: "all are full" })));
    }
    return undefined;
  };
  const { stderr } = await fleetctl(api, "start --timeout=75 a", io);
  assert.match(stderr, /^Unit a\.service waits: no machine is large enough\n/);
  assert.match(stderr, /\nUnit a\.service waits: all are full\n/);
  assert.match(stderr, /\nUnit a\.service has made no progress for \d+ s and [^\n]*: all are full\n/);
  assert.equal(stderr.split(" waits: ").length, 3, "each reason is printed once");
});
