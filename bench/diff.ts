/**
 * Measures `fleetctl diff` of an application of 200 units as a whole process, against clusters of several sizes:
 * `deno run -A bench/diff.ts`. The API is that of fleetd, over an embedded store in memory.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { inParallel } from "../runtime/parallel.ts";
import { ApiFixture, optionsOf } from "../tests/support/api_fixture.ts";
import { summarize, type Summary, summaryCells, summaryHeads, table } from "./statistics.ts";

/** Longest time for a cluster of 5,000 units. */
const target = { units: 5_000, diff_ms: 300 } as const;

const { values: options } = parseArgs({
  options: {
    samples: { type: "string", default: "10" },
    /** The program: the launcher, or an executable that ./compile.sh has made. */
    fleetctl: { type: "string", default: `${import.meta.dirname}/../dist/fleetctl` },
  },
});

/** Units of the application: every fourth is new, every second is changed. */
const appUnits = 200;
const machines = 100;
const versions = 10;

const nameOf = (index: number) => `app-${index}.service`;

function fileOf(index: number, version: number): string {
  const settings = Array.from(
    { length: 12 },
    (_, at) => `Environment=SETTING_${at}=some-value-of-a-usual-length-${at}\n`,
  );
  return `[Service]\nExecStart=/usr/local/bin/app-${index} --release=${version}\n${settings.join("")}` +
    `[X-Fleet]\nMachineMetadata=zone=z${index % 4}\n`;
}

/** Returns an API of a cluster in which every unit has ten versions and a machine. */
async function openCluster(units: number): Promise<ApiFixture> {
  const api = await ApiFixture.open();
  for (let index = 0; index < machines; index++) {
    await api.join(`${index}`.padStart(32, "0"), `10.0.0.${index}`, { zone: `z${index % 4}` });
  }
  const names = Array.from({ length: units }, (_, index) => index).filter((index) =>
    index >= appUnits || index % 4 > 0
  );
  for (let version = 1; version <= versions; version++) {
    await inParallel(names, (index) => api.put(nameOf(index), "launched", fileOf(index, version)), 64);
  }
  await api.schedule();
  return api;
}

/** Writes the application. */
async function writeApplication(directory: string): Promise<void> {
  for (let index = 0; index < appUnits; index++) {
    await Deno.writeTextFile(`${directory}/${nameOf(index)}`, fileOf(index, versions + index % 2));
  }
}

/** Runs a program to its end. */
async function run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const path = `${Deno.execPath().replace(/\/[^/]*$/, "")}:${Deno.env.get("PATH") ?? ""}`;
  const start_ms = performance.now();
  const output = await new Deno.Command(program, {
    args: [...args],
    env: { PATH: path, ...env },
    ...{ stdout: "piped", stderr: "piped" },
  }).output();
  return { ...output, took_ms: performance.now() - start_ms };
}

/** Returns the milliseconds until `fleetctl diff` has ended with changes. */
async function runDiff(directory: string, socket: string): Promise<number> {
  const env = { FLEETCTL_ENDPOINT: `unix://${socket}` };
  const { code, stdout, stderr, took_ms } = await run(options.fleetctl, ["diff", directory], env);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (code !== 2 || !text(stdout).includes("50 to create")) {
    throw new Error(`fleetctl diff ended with ${code}: ${text(stderr)}${text(stdout).slice(-300)}`);
  }
  return took_ms;
}

/** Returns the milliseconds of the same POST /plan in the server alone. */
async function plan(api: ApiFixture): Promise<number> {
  const units = Array.from({ length: appUnits }, (_, index) => ({
    name: nameOf(index),
    desiredState: "launched",
    options: optionsOf(fileOf(index, versions + index % 2)),
  }));
  const body = JSON.stringify({ units, app: "app" });
  const start_ms = performance.now();
  const { code, text } = await api.send("POST", "/fleet/v1/plan", { body, contentType: "application/json" });
  const took_ms = performance.now() - start_ms;
  if (code !== 200) throw new Error(`POST /plan was answered ${code}: ${text}`);
  return took_ms;
}

/** Results for one size of cluster. `floor`: a `deno run` of an empty module, in turn with the others. */
type Results = Readonly<Record<"floor" | "diff" | "plan", Summary>>;

async function measure(units: number, directory: string): Promise<Results> {
  await using api = await openCluster(units);
  const socket = `${directory}.sock`;
  const server = Deno.serve({ path: socket, onListen: () => {} }, (request) => api.handler(request));
  const empty = `${directory}.ts`;
  await Deno.writeTextFile(empty, "");
  const measured: [floor_ms: number, diff_ms: number, plan_ms: number][] = [];
  try {
    // The first round warms caches and does not count.
    for (let round = 0; round <= Number(options.samples); round++) {
      const { took_ms } = await run(Deno.execPath(), ["run", "--no-config", empty]);
      const times = [took_ms, await runDiff(directory, socket), await plan(api)] as const;
      if (round > 0) measured.push([...times]);
    }
  } finally {
    await server.shutdown();
  }
  const column = (at: 0 | 1 | 2) => summarize(measured.map((times) => times[at]));
  return { floor: column(0), diff: column(1), plan: column(2) };
}

async function main(): Promise<void> {
  const temporary = await Deno.makeTempDir();
  const directory = `${temporary}/app`;
  await Deno.mkdir(directory);
  try {
    await writeApplication(directory);
    const rows = [["a plan of 200 units", ...summaryHeads]];
    for (const units of [appUnits, target.units]) {
      const { floor, diff, plan } = await measure(units, directory);
      rows.push(["floor: deno run of an empty module", ...summaryCells(floor)]);
      rows.push([`fleetctl diff, ${units} units in the cluster`, ...summaryCells(diff)]);
      rows.push([`POST /plan alone`, ...summaryCells(plan)]);
      if (units < target.units) continue;
      console.log(table(rows));
      const kept = diff.median_ms <= target.diff_ms;
      const times = (diff.median_ms / floor.median_ms).toFixed(1);
      const verdict = `target: at most ${target.diff_ms} ms; ${kept ? "kept" : "MISSED"}`;
      const load = Deno.loadavg()[0]!.toFixed(1);
      console.log(`${diff.median_ms.toFixed(0)} ms (${verdict}), ${times} times the floor, at a load of ${load}`);
    }
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

await main();
