import assert from "node:assert/strict";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { FakeHosts } from "../testing/fake_remote.ts";
import { FakeIo, fleetctl, usageOf } from "../testing/fake_terminal.ts";
import { isPattern, patternMatches } from "./select.ts";

const cases: [string, string, boolean][] = [
  ["*", "a.service", true],
  ["web@*", "web@1.service", true],
  ["web@*", "web.service", false],
  ["web@?", "web@1.service", true],
  ["web@?", "web@12.service", false],
  ["*.socket", "a.socket", true],
  ["*.socket", "a.service", false],
  ["db[1-2]", "db2.service", true],
  ["db[!1-2]", "db2.service", false],
  ["a.*", "a.service", true],
  ["a.*", "ab.service", false],
  ["a+*", "a+b.service", true],
];

for (const [pattern, name, matches] of cases) {
  Deno.test(`patterns: ${pattern} ${matches ? "means" : "does not mean"} ${name}`, () => {
    assert.equal(patternMatches(pattern, name), matches);
  });
}

Deno.test("patterns: a directory's name makes no pattern", () => assert.ok(!isPattern("/srv/[old]/a.service")));

/** The template web@.service, two instances that run, a third that is inactive, a fourth that waits, and db.service. */
function webs(): FakeApi {
  const api = new FakeApi();
  const [sleep, more] = ["Service.ExecStart=/bin/sleep 9", "Unit.Description=Web"];
  api.add("web@.service", "inactive", sleep);
  for (const n of [1, 2]) api.add(`web@${n}.service`, "launched", more, sleep);
  api.add("web@3.service", "inactive", sleep);
  api.add("db.service", "launched", sleep);
  api.requests.length = 0;
  return api;
}

const where = "454c34ef.../10.77.0.11";
const template = '"web@." matches only the template web@.service, which cannot run: start an instance of it first\n';

const commandCases: {
  name: string;
  line: string;
  prepare?: (api: FakeApi, hosts: FakeHosts) => void;
  status?: number;
  stdout?: string | RegExp;
  stderr?: string;
  writes?: readonly string[];
  ran?: readonly string[];
}[] = [
  {
    name: "stop: every instance that can be stopped, not the template",
    line: "stop web@*",
    stdout: `Unit web@1.service loaded on ${where}\nUnit web@2.service loaded on ${where}\n`,
    stderr: "Successfully stopped units [web@1.service web@2.service].\n",
    writes: ["PUT web@1.service", "PUT web@2.service"],
  },
  {
    name: "stop: a unit that is named as well is stopped once, and must be there to be stopped",
    line: "stop web@* web@1 web@3",
    status: 1,
    stdout: `Unit web@1.service loaded on ${where}\nUnit web@2.service loaded on ${where}\n`,
    stderr: "Unable to stop unit web@3.service in state inactive\n" +
      "Successfully stopped units [web@1.service web@2.service].\n",
    writes: ["PUT web@1.service", "PUT web@2.service"],
  },
  {
    name: "stop: a refusal holds up no other unit",
    line: "stop web@*",
    prepare: (api) =>
      api.intercept = ({ method }, path) =>
        method === "PUT" && path.includes("web%401") ? refusal(409, "no") : undefined,
    status: 1,
    stdout: `Unit web@2.service loaded on ${where}\n`,
    stderr: "Failed to stop units [web@1.service]. err: googleapi: Error 409: no\n" +
      "Successfully stopped units [web@2.service].\n",
  },
  {
    name: "unload: every instance that is not inactive",
    line: "unload web@*",
    stdout: "Unit web@1.service inactive\nUnit web@2.service inactive\n",
    stderr: "Successfully unloaded units [web@1.service web@2.service].\n",
  },
  {
    name: "destroy: templates, too",
    line: "destroy web@*",
    stdout: ["", "1", "2", "3"].map((n) => `Destroyed web@${n}.service\n`).join(""),
  },
  {
    name: "start: every instance",
    line: "start web@*",
    stdout: `Unit web@3.service launched on ${where}\n`,
    writes: ["PUT web@3.service"],
  },
  {
    name: "start: a refusal holds up no other unit",
    line: "start web@*",
    prepare: (api) => {
      for (const name of ["web@1.service", "web@2.service"]) api.units.get(name)!.desiredState = "loaded";
      api.intercept = ({ method }, path) =>
        method === "PUT" && path.includes("web%401") ? refusal(409, "no") : undefined;
    },
    status: 1,
    stdout: `Unit web@2.service launched on ${where}\nUnit web@3.service launched on ${where}\n`,
    stderr: "Error starting units: web@1.service: googleapi: Error 409: no\n",
  },
  {
    name: "load: every instance",
    line: "load web@*",
    stdout: [1, 2, 3].map((n) => `Unit web@${n}.service loaded on ${where}\n`).join(""),
  },
  {
    name: "restart: every instance that can be restarted",
    line: "restart web@*",
    stdout: `Unit web@1.service launched on ${where}\nUnit web@2.service launched on ${where}\n`,
    stderr: "INFO Unit(web@1.service) was restarted.\nINFO Unit(web@2.service) was restarted.\n",
    writes: ["POST web@1.service/restart", "POST web@2.service/restart"],
  },
  {
    name: "status: every instance, also behind one that cannot be asked",
    line: "status web@*",
    prepare: (api) => delete api.units.get("web@1.service")!.machineID,
    status: 1,
    stdout: "\n\n",
    stderr: "Unit web@1.service does not appear to be loaded.\nUnit web@3.service does not appear to be loaded.\n",
    ran: [`10.77.0.11: systemctl "status" "-l" "web@2.service"`],
  },
  {
    name: "logs: every instance that is on a machine",
    line: "logs web@*",
    prepare: (api) => {
      for (const n of [1, 2]) {
        api.journals.set(`web@${n}.service`, () => {
          return JSON.stringify({ __REALTIME_TIMESTAMP: `${n}000000`, MESSAGE: `hello ${n}` }) + "\n";
        });
      }
    },
    stdout: /^\d\d:\d\d:01 web@1\.service hello 1\n\d\d:\d\d:02 web@2\.service hello 2\n$/,
  },
  {
    name: "logs: those that can be read, and which cannot",
    line: "logs web@1 db",
    prepare: (api) => {
      delete api.units.get("db.service")!.machineID;
      api.journals.set("web@1.service", () => "{}\n");
    },
    status: 1,
    stderr: "Unit db.service does not appear to be running.\n",
  },
  {
    name: "journal: each below its name",
    line: "journal web@[12]",
    stdout: "-- web@1.service --\n\n-- web@2.service --\n",
    ran: [1, 2].map((n) =>
      `10.77.0.11: journalctl "--unit" "web@${n}.service" "--no-pager" "-n" "10" "--output" "short"`
    ),
  },
  {
    name: "journal --follow of several: merged",
    line: "journal -f --lines=1 web@[12]",
    ran: [1, 2].map((n) =>
      `10.77.0.11: journalctl "--unit" "web@${n}.service" "--no-pager" "--quiet" "--output" "json" "-n" "1" "-f"`
    ),
  },
  {
    name: "journal --follow of several: not with another output",
    line: "journal -f --output=cat web@[12]",
    status: 2,
    stderr: "Error: --follow of several units cannot be combined with --output\n" + usageOf("journal"),
  },
  {
    name: "cat: a template by its name",
    line: "cat web@",
    stdout: "[Service]\nExecStart=/bin/sleep 9\n",
  },
  {
    name: "cat: each behind its name",
    line: "cat web@[.1]*",
    stdout: "# web@.service\n[Service]\nExecStart=/bin/sleep 9\n\n" +
      "# web@1.service\n[Unit]\nDescription=Web\n\n[Service]\nExecStart=/bin/sleep 9\n",
  },
  {
    name: "list-units: only those",
    line: "list-units --no-legend --fields=unit web@*",
    stdout: "web@1.service\nweb@2.service\n",
  },
  {
    name: "list-units: a unit by its name, and one that is not there",
    line: "list-units --no-legend --fields=unit db dx",
    status: 1,
    stdout: "db.service\n",
    stderr: "Unit dx.service is not in the cluster\n",
  },
  {
    name: "list-unit-files: templates, too",
    line: "list-unit-files --no-legend --fields=unit web@*",
    stdout: ["", "1", "2", "3"].map((n) => `web@${n}.service\n`).join(""),
  },
  ...["stop", "start", "load", "unload", "restart", "status", "logs", "journal", "cat", "explain", "list-units"].map(
    (command) => ({
      name: `${command}: a pattern that matches nothing fails`,
      line: `${command} nosuch*`,
      status: 1,
      stderr: 'No unit in the cluster matches "nosuch*"\n',
      writes: [],
    }),
  ),
  {
    name: "destroy: a pattern that matches nothing is said to",
    line: "destroy nosuch*",
    stderr: 'No unit in the cluster matches "nosuch*"\n',
  },
  {
    name: "a pattern that matches nothing does not hide the other units",
    line: "stop nosuch* db",
    status: 1,
    stdout: `Unit db.service loaded on ${where}\n`,
    stderr: 'No unit in the cluster matches "nosuch*"\nSuccessfully stopped units [db.service].\n',
  },
  ...["stop", "start", "load", "unload", "restart", "status", "logs", "journal", "explain", "list-units"].map(
    (command) => ({
      name: `${command}: a pattern that matches only a template says so`,
      line: `${command} web@[.]*`,
      status: 1,
      stderr: template.replace("web@.", "web@[.]*"),
      writes: [],
    }),
  ),
];

for (const { name, line, prepare, status = 0, stdout = "", stderr = "", writes, ran = [] } of commandCases) {
  Deno.test(`patterns: ${name}`, async () => {
    const [api, hosts] = [webs(), new FakeHosts()];
    prepare?.(api, hosts);
    const result = await fleetctl(api, line, new FakeIo(), hosts);
    assert.equal(result.stderr, stderr);
    stdout instanceof RegExp ? assert.match(result.stdout, stdout) : assert.equal(result.stdout, stdout);
    assert.equal(result.status, status);
    assert.deepEqual(hosts.ran, ran);
    if (writes) assert.deepEqual(api.writes.map((request) => request.replace(/ \/units\/(\S+).*/, " $1")), writes);
  });
}

Deno.test("patterns: local files are looked for in the directory that the pattern names", async () => {
  const io = new FakeIo();
  io.files.set("units/web@1.service", "[Service]\nExecStart=/bin/other\n");
  const { stderr, status } = await fleetctl(webs(), "start units/web@[12]", io);
  const warning = "WARNING: Unit web@1.service in registry differs from local unit file units/web@1.service. " +
    "Add --replace to override.\n";
  assert.deepEqual([status, stderr], [0, warning]);
});

Deno.test("patterns: explain of several is a list in JSON, also of one", async () => {
  const api = webs();
  for (const n of [1, 2, 3]) {
    const name = `web@${n}.service`;
    api.explanations.set(name, {
      name,
      outcome: "placed",
      summary: "here",
      desiredState: "launched",
      hash: "0",
      revision: 1,
    });
  }
  const namesOf = async (line: string) =>
    (JSON.parse((await fleetctl(api, `explain --output=json ${line}`)).stdout) as { name: string }[]).map((each) =>
      each.name
    );
  assert.deepEqual(await namesOf("web@*"), ["web@1.service", "web@2.service", "web@3.service"]);
  assert.deepEqual(await namesOf("web@1*"), ["web@1.service"]);
  const { stdout } = await fleetctl(api, "explain web@[12]");
  assert.match(stdout, /^Unit:\t+web@1\.service\n[^]*\n\nUnit:\t+web@2\.service\n/);
});

const confirmed: { line: string; question: string }[] = [
  { line: "stop web@*", question: "About to stop 2 units: web@1.service, web@2.service. Go on?\n" },
  { line: "load web@*", question: "About to stop and load 2 units: web@1.service, web@2.service. Go on?\n" },
  { line: "unload web@1*", question: "About to unload 1 unit: web@1.service. Go on?\n" },
  {
    line: "destroy web@*",
    question: "About to destroy 4 units: web@.service, web@1.service, web@2.service, web@3.service. Go on?\n",
  },
];

for (const { line, question } of confirmed) {
  Deno.test(`"fleetctl ${line}" asks on a terminal, and does nothing unless the answer is yes`, async () => {
    const api = webs();
    const io = new FakeIo();
    io.answer = false;
    assert.deepEqual(await fleetctl(api, line, io), {
      status: 1,
      stdout: "",
      stderr: question + "Nothing was done. (--yes does it without a question.)\n",
    });
    assert.deepEqual(api.writes, []);
    io.answer = true;
    const yes = await fleetctl(api, line, io);
    assert.equal(yes.status, 0);
    assert.ok(yes.stderr.startsWith(question));
  });

  Deno.test(`"fleetctl ${line}" does not ask without a terminal, nor with --yes`, async () => {
    for (const [flag, answer] of [["", undefined], ["--yes ", false], ["-y ", false]] as const) {
      const api = webs();
      const io = new FakeIo();
      io.answer = answer;
      const { status, stderr } = await fleetctl(api, flag + line, io);
      assert.equal(status, 0);
      assert.doesNotMatch(stderr, /About to/);
      assert.ok(api.writes.length > 0);
    }
  });
}

Deno.test("units that are named, and patterns that stop nothing that runs, are not asked about", async () => {
  const io = new FakeIo();
  io.answer = false;
  for (const line of ["stop web@1", "destroy db", "stop web@3*", "restart web@*", "start web@*"]) {
    assert.doesNotMatch((await fleetctl(webs(), line, io)).stderr, /About to/);
  }
});
