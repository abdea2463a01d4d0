import assert from "node:assert/strict";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";

const hello = "[Service]\nExecStart=/bin/sleep 1\n";
const other = "[Service]\nExecStart=/bin/sleep 2\n";
const helloOption = "Service.ExecStart=/bin/sleep 1";
const where = "454c34ef.../10.77.0.11";

function withFiles(files: Record<string, string>): FakeIo {
  const io = new FakeIo();
  for (const [path, text] of Object.entries(files)) io.files.set(path, text);
  return io;
}

interface Case {
  name: string;
  line: string;
  files?: Record<string, string>;
  /** Units there before: name, desired state, options. */
  units?: [string, string, ...string[]][];
  status?: number;
  stdout?: string;
  stderr?: string;
  writes?: string[];
}

const put = (name: string, rest: string) => `PUT /units/${name} {"name":"${name}",${rest}}`;
const sleeping = (seconds: number) =>
  `"options":[{"section":"Service","name":"ExecStart","value":"/bin/sleep ${seconds}"}]`;

const notSupported = (argument: string, type: string) =>
  `${argument} is no unit file: "${type}" is no type of unit that fleet takes ` +
  "(automount, device, mount, path, service, slice, socket, swap, target, timer)";

const cases: Case[] = [
  {
    name: "submit puts a local file without a desired state",
    line: "submit dir/hello.service",
    files: { "dir/hello.service": hello },
    stdout: "Unit hello.service inactive\n",
    writes: [put("hello.service", sleeping(1))],
  },
  {
    name: "an argument without a unit type means a service",
    line: "submit dir/hello.1",
    files: { "dir/hello.1.service": hello },
    stdout: "Unit hello.1.service inactive\n",
  },
  {
    name: "start creates and launches in one request",
    line: "start hello.service",
    files: { "hello.service": hello },
    stdout: `Unit hello.service inactive\nUnit hello.service launched on ${where}\n`,
    writes: [put("hello.service", `${sleeping(1)},"desiredState":"launched"`)],
  },
  {
    name: "an abbreviated command is that command",
    line: "star hello.service",
    files: { "hello.service": hello },
    stdout: `Unit hello.service inactive\nUnit hello.service launched on ${where}\n`,
  },
  {
    name: "load creates and loads in one request",
    line: "load hello.service",
    files: { "hello.service": hello },
    stdout: `Unit hello.service inactive\nUnit hello.service loaded on ${where}\n`,
    writes: [put("hello.service", `${sleeping(1)},"desiredState":"loaded"`)],
  },
  {
    name: "a unit that is there already needs no file",
    line: "start hello",
    units: [["hello.service", "inactive", helloOption]],
    stdout: `Unit hello.service launched on ${where}\n`,
    writes: [put("hello.service", `"desiredState":"launched"`)],
  },
  {
    name: "a unit already launched: nothing to do",
    line: "start hello",
    units: [["hello.service", "launched", helloOption]],
    writes: [],
  },
  {
    name: "load stops a launched unit",
    line: "load hello",
    units: [["hello.service", "launched", helloOption]],
    stdout: `Unit hello.service loaded on ${where}\n`,
  },
  {
    name: "--no-block says each unit once",
    line: "start --no-block a.service b.service",
    files: { "a.service": hello, "b.service": hello },
    stdout:
      "Unit a.service inactive\nUnit b.service inactive\nTriggered unit a.service start\nTriggered unit b.service start\n",
  },
  {
    name: "globals are not waited for",
    line: "start g.service",
    files: { "g.service": hello + "[X-Fleet]\nGlobal=true\n" },
    stdout: "Unit g.service \nTriggered global unit g.service start\n",
  },
  {
    name: "globals load",
    line: "load g.service",
    units: [["g.service", "inactive", helloOption, "X-Fleet.Global=true"]],
    stdout: "Triggered global unit g.service load\n",
  },
  {
    name: "output is in the order of the arguments, repeated ones once",
    line: "start c.service a.service b.service a.service",
    files: { "a.service": hello, "b.service": hello, "c.service": hello },
    stdout: ["c", "a", "b"].map((name) => `Unit ${name}.service inactive\n`).join("") +
      ["c", "a", "b"].map((name) => `Unit ${name}.service launched on ${where}\n`).join(""),
  },
  {
    name: "a local file that differs is warned of, and the cluster's stays",
    line: "start dir/hello.service",
    files: { "dir/hello.service": other },
    units: [["hello.service", "inactive", helloOption]],
    stdout: `Unit hello.service launched on ${where}\n`,
    stderr:
      "WARNING: Unit hello.service in registry differs from local unit file dir/hello.service. Add --replace to override.\n",
    writes: [put("hello.service", `"desiredState":"launched"`)],
  },
  {
    name: "comments and spaces are no difference",
    line: "submit hello.service",
    files: { "hello.service": "# comment\n\n[Service]\n ExecStart = /bin/sleep 1\n" },
    units: [["hello.service", "inactive", helloOption]],
    writes: [],
  },
  {
    name: "--replace of the same file: nothing to do",
    line: "submit --replace hello.service",
    files: { "hello.service": hello },
    units: [["hello.service", "inactive", helloOption]],
    stdout: "Found same Unit(hello.service) in Registry, nothing to do\n",
    writes: [],
  },
  {
    name: "start --replace launches the new one in one request, so that it stays on its machine",
    line: "start --replace hello.service",
    files: { "hello.service": other },
    units: [["hello.service", "launched", helloOption]],
    stdout: `Unit hello.service inactive\nUnit hello.service launched on ${where}\n`,
    writes: [put("hello.service", `${sleeping(2)},"desiredState":"launched"`)],
  },
  {
    name: "--replace works with an abbreviated command",
    line: "sub --replace hello.service",
    files: { "hello.service": other },
    units: [["hello.service", "inactive", helloOption]],
    stdout: "Unit hello.service inactive\n",
  },
  {
    name: "submit --replace does not touch a loaded unit",
    line: "submit --replace hello.service",
    files: { "hello.service": other },
    units: [["hello.service", "loaded", helloOption]],
    status: 1,
    stderr: "Warning: can not replace Unit(hello.service) in state 'loaded', use the appropriate command: " +
      "fleetctl load --replace\n",
    writes: [],
  },
  {
    name: "--replace without a local file",
    line: "submit --replace hello.service",
    units: [["hello.service", "inactive", helloOption]],
    status: 1,
    stderr:
      "Error creating units: unable to replace Unit(hello.service): no local unit file hello.service, nor one of its template\n",
  },
  {
    name: "nothing found",
    line: "start hello",
    status: 1,
    stderr: "Error creating units: hello.service: no such file in this directory and no such unit in the cluster\n",
  },
  {
    name: "an instance without a template",
    line: "start dir/a@1",
    status: 1,
    stderr: "Error creating units: a@1.service: no such file in dir/ and no such unit in the cluster, " +
      "and neither has its template a@.service\n",
  },
  {
    name: "several that cannot be created: each is named, and none is started",
    line: "start a nosuch1 nosuch2",
    files: { "a.service": hello },
    status: 1,
    stdout: "Unit a.service inactive\n",
    stderr: [1, 2].map((n) =>
      `Error creating units: nosuch${n}.service: no such file in this directory and no such unit in the cluster\n`
    ).join(""),
    writes: [put("a.service", sleeping(1))],
  },
  {
    name: "a misspelled file",
    line: "start dir/hullo",
    files: { "dir/hello.service": hello, "dir/hello.txt": "" },
    status: 1,
    stderr: "Error creating units: hullo.service: no such file in dir/ and no such unit in the cluster " +
      "(did you mean hello.service?)\n",
  },
  {
    name: "a misspelled instance of a template",
    line: "start weeb@1",
    files: { "web@.service": hello },
    status: 1,
    stderr: "Error creating units: weeb@1.service: no such file in this directory and no such unit in the cluster, " +
      "and neither has its template weeb@.service (did you mean web@.service?)\n",
  },
  {
    name: "an instance from the template beside it",
    line: "submit dir/a@1",
    files: { "dir/a@.service": hello },
    stdout: "Unit a@1.service inactive\n",
    writes: [put("a@1.service", sleeping(1))],
  },
  {
    name: "an instance from the template in the cluster, which wins over a local one that differs",
    line: "submit a@1",
    files: { "a@.service": other },
    units: [["a@.service", "inactive", helloOption]],
    stdout: "Unit a@1.service inactive\n",
    stderr:
      "WARNING: Unit a@.service in registry differs from local template unit file a@1.service. Add --replace to override.\n",
    writes: [put("a@1.service", sleeping(1))],
  },
  {
    name: "with --replace the local template wins",
    line: "submit --replace a@1",
    files: { "a@.service": other },
    units: [["a@.service", "inactive", helloOption]],
    stdout: "Unit a@1.service inactive\nUnit a@.service inactive\n",
    writes: [put("a@1.service", sleeping(2)), put("a@.service", sleeping(2))],
  },
  {
    name: "an existing instance is compared with the local template",
    line: "submit a@1",
    files: { "a@.service": other },
    units: [["a@1.service", "inactive", helloOption]],
    stderr:
      "WARNING: Unit a@1.service in registry differs from local template unit file a@1.service. Add --replace to override.\n",
  },
  {
    name: "an instance of a template of the same command line",
    line: "submit dir/a@.service a@1",
    files: { "dir/a@.service": hello },
    stdout: "Unit a@.service inactive\nUnit a@1.service inactive\n",
  },
  {
    name: "a template cannot be started, but is submitted",
    line: "start a@.service",
    files: { "a@.service": hello },
    status: 1,
    stdout: "Unit a@.service inactive\n",
    stderr: `Error starting units: googleapi: Error 400: cannot activate template "a@.service"\n`,
  },
  {
    name: "an unparsable file",
    line: "submit hello.service",
    files: { "hello.service": "[Service\n" },
    status: 1,
    stderr: "Error creating units: failed getting Unit(hello.service) from file: line 1: " +
      "unable to find end of section: ] is missing\n",
  },
  {
    name: "a name that is not allowed is refused before anything is sent",
    line: "submit he,llo.service",
    files: { "he,llo.service": hello },
    status: 1,
    stderr: "Error creating units: Unit he,llo.service: invalid character ',' in unit name\n",
    writes: [],
  },
  {
    name: "requirements that contradict each other are refused before anything is sent",
    line: "submit a.service",
    files: { "a.service": hello + "[X-Fleet]\nMachineID=abc\nGlobal=true\n" },
    status: 1,
    stderr: "Error creating units: Unit a.service: MachineID= and Global=true exclude each other\n",
    writes: [],
  },
  {
    name: "an unknown [X-Fleet] option is refused with the nearest known one",
    line: "submit a.service",
    files: { "a.service": hello + "[X-Fleet]\nConflict=b.service\n" },
    status: 1,
    stderr: `Error creating units: Unit a.service: unrecognized requirement in [X-Fleet] section: "Conflict" ` +
      `(did you mean "Conflicts"?) (a.service:4). Add --allow-unknown to accept it all the same.\n`,
    writes: [],
  },
  {
    name: "--allow-unknown accepts it with a warning",
    line: "submit --allow-unknown a.service",
    files: { "a.service": hello + "[X-Fleet]\nWibble=b\n" },
    stdout: "Unit a.service inactive\n",
    stderr: `WARN Unit a.service: unrecognized requirement in [X-Fleet] section: "Wibble" (a.service:4)\n`,
  },
  {
    name: "values that hardly mean what was meant are accepted with a warning",
    line: "submit a.service",
    files: { "a.service": hello + "[X-Fleet]\nConflicts=b[\nGlobal=y\n" },
    stdout: "Unit a.service inactive\n",
    stderr: 'WARN Unit a.service: malformed pattern "b[" in Conflicts: it matches no unit (a.service:4)\n' +
      'WARN Unit a.service: Global="y" counts as no: expect true, yes, 1, on, t, or false, no, 0, off, f (a.service:5)\n',
  },
  {
    name: "ignored text is warned of with its line",
    line: "submit a.service",
    files: { "a.service": "A=b\n" + hello + "Restart always\n" },
    stdout: "Unit a.service inactive\n",
    stderr: 'WARN Unit a.service: ignored text outside of any section: "A=b" (a.service:1)\n' +
      'WARN Unit a.service: ignored line without =: "Restart always" (a.service:4)\n',
    writes: [put("a.service", sleeping(1))],
  },
  {
    name: "a file without options is refused before anything is sent",
    line: "submit a.service",
    files: { "a.service": "# to be written\n" },
    status: 1,
    stderr: "Error creating units: failed getting Unit(a.service) from file: " +
      "the file has no options, so that there is nothing to store\n",
    writes: [],
  },
  {
    name: "a file with text outside of any section only is refused with the line",
    line: "submit a.service",
    files: { "a.service": "ExecStart=/bin/true\n" },
    status: 1,
    stderr: "Error creating units: failed getting Unit(a.service) from file: the file has no options, " +
      'so that there is nothing to store: line 1: text outside of any section: "ExecStart=/bin/true"\n',
    writes: [],
  },
  {
    name: "a file that is not UTF-8 is refused with the line",
    line: "submit a.service",
    files: { "a.service": hello + "Environment=DRINK=caf\udce9\n" },
    status: 1,
    stderr: "Error creating units: failed getting Unit(a.service) from file: line 3: " +
      "the text is not valid UTF-8, which systemd ignores: convert the file to UTF-8\n",
    writes: [],
  },
  {
    name: "a misspelled section is refused with the right spelling",
    line: "submit a.service",
    files: { "a.service": hello + "[X-fleet]\nGlobal=true\n" },
    status: 1,
    stderr: 'Error creating units: Unit a.service: unrecognized section: "[X-fleet]" ' +
      '(did you mean "[X-Fleet]"?) (a.service:3). Add --allow-unknown to accept it all the same.\n',
    writes: [],
  },
  {
    name: "units of every type are found by their own name",
    line: "submit a.target dir/b.slice c.swap",
    files: { "a.target": "[Unit]\nA=b\n", "dir/b.slice": "[Slice]\nA=b\n", "c.swap": "[Swap]\nA=b\n" },
    stdout: "Unit a.target inactive\nUnit b.slice inactive\nUnit c.swap inactive\n",
  },
  {
    name: "a type that systemd makes from no file is refused with the reason",
    line: "submit a.scope",
    files: { "a.scope": "[Scope]\nA=b\n" },
    status: 1,
    stderr: 'Error creating units: Unit a.scope: a unit of type "scope" cannot be run: ' +
      "systemd makes scopes for processes that run already, never from a file\n",
    writes: [],
  },
  {
    name: "a Quadlet file is refused with the types that are supported",
    line: "submit web.container",
    files: { "web.container": "[Container]\nImage=a\n" },
    status: 1,
    stderr: `Error creating units: ${notSupported("web.container", ".container")}` +
      ": Quadlet files are not supported; write a .service that runs podman\n",
    writes: [],
  },
  {
    name: "so is any other file with a type that is none",
    line: "submit dir/web.conf",
    files: { "dir/web.conf": "[A]\nA=b\n" },
    status: 1,
    stderr: `Error creating units: ${notSupported("dir/web.conf", ".conf")}\n`,
    writes: [],
  },
  {
    name: "a name with a dot in it is a service where there is no such file",
    line: "submit web.container.service web.v2",
    files: { "web.container.service": hello, "web.v2.service": hello },
    stdout: "Unit web.container.service inactive\nUnit web.v2.service inactive\n",
  },
  {
    name: "if one unit cannot be created, those before it are, but none is started",
    line: "start a.service nosuch.service c.service",
    files: { "a.service": hello, "c.service": hello },
    status: 1,
    stdout: "Unit a.service inactive\n",
    stderr: "Error creating units: nosuch.service: no such file in this directory and no such unit in the cluster\n",
    writes: [put("a.service", sleeping(1))],
  },
  {
    name: "--sign is accepted",
    line: "submit --sign a.service",
    files: { "a.service": hello },
    stdout: "Unit a.service inactive\n",
    stderr: "WARNING: The signed/verified units feature is DEPRECATED and cannot be used.\n",
  },
];

for (const { name, line, files = {}, units = [], status = 0, stdout = "", stderr = "", writes } of cases) {
  Deno.test(`creating: ${name}`, async () => {
    const api = new FakeApi();
    for (const unit of units) api.add(...unit);
    const ran = await fleetctl(api, line, withFiles(files));
    assert.deepEqual(ran, { status, stdout, stderr });
    if (writes) assert.deepEqual(api.writes, writes);
  });
}

Deno.test("creating: a refusal of the API is an error", async () => {
  const api = new FakeApi();
  api.intercept = (request) => request.method === "PUT" ? refusal(400, "no") : undefined;
  const ran = await fleetctl(api, "start a.service", withFiles({ "a.service": hello }));
  const stderr = "Error creating units: failed creating unit a.service: googleapi: Error 400: no\n";
  assert.deepEqual(ran, { status: 1, stdout: "", stderr });
});

Deno.test("creating: an API that cannot answer is an error", async () => {
  const api = new FakeApi();
  api.intercept = () => new Response("<html>", { status: 502 });
  const ran = await fleetctl(api, "submit a.service", withFiles({ "a.service": hello }));
  const stderr = "Error creating units: error retrieving Unit(a.service) from Registry: " +
    "googleapi: got HTTP response code 502 with body: <html>\n";
  assert.deepEqual(ran, { status: 1, stdout: "", stderr });
});

Deno.test("creating: one GET and one PUT start a new unit", async () => {
  const api = new FakeApi();
  await fleetctl(api, "start a.service", withFiles({ "a.service": hello }));
  assert.deepEqual(api.requests.map((request) => request.split(" {")[0]), [
    "GET /units/a.service",
    "PUT /units/a.service",
    "GET /events",
  ]);
});

Deno.test("creating: a replaced unit is waited for until its machine runs the new one", async () => {
  const api = new FakeApi();
  api.add("a.service", "launched", helloOption);
  api.hashes.set("a.service", "old");
  api.onDesiredState = () => {};
  const io = withFiles({ "a.service": other });
  const running = fleetctl(api, "start --replace a.service", io);
  const inactive = "Unit a.service inactive\n";
  while (io.stdout !== inactive) await new Promise((resolve) => setTimeout(resolve));
  for (const [active, sub] of [["deactivating", "stop-sigterm"], ["active", "running"]] as const) {
    api.reportState("a.service", active, sub);
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(io.stdout, inactive);
  }
  api.hashes.clear();
  api.reconcile("a.service");
  const expected = `${inactive}Unit a.service launched on ${where}\n`;
  assert.deepEqual(await running, { status: 0, stdout: expected, stderr: "" });
});

Deno.test("creating: --replace --no-block waits for nothing", async () => {
  const api = new FakeApi();
  api.add("a.service", "launched", helloOption);
  api.onDesiredState = () => {};
  assert.deepEqual(await fleetctl(api, "start --replace --no-block a.service", withFiles({ "a.service": other })), {
    status: 0,
    stdout: "Unit a.service inactive\nTriggered unit a.service start\n",
    stderr: "",
  });
});
