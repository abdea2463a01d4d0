/**
 * A load balancer with clients, as a program of its own in a lab's network: `traffic_client.ts REPORT HOST:PORT…`.
 *
 * It asks every instance for `/health` all the time, and sends each request to one of those that answered 200 a moment ago, in
 * turn. A request is sent once: there is no second attempt. It has failed unless the whole answer arrives with status 200. It
 * waits while no instance is known to be healthy, as on a host that is too busy to ask them, but not longer than for an answer.
 * The first request is sent when an instance has answered on every port. The report is written to a file again and again.
 *
 * @module
 */

/** A request without a complete answer. */
export interface FailedRequest {
  /** Time at which it was sent, milliseconds since the epoch. */
  readonly at_ms: number;
  /** `HOST:PORT`; "" if no instance was healthy. */
  readonly instance: string;
  /** The version that the instance reported last. */
  readonly version: string;
  readonly error: string;
}

/** The result so far. */
export interface TrafficReport {
  readonly sent: number;
  /** Complete answers by version. */
  readonly answered: Readonly<Record<string, number>>;
  readonly failed: readonly FailedRequest[];
  /** The version of each instance that gets requests now. */
  readonly healthy: Readonly<Record<string, string>>;
  /** The fewest instances that had answered the last question with 200 at the time of a request. */
  readonly fewest: number;
}

/** An instance gets requests for this long after it was asked whether it is healthy, milliseconds. */
const fresh_ms = 500;
const check_ms = 100;
const request_ms = 25;
const timeout_ms = 5_000;

interface Instance {
  readonly address: string;
  /** Time of the latest question that it answered with 200, before it was sent. */
  healthyAt_ms: number;
  version: string;
}

async function get(address: string, path: string, limit_ms: number): Promise<{ status: number; text: string }> {
  // A connection of its own for each request: one that an instance closes while it ends must not count as a failure.
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  const signal = AbortSignal.timeout(limit_ms);
  const response = await fetch(`http://${address}${path}`, { client, signal });
  return { status: response.status, text: await response.text() };
}

const pause = (duration_ms: number) => new Promise((resolve) => setTimeout(resolve, duration_ms));

async function watch(instance: Instance): Promise<never> {
  while (true) {
    const at_ms = Date.now();
    try {
      const { status, text } = await get(instance.address, "/health", timeout_ms);
      if (status === 200) Object.assign(instance, { healthyAt_ms: at_ms, version: text });
      else instance.healthyAt_ms = 0;
    } catch {
      instance.healthyAt_ms = 0;
    }
    await pause(check_ms);
  }
}

async function main([report = "", ...addresses]: readonly string[]): Promise<never> {
  const instances = addresses.map((address): Instance => ({ address, healthyAt_ms: 0, version: "" }));
  for (const instance of instances) void watch(instance);
  const answered: Record<string, number> = {};
  const failed: FailedRequest[] = [];
  const healthy = () => instances.filter(({ healthyAt_ms }) => Date.now() - healthyAt_ms < fresh_ms);
  const answering = () => instances.filter(({ healthyAt_ms }) => healthyAt_ms > 0);
  const portOf = (address: string) => address.slice(address.lastIndexOf(":"));
  const ports = new Set(addresses.map(portOf));
  // Otherwise the first requests would be counted as sent while few instances were healthy.
  while (new Set(answering().map(({ address }) => portOf(address))).size < ports.size) await pause(check_ms);
  let sent = 0;
  let fewest = Infinity;
  const send = async () => {
    const at_ms = Date.now();
    fewest = Math.min(fewest, answering().length);
    const turn = sent++;
    let candidates = healthy();
    while (candidates.length === 0 && Date.now() < at_ms + timeout_ms) {
      await pause(check_ms);
      candidates = healthy();
    }
    const instance = candidates[turn % candidates.length];
    try {
      if (!instance) throw new Error("no instance is healthy");
      const { status, text } = await get(instance.address, "/", timeout_ms);
      if (status !== 200) throw new Error(`status ${status}`);
      answered[text] = (answered[text] ?? 0) + 1;
    } catch (error) {
      const { address = "", version = "" } = instance ?? {};
      failed.push({ at_ms, instance: address, version, error: String(error) });
    }
  };
  for (let turn = 0;; turn++) {
    void send();
    if (turn % 10 === 0) {
      const now = Object.fromEntries(healthy().map(({ address, version }) => [address, version]));
      const text: TrafficReport = { sent, answered, failed, healthy: now, fewest };
      await Deno.writeTextFile(`${report}.new`, JSON.stringify(text));
      await Deno.rename(`${report}.new`, report);
    }
    await pause(request_ms);
  }
}

if (import.meta.main) await main(Deno.args);
