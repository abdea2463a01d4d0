import assert from "node:assert/strict";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeHosts } from "../testing/fake_remote.ts";
import { FakeIo, fleetctl, usageOf } from "../testing/fake_terminal.ts";

/** A machine whose systemd-analyze says this of any file. */
function analyzing(...said: string[]): FakeHosts {
  const hosts = new FakeHosts();
  hosts.capturedHere = () => said.map((line) => line + "\n").join("");
  return hosts;
}

async function verify(line: string, files: Record<string, string>, hosts = analyzing()) {
  const api = new FakeApi();
  const io = new FakeIo();
  for (const [path, text] of Object.entries(files)) io.files.set(path, text);
  const ran = await fleetctl(api, `verify ${line}`, io, hosts);
  assert.deepEqual(api.requests, [], "verify asks nothing of the cluster");
  return { ...ran, stdout: ran.stdout.split("\n").map((row) => row.split(/\t+/).join(" | ").trim()).join("\n") };
}

const good = "[Service]\nExecStart=/bin/true\n";

Deno.test("verify of good files says so, and exits with 0", async () => {
  const hosts = analyzing();
  assert.deepEqual(await verify("a.service", { "a.service": good }, hosts), {
    ...{ status: 0, stderr: "" },
    stdout: "No problems found.\n",
  });
  assert.deepEqual(hosts.ran, ["here: systemd-analyze verify --man=no ./a.service"]);
  assert.equal(
    (await verify("dir/a b@1.timer", {
      "dir/a.service": good,
      "dir/b@.timer": "[Timer]\nOnBootSec=1\n",
      "b@.timer": "[Timer]\nOnBootSec=1\n",
    })).stdout,
    "No problems found in 2 files.\n",
  );
});

Deno.test("verify finds what fleet refuses, misspelled names and doubtful values, with their lines", async () => {
  const text = "A=b\n[Service]\nExecStart=/bin/true\nRestart always\n[X-fleet]\nGlobal=true\n" +
    "[X-Fleet]\nMachineMetaData=a=b\nMachineMetadata=a\nConflicts=a[\n";
  const { status, stdout, stderr } = await verify("--no-legend u/a.service", { "u/a.service": text });
  assert.deepEqual({ status, stderr }, { status: 1, stderr: "" });
  assert.equal(
    stdout,
    'u/a.service | 1 | warning | fleet | ignored text outside of any section: "A=b"\n' +
      'u/a.service | 4 | warning | fleet | ignored line without =: "Restart always"\n' +
      'u/a.service | - | error | fleet | malformed MachineMetadata "a": expect key=value, or several as "key1=value1" "key2=value2"\n' +
      'u/a.service | 5 | error | fleet | unrecognized section: "[X-fleet]" (did you mean "[X-Fleet]"?)\n' +
      'u/a.service | 8 | error | fleet | unrecognized requirement in [X-Fleet] section: "MachineMetaData" (did you mean "MachineMetadata"?)\n' +
      'u/a.service | 10 | warning | fleet | malformed pattern "a[" in Conflicts: it matches no unit\n',
  );
});

Deno.test("verify tells once of a misspelled section that systemd ignores too", async () => {
  const hosts = analyzing("a.service:4: Unknown section 'Servcie'. Ignoring.");
  const { stdout } = await verify("--no-legend a.service", { "a.service": good + "\n[Servcie]\nUser=a\n" }, hosts);
  assert.equal(
    stdout,
    'a.service | 4 | error | fleet | unrecognized section: "[Servcie]" (did you mean "[Service]"?)\n',
  );
});

Deno.test("verify names the line at which a file cannot be parsed", async () => {
  const files = { "a.service": "[Service\n", "b.service": "# nothing\n", "c.servcie.service": good };
  const { status, stdout } = await verify("--no-legend a b nosuch.service dir/web.container", files);
  assert.equal(status, 1);
  assert.equal(
    stdout,
    "a.service | 1 | error | fleet | unable to find end of section: ] is missing\n" +
      "b.service | - | error | fleet | the file has no options, so that there is nothing to store\n" +
      "nosuch.service | - | error | fleet | no such file as nosuch.service\n" +
      'dir/web.container | - | error | fleet | dir/web.container is no unit file: ".container" is no type of unit that ' +
      "fleet takes (automount, device, mount, path, service, slice, socket, swap, target, timer): Quadlet files are not " +
      "supported; write a .service that runs podman\n",
  );
});

Deno.test("verify adds what systemd says of the file, and leaves out what it says of others", async () => {
  const hosts = analyzing(
    "/work/u/a@.service:2: Unknown key 'ExecStrat' in section [Service], ignoring.",
    "/work/u/a@.service:4: Missing '=', ignoring line.",
    "/lib/systemd/system/other.service:9: PIDFile= references a path below legacy directory",
    "a@1.service: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.",
    "Unit a@1.service has a bad unit file setting.",
    "other.service: something else",
  );
  const text = "[Service]\nExecStrat=/bin/true\n\nx\n";
  const { status, stdout } = await verify("--no-legend u/a@1", { "u/a@.service": text }, hosts);
  assert.equal(status, 1);
  assert.equal(
    stdout,
    'u/a@.service | 4 | warning | fleet | ignored line without =: "x"\n' +
      "u/a@.service | 2 | warning | systemd | Unknown key 'ExecStrat' in section [Service], ignoring.\n" +
      "u/a@1.service | - | error | systemd | Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.\n" +
      "u/a@1.service | - | error | systemd | Unit a@1.service has a bad unit file setting.\n",
  );
});

Deno.test("what only this machine lacks is a note, and no failure", async () => {
  const hosts = analyzing("a.service: Command /opt/app is not executable: No such file or directory");
  const { status, stdout } = await verify("--output=json a.service", { "a.service": good }, hosts);
  assert.equal(status, 0);
  assert.deepEqual(JSON.parse(stdout), [{
    file: "a.service",
    line: null,
    severity: "note",
    source: "systemd",
    message: "Command /opt/app is not executable: No such file or directory",
  }]);
});

Deno.test("systemd-analyze that fails without a word is an error", async () => {
  const hosts = analyzing();
  hosts.statuses = [1];
  const { status, stdout } = await verify("--no-legend a", { "a.service": good }, hosts);
  assert.equal(status, 1);
  assert.equal(stdout, "a.service | - | error | systemd | systemd-analyze verify ended with 1\n");
});

Deno.test("without systemd-analyze, verify checks the rules of fleet and says so", async () => {
  const { status, stdout, stderr } = await verify("a.service", { "a.service": good }, new FakeHosts());
  assert.deepEqual({ status, stdout }, { status: 0, stdout: "No problems found.\n" });
  assert.equal(stderr, "WARN not checked by the rules of systemd: this machine has no systemd-analyze\n");
});

Deno.test("verify without a file is wrong usage", async () => {
  const { status, stderr } = await verify("", {});
  assert.equal(status, 2);
  assert.equal(stderr, `No unit files to check: name at least one\n${usageOf("verify")}`);
});
