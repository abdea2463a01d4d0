/**
 * From the command line to what a daemon starts with. An adapter. It knows Deno's errors.
 *
 * @module
 */

import type { Log } from "../../runtime/log.ts";
import type { Arguments } from "../arguments.ts";
import { type Configuration, defaultConfigPath, readConfiguration } from "../config/load.ts";

/** How a daemon starts. */
export interface Start {
  /** Where the API listens besides the sockets that systemd passes. */
  readonly listen: readonly string[];
  readonly configuration: Configuration;
  /** Reads the configuration anew. */
  readonly configure: () => Promise<Configuration>;
  /** Set for a try: it is kept in memory, its units end with it, and this is said when it is ready. */
  readonly greeting?: string;
  /** Set for a try: removes the daemon's files, when all else is closed. */
  readonly removeFiles?: () => Promise<void>;
}

/** What the command line asks for, read. Throws when it cannot be. */
export async function startOf(command: Extract<Arguments, { kind: "run" | "dev" }>): Promise<Start> {
  if (command.kind === "run") {
    const configure = () => readConfiguration(command.config);
    return { configuration: await configure(), configure, listen: command.listen };
  }
  const { devSetting } = await import("../config/dev.ts");
  const { listen, ...setting } = await devSetting(command.config);
  const configure = async () => (await devSetting(command.config)).configuration;
  return { ...setting, configure, listen: [...listen, ...command.listen] };
}

/** What to do about something that the flags of this build forbid; "" for any other error. */
export function permissionHint(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (!(cause instanceof Deno.errors.NotCapable)) continue;
    return "; the permissions that this fleetd was built with forbid what its configuration asks for:" +
      " use the usual path or address, or build it with others (see compile.sh)";
  }
  return "";
}

/** Logs which file the configuration is from, and what is doubtful in it. */
export function logConfigPath(configuration: Configuration, log: Log): void {
  const { path } = configuration;
  if (path === undefined) log("info", "No provided or default config file found - proceeding without");
  else log("info", `Using ${path === defaultConfigPath ? "default config" : "config"} file ${path}`);
  logWarnings(configuration, log);
}

/** Logs the warnings about a configuration, and what will not work with it. */
export function logWarnings({ warnings, faults }: Configuration, log: Log): void {
  for (const warning of warnings) log("warn", warning);
  for (const fault of faults) log("error", fault);
}
