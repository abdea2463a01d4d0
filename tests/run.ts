/**
 * `deno task test`: runs every check and test, in order, and prints the time of each step. The last lines are a list of
 * failures and `N passed, N failed`. Exits with 1 if a check or test failed, was skipped, or did not run.
 *
 * With paths (`deno task test registry/ tests/contract`) or options of `deno test` (`--filter=lease`) it runs only the
 * matching tests.
 *
 * @module
 */

import { rootMissing } from "./support/need_root.ts";
import { distVariable } from "./support/dist_variable.ts";
import { formatFailures, readReport, type TestFailure, type TestResults } from "./support/test_report.ts";

const root = `${import.meta.dirname}/../`;
const locked = Deno.env.get("CI") === "true" ? ["--frozen"] : [];

/** Folders whose tests start daemons and stores of their own. They run one after the other. */
const serialFolders = ["tests/contract", "tests/lab"];

/** The folder of tests on clusters of machines. Its files run two at a time, because they mostly wait for machines. */
const machineFolder = "tests/e2e";
const machineJobs = 2;

/** Time limit of a step: far more than any step needs, so that a step that hangs fails instead of blocking the run. */
const stepLimit_ms = 32 * 60_000;

/** The time at which the output of a program is printed: as it comes, or when the program has ended. */
type OutputMode = "at once" | "at the end";

/** Runs a program. Stops it after {@link stepLimit_ms}. Returns its exit status. */
async function runToEnd(
  command: string,
  args: readonly string[],
  output: OutputMode = "at once",
): Promise<Deno.CommandStatus> {
  // compile.sh needs deno in PATH, which only `deno task` ensures.
  const path = `${Deno.execPath().replace(/\/[^/]*$/, "")}:${Deno.env.get("PATH") ?? ""}`;
  const mode = output === "at once" ? "inherit" : "piped";
  const child = new Deno.Command(command, {
    ...{ args: [...args], cwd: root, env: { PATH: path } },
    ...{ stdin: "null", stdout: mode, stderr: mode } as const,
  }).spawn();
  const limit = setTimeout(() => {
    console.log(`stopped: not done after ${stepLimit_ms / 60_000} minutes`);
    child.kill("SIGTERM");
  }, stepLimit_ms);
  const status = mode === "inherit" ? child.status : printed(child.output());
  await status;
  clearTimeout(limit);
  return await status;
}

/** Prints what a program has written, and returns its exit status. */
async function printed(output: Promise<Deno.CommandOutput>): Promise<Deno.CommandStatus> {
  const ended = await output;
  for (const text of [ended.stdout, ended.stderr]) writeAllSync(text);
  return ended;
}

function writeAllSync(bytes: Uint8Array): void {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(Deno.stdout.writeSync(rest));
}

const run = async (command: string, args: readonly string[]) => (await runToEnd(command, args)).code;

/** Runs one step and prints its duration. */
async function step<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
  console.log(`\n── ${name}`);
  const started = performance.now();
  const result = await work();
  console.log(`── ${name}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return result;
}

const deno = (...args: string[]) => run(Deno.execPath(), args);

/**
 * Signals that end Deno after a fault in its own code. Rarely, the end of an HTTP/2 session causes one
 * (denoland/deno#36788), in any test; a failed test never does.
 */
const crashSignals: readonly (Deno.Signal | null)[] = ["SIGABRT", "SIGBUS", "SIGILL", "SIGSEGV"];

/** Runs `deno test`. If Deno crashes, runs it once more, because there is no report of any test then. */
async function runTests(args: readonly string[], output: OutputMode): Promise<number> {
  const { code, signal } = await runToEnd(Deno.execPath(), args, output);
  if (!crashSignals.includes(signal)) return code;
  console.log(`deno test crashed (${signal}): running these tests once more`);
  return (await runToEnd(Deno.execPath(), args, output)).code;
}

/** Runs `deno test` on paths and reads its report. */
async function test(
  paths: readonly string[],
  options: readonly string[],
  output: OutputMode = "at once",
): Promise<TestResults> {
  const report = await Deno.makeTempFile({ prefix: "fleet-test-", suffix: ".xml" });
  try {
    const sanitizers = ["--sanitize-ops", "--sanitize-resources"];
    const code = await runTests([
      "test",
      "-A",
      ...locked,
      ...sanitizers,
      `--junit-path=${report}`,
      ...options,
      ...paths,
    ], output);
    return readReport(await Deno.readTextFile(report), code);
  } finally {
    await Deno.remove(report);
  }
}

/** Runs each test file in a process of its own, {@link machineJobs} at a time. */
async function testEach(paths: readonly string[]): Promise<TestResults[]> {
  const results: TestResults[] = [];
  const waiting = [...paths];
  const runNext = async (): Promise<void> => {
    for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
      const started = performance.now();
      results.push(await test([path], ["--no-check"], "at the end"));
      console.log(`── ${path}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
    }
  };
  await Promise.all(Array.from({ length: machineJobs }, runNext));
  return results;
}

/** Returns all test files in a folder, "" for all folders, except those in `others`. */
async function testFiles(folder = "", others: readonly string[] = []): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(root + folder)) {
    const path = folder + entry.name;
    if (entry.isFile && path.endsWith("_test.ts")) found.push(path);
    if (!entry.isDirectory || entry.name.startsWith(".") || others.includes(path)) continue;
    if (["dist", "node_modules", "coverage"].includes(path)) continue;
    found.push(...await testFiles(`${path}/`, others));
  }
  return found.sort();
}

async function hasTests(folder: string): Promise<boolean> {
  for await (const entry of Deno.readDir(root + folder)) {
    if (entry.isFile ? entry.name.endsWith("_test.ts") : await hasTests(`${folder}/${entry.name}`)) return true;
  }
  return false;
}

/** Builds the programs that machines run, for all tests of this run: clusters that exist use them while others begin. */
async function buildOnce(): Promise<number> {
  const code = await run("./compile.sh", ["--launcher"]);
  if (code === 0) Deno.env.set(distVariable, `${root}dist`);
  return code;
}

/** Checks besides the tests. After a failed vital check no tests are run, because they would fail for the same reason. */
const prepare = {
  name: "prepare the host",
  vital: true,
  run: () => deno("run", "-A", ...locked, "tests/prepare_host.ts"),
};
const build = { name: "build", vital: true, run: buildOnce };
const checks = [
  prepare,
  { name: "format", vital: false, run: () => deno("fmt", "--check") },
  { name: "lint", vital: false, run: () => deno("lint") },
  { name: "types", vital: false, run: () => deno("check", ...locked) },
  build,
];

/** Runs checks until a vital one fails. Returns the failures; `goOn` is false after a vital one. */
async function runChecks(wanted: typeof checks): Promise<{ failures: TestFailure[]; goOn: boolean }> {
  const failures: TestFailure[] = [];
  for (const { name, vital, run } of wanted) {
    const code = await step(name, run);
    if (code === 0) continue;
    failures.push({ name, reason: `exit code ${code}` });
    console.log(`${name}: failed with exit code ${code}`);
    if (vital) return { failures, goOn: false };
  }
  return { failures, goOn: true };
}

async function everything(): Promise<TestResults> {
  const noRoot = rootMissing();
  if (noRoot !== undefined) {
    const reason = `${noRoot}: sudo deno task test. Without root, run the tests of one folder: deno task test systemd/`;
    return { passed: 0, failures: [{ name: "deno task test", reason }] };
  }
  const { failures, goOn } = await runChecks(checks);
  const all: TestResults[] = [{ passed: 0, failures }];
  if (goOn) {
    const units = await testFiles("", [...serialFolders, machineFolder]);
    // Types have been checked above; tests run even after a type error.
    all.push(await step("unit tests", () => test(units, ["--no-check", "--parallel"])));
    for (const folder of serialFolders) {
      if (await hasTests(folder)) all.push(await step(folder, () => test([folder], ["--no-check"])));
    }
    all.push(...await step(machineFolder, async () => await testEach(await testFiles(`${machineFolder}/`))));
  }
  return {
    passed: all.reduce((sum, { passed }) => sum + passed, 0),
    failures: all.flatMap(({ failures }) => failures),
  };
}

/** Returns the test files of folders: of a folder with a member of the workspace, Deno takes those of the member alone. */
async function filesOf(paths: readonly string[]): Promise<string[]> {
  const isFolder = (path: string) => Deno.stat(root + path).then(({ isDirectory }) => isDirectory, () => false);
  const files = paths.map(async (path) => await isFolder(path) ? await testFiles(path.replace(/\/*$/, "/")) : [path]);
  return (await Promise.all(files)).flat();
}

/** Runs the tests that the arguments name. If they boot machines, first builds the programs that machines run. */
async function selected(args: readonly string[]): Promise<TestResults> {
  const options = args.filter((arg) => arg.startsWith("-"));
  const paths = args.filter((arg) => !arg.startsWith("-"));
  const isAmong = (folders: readonly string[]) =>
    paths.length === 0 ||
    paths.some((path) => folders.some((folder) => path.startsWith(folder) || folder.startsWith(path)));
  const wanted = [
    ...(isAmong(["registry", ...serialFolders, machineFolder]) ? [prepare] : []),
    ...(isAmong(["tests/lab", machineFolder]) ? [build] : []),
  ];
  const { failures, goOn } = await runChecks(wanted);
  return goOn ? await test(await filesOf(paths), options) : { passed: 0, failures };
}

const { passed, failures } = Deno.args.length > 0 ? await selected(Deno.args) : await everything();
// Last, because some build services keep only the end of a long output.
if (failures.length > 0) console.log(`\n── failures\n${formatFailures(failures)}`);
console.log(`\n${passed} passed, ${failures.length} failed`);
Deno.exit(failures.length > 0 || passed === 0 ? 1 : 0);
