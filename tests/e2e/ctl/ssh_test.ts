/** fleetctl between real machines by SSH: keys, hosts, terminals, tunnels. */

import assert from "node:assert/strict";
import { apiCases } from "./api_cases.ts";
import { startCases } from "./start_cases.ts";
import { importCases } from "./import_cases.ts";
import { patternCases } from "./pattern_cases.ts";
import { topCases } from "./top_cases.ts";
import { unitFileCases } from "./unit_file_cases.ts";
import { type Case, Home, type Stage } from "./home.ts";
import { withFleet } from "../../lab/fleet_cluster.ts";
import type { Machine } from "../../lab/machine.ts";
import { until } from "../../lab/process.ts";

/** Starts a second sshd on m2 with its own host key, on port 2222. */
async function otherSshd({ m2 }: Stage): Promise<string> {
  await m2.sh(`
    test -f /root/other || ssh-keygen -q -t ecdsa -N '' -f /root/other
    test -f /run/other.pid || /usr/sbin/sshd -f /dev/null -h /root/other -p 2222 -o PidFile=/run/other.pid`);
  return (await m2.must(["cat", "/root/other.pub"])).split(" ").slice(0, 2).join(" ");
}

const keys: readonly Case[] = [
  {
    name: "without an agent and a key, the error names a remedy",
    async run(stage) {
      const home = await Home.with(stage, ["hosts"]);
      const { code, stderr } = await home.fleetctl(["ssh", "0202", "true"]);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^Failed building SSH client: SSH_AUTH_SOCK environment variable is not set\. .*--ssh-identity/,
      );
    },
  },
  {
    name: "ssh logs in with a key in ~/.ssh and passes on words, input and exit status",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      const command = ["ssh", "0202", "--", "whoami;", "hostname;", "cat;", "echo", "bad", ">&2;", "exit", "7"];
      const ran = await home.fleetctl(command, "input\n");
      assert.deepEqual(ran, { code: 7, stdout: "core\nm2\ninput\n", stderr: "bad\n" });
      assert.equal((await home.fleetctl(["ssh", "--unit", "far.service", "hostname"])).stdout, "m2\n");
      assert.equal((await home.fleetctl(["ssh", "far.service", "hostname"])).stdout, "m2\n");
      const large = await home.fleetctl(["ssh", "0202", "wc -c"], "x".repeat(3_000_000));
      assert.equal(large.stdout, "3000000\n");
    },
  },
  {
    name: "ssh logs in with a key of the agent",
    async run(stage) {
      const home = await Home.with(stage, ["hosts"], { "key": stage.key });
      const script = "ssh-add -q ~/key; rm ~/key; fleetctl --ssh-username root ssh 0202 whoami";
      const { code, stdout, stderr } = await home.run(["ssh-agent", "sh", "-c", script]);
      assert.deepEqual([code, stdout, stderr], [0, "root\n", ""]);
    },
  },
  {
    name: "ssh logs in with a certificate of the agent to a machine that knows only its authority",
    async run(stage) {
      const home = await Home.with(stage, ["hosts"]);
      await home.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", `${home.path}/authority`]);
      await stage.m2.writeFile("/etc/ssh/authority.pub", await home.read("authority.pub"));
      await stage.m2.writeFile("/etc/ssh/sshd_config.d/authority.conf", "TrustedUserCAKeys /etc/ssh/authority.pub\n");
      await stage.m2.must(["systemctl", "restart", "ssh"]);
      for (const type of ["ed25519", "rsa", "ecdsa"]) {
        await home.run(["ssh-keygen", "-q", "-t", type, "-N", "", "-f", `${home.path}/${type}`]);
        const sign = `ssh-keygen -q -s ~/authority -I anna -n root ~/${type}.pub`;
        const log_in = "fleetctl --ssh-username=root ssh 0202 hostname";
        const bare = await home.run(["ssh-agent", "sh", "-c", `ssh-add -q ~/${type}; ${log_in}`]);
        assert.match(bare.stderr, /root@10\.77\.0\.12 accepts no key of yours \(tried the keys of the agent\)/);
        const certified = await home.run(["ssh-agent", "sh", "-c", `${sign}; ssh-add -q ~/${type}; ${log_in}`]);
        assert.deepEqual([certified.code, certified.stdout, certified.stderr], [0, "m2\n", ""], type);
      }
    },
  },
  {
    name: "the agent is forwarded only with -A",
    async run(stage) {
      const home = await Home.with(stage, ["hosts"], { "key": stage.key });
      const list = (flag: string) => `fleetctl ssh ${flag} 0202 -- ssh-add -l; echo $?`;
      const script = `ssh-add -q ~/key; ${list("-A")}; ${list("")}`;
      const { stdout, stderr } = await home.run(["ssh-agent", "sh", "-c", script]);
      assert.match(stdout, /^256 SHA256:.*\(ED25519\)\n0\n2\n$/);
      assert.match(stderr, /Could not open a connection to your authentication agent/);
    },
  },
  {
    name: "--ssh-identity names a key, and a key that is refused is an error with a remedy",
    async run(stage) {
      const home = await Home.with(stage, ["hosts"], { "key": stage.key });
      await home.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", `${home.path}/unknown`]);
      const good = await home.fleetctl(["--ssh-identity=~/key", "ssh", "0202", "hostname"]);
      assert.deepEqual(good, { code: 0, stdout: "m2\n", stderr: "" });
      const bad = await home.fleetctl(["--ssh-identity", `${home.path}/unknown`, "ssh", "0202", "hostname"]);
      assert.equal(bad.code, 1);
      assert.match(
        bad.stderr,
        /core@10\.77\.0\.12 accepts no key of yours \(tried \/root\/home-\d+\/unknown\)\. .*ssh-add/,
      );
    },
  },
  {
    name: "a passphrase is asked for on the terminal, and without one the error names it",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      await home.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "sesame", "-f", `${home.path}/.ssh/id_ed25519`]);
      const dark = await home.fleetctl(["ssh", "0202", "hostname"]);
      assert.equal(dark.code, 1);
      assert.match(dark.stderr, /id_ed25519 \(not used: it needs a passphrase, and there is no terminal/);
      const typed = await home.typed("fleetctl ssh 0202 hostname", [
        { after: /Enter passphrase for key '\/root\/home-\d+\/.ssh\/id_ed25519': $/, type: "wrong\r" },
        { after: /: \r\nEnter passphrase for key .*: $/, type: "sesame\r" },
      ]);
      assert.equal(typed.code, 0);
      assert.match(typed.stdout, /\nm2\n/);
      assert.doesNotMatch(typed.stdout, /sesame|wrong/);
    },
  },
  {
    name: "~/.ssh/config sets user, key, jump host and included files",
    async run(stage) {
      const config = "Host 10.77.0.12\n  User root\n  IdentityFile ~/elsewhere\n  ProxyJump core@10.77.0.13\n" +
        "Match user other\n  Port 1\nHost *\n  Include conf.d/*.conf\n";
      const home = await Home.with(stage, ["hosts"], {
        ".ssh/config": config,
        ".ssh/conf.d/13.conf": "Host *.13\n  IdentityFile ~/elsewhere\n",
        "elsewhere": stage.key,
      });
      const { stdout, stderr } = await home.fleetctl(["ssh", "0202", "whoami; echo ${SSH_CONNECTION%% *}"]);
      assert.equal(stdout, "root\n10.77.0.13\n");
      assert.match(stderr, /^[^\n]* WARN [^\n]*: ~\/\.ssh\/config: only "Match all" is supported[^\n]*\n$/);
      assert.equal((await home.fleetctl(["--ssh-username=core", "ssh", "0202", "whoami"])).stdout, "core\n");
    },
  },
];

const configurations: readonly Case[] = [
  {
    name: "~/.ssh/config sets tokens, the alias of a host key, and a certificate beside the key",
    async run(stage) {
      const config = "Host 10.77.0.12\n  User root\n  HostKeyAlias second\n  IdentityFile %d/keys/%r@%h\n" +
        "  CertificateFile ~/elsewhere-cert.pub\n";
      const line = stage.knownHosts.split("\n").find((line) => line.startsWith("10.77.0.12 "))!;
      const home = await Home.with(stage, [], {
        ".ssh/config": config,
        ".fleetctl/known_hosts": line.replace("10.77.0.12", "second") + "\n",
      });
      // m2 trusts this authority, but none of the keys itself.
      await stage.m1.sh(`cp /root/home-*/authority ${home.path}/`);
      for (const type of ["ed25519", "rsa", "ecdsa"]) {
        const ran = await home.run([
          "sh",
          "-ec",
          `
          cd; rm -rf keys elsewhere*; mkdir keys
          ssh-keygen -q -t ${type} -N '' -f keys/root@10.77.0.12
          fleetctl ssh 0202 hostname && exit 9
          ssh-keygen -q -s authority -I anna -n root keys/root@10.77.0.12.pub
          fleetctl ssh 0202 hostname
          mv keys/root@10.77.0.12-cert.pub elsewhere-cert.pub
          fleetctl ssh 0202 hostname`,
        ]);
        assert.deepEqual([ran.code, ran.stdout], [0, "m2\nm2\n"], `${type}: ${ran.stderr}`);
        assert.match(ran.stderr, /^Failed building SSH client: root@10\.77\.0\.12 accepts no key of yours[^\n]*\n$/);
      }
    },
  },
  {
    name: "~/.ssh/config: an unsupported option that matters is named in a warning",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"], { ".ssh/config": "ProxyCommand nc -X 5 %h %p\n" });
      const { stdout, stderr } = await home.fleetctl(["ssh", "0202", "hostname"]);
      assert.equal(stdout, "m2\n");
      assert.match(stderr, /WARN .*: ~\/\.ssh\/config: ProxyCommand \(for 10\.77\.0\.12\) is not supported/);
      await home.run(["sh", "-c", "echo 'IdentityFile ~/%C' >~/.ssh/config"]);
      const token = await home.fleetctl(["ssh", "0202", "hostname"]);
      assert.equal(token.code, 1);
      assert.match(token.stderr, /IdentityFile ~\/%C in ~\/\.ssh\/config: the token %C is not supported/);
    },
  },
];

const unknownHost =
  /The authenticity of host '10\.77\.0\.12' can't be established\.\r?\nssh-ed25519 key fingerprint is (?:[0-9a-f]{2}:){15}[0-9a-f]{2}\.\r?\nssh-ed25519 key fingerprint is SHA256:\S+\.\r?\nAre you sure you want to continue connecting \(yes\/no\)\? $/;

const hosts: readonly Case[] = [
  {
    name: "an unknown host needs confirmation, and is remembered",
    async run(stage) {
      const home = await Home.with(stage, ["key"]);
      const command = "printf 'all\\nof it\\n' | fleetctl ssh 0202 'cat >/tmp/taken' >out 2>err";
      const first = await home.typed(`cd; ${command}`, [{ after: unknownHost, type: "yes\r" }]);
      assert.equal(first.code, 0);
      assert.equal(await stage.m2.must(["cat", "/tmp/taken"]), "all\nof it\n");
      assert.equal(
        await home.read("err"),
        "Warning: Permanently added '10.77.0.12' (ssh-ed25519) to the list of known hosts.\n",
      );
      const modes = await home.run(["sh", "-c", "stat -c %a ~/.fleetctl ~/.fleetctl/known_hosts"]);
      assert.equal(modes.stdout, "700\n644\n");
      const known = stage.knownHosts.split("\n").find((line) => line.startsWith("10.77.0.12 "));
      assert.equal(await home.read(".fleetctl/known_hosts"), `${known}\n`);
      assert.deepEqual(await home.fleetctl(["ssh", "0202", "hostname"]), { code: 0, stdout: "m2\n", stderr: "" });
    },
  },
  {
    name: "several unknown hosts are confirmed one after the other, then their journals are merged",
    async run(stage) {
      const home = await Home.with(stage, ["key"]);
      const anyHost = (steps: number) => new RegExp(`(?:authenticity of host[^]*){${steps}}\\(yes/no\\)\\? $`);
      const logs = await home.typed("fleetctl --ssh-username=root logs --ssh --lines=1 far all", [
        { after: anyHost(1), type: "yes\r" },
        { after: anyHost(2), type: "yes\r" },
      ]);
      assert.equal(logs.code, 0, logs.stdout);
      assert.equal(logs.stdout.match(/authenticity of host/g)?.length, 2, logs.stdout);
      assert.match(logs.stdout, /far\.service\S* +\S* tick \d+\n/);
      assert.equal((await home.read(".fleetctl/known_hosts")).trim().split("\n").length, 2);
      const second = await Home.with(stage, ["key"]);
      const doctor = await second.typed("fleetctl doctor", [
        { after: anyHost(1), type: "yes\r" },
        { after: anyHost(2), type: "yes\r" },
        { after: anyHost(3), type: "no\r" },
      ]);
      assert.match(doctor.stdout, /Permanently added[^]*Permanently added/);
    },
  },
  {
    name: "an unknown host that is not confirmed is not used",
    async run(stage) {
      const home = await Home.with(stage, ["key"]);
      const no = await home.typed("fleetctl ssh 0202 hostname", [{ after: unknownHost, type: "no\r" }]);
      assert.equal(no.code, 1);
      assert.match(no.stdout, /Host key verification failed\.\nFailed building SSH client: unauthorized host\n/);
      const silence = await home.fleetctl(["ssh", "0202", "hostname"], "yes\n");
      assert.deepEqual([silence.code, silence.stdout], [1, ""]);
      assert.match(
        silence.stderr,
        /unauthorized host: its key is not in .*no terminal to ask/,
      );
      assert.equal((await home.run(["ls", `${home.path}/.fleetctl`])).code, 2);
      // The advice works as it stands.
      const advice = /\((.*ssh-keyscan.*)\)/.exec(silence.stderr)?.[1] ?? "no advice";
      assert.equal((await home.run(["sh", "-c", advice])).code, 0);
      assert.deepEqual(await home.fleetctl(["ssh", "0202", "hostname"]), { code: 0, stdout: "m2\n", stderr: "" });
    },
  },
  {
    name: "a remote command ends as in any pipe when the reader of its output is gone",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      for (const command of ["ssh 0202 yes", "ssh 0202 'yes; true'"]) {
        const script = `fleetctl ${command} | head -n 1; echo "\${PIPESTATUS[0]}"`;
        assert.deepEqual(await home.run(["bash", "-c", script]), { code: 0, stdout: "y\n141\n", stderr: "" });
      }
    },
  },
  {
    name: "hashed names and patterns of known_hosts match",
    async run(stage) {
      const hashed = await Home.with(stage, ["key", "hosts"]);
      await hashed.run(["ssh-keygen", "-q", "-H", "-f", `${hashed.path}/.fleetctl/known_hosts`]);
      assert.match(await hashed.read(".fleetctl/known_hosts"), /^\|1\|/);
      assert.equal((await hashed.fleetctl(["ssh", "0202", "hostname"])).stderr, "");
      const line = stage.knownHosts.split("\n").find((line) => line.startsWith("10.77.0.12 "))!;
      const patterns = line.replace("10.77.0.12", "!10.77.0.13,10.77.0.*");
      const home = await Home.with(stage, ["key"], { ".fleetctl/known_hosts": patterns });
      assert.deepEqual(await home.fleetctl(["ssh", "0202", "hostname"]), { code: 0, stdout: "m2\n", stderr: "" });
      assert.match((await home.fleetctl(["ssh", "0303", "hostname"])).stderr, /unauthorized host: .*10\.77\.0\.13/);
    },
  },
  {
    name: "a changed key is refused with a warning",
    async run(stage) {
      const wrong = stage.knownHosts.split("\n").find((line) => line.startsWith("10.77.0.13 "))!.replace(
        ".13 ",
        ".12 ",
      );
      const home = await Home.with(stage, ["key"], { ".fleetctl/known_hosts": `# mine\n${wrong}\n` });
      const { code, stdout, stderr } = await home.fleetctl(["ssh", "0202", "hostname"]);
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, /@ {4}WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! {5}@/);
      assert.match(stderr, /Add correct host key in \/root\/home-\d+\/\.fleetctl\/known_hosts:2 to get rid/);
      assert.match(stderr, /Failed building SSH client: host key mismatch\n$/);
      assert.equal(await home.read(".fleetctl/known_hosts"), `# mine\n${wrong}\n`);
    },
  },
  {
    name: "a revoked key is refused even if it is known",
    async run(stage) {
      const line = stage.knownHosts.split("\n").find((line) => line.startsWith("10.77.0.12 "))!;
      const revoked = `${line}\n@revoked ${line.replace("10.77.0.12", "*")}\n`;
      const home = await Home.with(stage, ["key"], { ".fleetctl/known_hosts": revoked });
      const { code, stderr } = await home.fleetctl(["ssh", "0202", "hostname"]);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /marked as revoked in \/root\/home-\d+\/\.fleetctl\/known_hosts:2!\nHost key verification failed\.\n/,
      );
      assert.match(stderr, /Failed building SSH client: host key revoked\n$/);
    },
  },
  {
    name: "a certificate authority in known_hosts is reported as unsupported, and makes no host known",
    async run(stage) {
      const authority = stage.knownHosts.split("\n").find((line) => line.startsWith("10.77.0.13 "))!
        .replace("10.77.0.13", "@cert-authority *");
      const home = await Home.with(stage, ["key"], { ".fleetctl/known_hosts": `${authority}\n` });
      const { code, stderr } = await home.fleetctl(["ssh", "0202", "hostname"]);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /known_hosts:1: @cert-authority is not supported: the certificate of 10\.77\.0\.12 is not checked\n/,
      );
      assert.match(stderr, /unauthorized host: .*10\.77\.0\.12/);
    },
  },
  {
    name: "--strict-host-key-checking=false verifies and stores nothing",
    async run(stage) {
      const home = await Home.with(stage, ["key"]);
      const { stdout, stderr } = await home.fleetctl(["--strict-host-key-checking=false", "ssh", "0202", "hostname"]);
      assert.deepEqual([stdout, stderr], ["m2\n", ""]);
      assert.equal((await home.run(["ls", `${home.path}/.fleetctl`])).code, 2);
    },
  },
  {
    name: "a host on another port has its own key: [address]:port",
    async run(stage) {
      const key = await otherSshd(stage);
      const home = await Home.with(stage, ["key", "hosts"]);
      const first = await home.typed("fleetctl ssh --ssh-port 2222 0202 hostname", [
        { after: /\(yes\/no\)\? $/, type: "y\r" },
      ]);
      assert.match(first.stdout, /\nm2\n/);
      assert.match(first.stdout, /Permanently added '\[10\.77\.0\.12\]:2222' \(ECDSA\)/);
      assert.equal(await home.read(".fleetctl/known_hosts"), `${stage.knownHosts}[10.77.0.12]:2222 ${key}\n`);
      assert.equal((await home.fleetctl(["ssh", "--ssh-port=2222", "0202", "hostname"])).stderr, "");
    },
  },
];

const sessions: readonly Case[] = [
  {
    name: "all words behind the name of a remote command belong to it, even flags of fleetctl",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      const cat = await home.fleetctl(["ssh", "far", "cat", "-n", "/proc/sys/kernel/hostname"]);
      assert.deepEqual([cat.code, cat.stdout], [0, "     1\tm2\n"]);
      const echo = await home.fleetctl(["ssh", "--unit=far", "echo", "--lines=3", "--", "-A"]);
      assert.deepEqual([echo.code, echo.stdout], [0, "--lines=3 -- -A\n"]);
    },
  },
  {
    name: "a shell on a terminal gets its size, changes of the size, and keys",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      const resize = "(until test -e ~/go; do sleep 0.1; done; stty -F /dev/tty cols 77 rows 22) &";
      const { stdout } = await home.typed(`${resize} fleetctl ssh 0202; echo status $?; stty -a`, [
        { after: /\$ $/, type: "echo at $(stty size) on $(tty) as $TERM\r" },
        {
          after: /at 33 91 on \/dev\/pts\/\d+ as xterm-256color\r\n[^]*\$ $/,
          type: `sh -c "trap 'echo now \\$(stty size)' WINCH; echo re''ady; while sleep 0.1; do :; done"\r`,
        },
        { after: /ready\r\n/, act: () => stage.m1.must(["touch", `${home.path}/go`]) },
        { after: /now 22 77\r\n/, type: "\x03" },
        { after: /\^C[^]*\$ [^ ]*$/, type: "exit 5\r" },
      ]);
      // ^C reached the remote command; the exit status is that of the shell.
      assert.match(stdout, /status 5\n/);
      // The mode of the local terminal is restored.
      assert.match(stdout, / icanon [^]* echo /);
    },
  },
  {
    name: "the exit status of a broken connection is 255, that of a signal 128 plus its number",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      const broken = await home.fleetctl(["ssh", "0202", "kill -9 $PPID"]);
      assert.equal(broken.code, 255);
      assert.match(broken.stderr, /^Failed running command over SSH: the connection to core@10\.77\.0\.12 was lost/);
      assert.equal((await home.fleetctl(["ssh", "0202", "kill -TERM $$"])).code, 143);
    },
  },
  {
    name: "--ssh-timeout limits the connection to a machine that does not answer",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      const started = performance.now();
      const { code, stderr } = await home.fleetctl(["--tunnel=10.77.0.200", "--ssh-timeout=1", "list-units"]);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^Unable to initialize client: failed initializing SSH client: (timed out while initiating SSH connection|cannot connect)/,
      );
      assert.ok(performance.now() - started < 8000);
    },
  },
  {
    name: "status and journal need SSH only for other machines, and return the exit status of systemctl and journalctl",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      for (
        const [unit, flags] of [["near.service", ["--ssh"]], ["far.service", ["--ssh", "--ssh-username=root"]]] as const
      ) {
        const status = await home.fleetctl(["status", ...flags, unit]);
        assert.equal(status.code, 0, status.stderr);
        assert.match(status.stdout, new RegExp(`^● ${unit}\\n.*Loaded: loaded .*\\n.*Active: active \\(running\\)`));
        const journal = await home.fleetctl(["journal", ...flags, "--lines=1", "--output=cat", unit]);
        assert.match(journal.stdout, /^tick \d+\n$/);
        const wrong = await home.fleetctl(["journal", ...flags, "--output=nosuch", unit]);
        assert.deepEqual([wrong.code, wrong.stdout], [1, ""]);
        assert.match(wrong.stderr, /Unknown output format|nosuch/);
      }
      const both = await home.fleetctl(["--ssh-username=root", "status", "--ssh", "near", "far"]);
      assert.match(both.stdout, /\n\n● far\.service\n/);
      const all = await home.fleetctl(["--ssh-username=root", "status", "--ssh", "all.service"]);
      assert.deepEqual(all.stdout.match(/^all\.service on .*:$/gm), [
        "all.service on 01010101.../10.77.0.11:",
        "all.service on 02020202.../10.77.0.12:",
        "all.service on 03030303.../10.77.0.13:",
      ]);
      await stage.cluster.fleetctl(stage.m1, "stop", "far.service");
      assert.equal((await home.fleetctl(["--ssh-username=root", "status", "--ssh", "far"])).code, 3);
      await stage.cluster.fleetctl(stage.m1, "start", "far.service");
      const other = await Home.with(stage, []);
      const refused = await other.fleetctl(["status", "--ssh", "far"]);
      assert.equal(refused.code, 255);
      assert.match(refused.stderr, /^Unable to SSH to remote host: SSH_AUTH_SOCK/);
    },
  },
  {
    name: "journal --ssh -f runs until ^C",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      const script =
        "timeout -s INT 4 fleetctl --ssh-username=root journal --ssh -f --lines=1 --output=cat far.service";
      const { stdout } = await home.run(["sh", "-c", script]);
      const ticks = [...stdout.matchAll(/^tick (\d+)$/gm)].map(([, count]) => Number(count));
      assert.ok(ticks.length >= 2, stdout);
      ticks.forEach((tick, index) => assert.equal(tick, ticks[0]! + index));
    },
  },
];

const reports: readonly Case[] = [
  {
    name: "control sequences in a log are escaped on a terminal, and unchanged in a pipe",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      await home.fleetctl(["machine", "label", "0202", "forged=x\n03030303...\t10.77.0.99\t-"]);
      const machines = await home.typed("fleetctl list-machines", []);
      assert.match(machines.stdout, /^02020202.*forged=x\\n03030303\.\.\./m);
      assert.doesNotMatch(machines.stdout, /^03030303.*10\.77\.0\.99/m);
      await home.fleetctl(["machine", "label", "0202", "forged-"]);
      const script = "[Service]\nType=oneshot\nRemainAfterExit=yes\n" +
        "ExecStart=/bin/printf 'clear \\033[2J title \\033]0;owned\\007 red \\033[31mred\\033[0m\\n'\n";
      for (const machine of [stage.m1, stage.m2]) {
        const on = `[X-Fleet]\nMachineID=${machine.id}\n`;
        await stage.cluster.put(stage.m1, `noisy-${machine.name}.service`, "launched", script + on);
      }
      await stage.cluster.active(stage.m1, ["noisy-m1.service", "noisy-m2.service"]);
      const raw = "clear \x1b[2J title \x1b]0;owned\x07 red \x1b[31mred\x1b[0m";
      const shown = "clear \\x1b[2J title \\x1b]0;owned\\x07 red \x1b[31mred\x1b[0m";
      for (
        const command of [
          "logs --lines=3 noisy-m2",
          "logs --ssh --ssh-username=root --lines=3 noisy-m2",
          "journal --lines=3 --output=cat noisy-m1",
          "journal --lines=3 --output=cat noisy-m2",
          "journal --ssh --ssh-username=root --lines=3 --output=cat noisy-m2",
          "status noisy-m2",
          "status noisy-m1",
        ]
      ) {
        const onTerminal = await home.typed(`fleetctl ${command}`, []);
        for (const control of ["\x1b[2J", "\x1b]0", "\x07"]) assert.ok(!onTerminal.stdout.includes(control), command);
        if (!command.startsWith("status")) assert.ok(onTerminal.stdout.includes(shown), onTerminal.stdout);
        const piped = await home.fleetctl(command.split(" "));
        if (!command.startsWith("status")) assert.ok(piped.stdout.includes(raw), piped.stdout);
      }
    },
  },
];

const unix = "--endpoint=unix:///run/fleet.sock";
const here = { "FLEETCTL_TUNNEL": "10.77.0.12", "FLEETCTL_SSH_USERNAME": "root" };

const tunnels: readonly Case[] = [
  {
    name: "a tunnel reaches a socket by forwarding of sshd",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      const flags = ["--tunnel=10.77.0.12", "--ssh-username=root", unix];
      const list = await home.fleetctl([...flags, "--debug", "list-machines", "--no-legend"]);
      assert.match(list.stdout, /^01010101\.\.\.\t10\.77\.0\.11\t-\n02020202\.\.\./);
      assert.doesNotMatch(list.stderr, /fd-forward/);
      await home.run(["sh", "-c", "printf '[Service]\\nType=oneshot\\nExecStart=/bin/true\\n' >~/once.service"]);
      const started = await home.fleetctl([...flags, "start", `${home.path}/once.service`]);
      assert.match(started.stdout, /^Unit once\.service inactive\nUnit once\.service launched on /);
      assert.equal((await home.fleetctl([...flags, "destroy", "once"])).stdout, "Destroyed once.service\n");
    },
  },
  {
    name: "a tunnel reaches a socket by fd-forward if sshd refuses to forward",
    async run(stage) {
      const { m3 } = stage;
      await m3.writeFile("/etc/ssh/sshd_config.d/closed.conf", "AllowStreamLocalForwarding no\n");
      await m3.must(["systemctl", "restart", "ssh"]);
      const home = await Home.with(stage, ["key", "hosts"]);
      const flags = ["--tunnel=10.77.0.13", "--ssh-username=root", "--debug", unix];
      const list = await home.fleetctl([...flags, "list-units", "--no-legend", "--fields=unit"]);
      assert.match(list.stdout, /^all\.service\nall\.service\nall\.service\nfar\.service\nnear\.service\n/);
      assert.match(list.stderr, /trying fleetctl fd-forward/);
      const denied = await home.fleetctl(["--tunnel=10.77.0.13", unix, "list-units"]);
      assert.equal(denied.code, 1);
      assert.match(denied.stderr, /Permission denied.*May core@10\.77\.0\.13 write to it\?/);
    },
  },
  {
    name: "ssh, status and journal use the tunnel, and both hosts are verified",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      const flags = Object.entries(here).map(([name, value]) => `${name}=${value}`);
      const hop = ["env", ...flags, "fleetctl", unix];
      const { stdout } = await home.run([...hop, "ssh", "0303", "hostname; echo ${SSH_CONNECTION%% *}"]);
      assert.equal(stdout, "m3\n10.77.0.12\n");
      const journal = await home.run([...hop, "journal", "--ssh", "--lines=1", "--output=cat", "far.service"]);
      assert.match(journal.stdout, /^tick \d+\n$/);
      const lines = stage.knownHosts.trim().split("\n");
      const onlyTunnel = lines.filter((line) => line.startsWith("10.77.0.12 ")).join("\n") + "\n";
      const second = await Home.with(stage, ["key"], { ".fleetctl/known_hosts": onlyTunnel });
      assert.match((await second.run([...hop, "ssh", "0303", "true"])).stderr, /unauthorized host: .*-H 10\.77\.0\.13/);
      const onlyTarget = lines.filter((line) => line.startsWith("10.77.0.13 ")).join("\n") + "\n";
      const first = await Home.with(stage, ["key"], { ".fleetctl/known_hosts": onlyTarget });
      const refused = await first.run([...hop, "ssh", "0303", "true"]);
      assert.match(
        refused.stderr,
        /^Unable to initialize client: failed initializing SSH client: unauthorized host: .*-H 10\.77\.0\.12/m,
      );
    },
  },
];

const lost: readonly Case[] = [
  {
    name: "journal -f and events continue over a new connection when the tunnel is lost",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      const flags = `--tunnel=10.77.0.12 --ssh-username=root ${unix}`;
      const script = `
        timeout -s INT 30 fleetctl ${flags} journal -f --lines=1 --output=cat far.service >journal 2>journal.err &
        timeout -s INT 30 fleetctl ${flags} events --output=json >events 2>events.err &
        jobs -p >pids; wait`;
      const running = home.run(["sh", "-c", `cd; ${script}`]);
      const lines = async (file: string) => (await home.run(["cat", `${home.path}/${file}`])).stdout.split("\n");
      await until("the journal through the tunnel", async () => (await lines("journal")).length > 1 || undefined);
      // A session may end while its monitor is killed before it. That the connection is lost is asserted below.
      await stage.m2.sh("kill $(pgrep -f '^sshd: root') || true");
      await until("the loss to be noticed", async () => (await lines("journal.err")).length > 1 || undefined);
      const before = (await lines("journal")).length;
      await until("the journal to continue", async () => (await lines("journal")).length > before + 1 || undefined);
      await stage.cluster.fleetctl(stage.m1, "stop", "near.service");
      await until("an event after the loss", async () => {
        return (await lines("events")).some((line) => line.includes("near.service")) || undefined;
      });
      await stage.cluster.fleetctl(stage.m1, "start", "near.service");
      const history = await home.fleetctl(["events", "--since=10m", "--no-follow", "--kind=unit", "near.service"]);
      assert.match(history.stdout, /^\d\d:\d\d:\d\d unit near\.service is to be launched.*, by uid 0$/m);
      await home.run(["sh", "-c", "kill -INT $(cat ~/pids)"]);
      await running;
    },
  },
  {
    name: "the first endpoint that answers is used, also by journal -f",
    async run(stage) {
      const home = await Home.with(stage, ["key", "hosts"]);
      const endpoints = "http://10.77.0.13:1,http://10.77.0.12:49153,http://10.77.0.11:49153";
      const list = await home.run(["env", `FLEETCTL_ENDPOINT=${endpoints}`, "fleetctl", "list-units", "--no-legend"]);
      assert.equal(list.stderr, "");
      assert.match(list.stdout, /^far\.service/m);
      const follow =
        `timeout -s INT 30 fleetctl --endpoint=${endpoints} journal -f --lines=1 --output=cat near.service`;
      const running = home.run(["sh", "-c", `cd; ${follow} >journal 2>err & echo $! >pid; wait`]);
      const lines = async () => (await home.run(["cat", `${home.path}/journal`])).stdout.split("\n").length;
      await until("the journal", async () => await lines() > 1 || undefined);
      await stage.m2.must(["systemctl", "stop", "fleet.service"]);
      const before = await lines();
      await until("the journal by another endpoint", async () => await lines() > before + 1 || undefined);
      await home.run(["sh", "-c", "kill -INT $(cat ~/pid)"]);
      await running;
      await stage.m2.must(["systemctl", "start", "fleet.service"]);
      await stage.cluster.active(stage.m1, ["far.service"]);
    },
  },
  {
    name: "fleetctl and daemons use no proxy of the environment",
    async run(stage) {
      const home = await Home.with(stage, []);
      for (const name of ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]) {
        const proxy = ["env", `${name}=http://10.77.0.13:1`, "fleetctl"];
        const list = await home.run([...proxy, "--endpoint=http://10.77.0.12:49153", "list-machines", "--no-legend"]);
        assert.deepEqual([list.code, list.stderr], [0, ""], name);
        const direct = await home.run([...proxy, "--driver=etcd", "--endpoint=http://10.77.0.1:2379", "list-machines"]);
        assert.deepEqual([direct.code, direct.stderr], [0, ""], name);
      }
      // Daemons also reach etcd and each other directly.
      const dropIn = "/run/systemd/system/fleet.service.d/proxy.conf";
      const proxies = "HTTP_PROXY=http://10.77.0.13:1 http_proxy=http://10.77.0.13:1";
      await stage.m1.writeFile(dropIn, `[Service]\nEnvironment=${proxies}\n`);
      await stage.m1.sh("systemctl daemon-reload; systemctl restart fleet.service");
      const journal = await home.fleetctl(["journal", "--lines=1", "--output=cat", "far.service"]);
      assert.match(journal.stdout, /^tick \d+\n$/, journal.stderr);
      await stage.m1.sh(`rm ${dropIn}; systemctl daemon-reload; systemctl restart fleet.service`);
    },
  },
];

const injection: readonly Case[] = [
  {
    name: "fleetctl-inject-ssh.sh adds a key once to every machine, also through a tunnel and by update-ssh-keys",
    async run(stage) {
      const script = Deno.readTextFileSync(new URL("../../../packaging/fleetctl-inject-ssh.sh", import.meta.url));
      const home = await Home.with(stage, ["key", "hosts"], { "inject.sh": script });
      await home.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "anna at home", "-f", `${home.path}/anna`]);
      const inject = (flags: string) => home.run(["sh", "-c", `sh ~/inject.sh anna ${flags} <~/anna.pub`]);
      const first = await inject("");
      assert.deepEqual([first.code, first.stderr], [0, ""]);
      assert.equal(first.stdout.match(/: added to \/home\/core\/\.ssh\/authorized_keys$/gm)?.length, 3);
      const again = await inject("");
      assert.equal(again.stdout.match(/: already in /g)?.length, 3);
      for (const prefix of ["0101", "0202", "0303"]) {
        const opened = await home.fleetctl([
          "--ssh-identity=~/anna",
          "ssh",
          prefix,
          "grep -c anna .ssh/authorized_keys",
        ]);
        assert.equal(opened.stdout, "1\n");
      }
      await stage.m2.writeFile(
        "/usr/local/bin/update-ssh-keys",
        '#!/bin/sh\necho "$*" >~/asked; cat >>~/asked\n',
        0o755,
      );
      const through = await inject(`--tunnel=10.77.0.12 --ssh-username=root ${unix}`);
      assert.deepEqual([through.code, through.stderr], [0, ""]);
      assert.match(through.stdout, /^0202\w+: update-ssh-keys has it$/m);
      const key = (await home.read("anna.pub")).split(" ").slice(0, 2).join(" ");
      assert.equal(await stage.m2.must(["cat", "/root/asked"]), `-a anna -n\n${key} anna\n`);
      await stage.m2.must(["rm", "/usr/local/bin/update-ssh-keys"]);
      const other = await Home.with(stage, ["key"], {
        "inject.sh": script,
        "anna.pub": await home.read("anna.pub"),
      });
      const anyHost = (steps: number) => new RegExp(`(?:authenticity of host[^]*){${steps}}\\(yes/no\\)\\? $`);
      const contact = await other.typed(
        `cd; cat anna.pub | FLEETCTL_SSH_USERNAME=root sh inject.sh simon --tunnel 10.77.0.12`,
        [1, 2, 3].map((steps) => ({ after: anyHost(steps), type: "yes\r" })),
      );
      assert.equal(contact.code, 0, contact.stdout);
      assert.equal(contact.stdout.match(/(?:added to|already in) \/root\/\.ssh\/authorized_keys$/gm)?.length, 3);
      const refused = await home.run(["sh", "-c", `FLEETCTL_SSH_USERNAME=nosuch sh ~/inject.sh anna <~/anna.pub`]);
      assert.equal(refused.code, 1);
      assert.match(
        refused.stderr,
        /logs in as nosuch\..*:\n {2}cat key\.pub \| \S+inject\.sh anna --ssh-username=root\n$/,
      );
      const nonsense = await home.run(["sh", "-c", "echo 'ssh-ed25519 $(reboot)' | sh ~/inject.sh anna"]);
      assert.equal(nonsense.code, 2);
      assert.equal((await home.run(["sh", "-c", "sh ~/inject.sh </dev/null"])).code, 2);
    },
  },
];

const ticker = "[Service]\nExecStart=/bin/sh -c 'i=0; while sleep 1; do i=$$((i+1)); echo tick $$i; done'\n";

Deno.test("fleetctl over SSH", async (t) => {
  await withFleet({ machines: 3, tcp: true }, async (cluster) => {
    const [m1, m2, m3] = cluster.lab.machines as [Machine, Machine, Machine];
    const on = (machine: Machine) => `[X-Fleet]\nMachineID=${machine.id}\n`;
    await cluster.put(m1, "near.service", "launched", ticker + on(m1));
    await cluster.put(m1, "far.service", "launched", ticker + on(m2));
    await cluster.put(m1, "all.service", "launched", ticker + "[X-Fleet]\nGlobal=true\n");
    await cluster.active(m1, ["near.service", "far.service"]);
    const key = Deno.readTextFileSync(cluster.lab.sshKey);
    const knownHosts = Deno.readTextFileSync(cluster.lab.knownHosts);
    const stage: Stage = { cluster, m1, m2, m3, key, knownHosts };
    for (
      const { name, run } of [
        ...keys,
        ...configurations,
        ...hosts,
        ...sessions,
        ...reports,
        ...tunnels,
        ...lost,
        ...apiCases,
        ...topCases,
        ...startCases,
        ...patternCases,
        ...unitFileCases,
        ...importCases,
        ...injection,
      ]
    ) {
      await t.step(name, () => run(stage));
    }
  });
});
