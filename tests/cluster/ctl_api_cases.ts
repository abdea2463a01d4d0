/** What fleetctl does with nothing but the API, on real machines: nobody here has a key that opens them. */

import assert from "node:assert/strict";
import { type Case, Home, type Stage } from "./ctl_home.ts";
import { until } from "./process.ts";

/** Waits until nobody on m2 reads a journal any more. */
async function nobodyReads({ m2 }: Stage): Promise<void> {
  await until("journalctl's end on m2", async () => {
    return (await m2.run(["pgrep", "-x", "journalctl"])).code === 1 ? true : undefined;
  });
}

/** Machine and main PID of a unit that runs. */
async function placeOf({ cluster, m1 }: Stage, unit: string): Promise<{ machine: string; pid: number }> {
  const machine = (await cluster.active(m1, [unit])).get(unit)!;
  return { machine, pid: await cluster.pid(cluster.byId(machine), unit) };
}

/** The text of version `n` of a unit. */
const version = (n: number, more = "") =>
  `[Unit]\nDescription=version ${n}\n[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\n${more}`;

const failures: readonly Case[] = [
  {
    name: "a unit that fails to start: systemd's result and the unit's last lines, from its machine",
    async run(stage) {
      const script = "/bin/sh -c 'echo the disk is missing; sleep 1; exit 3'";
      const home = await Home.with(stage, [], {
        "broken.service": `[Service]\nType=oneshot\nExecStart=${script}\n[X-Fleet]\nMachineID=${stage.m2.id}\n`,
      });
      const { code, stdout, stderr } = await home.fleetctl(["start", `${home.path}/broken.service`]);
      assert.deepEqual([code, stdout], [
        1,
        "Unit broken.service inactive\nUnit broken.service launched on 02020202.../10.77.0.12\n",
      ]);
      const reason = "unit broken\\.service failed: systemd reports it loaded, failed \\(failed\\): exit-code\n";
      assert.match(
        stderr,
        new RegExp(
          `^Error waiting for units: ${reason}` +
            "The last lines that broken\\.service logged on 02020202\\.\\.\\./10\\.77\\.0\\.12:\n" +
            "(  .*\n)*  .* m2 sh\\[\\d+\\]: the disk is missing\n(  .*\n)*" +
            `Error waiting for systemd unit states, err: ${reason}$`,
        ),
      );
      const again = await home.fleetctl(["restart", "broken.service"]);
      assert.equal(again.code, 1);
      assert.match(again.stderr, /^ {2}.*the disk is missing$/m);
      await home.fleetctl(["destroy", "broken.service"]);
    },
  },
];

const journals: readonly Case[] = [
  {
    name: "logs -f: several units on several machines, in the order of time, until ^C",
    async run(stage) {
      const home = await Home.with(stage, []);
      const units = ["far.service", ...["0101", "0202", "0303"].map((id) => `all.service@${id.repeat(2)}...`)];
      const all = units.map((unit) => `(?=[^]*${unit.replaceAll(".", "\\.")} +tick)`).join("");
      const { stdout } = await home.typed("NO_COLOR=1 fleetctl logs -f --lines=2 far all", [
        { after: new RegExp(`^${all}`), type: "\x03" },
      ]);
      const times = [...stdout.matchAll(/^(\d\d:\d\d:\d\d) \S+ +tick \d+$/gm)].map(([, time]) => time!);
      assert.ok(times.length >= 8, stdout);
      times.reduce((earlier, time) => {
        assert.ok(earlier <= time || time.startsWith("00:00"), stdout);
        return time;
      });
      assert.match(stdout, /\^C\nScript done .*COMMAND_EXIT_CODE="130"/);
      assert.doesNotMatch(stdout, /Unable|SSH|rror/);
      await nobodyReads(stage);
    },
  },
  {
    name: "journal -f goes on when the daemon of the unit's machine restarts",
    async run(stage) {
      const home = await Home.with(stage, []);
      const { stdout } = await home.typed("fleetctl journal -f --lines=1 --output=cat far", [
        { after: /tick \d+\r\n/, act: () => stage.m2.must(["systemctl", "restart", "fleet.service"]) },
        {
          after: /ended the journal of far\.service; going on with what comes from now on\r\n[^]*tick \d+\r\n/,
          type: "\x03",
        },
      ]);
      assert.match(stdout, /\^C\nScript done .*COMMAND_EXIT_CODE="130"/);
      await nobodyReads(stage);
    },
  },
  {
    name: "journal, status and logs of another machine's unit need no key, and --ssh does",
    async run(stage) {
      const home = await Home.with(stage, []);
      assert.match((await home.fleetctl(["status", "far"])).stdout, /Active: active \(running\)/);
      assert.match((await home.fleetctl(["journal", "--lines=1", "--output=cat", "far"])).stdout, /^tick \d+\n$/);
      assert.match((await home.fleetctl(["logs", "--lines=1", "far"])).stdout, /^\S+ far\.service tick \d+\n$/);
      const refused = await home.fleetctl(["logs", "--ssh", "far"]);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /^Unable to read the journal of far\.service on 02020202\.\.\.: SSH_AUTH_SOCK/);
    },
  },
];

const replacements: readonly Case[] = [
  {
    name: "start --replace: another process on the same machine, several times, also where others have less to do",
    async run(stage) {
      const { cluster, m1 } = stage;
      const home = await Home.with(stage, [], { "stay.service": version(0) });
      await home.fleetctl(["start", `${home.path}/stay.service`]);
      let before = await placeOf(stage, "stay.service");
      const weights = ["w1.service", "w2.service", "w3.service"];
      for (const name of weights) await cluster.put(m1, name, "launched", version(0, `MachineID=${before.machine}\n`));
      await cluster.active(m1, weights);
      for (let n = 1; n <= 4; n++) {
        await m1.writeFile(`${home.path}/stay.service`, version(n));
        const { code, stdout, stderr } = await home.fleetctl(["start", "--replace", `${home.path}/stay.service`]);
        assert.deepEqual([code, stderr], [0, ""]);
        const ip = cluster.byId(before.machine).ip;
        assert.equal(
          stdout,
          `Unit stay.service inactive\nUnit stay.service launched on ${before.machine.slice(0, 8)}.../${ip}\n`,
        );
        const now = await placeOf(stage, "stay.service");
        assert.equal(now.machine, before.machine);
        assert.notEqual(now.pid, before.pid);
        const shown = await cluster.byId(now.machine).must(["systemctl", "show", "-P", "Description", "stay.service"]);
        assert.equal(shown.trim(), `version ${n}`);
        before = now;
      }
      // Where it may no longer be, it does not stay.
      const elsewhere = cluster.lab.machines.find(({ id }) => id !== before.machine)!;
      await m1.writeFile(`${home.path}/stay.service`, version(5, `MachineID=${elsewhere.id}\n`));
      const moved = await home.fleetctl(["start", "--replace", `${home.path}/stay.service`]);
      assert.deepEqual([moved.code, moved.stderr], [0, ""]);
      assert.equal((await placeOf(stage, "stay.service")).machine, elsewhere.id);
      await home.fleetctl(["destroy", "stay.service", ...weights]);
    },
  },
  {
    name: "load --replace and submit --replace",
    async run(stage) {
      const { cluster, m1 } = stage;
      const home = await Home.with(stage, [], { "still.service": version(0) });
      const path = `${home.path}/still.service`;
      await home.fleetctl(["load", path]);
      const [before] = (await cluster.states(m1)).filter(({ name }) => name === "still.service");
      await m1.writeFile(path, version(1));
      const submitted = await home.fleetctl(["submit", "--replace", path]);
      assert.deepEqual([submitted.code, submitted.stdout], [0, ""]);
      assert.match(submitted.stderr, /can not replace Unit\(still\.service\) in state 'loaded'/);
      assert.equal((await home.fleetctl(["load", "--replace", path])).code, 0);
      const [after] = (await cluster.states(m1)).filter(({ name }) => name === "still.service");
      assert.equal(after?.machineID, before?.machineID);
      assert.notEqual(after?.hash, before?.hash);
      await home.fleetctl(["unload", "still"]);
      await m1.writeFile(path, version(2));
      assert.deepEqual(await home.fleetctl(["submit", "--replace", path]), {
        code: 0,
        stdout: "Unit still.service inactive\n",
        stderr: "",
      });
      assert.match((await home.fleetctl(["cat", "still"])).stdout, /version 2/);
      await home.fleetctl(["destroy", "still"]);
    },
  },
];

/** Steps for a cluster of three machines whose APIs are open to each other. */
export const apiCases: readonly Case[] = [...failures, ...journals, ...replacements];
