import assert from "node:assert/strict";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { fleetctl, usageOf } from "../testing/fake_terminal.ts";

const m1 = "454c34ef00000000000000000000cafe";
const m2 = "7e5f6a1b00000000000000000000beef";

function cluster(): FakeApi {
  const api = new FakeApi();
  api.machines = [
    { id: m1, primaryIP: "10.77.0.11", metadata: { zone: "a", disk: "ssd" } },
    { id: m2 },
  ];
  api.add("a.service", "launched", "Unit.Description=First things", "Service.ExecStart=/bin/a");
  api.add("g.service", "launched", "Service.ExecStart=/bin/g", "X-Fleet.Global=true");
  api.add("idle.service", "inactive", "Service.ExecStart=/bin/idle");
  api.states.get("a.service")!.get(m1)!.state = {
    ...api.states.get("a.service")!.get(m1)!.state,
    hash: "0123456789abcdef",
  };
  // One that does not tell.
  const { hash: _hash, ...silent } = api.states.get("g.service")!.get(m1)!.state;
  api.states.get("g.service")!.get(m1)!.state = silent;
  return api;
}

const awayFailure = {
  status: 1,
  stdout: "",
  stderr: "Error retrieving list of units from repository: googleapi: Error 503: away\n",
};

const cases: { name: string; line: string; status?: number; stdout?: string; stderr?: string }[] = [
  {
    name: "machines",
    line: "list-machines",
    stdout: "MACHINE\t\tIP\t\tMETADATA\n454c34ef...\t10.77.0.11\tdisk=ssd,zone=a\n7e5f6a1b...\t-\t\t-\n",
  },
  {
    name: "machines by an abbreviated name, in full, without a header",
    line: "list-m -l --no-legend",
    stdout: `${m1}\t10.77.0.11\tdisk=ssd,zone=a\n${m2}\t-\t\t-\n`,
  },
  {
    name: "machines, chosen columns",
    line: "list-machines --fields=ip,machine --no-legend",
    stdout: "10.77.0.11\t454c34ef...\n-\t\t7e5f6a1b...\n",
  },
  {
    name: "units",
    line: "list-units",
    stdout: "UNIT\t\tMACHINE\t\t\tACTIVE\tSUB\n" +
      "a.service\t454c34ef.../10.77.0.11\tactive\trunning\n" +
      "g.service\t454c34ef.../10.77.0.11\tactive\trunning\n",
  },
  {
    name: "units, all columns",
    line: "list-units --no-legend --fields unit,load,hash",
    stdout: "a.service\tloaded\t0123456\ng.service\tloaded\t-\n",
  },
  {
    name: "units in full, the old single-dash way",
    line: "list-units -full -no-legend -fields=hash,machine",
    stdout: `0123456789abcdef\t${m1}/10.77.0.11\n-\t\t\t${m1}/10.77.0.11\n`,
  },
  {
    name: "unit files",
    line: "list-unit-files",
    stdout: "UNIT\t\tHASH\tDSTATE\t\tSTATE\t\tTARGET\n" +
      "a.service\t9370341\tlaunched\tlaunched\t454c34ef.../10.77.0.11\n" +
      "g.service\t5439a3b\tlaunched\t-\t\tglobal\n" +
      "idle.service\t7637559\tinactive\tinactive\t-\n",
  },
  {
    name: "unit files, other columns",
    line: "list-unit-files --no-legend --fields=unit,global,desc",
    stdout: "a.service\tfalse\tFirst things\ng.service\ttrue\t-\nidle.service\tfalse\t-\n",
  },
  {
    name: "unit files, the deprecated column",
    line: "list-unit-files --no-legend --fields=tmachine",
    stdout: "454c34ef.../10.77.0.11\nglobal\n-\n",
    stderr: 'WARNING: The "tmachine" field is deprecated. Use "target" instead\n',
  },
  { name: "no columns", line: "list-units --fields=", status: 1, stderr: "Must define output format\n" },
  {
    name: "an unknown column",
    line: "list-machines --fields ip,x",
    status: 1,
    stderr: 'Invalid key in output format: "x"\n',
  },
  {
    name: "a column that is a property of every object",
    line: "list-units --fields=constructor",
    status: 1,
    stderr: 'Invalid key in output format: "constructor"\n',
  },
  {
    name: "an unknown output",
    line: "list-units --output=xml",
    status: 2,
    stderr: 'Invalid output "xml": expected "table", "wide", "json" or "yaml"\n' + usageOf("list-units"),
  },
];

for (const { name, line, status = 0, stdout = "", stderr = "" } of cases) {
  Deno.test(`lists: ${name}`, async () =>
    assert.deepEqual(await fleetctl(cluster(), line), { status, stdout, stderr }));
}

Deno.test("lists: JSON has whole values under the names of the columns", async () => {
  const list = async (line: string) => JSON.parse((await fleetctl(cluster(), line)).stdout);
  assert.deepEqual(await list("list-machines --output json"), [
    { machine: m1, ip: "10.77.0.11", metadata: { disk: "ssd", zone: "a" } },
    { machine: m2, ip: null, metadata: {} },
  ]);
  assert.deepEqual(await list("list-units --output=json --fields=unit,machine,hash"), [
    { unit: "a.service", machine: m1, hash: "0123456789abcdef" },
    { unit: "g.service", machine: m1, hash: null },
  ]);
  assert.deepEqual(await list("list-unit-files --output=json --fields=unit,global,target,state"), [
    { unit: "a.service", global: false, target: m1, state: "launched" },
    { unit: "g.service", global: true, target: "global", state: null },
    { unit: "idle.service", global: false, target: null, state: "inactive" },
  ]);
});

Deno.test("lists: every page is read", async () => {
  const api = new FakeApi();
  for (let n = 10; n < 35; n++) api.add(`u${n}.service`, "inactive", "Service.ExecStart=/bin/true");
  api.pageSize = 10;
  const { stdout } = await fleetctl(api, "list-unit-files --no-legend --fields=unit");
  assert.equal(stdout, Array.from({ length: 25 }, (_, n) => `u${n + 10}.service\n`).join(""));
});

Deno.test("lists: machines are only asked for if they are shown", async () => {
  const api = cluster();
  await fleetctl(api, "list-units --fields=unit");
  assert.deepEqual(api.requests, ["GET /state"]);
});

Deno.test("lists: a list of units is shown though the machines are not to be had", async () => {
  const api = cluster();
  api.intercept = (_request, path) => path === "/machines" ? refusal(503, "away") : undefined;
  assert.deepEqual(await fleetctl(api, "list-units --no-legend --fields=unit,machine"), {
    status: 0,
    stdout: "a.service\t454c34ef...\ng.service\t454c34ef...\n",
    stderr: "WARN no list of machines: googleapi: Error 503: away\n",
  });
});

Deno.test("a unit that cannot be read is listed, and said to be so", async () => {
  const api = cluster();
  const unreadable = "cannot read key unit/idle.service: it is not JSON";
  api.units.set("idle.service", { ...api.units.get("idle.service")!, unreadable });
  const { stdout, stderr, status } = await fleetctl(api, "list-unit-files --no-legend --fields=unit");
  assert.deepEqual([status, stdout], [0, "a.service\ng.service\nidle.service\n"]);
  assert.equal(stderr, `WARNING: Unit idle.service: ${unreadable}. See: fleetctl explain idle.service\n`);
});

for (const line of ["list-units", "list-unit-files"]) {
  Deno.test(`lists: ${line} while the store is away`, async () => {
    const api = cluster();
    api.intercept = () => refusal(503, "away");
    assert.deepEqual(await fleetctl(api, line), awayFailure);
  });
}

Deno.test("lists: as YAML", async () => {
  const { stdout } = await fleetctl(cluster(), "list-unit-files --output=yaml --fields=unit,global,target");
  assert.equal(
    stdout,
    `- unit: "a.service"\n  global: false\n  target: "${m1}"\n- unit: "g.service"\n  global: true\n  target: "global"\n` +
      `- unit: "idle.service"\n  global: false\n  target: null\n`,
  );
  assert.equal((await fleetctl(new FakeApi(), "list-units --output=yaml")).stdout, "[]\n");
});

Deno.test("lists: wide has every column that is not deprecated, whole", async () => {
  const { stdout, stderr } = await fleetctl(cluster(), "list-unit-files --output=wide");
  assert.match(stdout, /^UNIT\t+GLOBAL\t+DSTATE\t+STATE\t+TARGET\t+HASH\t+DESC\n/);
  assert.match(stdout, new RegExp(`^a\\.service\\t+false\\t+launched\\tlaunched\\t${m1}`, "m"));
  assert.equal(stderr, "");
  const chosen = await fleetctl(cluster(), "list-unit-files --output=wide --fields=unit");
  assert.equal(chosen.stdout, "UNIT\na.service\ng.service\nidle.service\n");
});
