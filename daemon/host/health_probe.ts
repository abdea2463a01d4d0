/**
 * Makes health checks: requests to this machine, and commands by way of systemd. An adapter.
 *
 * @module
 */

import { get } from "node:http";
import { isIP } from "node:net";
import type { HealthCheck } from "../../registry/health_check.ts";
import type { Systemd } from "../../systemd/port.ts";
import type { HealthProbe } from "../agent/health_monitor.ts";

/** Addresses of `localhost`, in the order in which they are tried. */
const loopback = ["127.0.0.1", "::1"];

/** Returns the probe of this machine. */
export function openHealthProbe(systemd: Pick<Systemd, "runAs">): HealthProbe {
  return (unit, check, signal) =>
    check.target.kind === "command"
      ? systemd.runAs(unit, check.target.argv, check.timeout_ms)
      : request(check, new URL(check.target.url), signal);
}

/** Requests a URL. Not by fetch, which sends requests to the proxy that the environment names. */
async function request(check: HealthCheck, url: URL, signal: AbortSignal): Promise<string | undefined> {
  const hosts = url.hostname === "localhost" ? loopback : [url.hostname.replace(/^\[|\]$/g, "")];
  const foreign = hosts.find((host) => !isOwn(host));
  if (foreign !== undefined) return `${foreign} is not an address of this machine`;
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), check.timeout_ms);
  const errors: string[] = [];
  try {
    for (const host of hosts) {
      try {
        const status = await statusOf(host, url, AbortSignal.any([signal, timeout.signal]));
        return status >= 200 && status < 400 ? undefined : `${url} answers with status ${status}`;
      } catch (error) {
        if (timeout.signal.aborted) return `${url} has not answered within ${check.timeout_ms / 1000}s`;
        errors.push((error as Error).message);
      }
    }
  } finally {
    clearTimeout(timer);
  }
  signal.throwIfAborted();
  return `${url} does not answer: ${errors.join("; ")}`;
}

function isOwn(host: string): boolean {
  if (/^127\./.test(host) || host === "::1") return true;
  return isIP(host) !== 0 && Deno.networkInterfaces().some(({ address }) => address === host);
}

/** Returns the status of the answer. Its body is not read, and no redirect is followed. */
function statusOf(host: string, url: URL, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = get({
      ...{ host, port: url.port || 80, path: url.pathname + url.search, agent: false, signal },
      headers: { host: url.host, "user-agent": "fleetd (health check)", connection: "close" },
    }, (response) => {
      resolve(response.statusCode ?? 0);
      // The end of the connection may be an error of the answer, which no longer matters.
      response.on("error", () => {});
      response.destroy();
    });
    outgoing.on("error", reject);
  });
}
