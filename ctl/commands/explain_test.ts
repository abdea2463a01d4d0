import assert from "node:assert/strict";
import type { ExplanationEntity } from "../../daemon/api/v1/types.ts";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { fleetctl, usageOf } from "../testing/fake_terminal.ts";

const m1 = "454c34ef00000000000000000000cafe";
const m2 = "7e5f6a1b00000000000000000000beef";
const hash = "6dbc1ef6dbc1ef6dbc1ef6dbc1ef6dbc1ef6dbc1";

const runs: ExplanationEntity = {
  currentState: "launched",
  desiredState: "launched",
  hash,
  launched: 117,
  leader: m2,
  machineID: m1,
  machines: [
    {
      currentState: "launched",
      error: "disk full",
      machineID: m1,
      pending: "has not restarted it yet, as was asked",
      primaryIP: "10.77.0.11",
      restart: 0,
      result: "exit-code",
      since: 1767225600000,
      eligibility: "assigned",
      state: { name: "a.service", machineID: m1, systemdActiveState: "failed", systemdSubState: "failed" },
    },
    { machineID: m2, eligibility: "eligible" },
  ],
  name: "a.service",
  next: "give machine 454c34ef... its newest orders",
  notes: ["Unit(b.service) replaces it, but it cannot move to another machine"],
  outcome: "placed",
  restart: 120,
  revision: 130,
  since: 1767225600000,
  summary: "it is placed on machine 454c34ef..., which has not restarted it yet, as was asked",
  warnings: ['unrecognized requirement in [X-Fleet] section: "Conflict" (did you mean "Conflicts"?)'],
  why: "least loaded machine that will take it, with 0 units",
};

const waits: ExplanationEntity = {
  currentState: "inactive",
  desiredState: "loaded",
  hash,
  machines: [
    {
      machineID: m1,
      reasons: [
        { reason: "local Machine metadata insufficient: needs zone=b, has no zone", rule: "MachineMetadata" },
        { reason: "found conflict with locally-scheduled Unit(a.service)", rule: "Conflicts" },
      ],
      eligibility: "rejected",
    },
    { machineID: m2, eligibility: "offline" },
  ],
  name: "w.service",
  outcome: "waiting",
  revision: 130,
  summary: "the only machine will not take it",
};

const template: ExplanationEntity = {
  currentState: "inactive",
  desiredState: "inactive",
  hash,
  leader: m1,
  name: "t@.service",
  outcome: "template",
  revision: 130,
  summary: "it is a template: only its instances, t@NAME.service, can run",
};

const spoilt: ExplanationEntity = {
  currentState: "launched",
  desiredState: "inactive",
  hash: "",
  leader: m2,
  machineID: m1,
  machines: [
    {
      machineID: m1,
      eligibility: "assigned",
      state: { name: "s.service", machineID: m1, systemdActiveState: "active", systemdSubState: "running" },
    },
    { machineID: m2, eligibility: "none" },
  ],
  name: "s.service",
  outcome: "unreadable",
  revision: 130,
  summary: "the store holds what cannot be read (cannot read key unit/s.service: it is not JSON)",
};

const cases: { name: string; line: string; status?: number; stdout?: string; stderr?: string }[] = [
  {
    name: "a unit with a machine: everything about it",
    line: "explain a",
    stdout: `Unit:		a.service
Summary:	it is placed on machine 454c34ef..., which has not restarted it yet, as was asked
Wanted:		launched, since revision 117
Is:		launched
Restart:	asked for at revision 120
File:		6dbc1ef
Machine:	454c34ef.../10.77.0.11, since 2026-01-01T00:00:00.000Z
Why:		least loaded machine that will take it, with 0 units
Next:		the engine will give machine 454c34ef... its newest orders
Engine:		led by machine 7e5f6a1b...
Note:		Unit(b.service) replaces it, but it cannot move to another machine
Warning:	unrecognized requirement in [X-Fleet] section: "Conflict" (did you mean "Conflicts"?)

MACHINE			ELIGIBILITY	ACTIVE	SUB	REASON
454c34ef.../10.77.0.11	assigned	failed	failed	has not restarted it yet, as was asked
454c34ef.../10.77.0.11	assigned	failed	failed	its agent says: disk full
454c34ef.../10.77.0.11	assigned	failed	failed	systemd's result: exit-code
7e5f6a1b...		eligible	-	-	would take it
`,
  },
  {
    name: "a unit without: each machine's every reason, in full",
    line: "explain --full w.service",
    stdout: `Unit:		w.service
Summary:	the only machine will not take it
Wanted:		loaded
Is:		inactive
File:		${hash}
Engine:		led by no machine

MACHINE					ELIGIBILITY	ACTIVE	SUB	REASON
${m1}	rejected	-	-	local Machine metadata insufficient: needs zone=b, has no zone
${m1}	rejected	-	-	found conflict with locally-scheduled Unit(a.service)
${m2}	offline		-	-	-
`,
  },
  {
    name: "a unit that concerns no machine",
    line: "explain t@.service",
    stdout: `Unit:		t@.service
Summary:	it is a template: only its instances, t@NAME.service, can run
Wanted:		inactive
Is:		inactive
File:		6dbc1ef
Engine:		led by machine 454c34ef...
`,
  },
  {
    name: "a unit that cannot be read: nothing of what is wanted of it",
    line: "explain s",
    stdout: `Unit:		s.service
Summary:	the store holds what cannot be read (cannot read key unit/s.service: it is not JSON)
Is:		launched
Machine:	454c34ef...
Engine:		led by machine 7e5f6a1b...

MACHINE		ELIGIBILITY	ACTIVE	SUB	REASON
454c34ef...	assigned	active	running	-
7e5f6a1b...	none		-	-	-
`,
  },
  { name: "as JSON", line: "explain a --output json", stdout: JSON.stringify(runs, undefined, 2) + "\n" },
  {
    name: "as YAML",
    line: "explain w.service --output yaml",
    stdout: `currentState: "inactive"
desiredState: "loaded"
hash: "${hash}"
machines:
- machineID: "${m1}"
  reasons:
  - reason: "local Machine metadata insufficient: needs zone=b, has no zone"
    rule: "MachineMetadata"
  - reason: "found conflict with locally-scheduled Unit(a.service)"
    rule: "Conflicts"
  eligibility: "rejected"
- machineID: "${m2}"
  eligibility: "offline"
name: "w.service"
outcome: "waiting"
revision: 130
summary: "the only machine will not take it"
`,
  },
  { name: "a unit that does not exist", line: "explain x", status: 1, stderr: "Unit x.service does not exist.\n" },
  {
    name: "another format",
    line: "explain --output=xml a",
    status: 2,
    stderr: 'Invalid output "xml": expected "table", "wide", "json" or "yaml"\n' + usageOf("explain"),
  },
];

for (const { name, line, status = 0, stdout = "", stderr = "" } of cases) {
  Deno.test(`explain: ${name}`, async () => {
    const api = new FakeApi();
    for (const each of [runs, waits, template, spoilt]) api.explanations.set(each.name, each);
    assert.deepEqual(await fleetctl(api, line), { status, stdout, stderr });
  });
}

Deno.test("explain: a server that cannot", async () => {
  const api = new FakeApi();
  api.add("a.service", "launched", "Service.ExecStart=/bin/a");
  const stderr = "Error explaining unit a.service: unix:///fake.sock is served by a fleet that cannot explain\n";
  assert.deepEqual(await fleetctl(api, "explain a"), { status: 1, stdout: "", stderr });
});

Deno.test("explain: a server that is away", async () => {
  const api = new FakeApi();
  api.intercept = () => refusal(503, "away");
  const stderr = "Error explaining unit a.service: googleapi: Error 503: away\n";
  assert.deepEqual(await fleetctl(api, "explain a"), { status: 1, stdout: "", stderr });
});

Deno.test("explain: wide is the page in full", async () => {
  const api = new FakeApi();
  api.explanations.set(waits.name, waits);
  const [wide, full] = await Promise.all(
    ["--output=wide", "--full"].map((flag) => fleetctl(api, `explain ${flag} w.service`)),
  );
  assert.deepEqual(wide, full);
});
