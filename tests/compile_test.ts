/**
 * The programs that `compile.sh` builds: they run from a read-only directory without network, source, home or cache, with
 * the listed permissions alone, and the launcher's process becomes the program.
 *
 * @module
 */

import assert from "node:assert/strict";
import { copyProgram, writeProgram } from "./support/programs.ts";

const root = `${import.meta.dirname}/..`;
const denoFolder = Deno.execPath().replace(/\/[^/]*$/, "");

interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(program: string, options: Deno.CommandOptions): Promise<Output> {
  const { code, stdout, stderr } = await new Deno.Command(program, { stdin: "null", ...options }).output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** Runs the `compile.sh` of a tree. */
function compile(tree: string, args: readonly string[], env: Record<string, string> = {}): Promise<Output> {
  const path = `${denoFolder}:${Deno.env.get("PATH") ?? ""}`;
  return run(`${tree}/compile.sh`, { args: [...args], cwd: "/", env: { CI: "", PATH: path, ...env } });
}

/** An mv that reports a moment without fleetctl, and a main.js that comes before a module that it names. */
const watchedMove = `#!/bin/sh
look() {
  [ -x "$MODULES/../../fleetctl" ] || echo "no fleetctl: mv $*" >&2
}
look "$@"
/bin/mv "$@"
look "$@"
case $* in */lib/fleetctl/main.js)
  for module in $(grep -oE '[A-Za-z0-9_]+-[A-Z0-9]{8}\\.js' "$MODULES/main.js"); do
    [ -f "$MODULES/$module" ] || echo "no $module: mv $*" >&2
  done ;;
esac
`;

async function inTempDir(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "fleet compile " });
  try {
    await Deno.chmod(directory, 0o755);
    await work(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Files of a small source tree whose programs print their environment. */
const standIns: Readonly<Record<string, string>> = {
  "daemon/main.ts": `
    import { Etcd3 } from "etcd3";
    import dbus from "dbus-next";
    const attempt = async (name: string, work: () => unknown) => {
      try { console.log(name, "may", await work()); } catch (error) { console.log(name, (error as Error).name); }
    };
    const [what] = Deno.args;
    if (what === "--version") console.log("fleetd version 1");
    if (what === "arguments") console.log(JSON.stringify(Deno.args));
    if (what === "libraries") {
      const client = new Etcd3({ hosts: ["http://127.0.0.1:1"] });
      await client.get("a").string().catch((error) => console.log("etcd:", error.message));
      client.close();
      console.log("dbus:", typeof dbus.systemBus);
    }
    if (what === "permissions") {
      for (const name of ["FLEET_AGENT_TTL", "LISTEN_PID", "NOTIFY_SOCKET", "DBUS_SYSTEM_BUS_ADDRESS", "SECRET"]) {
        console.log(name, Deno.env.get(name));
      }
      await attempt("write", () => Deno.writeTextFile("/etc/fleet-must-not-write", ""));
      await attempt("run", () => new Deno.Command("/bin/true").output());
      await attempt("ffi", () => Deno.dlopen("/lib/libc.so.6", {}));
      await attempt("read", async () => (await Deno.readTextFile("/etc/passwd")).length > 0);
    }
    if (what === "stay") {
      Deno.addSignalListener("SIGTERM", () => { console.log("SIGTERM"); Deno.exit(0); });
      setInterval(() => {}, 1000);
      console.log(Deno.pid);
    }`,
  "packaging/man/main.ts": `
    Deno.mkdirSync(Deno.args[0] + "/man1", { recursive: true });
    Deno.writeTextFileSync(Deno.args[0] + "/man1/fleetctl.1", Deno.args[1] + "\\n");`,
  "packaging/site/main.ts": `
    Deno.mkdirSync(Deno.args[0]);
    Deno.writeTextFileSync(Deno.args[0] + "/index.html", "docs\\n");`,
  "packaging/fleetctl-inject-ssh.sh": "#!/bin/sh\n",
  "packaging/install.sh": "#!/bin/sh\n",
  "packaging/.gitattributes": "commit export-subst\n",
  "packaging/commit": "$Format:%H %ct$\n",
  "LICENSE": "license\n",
  "daemon/ui/main.tsx": "console.log('the cluster page');",
  ...Object.fromEntries(["index.html", "style.css", "icon.svg"].map((name) => [`daemon/ui/${name}`, `${name}\n`])),
  "examples/fleet.conf.sample": "# sample\n",
  ...Object.fromEntries(
    ["systemd/fleet.service", "systemd/fleet.socket", "polkit/fleet.rules", "sysusers/fleet.conf"]
      .map((name) => [`packaging/${name}`, `${name}\n`]),
  ),
  "ctl/main.ts": `
    if (Deno.args[0] === "--version") console.log("fleetctl version 1");
    if (Deno.args[0] === "build") console.log("@FLEET_BUILD@");
    if (Deno.args[0] === "completion") console.log("completion of", Deno.args[1]);
    if (Deno.args[0] === "store") {
      const { default: all, Etcd3 } = await import("etcd3");
      new Etcd3({ hosts: "http://127.0.0.1:1" }).close();
      console.log("opened", all.Etcd3 === Etcd3);
    }`,
};

/** Writes a source tree with other programs to `directory`. */
async function makeTree(directory: string, files: Readonly<Record<string, string>> = standIns): Promise<string> {
  const { workspace }: { workspace: string[] } = JSON.parse(await Deno.readTextFile(`${root}/deno.json`));
  const members = workspace.map((member) => `${member}/deno.json`);
  for (const name of ["compile.sh", "deno.json", "deno.lock", "package.json", ...members]) {
    await Deno.mkdir(`${directory}/${name}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await copyProgram(`${root}/${name}`, `${directory}/${name}`);
  }
  for (const [path, text] of Object.entries(files)) {
    await Deno.mkdir(`${directory}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(`${directory}/${path}`, text);
  }
  return directory;
}

/** A user without write access to the programs and to a home: UID 65534 if the tests run as root. */
const unprivileged = Deno.uid() === 0 ? { uid: 65534, gid: 65534 } : {};

Deno.test("launcher", async (t) => {
  await inTempDir(async (directory) => {
    const made = `${directory}/made here`;
    const built = await compile(await makeTree(directory), ["--launcher", made]);
    assert.deepEqual(built, { code: 0, stdout: "", stderr: "" });
    for (const source of ["compile.sh", "deno.json", "deno.lock", "package.json", "daemon", "ctl"]) {
      await Deno.remove(`${directory}/${source}`, { recursive: true });
    }
    // A PATH with nothing but deno; a copy, because the original may be in a home that other users cannot read.
    await Deno.mkdir(`${directory}/bin`);
    await copyProgram(Deno.execPath(), `${directory}/bin/deno`);
    await run("chmod", { args: ["-R", "a-w,a+rX", made] });

    const bare: Deno.CommandOptions = { clearEnv: true, env: { PATH: `${directory}/bin` }, cwd: "/", ...unprivileged };
    const fleetd = (args: string[], env: Record<string, string> = {}) =>
      run(`${made}/fleetd`, { ...bare, args, env: { ...bare.env, ...env } });

    await t.step("the files that an operator installs are in share/", async () => {
      const text = (path: string) => Deno.readTextFile(`${made}/share/${path}`);
      const { "LICENSE": license, "examples/fleet.conf.sample": sample } = standIns;
      assert.deepEqual([await text("LICENSE"), await text("fleet.conf.sample")], [license, sample]);
      assert.equal(await text("systemd/fleet.service"), "systemd/fleet.service\n");
      assert.equal(await text("polkit/fleet.rules"), "polkit/fleet.rules\n");
      assert.equal(await text("sysusers/fleet.conf"), "sysusers/fleet.conf\n");
      assert.equal(await text("html/index.html"), "docs\n");
      assert.match(await text("man/man1/fleetctl.1"), /^\d{4}-\d\d-\d\d\n$/);
      for (const [file, shell] of [["fleetctl", "bash"], ["_fleetctl", "zsh"], ["fleetctl.fish", "fish"]]) {
        assert.equal(await text(`completions/${file}`), `completion of ${shell}\n`);
      }
    });

    await t.step("SHA256SUMS has the checksum of every file", async () => {
      const listed = (await Deno.readTextFile(`${made}/SHA256SUMS`)).trimEnd().split("\n").map((line) =>
        line.slice(66)
      );
      const { stdout } = await run("find", { args: [".", "-type", "f", "-printf", "%P\n"], cwd: made });
      assert.deepEqual(["SHA256SUMS", ...listed].sort(), stdout.trimEnd().split("\n").sort());
      assert.equal((await run("sha256sum", { args: ["--check", "--strict", "SHA256SUMS"], cwd: made })).code, 0);
    });

    await t.step("the files of the cluster page are beside the bundle of fleetd", async () => {
      const text = (name: string) => Deno.readTextFile(`${made}/lib/fleetd/ui/${name}`);
      for (const name of ["index.html", "style.css", "icon.svg"]) assert.equal(await text(name), `${name}\n`);
      assert.match(await text("main.js"), /the cluster page/);
    });

    await t.step("passes arguments on unchanged", async () => {
      const args = ["arguments", "a b", "*", "--allow-all", "$HOME", ""];
      const { code, stdout, stderr } = await fleetd(args);
      assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: `${JSON.stringify(args)}\n`, stderr: "" });
    });

    await t.step("needs no source, network, home or cache for etcd3 and dbus-next", async () => {
      const { code, stdout, stderr } = await fleetd(["libraries"]);
      assert.match(stdout, /^etcd: .*ECONNREFUSED.*\ndbus: function\n$/);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    });

    await t.step("loads etcd3 only when fleetctl uses it", async () => {
      const { stdout, stderr } = await run(`${made}/fleetctl`, { ...bare, args: ["store"] });
      assert.deepEqual({ stdout, stderr }, { stdout: "opened true\n", stderr: "" });
      const main = await Deno.readTextFile(`${made}/lib/fleetctl/main.js`);
      assert.ok(main.length < 5000, `main.js has ${main.length} characters: it contains etcd3`);
    });

    await t.step("gives the daemon only the permissions that it needs", async () => {
      const { stdout } = await fleetd(["permissions"], {
        FLEET_AGENT_TTL: "5s",
        LISTEN_PID: "7",
        NOTIFY_SOCKET: "/run/n",
        DBUS_SYSTEM_BUS_ADDRESS: "unix:path=/x",
        SECRET: "s",
      });
      assert.deepEqual(stdout.trim().split("\n"), [
        "FLEET_AGENT_TTL 5s",
        "LISTEN_PID 7",
        "NOTIFY_SOCKET /run/n",
        "DBUS_SYSTEM_BUS_ADDRESS unix:path=/x",
        "SECRET undefined",
        "write NotCapable",
        "run NotCapable",
        "ffi NotCapable",
        "read may true",
      ]);
    });

    await t.step("becomes the program: it keeps the PID and receives signals", async () => {
      const child = new Deno.Command(`${made}/fleetd`, { ...bare, args: ["stay"], stdin: "null", stdout: "piped" })
        .spawn();
      const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      assert.equal((await lines.read()).value, `${child.pid}\n`);
      child.kill("SIGTERM");
      assert.equal((await lines.read()).value, "SIGTERM\n");
      assert.equal((await child.status).code, 0);
      await lines.cancel();
    });

    await t.step("finds its files through symbolic links", async () => {
      await Deno.symlink(`${made}/fleetd`, `${directory}/absolute`);
      await Deno.symlink("absolute", `${directory}/bin/../relative`);
      await Deno.symlink("../relative", `${directory}/bin/fleetd`);
      const ways = [
        { program: `${directory}/absolute`, cwd: "/" },
        { program: `${directory}/bin/fleetd`, cwd: "/" },
        { program: "./relative", cwd: directory },
      ];
      for (const { program, cwd } of ways) {
        const { stdout } = await run("/bin/sh", { ...bare, cwd, args: ["-c", '"$0" --version', program] });
        assert.equal(stdout, "fleetd version 1\n", program);
      }
      const found = await run("/bin/sh", { ...bare, args: ["-c", "fleetd --version"] });
      assert.equal(found.stdout, "fleetd version 1\n", "by PATH");
    });

    await t.step("advises to install Deno if PATH has no deno", async () => {
      const { code, stderr } = await run(`${made}/fleetctl`, { ...bare, env: { PATH: "/nowhere" } });
      assert.equal(code, 127);
      assert.match(stderr, /^fleetctl: there is no deno in PATH \(\/nowhere\): install Deno/);
    });
  });
});

Deno.test("compile.sh", async (t) => {
  await inTempDir(async (directory) => {
    const tree = await makeTree(directory);
    const made = () => [...Deno.readDirSync(`${tree}/dist`)].map(({ name }) => name);

    await t.step("--check compiles with a substitute for denort and leaves nothing", async () => {
      const { code, stdout } = await compile(tree, ["--check"]);
      assert.deepEqual({ code, stdout, left: made() }, {
        code: 0,
        stdout: "fleetd compiles\nfleetctl compiles\n",
        left: [],
      });
    });

    await t.step("a base that is not denort is refused", async () => {
      const { code, stderr } = await compile(tree, [], { DENORT_BIN: Deno.execPath() });
      assert.deepEqual({ code, left: made() }, { code: 1, left: [] });
      assert.match(
        stderr,
        /the executable of fleetd is not fleetd \(--version prints: deno .*\n[^]*DENORT_BIN .* A deno is not one\./,
      );
    });

    await t.step("a missing base: the error gives its URL and the alternatives", async () => {
      const { code, stderr } = await compile(tree, [], { DENORT_BIN: `${directory}/none` });
      assert.deepEqual({ code, left: made() }, { code: 1, left: [] });
      assert.match(stderr, /denort-\S+\.zip\n[^]*DENORT_BIN=[^]*--launcher/);
    });

    await t.step("a missing module fails every kind of build", async () => {
      await Deno.writeTextFile(`${tree}/ctl/main.ts`, `import "./gone.ts";`);
      for (const args of [["--launcher"], ["--check"]]) {
        const { code, stderr } = await compile(tree, args);
        assert.deepEqual({ code, left: made() }, { code: 1, left: [] }, args.join(" "));
        assert.match(stderr, /gone\.ts/);
      }
    });

    await t.step("wrong usage exits 2", async () => {
      for (const args of [["--lancher"], ["one", "two"]]) {
        const { code, stdout, stderr } = await compile(tree, args);
        assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
        assert.match(stderr, /^usage: /);
      }
    });

    await t.step("--help", async () => {
      const { code, stdout } = await compile(tree, ["--help"]);
      assert.equal(code, 0);
      assert.match(stdout, /^usage: /);
    });
  });
});

Deno.test("the commit and the date of a build", async (t) => {
  await inTempDir(async (directory) => {
    const tree = await makeTree(`${directory}/tree`);
    const date = "2026-01-02T03:04:05Z";
    const git = async (...args: string[]) => {
      const names = ["AUTHOR", "COMMITTER"].flatMap((role) => [
        [`GIT_${role}_NAME`, "a"],
        [`GIT_${role}_EMAIL`, "a@example.com"],
        [`GIT_${role}_DATE`, date],
      ]);
      const { code, stdout, stderr } = await run("git", { args, cwd: tree, env: Object.fromEntries(names) });
      assert.equal(code, 0, stderr);
      return stdout.trim();
    };
    const stampOf = async (of: string, env: Record<string, string> = {}) => {
      const { code, stderr } = await compile(of, ["--launcher", `${directory}/made`], env);
      assert.equal(code, 0, stderr);
      const bare = { clearEnv: true, env: { PATH: denoFolder }, args: ["build"] };
      return (await run(`${directory}/made/fleetctl`, bare)).stdout.trim();
    };

    await t.step("without git, the commit is unknown, and the date is given or today's", async () => {
      assert.equal(await stampOf(tree, { SOURCE_DATE_EPOCH: "86400" }), "unknown 1970-01-02");
      assert.match(await stampOf(tree), /^unknown 2\d{3}-\d\d-\d\d$/);
    });

    let head = "";
    await t.step("in a repository, they are those of its latest commit", async () => {
      await git("init", "--quiet");
      await git("add", ".");
      await git("commit", "--quiet", "--message=all");
      head = await git("rev-parse", "HEAD");
      assert.equal(await stampOf(tree), `${head.slice(0, 12)} 2026-01-02`);
    });

    await t.step("an archive that git made knows its commit, also inside of another repository", async () => {
      await Deno.mkdir(`${tree}/unpacked`);
      await git("archive", "--output=all.tar", "HEAD");
      await git("rm", "--quiet", "LICENSE");
      assert.equal((await run("tar", { args: ["-xf", "../all.tar"], cwd: `${tree}/unpacked` })).code, 0);
      assert.equal(await stampOf(`${tree}/unpacked`), `${head.slice(0, 12)} 2026-01-02`);
      await git("reset", "--quiet", "--hard");
    });

    await t.step("files that differ from the commit are mentioned", async () => {
      await Deno.writeTextFile(`${tree}/LICENSE`, "another license\n");
      assert.equal(await stampOf(tree), `${head.slice(0, 12)}-modified 2026-01-02`);
    });
  });
});

Deno.test("fleetd and fleetctl themselves", async (t) => {
  await inTempDir(async (directory) => {
    await t.step("compile", async () => {
      const { code, stderr } = await compile(root, ["--check", directory]);
      assert.equal(code, 0, stderr);
    });

    await t.step("run from a bundle alone", async () => {
      const { code, stderr } = await compile(root, ["--launcher", directory]);
      assert.equal(code, 0, stderr);
      const bare = { clearEnv: true, env: { PATH: denoFolder }, cwd: "/", args: ["--version"] };
      for (const program of ["fleetd", "fleetctl"]) {
        const { code, stdout, stderr } = await run(`${directory}/${program}`, bare);
        const built = String.raw`\(commit (unknown|[0-9a-f]{12}(-modified)?), built \d{4}-\d\d-\d\d\)`;
        assert.match(stdout, new RegExp(`^${program} version \\S+ ${built}\n$`));
        assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      }
    });

    await t.step("are installed below a prefix, and removed without a trace but the configuration", async () => {
      const destdir = `${directory}/a root`;
      const install = (...args: string[]) =>
        run(`${directory}/install.sh`, { args: [`--destdir=${destdir}`, ...args] });
      await Deno.mkdir(`${directory}/watched`);
      await writeProgram(`${directory}/watched/mv`, watchedMove);
      const files = async () => {
        const { stdout } = await run("find", { args: [".", "!", "-type", "d", "-printf", "/%P\n"], cwd: destdir });
        return stdout.trimEnd().split("\n").sort();
      };
      for (
        const [prefix, units] of [["/usr/local", "/usr/local/lib/systemd/system"], ["/opt/f", "/etc/systemd/system"]]
      ) {
        assert.deepEqual(await install(`--prefix=${prefix}`), { code: 0, stdout: "", stderr: "" });
        const listed = (await Deno.readTextFile(`${destdir}${prefix}/lib/fleet/files`)).trimEnd().split("\n");
        assert.deepEqual(await files(), [...listed, "/etc/fleet/fleet.conf"].sort());
        const unit = await Deno.readTextFile(`${destdir}${units}/fleet.service`);
        assert.match(unit, new RegExp(`^ExecStart=.* ${prefix}/sbin/fleetd$`, "m"));
        const bare = { clearEnv: true, env: { PATH: denoFolder }, args: ["--version"] };
        assert.match((await run(`${destdir}${prefix}/sbin/fleetd`, bare)).stdout, /^fleetd version /);

        // An upgrade: what is no longer part of fleet is removed, and the configuration stays.
        for (const former of [`${prefix}/bin/former`, `${prefix}/lib/fleet/lib/former.js`]) {
          await Deno.writeTextFile(`${destdir}${former}`, "");
          await Deno.writeTextFile(`${destdir}${prefix}/lib/fleet/files`, `${former}\n`, { append: true });
        }
        await Deno.writeTextFile(`${destdir}/etc/fleet/fleet.conf`, "registry=embedded\n");
        // The old version has other modules. At each move, the program is there, and the modules that its main.js names.
        const modules = `${destdir}${prefix}/lib/fleet/lib/fleetctl`;
        for (const { name } of Deno.readDirSync(modules)) {
          if (/-[A-Z0-9]+\.js$/.test(name)) await Deno.remove(`${modules}/${name}`);
        }
        await Deno.writeTextFile(`${modules}/main.js`, "");
        const env = { PATH: `${directory}/watched:${Deno.env.get("PATH")}`, MODULES: modules };
        const upgrade = await run(`${directory}/install.sh`, {
          args: [`--destdir=${destdir}`, `--prefix=${prefix}`],
          env,
        });
        assert.deepEqual(upgrade, { code: 0, stdout: "", stderr: "" });
        assert.deepEqual(await files(), [...listed, "/etc/fleet/fleet.conf"].sort());

        const removed = await run(`${destdir}${prefix}/lib/fleet/install.sh`, { args: ["--uninstall"] });
        assert.deepEqual(removed, { code: 0, stdout: "", stderr: "" });
        assert.deepEqual(await files(), ["/etc/fleet/fleet.conf"]);
        assert.equal(await Deno.readTextFile(`${destdir}/etc/fleet/fleet.conf`), "registry=embedded\n");
      }
    });

    await t.step("are not installed below a prefix that fleet.service cannot name", async () => {
      const args = [`--destdir=${directory}/other`, "--prefix=/opt/a b"];
      const { code, stderr } = await run(`${directory}/install.sh`, { args });
      assert.equal(code, 1);
      assert.match(stderr, /--prefix=\/opt\/a b: use only letters, digits/);
    });

    await t.step("are not installed if a file is not the one that was built", async () => {
      await Deno.writeTextFile(`${directory}/fleetd`, "#");
      const { code, stderr } = await run(`${directory}/install.sh`, { args: [`--destdir=${directory}/other`] });
      assert.equal(code, 1);
      assert.match(stderr, /fleetd: FAILED|the files in .* are not those that were built/);
    });
  });
});
