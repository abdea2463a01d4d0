/**
 * Reads the configuration that a command line names. An adapter: it knows Deno's errors.
 *
 * @module
 */

import type { Log } from "../../runtime/log.ts";
import type { Arguments } from "../arguments.ts";
import { type Configuration, defaultConfigPath, readConfiguration } from "../config/load.ts";

/** Settings of a daemon at its start. */
export interface StartSettings {
  /** Addresses of the API besides the sockets that systemd passes. */
  readonly listen: readonly string[];
  readonly configuration: Configuration;
  /** Reads the configuration again. */
  readonly configure: () => Promise<Configuration>;
  /** Set with `--dev`, where the store is in memory and units end with the daemon: the text to print when it is ready. */
  readonly greeting?: string;
  /** Set with `--dev`: removes the daemon's files, after everything else is closed. */
  readonly removeFiles?: () => Promise<void>;
}

/** Reads the settings that the command line asks for. Throws when they cannot be read. */
export async function readStartSettings(command: Extract<Arguments, { kind: "run" | "dev" }>): Promise<StartSettings> {
  if (command.kind === "run") {
    const configure = () => readConfiguration(command.config);
    return { configuration: await configure(), configure, listen: command.listen };
  }
  const { devSetting } = await import("../config/dev.ts");
  const { listen, ...setting } = await devSetting(command.config);
  const configure = async () => (await devSetting(command.config)).configuration;
  return { ...setting, configure, listen: [...listen, ...command.listen] };
}

/** Returns a hint for an error that the permissions of this build have caused; "" for any other error. */
export function permissionHint(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (!(cause instanceof Deno.errors.NotCapable)) continue;
    return "; the permissions that this fleetd was built with forbid what its configuration asks for:" +
      " use the usual path or address, or build it with others (see compile.sh)";
  }
  return "";
}

/** Logs the file that the configuration is from, and its warnings. */
export function logConfigPath(configuration: Configuration, log: Log): void {
  const { path } = configuration;
  if (path === undefined) log("info", "No provided or default config file found - proceeding without");
  else log("info", `Using ${path === defaultConfigPath ? "default config" : "config"} file ${path}`);
  logWarnings(configuration, log);
}

/** Logs the warnings about a configuration, and the faults that keep parts of it from working. */
export function logWarnings({ warnings, faults }: Configuration, log: Log): void {
  for (const warning of warnings) log("warn", warning);
  for (const fault of faults) log("error", fault);
}
