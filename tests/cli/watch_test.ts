/** Lists that are drawn again and again, on a real terminal. */

import assert from "node:assert/strict";
import { FakeApi } from "../../ctl/testing/fake_api.ts";
import { cacheDirectory } from "../support/programs.ts";
import { until } from "../lab/process.ts";

const main = new URL("../../ctl/main.ts", import.meta.url).pathname;

/** The lines that a terminal shows, of the control sequences that fleetctl writes. Colors become `<31>`, and log lines their level. */
function screenOf(written: string): string[] {
  const lines = [""];
  let row = 0;
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  for (const [part, count, kind] of written.matchAll(/\x1b\[\??(\d*)([A-Za-z])|\r|\n|[^\x1b\r\n]+/g)) {
    if (kind === "A" || kind === "H") lines[row = kind === "H" ? 0 : Math.max(0, row - Number(count))] = "";
    else if (kind === "J") lines.length = row + 1;
    else if (kind === "m") lines[row] += `<${count || 0}>`;
    else if (kind === "K" || kind === "l" || kind === "h" || part === "\r") continue;
    else if (part === "\n") lines[++row] = "";
    else lines[row] += part;
  }
  return lines.filter((line) => line !== "").map((line) => / WARN /.test(line) ? "WARN" : line);
}

/** A terminal on which fleetctl runs. */
class WatchedTerminal {
  #written = "";
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;

  constructor(line: string, env: Record<string, string>, size = "rows 24 cols 80") {
    const fleetctl = `"${Deno.execPath()}" run --quiet --allow-all --no-prompt "${main}" ${line}`;
    this.#child = new Deno.Command("script", {
      args: ["-qefc", `stty ${size} -echo; exec ${fleetctl}`, "/dev/null"],
      ...{ env: { NO_COLOR: "", ...env }, stdin: "piped", stdout: "piped", stderr: "inherit" } as const,
    }).spawn();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) this.#written += text;
  }

  /** Resolves once the terminal shows these lines. */
  async shows(expected: readonly string[]): Promise<void> {
    const is = () => JSON.stringify(screenOf(this.#written)) === JSON.stringify(expected);
    await until("the list to be drawn", () => Promise.resolve(is() || undefined)).catch((cause) => {
      this.#child.kill();
      assert.deepEqual(screenOf(this.#written), expected);
      throw cause;
    });
  }

  async #type(keys: string): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(keys));
    writer.releaseLock();
  }

  /** Ends the program by ^C and returns its exit status. */
  async interrupt(): Promise<number> {
    await this.#type("\x03");
    const { code } = await this.#child.status;
    await this.#child.stdin.close().catch(() => {});
    await this.#reading;
    return code;
  }
}

async function withCluster(work: (api: FakeApi, env: Record<string, string>) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "fleet-watch-" });
  const socket = `${directory}/fleet.sock`;
  const api = new FakeApi();
  for (const name of ["a.service", "b.service"]) api.add(name, "launched", "Service.ExecStart=/bin/true");
  const server = Deno.serve({ path: socket, onListen: () => {} }, (request) => api.handle(request));
  try {
    await work(api, {
      TERM: "xterm",
      HOME: directory,
      DENO_DIR: await cacheDirectory(),
      FLEETCTL_ENDPOINT: `unix://${socket}`,
    });
  } finally {
    api.cutStreams();
    await server.shutdown();
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a watched list is drawn in place, with colors, until ^C", async () => {
  await withCluster(async (api, env) => {
    const terminal = new WatchedTerminal("list-units -w --fields=unit,active", env);
    await terminal.shows(["UNIT       ACTIVE", "a.service  <32>active<0>", "b.service  <32>active<0>"]);
    api.reportState("a.service", "failed", "failed");
    await terminal.shows(["UNIT       ACTIVE", "a.service  <31>failed<0>", "b.service  <32>active<0>"]);
    api.units.delete("a.service");
    api.removeStates("a.service");
    await terminal.shows(["UNIT       ACTIVE", "b.service  <32>active<0>"]);
    assert.equal(await terminal.interrupt(), 130);
  });
});

Deno.test("a warning stays above the list that is drawn after it", async () => {
  await withCluster(async (api, env) => {
    const terminal = new WatchedTerminal("list-units -w --fields=unit,active", { ...env, NO_COLOR: "1" });
    const table = ["UNIT       ACTIVE", "a.service  active", "b.service  active"];
    await terminal.shows(table);
    api.cutStreams();
    await terminal.shows([...table, "WARN", ...table]);
    api.reportState("b.service", "failed", "failed");
    await terminal.shows([...table, "WARN", ...table.slice(0, 2), "b.service  failed"]);
    assert.equal(await terminal.interrupt(), 130);
  });
});

Deno.test("NO_COLOR and a small terminal: no colors, and no more than fits", async () => {
  await withCluster(async (api, env) => {
    for (let n = 1; n <= 9; n++) api.add(`web@${n}.service`, "launched", "Service.ExecStart=/bin/true");
    const size = "rows 5 cols 16";
    const terminal = new WatchedTerminal("list-units -w --fields=unit,active", { ...env, NO_COLOR: "1" }, size);
    await terminal.shows(["UNIT           A", "a.service      a", "b.service      a", "... and 9 more l"]);
    api.reportState("b.service", "failed", "failed");
    await terminal.shows(["UNIT           A", "a.service      a", "b.service      f", "... and 9 more l"]);
    assert.equal(await terminal.interrupt(), 130);
  });
});
