/**
 * Tests of the architecture: which folder may import which, which files are adapters with side effects, and how long
 * files and functions may be. Each rule is tried on a small bad example first, to show that it finds something.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type Import, parse, type Source, sourcesOf } from "./source.ts";

/** The only files that may have side effects: a file or a folder, and what it has access to. */
const adapters: Readonly<Record<string, string>> = {
  "registry/store/etcd/": "the store, over the network",
  "registry/store/sqlite.ts": "the embedded store, a file",
  "systemd/dbus/": "systemd, over D-Bus",
  "systemd/unit_directory.ts": "the directory of unit files",
  "daemon/api/machine/usage.ts": "the load, memory and uptime of this machine",
  "systemd/quadlet/generator.ts": "podman's generator of services",
  "daemon/main.ts": "arguments, exit status",
  "daemon/run.ts": "the environment that systemd gives a service",
  "daemon/host/streams.ts": "standard output and standard error",
  "daemon/api/http/server.ts": "sockets of the API",
  "daemon/api/http/connection_handler.ts": "connections of the API, by node:http and node:tls",
  "daemon/api/http/socket_file.ts": "files of the API's unix sockets",
  "daemon/api/auth/peer_credentials.ts": "the process at the other end of a unix socket (SO_PEERCRED)",
  "daemon/api/machine/local_machine.ts": "journalctl and systemctl",
  "daemon/api/machine/unit_verifier.ts": "systemd-analyze",
  "daemon/api/machine/peer_fetch.ts": "other machines' daemons",
  "runtime/sleep.ts": "the timer of this process",
  "runtime/replace_file.ts": "files that are replaced atomically",
  "daemon/host/system_clock.ts": "the clock and the source of random numbers that all other code is given",
  "daemon/host/sd_notify.ts": "sd_notify(3): a datagram to systemd",
  "daemon/state/runtime_state.ts": "the state that the daemon keeps in /run",
  "daemon/config/reload_outcome.ts": "files that carry the outcome of a reload to systemctl reload",
  "daemon/state/atomic_file.ts": "small files that the daemon writes atomically",
  "daemon/state/attached_directory.ts": "the attached files of units, in /run",
  "daemon/state/intent_log.ts": "the log of the agent's intents, in /run",
  "daemon/telemetry/log.ts": "log lines on stderr, and the time of each",
  "daemon/config/load.ts": "fleet.conf and the environment",
  "daemon/config/named_files.ts": "files and folders that the configuration names",
  "daemon/config/open_files.ts": "the permissions of files that the configuration names",
  "daemon/lifecycle/startup.ts": "the error classes of Deno",
  "daemon/telemetry/prometheus.ts": "memory and CPU time of the process",
  "daemon/config/dev.ts": "the sockets and folders that --dev can use",
  "daemon/lifecycle/open_store.ts": "the directory of the embedded store",
  "daemon/host/health_probe.ts": "health checks: requests to this machine",
  "daemon/host/signals.ts": "signals",
  "daemon/host/hardware.ts": "the cores and the memory of this machine",
  "daemon/host/machine_id.ts": "machine-id(5) and the address of the default route",
  "daemon/host/page_files.ts": "the files of the cluster page",
  "daemon/ui/": "the browser",
  "ctl/terminal/page_server.ts": "the port of the cluster page on this machine, and its browser",
  "packaging/man/main.ts": "the files of manual pages",
  "packaging/site/main.ts": "the files of the site of the docs",
  "packaging/site/client/": "the browser",
  "ctl/main.ts": "arguments, environment, exit code",
  "ctl/api/http.ts": "the API, over a socket",
  "ctl/api/server_certificate.ts": "the certificate of an API's server",
  "ctl/contexts/disk.ts": "the user's file of contexts",
  "ctl/terminal/deno.ts": "standard streams, unit files, clock",
  "ctl/terminal/ask.ts": "questions to the user at the controlling terminal",
  "ctl/ssh/ssh2_client.ts": "other hosts, over SSH",
  "ctl/ssh/certificates.ts": "certificates of the SSH agent, over its socket",
  "ctl/ssh/local_machine.ts": "files, the address of the SSH agent, and programs of this machine",
  "ctl/ssh/tunnel.ts": "an API at the far end of a tunnel",
  "ctl/ssh/socket_forward.ts": "local sockets that are forwarded through a tunnel",
  "ctl/ssh/session.ts": "the terminal, while a remote shell uses it",
};

/** Tables of data: they may be longer than other files. */
const dataTables: Readonly<Record<string, string>> = {
  "daemon/api/v1/types.ts": "the schemas of all values of the API",
};

/** Entries allowed in the top folder, with those that .gitignore names. */
const topLevel = new Set([
  ...[
    ".ci",
    ".git",
    ".github",
    ".gitignore",
    "LICENSE",
    "README.md",
    "compile.sh",
    "deno.json",
    "deno.lock",
    "mod.ts",
    "package.json",
  ],
  ...["bench", "ctl", "daemon", "docs", "examples", "packaging", "registry", "runtime", "systemd", "tests"],
  ...["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"],
  ...[".cache", "coverage", "dist", "node_modules"],
]);

/** Entry points of the programs. */
const mains = [
  ...["daemon/main.ts", "ctl/main.ts", "daemon/ui/main.tsx"],
  ...["packaging/man/main.ts", "packaging/site/main.ts", "packaging/site/client/main.ts"],
];

/** Modules and packages without side effects. All others may be imported by adapters only. */
const purePackages = new Set([
  "node:buffer",
  "node:crypto",
  "node:events",
  "node:path/posix",
  "node:querystring",
  "node:util",
  "node:zlib",
  "beautiful-mermaid",
  "diff",
  "eventsource-parser",
  "github-slugger",
  "highlight.js/lib/common",
  "marked",
  "json-p3",
  "smol-toml",
  "yaml",
]);

const maxFunctionLines = 70;
const maxFileLines = 400;

type Tree = ReadonlyMap<string, Source>;
type Rule = (tree: Tree) => string[];

const isUnder = (path: string, entry: string) => entry.endsWith("/") ? path.startsWith(entry) : path === entry;
const isDouble = (path: string) => /(^|\/)fake(_[a-z]+)*\.ts$/.test(path);
const isTest = (path: string) => path.endsWith("_test.ts") || isDouble(path) || /^(tests|bench|examples)\//.test(path);
const isAdapter = (path: string) => Object.keys(adapters).some((entry) => isUnder(path, entry));
const product = (tree: Tree) => [...tree.values()].filter((source) => !isTest(source.path));

/** Returns why `from` may not import `to`; undefined if it may. */
function refusal(from: string, to: string, { dynamic, typeOnly }: Import): string | undefined {
  const unitModules = /^systemd\/unit_[a-z_]+\.ts$/;
  const folder = from.split("/")[0];
  if (to.startsWith("runtime/") || to === "deno.json") return undefined;
  if (folder === "runtime") return "runtime/ is below every other folder and imports none of them";
  if (mains.includes(to)) return "a program must not be imported: move the shared part to another file";
  if (isDouble(to)) return "a test double is for tests only";
  if (to.startsWith("tests/")) return "only tests, bench and examples may import tests/";
  if (folder === "systemd") {
    return to.startsWith("systemd/") ? undefined : "systemd/ may import only itself and runtime/";
  }
  if (folder === "registry") {
    if (to.startsWith("registry/") || unitModules.test(to)) return undefined;
    return "registry/ may import only itself and systemd/unit_*.ts";
  }
  if (folder === "ctl") return refusalForClient(from, to, { dynamic, typeOnly });
  if (folder === "daemon") return refusalForDaemon(from, to, typeOnly);
  return undefined;
}

function refusalForClient(
  from: string,
  to: string,
  { dynamic, typeOnly }: Pick<Import, "dynamic" | "typeOnly">,
): string | undefined {
  if (to === "daemon/api/v1/types.ts") {
    return typeOnly ? undefined : "use import type: the schemas would cost the client start-up time";
  }
  const shared =
    /^registry\/(attach_contents|attached_files|deployment|health_check|model|requirements|reservation|unit_check)\.ts$/;
  if (to.startsWith("ctl/") || shared.test(to) || /^systemd\/unit_[a-z_]+\.ts$/.test(to)) return undefined;
  if (to === "daemon/api/handler.ts" || to.startsWith("registry/")) {
    if (from === "ctl/main.ts" && dynamic) return undefined;
    return "only ctl/main.ts may load it, with import(), for --driver=etcd";
  }
  return "ctl/ may import only itself, registry/{attach_contents,attached_files,deployment,health_check,model,requirements,reservation,unit_check}.ts, systemd/unit_*.ts and " +
    "daemon/api/v1/types.ts";
}

function refusalForDaemon(from: string, to: string, typeOnly: boolean): string | undefined {
  if (to.startsWith("ctl/")) return "the daemon does not depend on the client";
  if (from.startsWith("daemon/ui/")) {
    const isShared = to === "daemon/api/v1/types.ts" && typeOnly ||
      /^registry\/(attach_contents|attached_files|deployment)\.ts$/.test(to) || /^systemd\/unit_[a-z_]+\.ts$/.test(to);
    return isShared || to.startsWith("daemon/ui/")
      ? undefined
      : "the page runs in the browser: it may import only itself, types of the API, registry/{attach_contents,attached_files,deployment}.ts and systemd/unit_*.ts";
  }
  if (to.startsWith("daemon/ui/")) return "the page runs in the browser, not in the daemon";
  if (["daemon/main.ts", "daemon/run.ts"].includes(from) || !to.startsWith("daemon/")) return undefined;
  // An adapter implements a port that is declared inside the folder of its user.
  if (isAdapter(from) && typeOnly) return undefined;
  // The API explains and predicts the decisions of the engine by calling the same pure functions.
  if (
    from.startsWith("daemon/api/") && /^daemon\/engine\/(explain|pending|preview|drain\/(status|balance))\.ts$/.test(to)
  ) return undefined;
  for (const inner of ["daemon/engine/", "daemon/agent/", "daemon/api/"]) {
    if (!to.startsWith(inner) || from.startsWith(inner)) continue;
    return `only daemon/run.ts may import ${inner}: move what is shared to daemon/policy/, or pass it in from daemon/run.ts`;
  }
  return undefined;
}

const arrows: Rule = (tree) =>
  product(tree).flatMap((source) =>
    source.imports.filter((each) => each.path !== undefined).flatMap((each) => {
      const why = refusal(source.path, each.path!, each);
      return why ? [`${source.path}:${each.line}: must not import ${each.path}: ${why}`] : [];
    })
  );

const resolvable: Rule = (tree) =>
  [...tree.values()].flatMap((source) =>
    source.imports.flatMap((each) => {
      const at = `${source.path}:${each.line}`;
      if (each.path !== undefined) return tree.has(each.path) ? [] : missing(at, each);
      if (/^(npm|jsr|https?):/.test(each.specifier)) {
        return [
          `${at}: ${each.specifier}: name it in "imports" of deno.json, where versions are pinned, and import that name`,
        ];
      }
      if (each.specifier === "(computed)" && !isTest(source.path)) {
        return [`${at}: import() of a computed name: write the name out, so that the file is bundled and checked`];
      }
      return [];
    })
  );

const packagesUsed = (tree: Tree, packages: readonly string[]) => {
  const imported = [...tree.values()].flatMap((source) => source.imports.map(({ specifier }) => specifier));
  return packages.filter((name) => !imported.some((each) => each === name || each.startsWith(`${name}/`)))
    .map((name) => `deno.json: nothing imports ${name}: remove the package, and run deno install`);
};

/** Returns an error if an imported source file is not in the tree. Assets (text, JSON) are not in the tree. */
function missing(at: string, { specifier, path }: Import): string[] {
  return /\.tsx?$/.test(path!) ? [`${at}: imports ${specifier}, which does not exist`] : [];
}

const adaptersOnly: Rule = (tree) =>
  product(tree).filter(({ path }) => !isAdapter(path)).flatMap((source) => [
    ...source.effects.map(({ what, line }) =>
      `${source.path}:${line}: ${what} outside an adapter: take a clock, log or port as an argument, or list the file ` +
      `under "adapters" in tests/architecture/layering_test.ts with its reason`
    ),
    ...source.imports.filter((each) => each.path === undefined && !each.typeOnly && !purePackages.has(each.specifier))
      .map(
        ({ specifier, line }) =>
          `${source.path}:${line}: imports ${specifier} outside an adapter: move the import into one, or, if the package has no side effects, ` +
          `list it under "purePackages" in tests/architecture/layering_test.ts`,
      ),
  ]);

const adaptersExist: Rule = (tree) =>
  Object.keys(adapters).filter((entry) => ![...tree.keys()].some((path) => isUnder(path, entry))).map((entry) =>
    `tests/architecture/layering_test.ts: the adapter ${entry} does not exist: remove it from "adapters"`
  );

const exits: Rule = (tree) =>
  product(tree).filter(({ path }) => !mains.includes(path)).flatMap((source) =>
    source.exits.map((line) =>
      `${source.path}:${line}: only ${
        mains.join(" and ")
      } may end the process: return a value or throw an error instead`
    )
  );

const cycles: Rule = (tree) => {
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]) => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      found.push(
        `import cycle: ${[...trail.slice(start), path].join(" → ")}: move the shared part into a new file`,
      );
      return;
    }
    if (done.has(path)) return;
    for (const next of tree.get(path)?.imports ?? []) if (next.path) visit(next.path, [...trail, path]);
    done.add(path);
  };
  for (const path of tree.keys()) visit(path, []);
  return found;
};

/** Returns the given files and every file that they import, directly or not. */
function reachable(tree: Tree, from: readonly string[]): Set<string> {
  const reached = new Set<string>();
  const reach = (path: string) => {
    if (reached.has(path)) return;
    reached.add(path);
    for (const next of tree.get(path)?.imports ?? []) if (next.path) reach(next.path);
  };
  from.forEach(reach);
  return reached;
}

/**
 * Product code must be imported by a program, a bench or a test of another folder: its own unit test does not count.
 * Test doubles and files in tests/ may be used by any test; programs in tests/ must be named by a test or a task.
 */
const noDeadFiles: Rule = (tree) => {
  const paths = [...tree.keys()];
  const isEntry = (path: string) =>
    ["mod.ts", ...mains].includes(path) || /^(tests\/.*_test|tests\/run|(bench|examples)\/[a-z_]+)\.ts$/.test(path);
  const used = reachable(tree, paths.filter(isEntry));
  const tested = reachable(tree, paths.filter((path) => path.endsWith("_test.ts")));
  const forTests = (path: string) => path.startsWith("tests/") || isDouble(path);
  const named = [...tree.values()].filter(({ path }) => path.startsWith("tests/")).map(({ text }) => text).join("\n");
  return paths
    .filter((path) => !used.has(path) && !path.endsWith("_test.ts") && !(forTests(path) && tested.has(path)))
    .filter((path) => !(path.startsWith("tests/") && (named.includes(`"${path}"`) || inTasks(path))))
    .map((path) => `${path}: unused file: import it where it is needed, or delete it`);
};

const inTasks = (path: string) => Object.values(config.tasks).some((task) => task.command.includes(path));
const config: { imports: Record<string, string>; tasks: Record<string, { command: string }> } = JSON.parse(
  Deno.readTextFileSync(new URL("../../deno.json", import.meta.url)),
);

const sizes: Rule = (tree) =>
  product(tree).filter(({ path }) => !(path in dataTables)).flatMap((source) => [
    ...(source.lines > maxFileLines
      ? [
        `${source.path}: ${source.lines} lines, ${maxFileLines} at most: move a part that has one purpose into a new file`,
      ]
      : []),
    ...source.functions.filter(({ lines }) => lines > maxFunctionLines).map(({ name, line, lines }) =>
      `${source.path}:${line}: ${name} has ${lines} lines, ${maxFunctionLines} at most: move its steps into functions`
    ),
  ]);

const names: Rule = (tree) =>
  [...tree.keys()].filter((path) => /(^|\/)(utils?|helpers?|common|misc|shared)(_test)?(\.ts|\/)/.test(path)).map((
    path,
  ) => `${path}: the name does not say what the file contains`);

const allTestsRun: Rule = (tree) =>
  [...tree.values()].flatMap((source) =>
    source.skips.map(({ what, line }) => `${source.path}:${line}: ${what}: run the test, or delete it`)
  );

const marker = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX"].join("|")})\\b`);

const noMarkers: Rule = (tree) =>
  [...tree.values()].flatMap((source) =>
    source.text.split("\n").flatMap((text, index) =>
      marker.test(text) ? [`${source.path}:${index + 1}: unfinished work: finish it, or delete the mark`] : []
    )
  );

/** Statements that write a program in this process, where a program that is started at that moment makes it busy. */
const writesProgram = /Deno\.(writeTextFile|writeFile)\([^;]*mode: 0o7[0-7]{2}|Deno\.copyFile\(Deno\.execPath\(\)/;

const programsByOthers: Rule = (tree) =>
  [...tree.values()].filter(({ path }) => path.endsWith("_test.ts") && path !== "tests/architecture/layering_test.ts")
    .flatMap((source) =>
      source.text.split("\n").flatMap((text, index) =>
        writesProgram.test(text)
          ? [`${source.path}:${index + 1}: write or copy the program by tests/support/programs.ts (ETXTBSY otherwise)`]
          : []
      )
    );

function treeOf(texts: Readonly<Record<string, string>>): Tree {
  return new Map(Object.entries(texts).map(([path, text]) => [path, parse(path, text)]));
}

const rules: Readonly<Record<string, { rule: Rule; bad: readonly Readonly<Record<string, string>>[] }>> = {
  "imports point one way": {
    rule: arrows,
    bad: [
      { "systemd/port.ts": `import type { Unit } from "../registry/model.ts";` },
      { "registry/mod.ts": `export * from "../../systemd/port.ts";` },
      { "registry/mod.ts": `export { x } from "../../daemon/policy/feasibility.ts";` },
      { "daemon/engine/engine.ts": `import { a } from "../agent/agent.ts";` },
      { "daemon/agent/agent.ts": `type Plan = import("../engine/schedule.ts").Plan;` },
      { "daemon/policy/feasibility.ts": `import type { A } from "../agent/agent.ts";` },
      { "daemon/state/runtime_state.ts": `import { a } from "../agent/agent.ts";` },
      { "daemon/api/handler.ts": `import { a } from "../main.ts";` },
      { "daemon/config/options.ts": `import { a } from "../../ctl/output/table.ts";` },
      { "ctl/commands/start.ts": `const a = await import("../../registry/mod.ts");` },
      { "ctl/main.ts": `import { routes } from "../daemon/api/handler.ts";` },
      { "ctl/output/table.ts": `import { a } from "../../systemd/port.ts";` },
      { "ctl/output/table.ts": `import { apiPrefixes } from "../../daemon/api/v1/types.ts";` },
      { "mod.ts": `export * from "./tests/architecture/source.ts";` },
      { "daemon/agent/agent.ts": `import { FakeSystemd } from "../../systemd/testing/fake_systemd.ts";` },
    ],
  },
  "every import exists, and packages are pinned in deno.json": {
    rule: resolvable,
    bad: [
      { "daemon/config/options.ts": `import { a } from "./gone.ts";` },
      { "daemon/config/options.ts": `import ini from "npm:ini@7";` },
      { "tests/a_test.ts": `import ini from "jsr:@std/ini";` },
      { "ctl/ssh/session.ts": "const name = 'a'; await import(`./${name}.ts`);" },
    ],
  },
  "only adapters have effects": {
    rule: adaptersOnly,
    bad: [
      `Deno.readTextFileSync("/etc/machine-id");`,
      `const { env } = Deno;`,
      `await fetch("http://127.0.0.1");`,
      `const get = fetch;`,
      `setTimeout(() => {}, 1);`,
      `setInterval(() => {}, 1);`,
      `export const now = Date.now();`,
      `export const now = () => new Date();`,
      `export const started = performance.now();`,
      `export const pick = Math.random;`,
      `crypto.getRandomValues(new Uint8Array(1));`,
      `export const id = () => crypto.randomUUID();`,
      `import { randomBytes } from "node:crypto"; randomBytes(4);`,
      `console.log("here");`,
      `export const later = AbortSignal.timeout(5);`,
      `globalThis.fetch("http://127.0.0.1");`,
      `import { readFileSync } from "node:fs"; readFileSync("/");`,
      `import { Etcd3 } from "etcd3"; new Etcd3();`,
      `const { connect } = await import("node:net"); connect(1);`,
    ].map((text) => ({ "daemon/policy/feasibility.ts": text })),
  },
  "only the programs end the process": {
    rule: exits,
    bad: [
      { "ctl/commands/start.ts": `export const leave = () => Deno.exit(1);` },
      { "ctl/api/http.ts": `import process from "node:process"; process.exit(1);` },
    ],
  },
  "no import cycles": {
    rule: cycles,
    bad: [
      {
        "ctl/a.ts": `import "./b.ts";`,
        "ctl/b.ts": `import "./c.ts";`,
        "ctl/c.ts": `import type { A } from "./a.ts";`,
      },
      { "ctl/a.ts": `import "./a.ts";` },
    ],
  },
  "no dead files": {
    rule: noDeadFiles,
    bad: [
      { "daemon/main.ts": "", "daemon/lost.ts": "", "daemon/lost_test.ts": `import "./lost.ts";` },
      { "tests/lost.ts": "" },
    ],
  },
  "functions and files are short": {
    rule: sizes,
    bad: [
      { "ctl/output/table.ts": `export function long() {\n${"  work();\n".repeat(maxFunctionLines)}}\n` },
      { "ctl/output/table.ts": `export const long = () => {\n${"  work();\n".repeat(maxFunctionLines)}};\n` },
      { "ctl/output/table.ts": `export class A {\n  long() {\n${"    work();\n".repeat(maxFunctionLines)}  }\n}\n` },
      { "ctl/output/table.ts": "work();\n".repeat(maxFileLines + 1) },
    ],
  },
  "file names say what a file contains": {
    rule: names,
    bad: [{ "daemon/utils.ts": "" }, { "ctl/helpers/text.ts": "" }],
  },
  "every test runs": {
    rule: allTestsRun,
    bad: [
      { "ctl/a_test.ts": `Deno.test.ignore("a", () => {});` },
      { "ctl/a_test.ts": `Deno.test.only("a", () => {});` },
      { "ctl/a_test.ts": `Deno.test({ name: "a", ignore: true, fn() {} });` },
      { "ctl/a_test.ts": `Deno.test("a", { ignore: Deno.build.os !== "linux" }, () => {});` },
      { "ctl/a_test.ts": `Deno.test("a", async (t) => { await t.step({ name: "b", ignore: true, fn() {} }); });` },
    ],
  },
  "tests let another process write the programs that they run": {
    rule: programsByOthers,
    bad: [
      { "tests/a_test.ts": "await Deno.writeTextFile(`${directory}/cat`, text, { mode: 0o755 });" },
      { "tests/a_test.ts": "await Deno.copyFile(Deno.execPath(), `${directory}/deno`);" },
    ],
  },
  "no mark of unfinished work is left": {
    rule: noMarkers,
    bad: [{ "ctl/a.ts": `// ${"TO" + "DO"}: later` }, { "ctl/a.ts": `// ${"FIX" + "ME"} soon` }],
  },
};

function expectNone(violations: readonly string[]): void {
  if (violations.length > 0) assert.fail(`\n${violations.join("\n")}\n`);
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const sources = await sourcesOf(root);

for (const [name, { rule, bad }] of Object.entries(rules)) {
  Deno.test(`architecture: ${name}`, () => {
    for (const example of bad) {
      assert.notDeepEqual(
        rule(treeOf(example)),
        [],
        `the rule accepts ${JSON.stringify(example).slice(0, 200)}`,
      );
    }
    expectNone(rule(sources));
  });
}

Deno.test("architecture: an argument named like a global is no side effect", () => {
  const innocent = [
    `export const at = (clock: { now(): number }) => clock.now();`,
    `export interface Port { fetch(url: string): Promise<Response>; setTimeout: number }`,
    `export function get(fetch: (url: string) => void) { fetch("x"); }`,
    `export const day = new Date(0).toISOString() + Date.UTC(2000, 1);`,
    `export type Listener = Deno.Listener;`,
    `export const app = { fetch: 1, console: 2 }; app.fetch;`,
    `import { createHash } from "node:crypto"; createHash("sha1");`,
    `import type { Socket } from "node:net"; export type S = Socket;`,
  ];
  for (const text of innocent) {
    assert.deepEqual(adaptersOnly(treeOf({ "daemon/policy/feasibility.ts": text })), [], text);
  }
});

Deno.test("architecture: the rules allow imports in the right direction", () => {
  const allowed = [
    {
      "ctl/main.ts":
        `const { routes } = await import("../daemon/api/handler.ts"); await import("../registry/store/etcd/store.ts");`,
    },
    { "registry/requirements.ts": `import type { UnitOption } from "../systemd/unit_file.ts";` },
    { "daemon/main.ts": `import "./agent/agent.ts"; import "./engine/engine.ts"; import "./api/http/server.ts";` },
    { "daemon/state/runtime_state.ts": `import type { IntentMemory } from "../agent/intent.ts";` },
    {
      "daemon/engine/engine.ts":
        `import "../policy/feasibility.ts"; import "../../registry/mod.ts"; import "./schedule.ts";`,
    },
  ];
  for (const example of allowed) assert.deepEqual(arrows(treeOf(example)), []);
});

Deno.test("architecture: every package is used", () => {
  const tree = treeOf({ "registry/etcd/a.ts": `import { x } from "etcd3/lib/x.js";` });
  assert.deepEqual(packagesUsed(tree, ["etcd3"]), []);
  assert.equal(packagesUsed(tree, ["etcd", "etcd3"]).length, 1);
  expectNone(packagesUsed(sources, Object.keys(config.imports)));
});

Deno.test("architecture: every adapter exists", () => {
  assert.notDeepEqual(adaptersExist(treeOf({ "daemon/main.ts": "" })), []);
  expectNone(adaptersExist(sources));
});

Deno.test("architecture: the top folder holds only known entries", async () => {
  const misplaced: string[] = [];
  for await (const entry of Deno.readDir(root)) if (!topLevel.has(entry.name)) misplaced.push(entry.name);
  assert.deepEqual(misplaced, [], `move these into a folder: ${misplaced.join(", ")}`);
});
