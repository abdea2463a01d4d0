/**
 * Measures the API on a real machine, over the sockets that systemd passes to fleetd: `deno run -A bench/api.ts [DIST]`. Over
 * TCP the load is made by wrk (Debian's package of that name); over the unix socket, which wrk does not support, by as many
 * connections of this process. See README.md.
 *
 * @module
 */

import { api_port, apiSocket } from "../tests/lab/fleet.ts";
import { type Lab, withLab } from "../tests/lab/lab.ts";
import type { Machine } from "../tests/lab/machine.ts";
import { must, until } from "../tests/lab/process.ts";
import { summarize, table } from "./statistics.ts";

const connections = 16;
const duration_s = 5;
const units = 1000;
const readings = 30;
const starts = 10;

/** A kind of request, with its target in requests a second. */
interface Case {
  readonly title: string;
  readonly method: "GET" | "PUT";
  readonly path: string;
  readonly target?: number;
}

const cases: readonly Case[] = [
  { title: "a page of 100 units", method: "GET", path: "/fleet/v1/units", target: 2000 },
  { title: "machines", method: "GET", path: "/fleet/v1/machines" },
  { title: "one unit", method: "GET", path: "/fleet/v1/units/unit-500.service" },
  { title: "PUT of a new version", method: "PUT", path: "/fleet/v1/units/unit-@.service" },
];

/** Target for a read of all units by pages. */
const pages_ms = 60;

const body = (version: number | string) =>
  `{"options":[{"section":"Service","name":"ExecStart","value":"/bin/sleep ${version}"}]}`;

interface Load {
  readonly a_second: number;
  readonly median_ms: number;
  readonly p99_ms: number;
}

const dist = Deno.args[0] ?? new URL("../dist", import.meta.url).pathname;
const cells = ({ a_second, median_ms, p99_ms }: Load) => [a_second.toFixed(0), median_ms.toFixed(2), p99_ms.toFixed(2)];

async function once(machine: Machine, path: string): Promise<string> {
  using connection = await ApiConnection.open(apiSocket(machine));
  return (await connection.ask("GET", path)).body;
}

async function fill(machine: Machine): Promise<void> {
  using connection = await ApiConnection.open(apiSocket(machine));
  for (let index = 0; index < units; index++) {
    const { code } = await connection.ask("PUT", `/fleet/v1/units/unit-${index}.service`, body(index));
    if (code !== 201) throw new Error(`PUT of unit ${index}: ${code}`);
  }
}

/** Makes load by wrk, from the host. */
async function wrk(lab: Lab, machine: Machine, { method, path }: Case): Promise<Load> {
  const script = `${lab.dir}/wrk.lua`;
  await Deno.writeTextFile(
    script,
    method === "GET" ? "" : `local n = 0
request = function()
  n = n + 1
  return wrk.format("PUT", (string.gsub("${path}", "@", n % ${units})), {["Content-Type"] = "application/json"}, (string.gsub('${
      body("@")
    }', "@", "1" .. n)))
end
`,
  );
  const url = `http://${machine.ip}:${api_port}${path}`;
  const output = await must(lab.network.inside([
    ...["wrk", "--threads=1", `--connections=${connections}`, `--duration=${duration_s}s`, "--latency"],
    ...["--script", script, url],
  ]));
  if (/Non-2xx/.test(output)) throw new Error(`${path}: ${output}`);
  return {
    a_second: number(output, /Requests\/sec:\s+([\d.]+)/),
    median_ms: percentile(output, 50),
    p99_ms: percentile(output, 99),
  };
}

function number(text: string, pattern: RegExp): number {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`the output of wrk does not match ${pattern}: ${text}`);
  return Number(found);
}

function percentile(text: string, percent: number): number {
  const [, value, unit] = new RegExp(`\\s${percent}%\\s+([\\d.]+)(us|ms|s)`).exec(text) ?? [];
  const factor = unit === "us" ? 0.001 : unit === "s" ? 1000 : 1;
  return Number(value) * factor;
}

/** Makes load by connections of this process, which cost more processor time than wrk's. */
async function loadOverSocket(socket: string, { method, path }: Case): Promise<Load> {
  const end_ms = performance.now() + duration_s * 1000;
  const samples_ms: number[] = [];
  await Promise.all(Array.from({ length: connections }, async (_, index) => {
    using connection = await ApiConnection.open(socket);
    for (let count = 0; performance.now() < end_ms; count++) {
      const start_ms = performance.now();
      const { code } = await connection.ask(
        method,
        path.replace("@", `${(index * 61 + count) % units}`),
        method === "PUT" ? body(`2${index}${count}`) : undefined,
      );
      samples_ms.push(performance.now() - start_ms);
      if (code >= 300) throw new Error(`${method} ${path}: ${code}`);
    }
  }));
  samples_ms.sort((a, b) => a - b);
  const at = (share: number) => samples_ms[Math.floor(samples_ms.length * share)]!;
  return { a_second: samples_ms.length / duration_s, median_ms: at(0.5), p99_ms: at(0.99) };
}

/** Measures a daemon's start: the time to the first response, and to the first list of units. */
async function startUp(machine: Machine) {
  const any_ms: number[] = [], true_ms: number[] = [];
  for (let start = 0; start < starts; start++) {
    await machine.must(["systemctl", "stop", "fleet.service"]);
    const start_ms = performance.now();
    const started = machine.must(["systemctl", "start", "--no-block", "fleet.service"]);
    // systemd holds the socket: the connection waits until the daemon accepts it.
    using connection = await ApiConnection.open(apiSocket(machine));
    await connection.ask("GET", "/healthz");
    any_ms.push(performance.now() - start_ms);
    while ((await connection.ask("GET", "/fleet/v1/units")).code !== 200);
    true_ms.push(performance.now() - start_ms);
    await started;
  }
  return { any: summarize(any_ms), first: summarize(true_ms) };
}

/** Returns the reason why nothing can be measured on this host; undefined if there is none. */
async function missingTool(): Promise<string | undefined> {
  try {
    await new Deno.Command("wrk", { args: ["--version"], stdout: "null", stderr: "null" }).output();
    return undefined;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return "bench/api.ts makes its load with wrk, which is not installed: apt-get install wrk (Debian's package of that name)";
  }
}

async function readByPages(machine: Machine) {
  using connection = await ApiConnection.open(apiSocket(machine));
  const samples_ms: number[] = [];
  for (let reading = 0; reading < readings + 3; reading++) {
    const start_ms = performance.now();
    let seen = 0;
    for (let token: string | undefined = ""; token !== undefined;) {
      const path: string = "/fleet/v1/units" + (token === "" ? "" : `?nextPageToken=${token}`);
      const page: { units?: unknown[]; nextPageToken?: string } = JSON.parse((await connection.ask("GET", path)).body);
      seen += page.units?.length ?? 0;
      token = page.nextPageToken;
    }
    if (seen !== units) throw new Error(`${seen} units were read, not ${units}`);
    // The first readings warm up the JIT compilers.
    if (reading >= 3) samples_ms.push(performance.now() - start_ms);
  }
  return summarize(samples_ms);
}

/** A minimal HTTP/1.1 connection, one request at a time. */
class ApiConnection implements Disposable {
  readonly #buffer = new Uint8Array(256 * 1024);
  readonly #decoder = new TextDecoder();

  private constructor(private readonly socket: Deno.UnixConn) {}

  static async open(path: string): Promise<ApiConnection> {
    return new ApiConnection(await Deno.connect({ transport: "unix", path }));
  }

  async ask(method: string, path: string, body?: string): Promise<{ readonly code: number; readonly body: string }> {
    const content = body === undefined ? "" : `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
    await this.socket.write(
      new TextEncoder().encode(`${method} ${path} HTTP/1.1\r\nHost: x\r\n${content}\r\n${body ?? ""}`),
    );
    let text = "";
    for (;;) {
      const count = await this.socket.read(this.#buffer);
      if (count === null) throw new Error(`the server closed after ${JSON.stringify(text.slice(0, 200))}`);
      // Bodies here are ASCII: a character is a byte.
      text += this.#decoder.decode(this.#buffer.subarray(0, count));
      const head = text.indexOf("\r\n\r\n");
      if (head < 0) continue;
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? 0);
      if (text.length < head + 4 + length) continue;
      return { code: Number(text.slice(9, 12)), body: text.slice(head + 4) };
    }
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}

async function measure(lab: Lab): Promise<void> {
  const machine = lab.machines[0]!;
  await until("the machine to be a member", async () => {
    const text = await once(machine, "/fleet/v1/machines");
    return text.includes(machine.id) ? true : undefined;
  });
  await fill(machine);
  const rows = [["", "TCP /s", "median ms", "p99", "unix /s", "median ms", "p99", "target"]];
  for (const each of cases) {
    const tcp = await wrk(lab, machine, each);
    const unix = await loadOverSocket(apiSocket(machine), each);
    const target = each.target === undefined
      ? ""
      : `${each.target}: ${tcp.a_second >= each.target ? "kept" : "MISSED"}`;
    rows.push([each.title, ...cells(tcp), ...cells(unix), target]);
  }
  const read_ms = await readByPages(machine);
  const { median_ms } = read_ms;
  console.log(`one machine on this host: ${navigator.hardwareConcurrency} cores, ${connections} connections\n`);
  console.log(table(rows));
  const { any, first } = await startUp(machine);
  const cell = ({ median_ms, min_ms, max_ms }: typeof any) =>
    `${median_ms.toFixed(0)} ms (${min_ms.toFixed(0)} to ${max_ms.toFixed(0)})`;
  console.log(
    `from systemctl start, with ${units} units in the cluster: to the first answer ${cell(any)}, ` +
      `to the first page of units ${cell(first)}; medians of ${starts}`,
  );
  console.log(
    `${units} units by pages, one after the other, over the unix socket: median ${median_ms.toFixed(1)} ms, ` +
      `from ${read_ms.min_ms.toFixed(1)} to ${read_ms.max_ms.toFixed(1)} ` +
      `(target: ${pages_ms} ms; ${median_ms <= pages_ms ? "kept" : "MISSED"})`,
  );
}

const reason = await missingTool();
if (reason === undefined) await withLab({ machines: 1, fleet: { dist, tcp: true } }, measure);
else {
  console.error(reason);
  Deno.exitCode = 1;
}
