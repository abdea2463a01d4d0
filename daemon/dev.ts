/**
 * `fleetd --dev`: a cluster of this machine alone, kept in memory, to try things out. 🚪
 *
 * @module
 */

import { userBusAdvice } from "../systemd/dbus/mod.ts";
import { type Configuration, readConfiguration } from "./configuration.ts";

/** Where the API of a try listens besides its unix socket; loopback, so only this machine can reach it. */
const address = "127.0.0.1:49153";

/** What a try stands on. */
export interface DevSetting {
  readonly configuration: Configuration;
  /** Where the API listens. */
  readonly listen: readonly string[];
  /** What to type first. */
  readonly greeting: string;
}

/**
 * Finds out what a try can stand on: the system's systemd for root, the user's own for anybody else. Throws an error that
 * says what is missing, and what can be done instead.
 */
export async function devSetting(config: string | undefined): Promise<DevSetting> {
  const isRoot = Deno.uid() === 0;
  const directory = isRoot ? "/run/fleet/dev" : `${await userRuntime()}/fleet-dev`;
  if (isRoot && !await exists("/run/systemd/system")) {
    // sd_booted(3).
    throw new Error(`this machine was not started by systemd, and systemd is what runs units. ${elsewhere}`);
  }
  const configuration = await readConfiguration(config ?? null, {
    FLEET_REGISTRY: "embedded",
    FLEET_UNITS_DIRECTORY: `${directory}/units/`,
    FLEET_SYSTEMD_USER: String(!isRoot),
  });
  await Deno.mkdir(`${directory}/units`, { recursive: true, mode: 0o755 });
  const socket = `${directory}/fleet.sock`;
  return { configuration, listen: [`unix:${socket}`, address], greeting: greetingFor(socket) };
}

const elsewhere = "To see fleet at work on machines of its own: deno task demo (in fleet's source, as root)";

async function userRuntime(): Promise<string> {
  const runtime = Deno.env.get("XDG_RUNTIME_DIR");
  const bus = Deno.env.get("DBUS_SESSION_BUS_ADDRESS") ?? `unix:path=${runtime}/bus`;
  const [, path] = /^unix:path=([^,;]+)/.exec(bus) ?? [];
  if (runtime && (path === undefined || await exists(path))) return runtime;
  const missing = runtime ? `there is no user bus at ${bus}: ${userBusAdvice}` : "XDG_RUNTIME_DIR is not set";
  throw new Error(`there is no systemd of this user's to run units on (${missing}). Try as root. ${elsewhere}`);
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function greetingFor(socket: string): string {
  return `
A cluster of this machine alone is ready. It is kept in memory, and ends with ^C: its units are stopped then.
In another terminal:

  export FLEETCTL_ENDPOINT=unix://${socket}

  printf '[Service]\\nExecStart=/bin/sleep infinity\\n' >hello.service
  fleetctl start hello.service
  fleetctl list-units
  fleetctl destroy hello.service

The same API, for programs: http://${address}/fleet/v1/units

`;
}
