/** Requests to a web application on the machines of a lab, all the time, by way of a load balancer (traffic_client.ts). */

import type { Lab } from "./lab.ts";
import { kill, serve, until } from "./process.ts";
import type { TrafficReport } from "./traffic_client.ts";

/** The instances of the application, by port: `/health` and `/` answer with the version. It ends two and a half seconds after SIGTERM, during which `/health` is 503. */
export const webServer = `
const [port, version] = Deno.args;
let isEnding = false;
const server = Deno.serve({ port: Number(port), onListen() {} }, (request) =>
  new Response(version, { status: isEnding && request.url.endsWith("/health") ? 503 : 200 }));
Deno.addSignalListener("SIGTERM", () => {
  isEnding = true;
  setTimeout(() => server.shutdown().then(() => Deno.exit(0)), 2500);
});
if (version.includes("crash")) setTimeout(() => Deno.exit(1), 2000);
`;

/** Running traffic. Disposing of it ends it. */
export class Traffic implements AsyncDisposable {
  readonly #client: ReturnType<typeof serve>;

  private constructor(lab: Lab, private readonly report: string, addresses: readonly string[]) {
    const program = new URL("traffic_client.ts", import.meta.url).pathname;
    const deno = [Deno.execPath(), "run", "-A", "--no-check", "--no-config", program];
    this.#client = serve(lab.network.inside([...deno, report, ...addresses]), `${report}.log`);
  }

  /** Starts traffic to instances, one of each port on any machine. Waits until all run and one has answered. */
  static async start(lab: Lab, ports: readonly number[]): Promise<Traffic> {
    const addresses = lab.machines.flatMap(({ ip }) => ports.map((port) => `${ip}:${port}`));
    const traffic = new Traffic(lab, `${lab.dir}/traffic-${ports.join("-")}.json`, addresses);
    await traffic.until("the first answer", ({ answered }) => Object.keys(answered).length > 0);
    return traffic;
  }

  /** Returns the result so far. */
  async now(): Promise<TrafficReport> {
    return JSON.parse(await Deno.readTextFile(this.report));
  }

  /** Waits until the result passes a test. Returns it. */
  async until(what: string, test: (report: TrafficReport) => boolean, deadline_ms = 60_000): Promise<TrafficReport> {
    let last: TrafficReport | undefined;
    return await until(what, async () => {
      last = await this.now();
      return test(last) ? last : undefined;
    }, { deadline_ms, every_ms: 100 }).catch((error) => {
      const log = Deno.readTextFileSync(`${this.report}.log`);
      throw new Error(`${error.message}; last report: ${JSON.stringify(last)}\n${log}`, { cause: error });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    kill(this.#client.pid, "SIGKILL");
    await this.#client.ended;
  }
}
