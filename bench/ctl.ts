/**
 * Measures fleetctl as a whole process, beside a `deno run` of an empty module: `deno run -A bench/ctl.ts`. The API is in
 * memory, so that only the client is measured.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { FakeApi } from "../ctl/testing/fake_api.ts";
import { summarize, summaryCells, summaryHeads, table } from "./statistics.ts";

/** Targets of fleetctl: milliseconds above the floor. */
const targets: Readonly<Record<string, number>> = { "list-machines": 25, "list-units of 500": 60 };

const { values: options } = parseArgs({
  options: {
    samples: { type: "string", default: "20" },
    /** The program: the launcher, or an executable that ./compile.sh has made. */
    fleetctl: { type: "string", default: `${import.meta.dirname}/../dist/fleetctl` },
    json: { type: "boolean", default: false },
  },
});

/** Three machines, and 500 units that run on them. */
function cluster(): FakeApi {
  const api = new FakeApi();
  api.machines = [1, 2, 3].map((nth) => ({ id: `${nth}`.repeat(32), primaryIP: `10.0.0.${nth}` }));
  for (let nth = 0; nth < 500; nth++) api.add(`unit${nth}.service`, "launched", "Service.ExecStart=/bin/true");
  return api;
}

/** Returns the milliseconds until a program has ended. Throws if it fails. */
async function once(command: readonly string[], endpoint: string): Promise<number> {
  const [program = "", ...args] = command;
  const path = `${Deno.execPath().replace(/\/[^/]*$/, "")}:${Deno.env.get("PATH") ?? ""}`;
  const start_ms = performance.now();
  const { code, stderr } = await new Deno.Command(program, {
    args,
    env: { PATH: path, FLEETCTL_ENDPOINT: endpoint },
    stdout: "piped",
    stderr: "piped",
  }).output();
  const took_ms = performance.now() - start_ms;
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${new TextDecoder().decode(stderr)}`);
  return took_ms;
}

async function main(): Promise<void> {
  const samples = Number(options.samples);
  const directory = await Deno.makeTempDir();
  const path = `${directory}/fleet.sock`;
  await Deno.writeTextFile(`${directory}/empty.ts`, "");
  const api = cluster();
  const server = Deno.serve({ path, onListen: () => {} }, (request) => api.handle(request));
  const commands: Record<string, string[]> = {
    "floor: deno run of an empty module": [Deno.execPath(), "run", "--no-config", `${directory}/empty.ts`],
    "version": [options.fleetctl, "version"],
    "list-machines": [options.fleetctl, "list-machines"],
    "list-units of 500": [options.fleetctl, "list-units"],
  };
  const times = new Map(Object.keys(commands).map((name) => [name, [] as number[]]));
  try {
    // In turns, so that other load on the host affects all alike; the first round warms caches and does not count.
    for (let round = 0; round <= samples; round++) {
      for (const [name, command] of Object.entries(commands)) {
        const took_ms = await once(command, `unix://${path}`);
        if (round > 0) times.get(name)?.push(took_ms);
      }
    }
  } finally {
    await server.shutdown();
    await Deno.remove(directory, { recursive: true });
  }
  report(times);
}

function report(times: ReadonlyMap<string, readonly number[]>): void {
  const results = [...times].map(([name, all]) => ({ name, ...summarize(all) }));
  if (options.json) return console.log(JSON.stringify(results, null, 2));
  console.log(
    table([["whole process", ...summaryHeads], ...results.map(({ name, ...rest }) => [name, ...summaryCells(rest)])]),
  );
  const floor_ms = results[0]?.median_ms ?? NaN;
  for (const { name, median_ms } of results.slice(1)) {
    const above_ms = median_ms - floor_ms;
    const target = targets[name];
    const judgement = target === undefined
      ? ""
      : ` (target: at most +${target} ms; ${above_ms <= target ? "kept" : "MISSED"})`;
    console.log(`${name}: floor ${above_ms < 0 ? "" : "+"}${above_ms.toFixed(1)} ms${judgement}`);
  }
}

await main();
