/** fleetctl on real machines by the API alone, without a key for SSH. */

import assert from "node:assert/strict";
import { makeAuthority } from "../../api/authority.ts";
import { type Case, Home, type Stage } from "./home.ts";
import { until } from "../../lab/process.ts";

/** Waits until no journalctl runs on m2. */
async function journalctlEnds({ m2 }: Stage): Promise<void> {
  await until("journalctl's end on m2", async () => {
    return (await m2.run(["pgrep", "-x", "journalctl"])).code === 1 ? true : undefined;
  });
}

/** Returns machine and main PID of a running unit. */
async function placeOf({ cluster, m1 }: Stage, unit: string): Promise<{ machine: string; pid: number }> {
  const machine = (await cluster.active(m1, [unit])).get(unit)!;
  return { machine, pid: await cluster.pid(cluster.byId(machine), unit) };
}

/** The text of version `n` of a unit. */
const version = (n: number, more = "") =>
  `[Unit]\nDescription=version ${n}\n[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\n${more}`;

const failures: readonly Case[] = [
  {
    name: "start reports a failed unit with systemd's result and its latest log lines",
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
            "Last log lines of broken\\.service on 02020202\\.\\.\\./10\\.77\\.0\\.12:\n" +
            "(  .*\n)*  .* m2 sh\\[\\d+\\]: the disk is missing\n(  .*\n)*$",
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
    name: "logs -f merges units of several machines by time until ^C",
    async run(stage) {
      const home = await Home.with(stage, []);
      const units = ["far.service", ...["0101", "0202", "0303"].map((id) => `all.service@${id.repeat(2)}...`)];
      const all = units.map((unit) => `(?=([^]*${unit.replaceAll(".", "\\.")} +tick){2})`).join("");
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
      await journalctlEnds(stage);
    },
  },
  {
    name: "logs selects entries by time and pattern, in the order of their times",
    async run(stage) {
      const home = await Home.with(stage, []);
      const ticks = async (...flags: string[]) => {
        const { code, stdout, stderr } = await home.fleetctl(["logs", ...flags, "far"]);
        assert.deepEqual([code, stderr], [0, ""], flags.join(" "));
        return [...stdout.matchAll(/tick (\d+)$/gm)].map(([, count]) => Number(count));
      };
      const latest = await ticks("-n", "3", "--grep=tick|none", "--since=1h");
      // The unit counts from 1 again whenever it is started.
      assert.ok(
        latest.length === 3 && latest.slice(1).every((tick, at) => [1, latest[at]! + 1].includes(tick)),
        `${latest}`,
      );
      const [, second = NaN] = latest;
      assert.deepEqual(new Set(await ticks(`--grep=tick ${second}$`)), new Set([second]));
      assert.deepEqual(await ticks("--grep=^no such line$"), []);
      assert.deepEqual(await ticks("--until=1h"), []);
      const all = await ticks("--since=1h");
      assert.ok(all.includes(latest[2]!) && all.length > 2, all.join(" "));
    },
  },
  {
    name: "a context reaches the cluster, whose overview names the machines and the leader",
    async run(stage) {
      const home = await Home.with(stage, []);
      const ran = async (...args: string[]) => {
        const { code, stdout, stderr } = await home.fleetctl(args);
        assert.deepEqual([code, stderr], [0, ""], args.join(" "));
        return stdout;
      };
      await ran("context", "add", "--use", "here", "--endpoint=unix:///run/fleet.sock");
      const file = `${home.path}/.config/fleet/config.toml`;
      assert.equal((await stage.m1.must(["stat", "--format=%a", file])).trim(), "600");
      const overview = await until("a leader of three machines", async () => {
        const text = await ran("status");
        return /^Machines {2}3, leader 0\d{7}\.\.\.\/10\.77\.0\.1\d\n/.test(text) ? text : undefined;
      });
      assert.match(overview, /^Store +ready, revision \d+ \(unix:\/\/\/run\/fleet\.sock, fleetd /m);
      assert.match(overview, /^Units +\d+: .*\d+ active/m);
      await ran("context", "add", "--replace", "here", "--endpoint=unix:///run/nothing.sock");
      assert.match((await home.fleetctl(["list-machines"])).stderr, /nothing\.sock/);
      await ran("--endpoint=unix:///run/fleet.sock", "list-machines");
    },
  },
  {
    name: "a watched list is drawn again when a unit changes, and wait returns",
    async run(stage) {
      const { cluster, m1 } = stage;
      const home = await Home.with(stage, []);
      await cluster.put(m1, "seen.service", "loaded", "[Service]\nExecStart=/usr/bin/sleep infinity\n");
      const { stdout } = await home.typed("NO_COLOR=1 fleetctl list-units -w --fields=unit,active seen", [
        { after: /seen\.service {2}inactive/, act: () => home.fleetctl(["start", "--no-block", "seen"]) },
        { after: /seen\.service {2}active/, type: "\x03" },
      ]);
      assert.match(stdout, /Script done .*COMMAND_EXIT_CODE="130"/);
      const waiting = home.fleetctl(["wait", "--for=gone", "--timeout=1m", "seen"]);
      assert.match((await home.fleetctl(["wait", "seen"])).stdout, /^Unit seen\.service is active on /);
      await home.fleetctl(["destroy", "seen"]);
      assert.deepEqual(await waiting, { code: 0, stdout: "Unit seen.service is gone\n", stderr: "" });
    },
  },
  {
    name: "journal -f continues when the daemon of the machine restarts",
    async run(stage) {
      const home = await Home.with(stage, []);
      const { stdout } = await home.typed("fleetctl journal -f --lines=1 --output=cat far", [
        { after: /tick \d+\r\n/, act: () => stage.m2.must(["systemctl", "restart", "fleet.service"]) },
        {
          after: /ended the journal of far\.service; continuing with new entries\r\n[^]*tick \d+\r\n/,
          type: "\x03",
        },
      ]);
      assert.match(stdout, /\^C\nScript done .*COMMAND_EXIT_CODE="130"/);
      await journalctlEnds(stage);
    },
  },
  {
    name: "journal, status and logs of a unit on another machine need a key only with --ssh",
    async run(stage) {
      const home = await Home.with(stage, []);
      assert.match((await home.fleetctl(["status", "far"])).stdout, /Active: active \(running\)/);
      assert.match((await home.fleetctl(["journal", "--lines=1", "--output=cat", "far"])).stdout, /^tick \d+\n$/);
      assert.match((await home.fleetctl(["logs", "--lines=1", "far"])).stdout, /^\S+ far\.service tick \d+\n$/);
      const refused = await home.fleetctl(["logs", "--ssh", "far"]);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /^Unable to read the journal of far\.service on 02020202\.\.\.: SSH_AUTH_SOCK/);
      const keyed = await Home.with(stage, ["key", "hosts"]);
      const bySsh = await keyed.fleetctl(["--ssh-username=root", "logs", "--ssh", "--lines=1", "near", "far"]);
      assert.deepEqual([bySsh.code, bySsh.stderr], [0, ""]);
      assert.deepEqual(bySsh.stdout.match(/(near|far)\.service/g)?.sort(), ["far.service", "near.service"]);
    },
  },
];

const replacements: readonly Case[] = [
  {
    name: "start --replace keeps a unit on its machine even if others have less load",
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
      // A unit leaves a machine that is no longer eligible.
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
      assert.deepEqual([submitted.code, submitted.stdout], [1, ""]);
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

/** Restricts the API of m3 by options of fleet.conf, whose values are the contents of the files that they name. */
async function withRestrictedApi(
  stage: Stage,
  options: Readonly<Record<string, string>>,
  work: () => Promise<void>,
): Promise<void> {
  const conf = await stage.m3.must(["cat", "/etc/fleet/fleet.conf"]);
  const lines = Object.entries(options).map(([name, text]) => [`/etc/fleet/${name}`, name, text] as const);
  for (const [path, , text] of lines) await stage.m3.writeFile(path, text, 0o600);
  const wanted = conf.replace(/^api_insecure=.*\n/m, "") + lines.map(([path, name]) => `${name}="${path}"\n`).join("");
  const reload = async (text: string) => {
    await stage.m3.writeFile("/etc/fleet/fleet.conf", text);
    await stage.m3.must(["systemctl", "reload", "fleet.service"]);
  };
  await reload(wanted);
  try {
    await work();
  } finally {
    await reload(conf);
  }
}

async function sha256(text: string): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Tries to list units and to change a machine with some flags or variables; returns the error messages, "" for success. */
async function attempt(home: Home, endpoint: string, flags: string): Promise<{ list: string; change: string }> {
  const run = async (command: string) => {
    const { code, stderr } = await home.run([
      "sh",
      "-c",
      `${flags.replace("fleetctl", `fleetctl --endpoint=${endpoint}`)} ${command}`,
    ]);
    return code === 0 ? "" : stderr;
  };
  return { list: await run("list-units"), change: await run("machine label 0303 seen=yes") };
}

const remedy = "Pass a token with --token-file or FLEETCTL_TOKEN, or a certificate with --cert-file and --key-file\n";

const credentials: readonly Case[] = [
  {
    name: "each refusal of a missing, unknown or read-only token names a remedy, and a token that may write works",
    async run(stage) {
      const home = await Home.with(stage, [], {
        "reader": "let-me-see\n",
        "writer": "let-me-do\n",
        "unknown": "let-me-in",
      });
      const tokens = `read anna sha256:${await sha256("let-me-see")}\nwrite bert sha256:${await sha256("let-me-do")}\n`;
      await withRestrictedApi(stage, { api_tokens_file: tokens }, async () => {
        const endpoint = "http://10.77.0.13:49153";
        const none = `a bearer token is required (HTTP 401). ${remedy}`;
        await until("m3 to require a token", async () => {
          return (await attempt(home, endpoint, "fleetctl")).list.endsWith(none) ? true : undefined;
        });
        const wrong = await attempt(home, endpoint, "fleetctl --token-file ~/unknown");
        assert.equal(
          wrong.list.split("list of units: ")[1],
          `the bearer token is not known (HTTP 401). ${remedy}`,
        );
        assert.match(wrong.change, /the bearer token is not known \(HTTP 401\)/);
        const reader = await attempt(home, endpoint, "fleetctl --token-file ~/reader");
        assert.equal(reader.list, "");
        assert.match(
          reader.change,
          /the token of "?anna"? may read only \(HTTP 403\)\. Use a token or a certificate that may write\n$/,
        );
        const all = { list: "", change: "" };
        assert.deepEqual(await attempt(home, endpoint, "fleetctl --token-file ~/writer"), all);
        assert.deepEqual(await attempt(home, endpoint, "fleetctl --token 'let-me-do'"), all);
        assert.deepEqual(await attempt(home, endpoint, "FLEETCTL_TOKEN='let-me-do' fleetctl"), all);
        assert.deepEqual(await attempt(home, endpoint, 'FLEETCTL_TOKEN_FILE="$HOME/writer" fleetctl'), all);
        const lost = await attempt(home, endpoint, "fleetctl --token-file ~/nowhere");
        assert.match(lost.list, /^Unable to initialize client: cannot read \/root\/home-\d+\/nowhere: no such file\n$/);
      });
    },
  },
  {
    name: "TLS: the client verifies the server and presents its certificate",
    async run(stage) {
      const { directory, ca, server, trusted, reader, foreign } = await makeAuthority("IP:10.77.0.13");
      try {
        const files = {
          "ca": ca,
          "cert": trusted.cert,
          "key": trusted.key,
          "reader": reader.cert,
          "reader-key": reader.key,
        };
        const home = await Home.with(stage, [], { ...files, "foreign": foreign.cert, "foreign-key": foreign.key });
        const options = { api_certfile: server.cert, api_keyfile: server.key, api_client_cafile: ca };
        await withRestrictedApi(stage, options, async () => {
          const endpoint = "https://10.77.0.13:49153";
          const trusting = "fleetctl --ca-file ~/ca";
          const none = `a client certificate is required (HTTP 401). ${remedy}`;
          await until("m3 to require a certificate", async () => {
            return (await attempt(home, endpoint, trusting)).list.endsWith(none) ? true : undefined;
          });
          assert.match(
            (await attempt(home, endpoint, "fleetctl")).list,
            /cannot trust the fleet API at https:\/\/10\.77\.0\.13:49153: .*--ca-file names the authority/,
          );
          assert.deepEqual(await attempt(home, endpoint, `${trusting} --cert-file ~/cert --key-file ~/key`), {
            list: "",
            change: "",
          });
          const shown = `${trusting} --cert-file ~/cert --key-file ~/key --endpoint ${endpoint}`;
          const { stdout } = await home.run(["sh", "-c", `${shown} doctor --no-ssh`]);
          for (const whose of ["the certificate of https://10\\.77\\.0\\.13:49153", ".*/cert \\(--cert-file\\)"]) {
            assert.match(
              stdout,
              new RegExp(`^(ok|warn) +certificate: ${whose} (is valid until|expires on) \\d{4}-`, "m"),
            );
          }
          const readOnly = await attempt(home, endpoint, `${trusting} --cert-file ~/reader --key-file ~/reader-key`);
          assert.equal(readOnly.list, "");
          assert.match(readOnly.change, / \(HTTP 403\)\. Use a token or a certificate that may write\n$/);
          const untrusted = await attempt(home, endpoint, `${trusting} --cert-file ~/foreign --key-file ~/foreign-key`);
          assert.notEqual(untrusted.list, "");
          const half = await attempt(home, endpoint, `${trusting} --cert-file ~/cert`);
          assert.equal(
            half.list,
            "Unable to initialize client: --cert-file and --key-file must be used together: only one is set\n",
          );
        });
      } finally {
        await Deno.remove(directory, { recursive: true });
      }
    },
  },
];

const etcd = ["--driver=etcd", "--endpoint=http://10.77.0.1:2379"];

/** Sets the state of a unit as `fleetctl restart` of fleet 1.0: it waits for `launched`, whatever state it has set. */
async function setAsOriginal({ cluster, m1 }: Stage, unit: string, desiredState: string): Promise<void> {
  const headers = { "user-agent": "google-api-go-client/0.5" };
  const path = `/units/${unit}?alt=json`;
  const put = await cluster.request(m1, "PUT", path, { name: unit, desiredState }, headers);
  assert.equal(put.status, 204);
  await until(`${unit} to be ${desiredState}`, async () => {
    const answer = await cluster.request(m1, "GET", path);
    return (await answer.json() as { currentState?: string }).currentState === desiredState || undefined;
  });
  await until(`${unit} to be launched after ${desiredState} was set`, async () => {
    const answer = await cluster.request(m1, "GET", path, undefined, headers);
    return (await answer.json() as { currentState?: string }).currentState === "launched" || undefined;
  }, { every_ms: 250 });
}

const otherDrivers: readonly Case[] = [
  {
    name: "the restart of fleet 1.0 ends, and leaves the unit running",
    async run(stage) {
      const { cluster, m1, m2 } = stage;
      const on = `[X-Fleet]\nMachineID=${m2.id}\n`;
      await cluster.put(m1, "old.service", "launched", `[Service]\nExecStart=/bin/sleep infinity\n${on}`);
      const before = await placeOf(stage, "old.service");
      await setAsOriginal(stage, "old.service", "loaded");
      await setAsOriginal(stage, "old.service", "launched");
      const after = await placeOf(stage, "old.service");
      assert.deepEqual([after.machine, after.pid > 0], [before.machine, true]);
      assert.equal((await cluster.request(m1, "DELETE", "/units/old.service")).status, 204);
    },
  },
  {
    name: "--driver=etcd creates, places, lists, explains and destroys units without the API",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"], { "direct.service": version(0) });
      const started = await home.fleetctl([...etcd, "start", `${home.path}/direct.service`]);
      assert.deepEqual([started.code, started.stderr], [0, ""]);
      assert.match(started.stdout, /^Unit direct\.service inactive\nUnit direct\.service launched on /);
      const machine = (await stage.cluster.active(stage.m1, ["direct.service"])).get("direct.service")!;
      for (const output of ["yaml", "json", "wide"]) {
        const args = ["explain", `--output=${output}`, "direct"];
        const explained = await home.fleetctl([...etcd, ...args]);
        assert.deepEqual([explained.code, explained.stderr], [0, ""]);
        assert.match(explained.stdout, new RegExp(machine));
      }
      const units = await home.fleetctl([...etcd, "list-units", "--no-legend", "--fields=unit"]);
      assert.equal(units.stdout, (await home.fleetctl(["list-units", "--no-legend", "--fields=unit"])).stdout);
      const journal = await home.fleetctl([
        ...etcd,
        "--ssh-username=root",
        "journal",
        "--lines=1",
        "--output=cat",
        "far",
      ]);
      assert.match(journal.stdout, /^tick \d+\n$/);
      assert.equal((await home.fleetctl([...etcd, "destroy", "direct"])).stdout, "Destroyed direct.service\n");
    },
  },
  {
    name: "--driver=etcd: doctor succeeds, and an unreachable store is an error",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      const well = await home.fleetctl([...etcd, "--ssh-username=root", "doctor"]);
      assert.equal(well.code, 0, well.stdout + well.stderr);
      assert.match(well.stdout, /^ok +store: .*\n/m);
      assert.match(well.stdout, /^ok +machines: 3 present\n/m);
      const nowhere = await home.fleetctl(["--driver=etcd", "--endpoint=http://10.77.0.1:1", "list-units"]);
      assert.equal(nowhere.code, 1);
      assert.match(nowhere.stderr, /^Unable to initialize client: cannot use the store at http:\/\/10\.77\.0\.1:1: /);
    },
  },
  {
    name: "--driver=etcd: the endpoint is resolved at the far end of --tunnel",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"], { "direct.service": version(0) });
      await stage.m2.must([
        ...["systemd-run", "--quiet", "--unit=near-etcd", "--socket-property=ListenStream=127.0.0.1:2379"],
        ...["/lib/systemd/systemd-socket-proxyd", "10.77.0.1:2379"],
      ]);
      const tunnel = ["--driver=etcd", "--tunnel=10.77.0.12"];
      const leftovers = () => home.run(["sh", "-c", "ls -d /tmp/fleetctl-*"]);
      try {
        const started = await home.fleetctl([...tunnel, "start", `${home.path}/direct.service`]);
        assert.deepEqual([started.code, started.stderr], [0, ""]);
        assert.match(started.stdout, /^Unit direct\.service inactive\nUnit direct\.service launched on /);
        await stage.cluster.active(stage.m1, ["direct.service"]);
        const destroyed = await home.fleetctl([...tunnel, "destroy", "direct"]);
        assert.deepEqual(destroyed, { code: 0, stdout: "Destroyed direct.service\n", stderr: "" });
        // A shell starts background commands with SIGINT ignored.
        const events = `env --default-signal=INT fleetctl ${tunnel.join(" ")} events --present >~/output & fleetctl=$!
          while kill -0 $fleetctl && ! grep -q . ~/output; do sleep 0.1; done
          ls /tmp/fleetctl-*; kill -INT $fleetctl; wait $fleetctl; echo ends with $?`;
        assert.equal((await home.run(["sh", "-c", events])).stdout, "0\nends with 130\n");
      } finally {
        await stage.m2.must(["systemctl", "stop", "near-etcd.socket", "near-etcd.service"]);
      }
      const unreachable = await home.fleetctl([...tunnel, "list-units"]);
      assert.equal(unreachable.code, 1);
      assert.match(
        unreachable.stderr,
        /^Unable to initialize client: cannot use the store at http:\/\/127\.0\.0\.1:2379: .*Through the tunnel: .*refused/,
      );
      assert.equal((await leftovers()).stdout, "");
    },
  },
  {
    name: "a oneshot that ends within milliseconds has started, as its machine reports",
    async run(stage) {
      const home = await Home.with(stage, [], { "quick.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n" });
      for (let n = 0; n < 5; n++) {
        const { code, stderr } = await home.fleetctl(["start", `${home.path}/quick.service`]);
        assert.deepEqual([code, stderr], [0, ""]);
        const { stdout } = await home.fleetctl(["events", "--present", "--no-follow", "--output=json", "quick"]);
        assert.match(stdout, /"job":"done"/);
        await home.fleetctl(["destroy", "quick"]);
      }
    },
  },
  {
    name: "--timeout ends the wait, and the cluster continues",
    async run(stage) {
      const home = await Home.with(stage, [], {
        "slow.service":
          "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'until test -e /run/continue; do sleep 0.1; done'\n" +
          `[X-Fleet]\nMachineID=${stage.m2.id}\n`,
      });
      const began_ms = performance.now();
      const { code, stderr } = await home.fleetctl(["start", "--timeout=1.5", `${home.path}/slow.service`]);
      const took_ms = performance.now() - began_ms;
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^Error waiting for units: timed out waiting for unit slow\.service to become active in systemd(: .*)?\n/,
      );
      assert.ok(took_ms >= 1500 && took_ms < 15_000, `${took_ms} ms`);
      await stage.m2.writeFile("/run/continue", "");
      await stage.cluster.active(stage.m1, ["slow.service"]);
      await home.fleetctl(["destroy", "slow.service"]);
    },
  },
];

/** Steps for a cluster of three machines whose APIs are open to each other. */
export const apiCases: readonly Case[] = [
  ...failures,
  ...journals,
  ...replacements,
  ...credentials,
  ...otherDrivers,
];
