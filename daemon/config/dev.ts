/**
 * `fleetd --dev`: a cluster of this machine alone, kept in memory, to try things out. An adapter.
 *
 * @module
 */

import { userBusAdvice } from "../../systemd/dbus/open.ts";
import { type Configuration, readConfiguration } from "./load.ts";

/** Settings of a daemon with `--dev`. */
export interface DevSetting {
  readonly configuration: Configuration;
  /** The API's address: a unix socket, because every local user can reach a TCP port. */
  readonly listen: readonly string[];
  /** First commands to type, for the terminal. */
  readonly greeting: string;
  /** Removes the daemon's files, unless unit files are left. To be called after everything else is closed. */
  readonly removeFiles: () => Promise<void>;
}

/**
 * Finds the settings for this user: the system's systemd for root, the user's systemd for other users. Throws an error that
 * names what is missing and an alternative.
 */
export async function devSetting(config: string | undefined): Promise<DevSetting> {
  const isRoot = Deno.uid() === 0;
  const directory = isRoot ? "/run/fleet/dev" : `${await userRuntime()}/fleet-dev`;
  if (isRoot && !await exists("/run/systemd/system")) {
    // sd_booted(3).
    throw new Error(`this machine was not booted with systemd, which fleetd needs to run units. ${elsewhere}`);
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
 * Removes `directory` unless it still has unit files: then units could not be stopped, and the next `--dev` has to find
 * them. `parents` are removed if they are empty.
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
  throw new Error(`this user has no systemd to run units on (${missing}). Try as root. ${elsewhere}`);
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

The cluster page, for a browser on this machine; it prints its address:

  fleetctl ui

The same API, for programs:

  curl --unix-socket ${socket} http://fleet/fleet/v1/units

`;
}
