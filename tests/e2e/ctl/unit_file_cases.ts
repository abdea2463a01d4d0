/** Unit files, valid and invalid, between fleetctl and systemd on real machines. */

import assert from "node:assert/strict";
import { type Case, Home, type Stage } from "./home.ts";

const fixtures = new URL("../../../systemd/testing/migration/", import.meta.url);

/** Creates a home directory on m1 with copies of files that fleet 1.0 was tested with. */
async function withFixtures(stage: Stage, names: readonly string[]): Promise<Home> {
  const home = await Home.with(stage, []);
  for (const name of names) {
    const bytes = Deno.readFileSync(new URL(name, fixtures));
    await home.run(["sh", "-c", 'base64 -d >"$1"', "sh", `${home.path}/${name}`], bytes.toBase64());
  }
  return home;
}

/** Returns the hashes of fleet 1.0, by unit name. */
function hashesOfOriginal(): Map<string, string> {
  const rows = Deno.readTextFileSync(new URL("fleet-1.0.tsv", fixtures)).trim().split("\n");
  return new Map(rows.map((row) => row.split("\t") as [string, string]));
}

async function hashes(home: Home): Promise<Map<string, string>> {
  const { stdout } = await home.fleetctl(["list-unit-files", "--no-legend", "--full", "--fields=unit,hash"]);
  return new Map(stdout.trim().split("\n").map((row) => row.split(/\s+/) as [string, string]));
}

const started: Case = {
  name: "unit files that fleet 1.0 accepted have its hash, and run",
  async run(stage) {
    const names = [
      "metadata-continued",
      "metadata-empty",
      "metadata-half",
      "long-line",
      "before-the-section",
      "two-sections",
    ]
      .map((name) => `${name}.service`);
    const home = await withFixtures(stage, names);
    for (const label of ["name=m1", "parity=1"]) {
      assert.equal((await home.fleetctl(["machine", "label", stage.m2.id, label])).code, 0);
    }
    const { code, stderr } = await home.fleetctl(["start", ...names.map((name) => `${home.path}/${name}`)]);
    assert.equal(code, 0, stderr);
    const warned = (text: string) => assert.ok(stderr.includes(text), `${JSON.stringify(text)} in ${stderr}`);
    warned("Unit metadata-empty.service: MachineMetadata is empty and has no effect");
    warned('Unit metadata-half.service: MachineMetadata="slot=" has no value after = and has no effect');
    warned(
      'Unit before-the-section.service: ignored text outside of any section: "ExecStartPre=/bin/true" and 1 more line',
    );
    warned(`(${home.path}/before-the-section.service:1)`);
    const places = await stage.cluster.active(stage.m1, names);
    for (const name of ["metadata-continued.service", "two-sections.service"]) {
      assert.equal(places.get(name), stage.m2.id);
    }
    const original = hashesOfOriginal(), ours = await hashes(home);
    for (const name of names) assert.equal(ours.get(name), original.get(name), name);
    assert.equal((await home.fleetctl(["destroy", ...names])).code, 0);
  },
};

const comments: Case = {
  name: "a comment ends with its line, and does not end a value between continued lines",
  async run(stage) {
    const home = await withFixtures(stage, ["comment-swallows.service"]);
    await stage.m1.writeFile(
      `${home.path}/between.service`,
      `[Service]\nExecStart=/bin/sleep \\\n  # for ever\n  # or nearly so \\\n  987654\n[X-Fleet]\nMachineID=${stage.m2.id}\n`,
    );
    const files = ["comment-swallows.service", "between.service"].map((name) => `${home.path}/${name}`);
    const { code, stderr } = await home.fleetctl(["start", ...files]);
    assert.deepEqual([code, stderr], [0, ""]);
    const place = (await stage.cluster.active(stage.m1, ["comment-swallows.service"])).get("comment-swallows.service")!;
    const show = ["systemctl", "show", "-P", "ExecStart", "comment-swallows.service"];
    assert.match(await stage.cluster.byId(place).must(show), /argv\[\]=\/bin\/echo new ;/);
    const pid = await stage.cluster.pid(stage.m2, "between.service");
    assert.equal(await stage.m2.must(["cat", `/proc/${pid}/cmdline`]), "/bin/sleep\0" + "987654\0");
    assert.equal((await home.fleetctl(["destroy", "comment-swallows", "between"])).code, 0);
  },
};

const doubtful: Case = {
  name: "probable mistakes are accepted with a warning that names file and line",
  async run(stage) {
    const expected: Readonly<Record<string, string>> = {
      "peers-on-a-line": 'MachineOf="store@1.service store@2.service" names no unit',
      "specifiers": 'MachineID contains "%m": only %n, %N, %p and %i are replaced',
      "variables": 'MachineMetadata contains "${ZONE}": variables are not replaced',
      "inline-remark": '"# the big one" is part of the value of MachineMetadata: a comment needs a line of its own',
    };
    const names = Object.keys(expected).map((name) => `${name}.service`);
    const home = await withFixtures(stage, names);
    const { code, stderr } = await home.fleetctl(["submit", ...names.map((name) => `${home.path}/${name}`)]);
    assert.equal(code, 0, stderr);
    for (const [name, warning] of Object.entries(expected)) {
      const line = stderr.split("\n").find((line) => line.includes(`Unit ${name}.service: `)) ?? "";
      assert.ok(line.includes(warning), `${warning} in ${stderr}`);
      assert.match(line, new RegExp(`\\(${home.path}/${name}\\.service:\\d+\\)$`));
    }
    assert.equal((await home.fleetctl(["destroy", ...names])).code, 0);
  },
};

const refused: Case = {
  name: "files without a unit are refused with the reason, and not stored",
  async run(stage) {
    const home = await withFixtures(stage, ["only-remarks.service", "latin1.service"]);
    await stage.m1.writeFile(`${home.path}/lower.service`, "[Service]\nExecStart=/bin/true\n[X-fleet]\nGlobal=true\n");
    await stage.m1.writeFile(`${home.path}/web.conf`, "[Container]\nImage=a\n");
    const reasons: Readonly<Record<string, RegExp>> = {
      "only-remarks.service": /the file has no options: give it one/m,
      "latin1.service": /line 2: the text is not valid UTF-8/,
      "lower.service": /unrecognized section: "\[X-fleet\]" \(did you mean "\[X-Fleet\]"\?\) \(\S+lower\.service:3\)/,
      "web.conf": /does not support the type "\.conf" \(supported: automount, .*, container, /,
    };
    for (const [name, reason] of Object.entries(reasons)) {
      const { code, stdout, stderr } = await home.fleetctl(["start", `${home.path}/${name}`]);
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, reason);
    }
    const stored = await hashes(home);
    for (const name of Object.keys(reasons)) assert.ok(!stored.has(name), `${name} is stored`);
  },
};

const types: Case = {
  name: "targets and slices are found by their own names, and run",
  async run(stage) {
    const home = await Home.with(stage, [], {
      "group.target": `[Unit]\nDescription=A group\n[X-Fleet]\nMachineID=${stage.m2.id}\n`,
      "tight.slice": `[Slice]\nMemoryMax=100M\n[X-Fleet]\nMachineID=${stage.m2.id}\n`,
    });
    const files = ["group.target", "tight.slice"];
    const { code, stderr } = await home.fleetctl(["start", ...files.map((name) => `${home.path}/${name}`)]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(await stage.m2.must(["systemctl", "is-active", ...files]), "active\nactive\n");
    assert.equal((await home.fleetctl(["destroy", ...files])).code, 0);
  },
};

const verified: Case = {
  name: "verify checks a unit file by the rules of fleet and of systemd, without a daemon",
  async run(stage) {
    const home = await Home.with(stage, [], {
      "typo.service": "[Service]\nExecStrat=/bin/true\n[X-Fleet]\nMachineOf=web\n",
      "fine@.service": "[Service]\nExecStart=/bin/sleep %i\n[X-Fleet]\nConflicts=%p@*.service\n",
      "elsewhere.service": "[Service]\nExecStart=/opt/only/there\n",
    });
    const verify = (...names: string[]) =>
      home.fleetctl([
        ...["--endpoint=unix:///nonexistent.sock", "verify", "--no-legend"],
        ...names.map((name) => `${home.path}/${name}`),
      ]);
    const typo = await verify("typo.service");
    assert.equal(typo.code, 1);
    assert.match(typo.stdout, /^\S+typo\.service\s+4\s+warning\s+fleet\s+MachineOf="web" names no unit/m);
    assert.match(typo.stdout, /^\S+typo\.service\s+2\s+warning\s+systemd\s+Unknown key.*ExecStrat/m);
    assert.match(typo.stdout, /^\S+typo\.service\s+-\s+error\s+systemd\s+.*no ExecStart/m);
    assert.deepEqual(await verify("fine@.service", "fine@7.service"), {
      ...{ code: 0, stderr: "" },
      stdout: "No problems found in 2 files.\n",
    });
    const elsewhere = await verify("elsewhere.service");
    assert.match(elsewhere.stdout, /^\S+elsewhere\.service\s+-\s+note\s+systemd\s+Command \/opt\/only\/there is not/m);
    assert.equal(elsewhere.code, 0);
  },
};

/** Steps for a cluster of three machines, in the order in which they run. */
export const unitFileCases: readonly Case[] = [started, comments, doubtful, refused, types, verified];
