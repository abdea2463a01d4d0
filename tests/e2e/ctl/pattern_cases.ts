/** Patterns in place of unit names, and units that do not exist, on real machines and terminals. */

import assert from "node:assert/strict";
import { type Case, Home } from "./home.ts";

const web =
  "[Service]\nExecStart=/bin/sh -c 'echo hello %i; exec sleep infinity'\n[X-Fleet]\nConflicts=web@*.service\n";

const question = "About to stop 2 units: web@1\\.service, web@2\\.service\\. Continue\\? \\[y/N\\] $";

/** Steps for a cluster of three machines whose APIs are open to each other. */
export const patternCases: readonly Case[] = [
  {
    name: "a pattern selects every instance, but not the template in the cluster",
    async run(stage) {
      const home = await Home.with(stage, [], { "web@.service": web });
      const sh = (script: string) => home.run(["sh", "-c", `cd; ${script}`]);
      const first = await sh("fleetctl submit web@.service && fleetctl start web@1 web@2 && fleetctl submit web@3");
      assert.equal(first.code, 0, first.stderr);
      const list = await sh("fleetctl list-units --no-legend --fields=unit 'web@*'");
      assert.deepEqual([list.code, list.stdout], [0, "web@1.service\nweb@2.service\n"]);
      const status = await sh("fleetctl status 'web@[12]'");
      assert.equal(status.code, 0, status.stderr);
      assert.match(status.stdout, /web@1\.service[^]*Active: active[^]*web@2\.service[^]*Active: active/);
      const partly = await sh("fleetctl status 'web@*'");
      assert.deepEqual(
        [partly.code, partly.stderr],
        [1, "Unit web@3.service does not appear to be loaded.\n"],
      );
      const journal = await sh("fleetctl journal --output=cat 'web@[12]'");
      assert.match(journal.stdout, /^-- web@1\.service --\n[^]*hello 1\n[^]*-- web@2\.service --\n[^]*hello 2\n/);
      const logs = await sh("fleetctl logs 'web@*'");
      assert.equal(logs.code, 0, logs.stderr);
      assert.match(logs.stdout, /web@1\.service hello 1\n/);
      assert.match(logs.stdout, /web@2\.service hello 2\n/);
      const explained = await sh("fleetctl explain --output=json 'web@*'");
      const names = (JSON.parse(explained.stdout) as { name: string }[]).map(({ name }) => name);
      assert.deepEqual(names, ["web@1.service", "web@2.service", "web@3.service"]);
      const cat = await sh("fleetctl cat 'web@*'");
      assert.equal(cat.stdout.match(/^# web@/gm)?.length, 4);
      const restart = await sh("fleetctl restart 'web@*'");
      assert.equal(restart.code, 0, restart.stderr);
      const stop = await sh("fleetctl stop 'web@*'");
      assert.deepEqual(
        [stop.code, stop.stderr],
        [0, "Successfully stopped units [web@1.service web@2.service].\n"],
      );
      const start = await sh("fleetctl start 'web@[12]'");
      assert.equal(start.code, 0, start.stderr);
    },
  },
  {
    name: "stop of a pattern asks on the terminal, and stops nothing unless the answer is yes",
    async run(stage) {
      const home = await Home.with(stage, []);
      const stop = "fleetctl stop 'web@*'; echo status $?";
      const { stdout } = await home.typed(`${stop}; fleetctl list-units --no-legend 'web@1'; ${stop}`, [
        { after: new RegExp(`^[^]*${question}`), type: "\r" },
        { after: new RegExp(`status 1\r\n[^]*${question}`), type: "y\r" },
      ]);
      assert.match(stdout, /Nothing was changed\..*\nstatus 1\nweb@1\.service\s.*active\S*\s+running\n/);
      assert.match(stdout, /Successfully stopped units \[web@1\.service web@2\.service\]\.\nstatus 0\n/);
      const destroyed = await home.fleetctl(["destroy", "web@*"]);
      assert.deepEqual([destroyed.code, destroyed.stdout.match(/^Destroyed web@/gm)?.length], [0, 4]);
    },
  },
  {
    name: "a unit that does not exist is reported with a suggestion, and is a failure except for destroy",
    async run(stage) {
      const home = await Home.with(stage, []);
      for (const command of ["stop", "unload", "status", "journal", "logs", "cat", "explain", "list-units"]) {
        const { code, stderr } = await home.fleetctl([command, "faar"]);
        assert.equal(code, 1, command);
        assert.match(stderr, /^Unit faar\.service .*\(did you mean far\.service\?\)\n$/, command);
      }
      const destroyed = await home.fleetctl(["destroy", "faar"]);
      assert.equal(destroyed.code, 0);
      assert.match(destroyed.stderr, /^Unit faar\.service is not in the cluster \(did you mean far\.service\?\)\n$/);
      const nothing = await home.fleetctl(["destroy", "nosuch*"]);
      assert.deepEqual([nothing.code, nothing.stderr], [0, 'No unit in the cluster matches "nosuch*"\n']);
    },
  },
  {
    name: "the progress line is as wide as the terminal",
    async run(stage) {
      const names = ["first", "second", "third"].map((word) => `${word}-of-the-units-that-wait.service`);
      const nowhere = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nMachineMetadata=nowhere=yes\n";
      const home = await Home.with(stage, [], Object.fromEntries(names.map((name) => [name, nowhere])));
      const { stdout } = await home.typed(`cd; fleetctl start --timeout=2 ${names.join(" ")}`, []);
      const line = `0 of 3; waiting for ${names.join(", ")}`;
      assert.ok(line.length > 91);
      assert.ok(stdout.includes(`\r\x1b[K${line.slice(0, 90)}\r\x1b[K`), JSON.stringify(stdout));
      await home.fleetctl(["destroy", ...names]);
    },
  },
];
