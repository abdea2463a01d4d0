/**
 * Opens the real systemd.
 *
 * @module
 */

import type { Systemd } from "../port.ts";
import { openUnitDirectory } from "../unit_directory.ts";
import { openBusConnector } from "./dbus_next.ts";
import { journalLoadLog } from "./load_log.ts";
import { DbusSystemd, type SystemdLog } from "./client.ts";

export type { SystemdLog } from "./client.ts";
export { userBusAdvice } from "./dbus_next.ts";

/** Where systemd is and what it shares with fleet. */
export interface SystemdOptions {
  /** fleet's directory of unit files; created, mode 0755, if it is missing. */
  readonly unitsDirectory: string;
  /** The same directory as systemd sees it, where systemd has another root file system than this process. */
  readonly unitsDirectoryForSystemd?: string;
  /** `system`, `user`, or a D-Bus address, for example `unix:path=/run/dbus/system_bus_socket`. */
  readonly bus: "system" | "user" | (string & Record<never, never>);
  readonly log: SystemdLog;
  /** The root file system whose journal systemd logs to, where it is not this process's own. */
  readonly journalRoot?: string;
  /** Deadline of one call; 25 s if absent, the default of sd_bus_call(3). A reload has more. */
  readonly requestTimeout_ms?: number;
}

/**
 * The real {@link Systemd}. Connects at first use, or at `ready()`. Throws `SystemdError`, code `unavailable`, if the
 * user bus is asked for and the environment does not say where it is.
 */
export function openSystemd(options: SystemdOptions): Systemd {
  const { unitsDirectory, bus, log, journalRoot, requestTimeout_ms = 25_000 } = options;
  const directory = openUnitDirectory(
    unitsDirectory,
    (name) => log("warn", `Found unrecognized file in ${unitsDirectory}, ignoring: ${name}`),
  );
  return new DbusSystemd({
    connector: openBusConnector({ bus, timeout_ms: requestTimeout_ms }),
    directory,
    pathForSystemd: (options.unitsDirectoryForSystemd ?? directory.path).replace(/\/+$/, ""),
    log,
    loadLog: journalLoadLog({ bus, ...(journalRoot !== undefined && { root: journalRoot }) }),
  });
}
