/**
 * `fleetd --dev`: a cluster of this machine alone, kept in memory, to try things out. An adapter.
 *
 * @module
 */

import { userBusAdvice } from "../../systemd/dbus/open.ts";
import { type Configuration, readConfiguration } from "./load.ts";

/** What a try stands on. */
export interface DevSetting {
  readonly configuration: Configuration;
  /** Where the API listens: a unix socket, since every local user could open a TCP port. */
  readonly listen: readonly string[];
  /** What to type first. */
  readonly greeting: string;
  /** Removes the daemon's files; to be called when everything else is closed. Unit files that are left keep them. */
  readonly removeFiles: () => Promise<void>;
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
  return {
    configuration,
    listen: [`unix:${socket}`],
    greeting: greetingFor(socket),
    removeFiles: () => removeFiles(directory, isRoot ? ["/run/fleet"] : []),
  };
}

/**
 * Removes `directory` unless it still has unit files: the units could not be stopped, and the next `--dev` has to find
 * them. `parents` are removed where they are empty.
 */
async function removeFiles(directory: string, parents: readonly string[]): Promise<void> {
  if (!await removeEmpty(`${directory}/units`)) return;
  await Deno.remove(directory, { recursive: true });
  for (const parent of parents) await removeEmpty(parent);
}

/** Returns false if the directory is not empty. */
async function removeEmpty(directory: string): Promise<boolean> {
  try {
    await Deno.remove(directory);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    const [entry] = await Array.fromAsync(Deno.readDir(directory));
    if (entry === undefined) throw error;
    return false;
  }
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

The same API, for programs:

  curl --unix-socket ${socket} http://fleet/fleet/v1/units

`;
}
