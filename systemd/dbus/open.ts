/**
 * Opens systemd over D-Bus.
 *
 * @module
 */

import type { Systemd } from "../port.ts";
import { QuadletSystemd } from "../quadlet/client.ts";
import { openQuadletGenerator } from "../quadlet/generator.ts";
import { isQuadlet } from "../unit_name.ts";
import { openUnitDirectory } from "../unit_directory.ts";
import { openBusConnector } from "./dbus_next.ts";
import { journalLoadLog } from "./load_log.ts";
import type { Log } from "../../runtime/log.ts";
import { DbusSystemd } from "./client.ts";

export { userBusAdvice } from "./dbus_next.ts";

/** Options of {@link openSystemd}. */
export interface SystemdOptions {
  /** fleet's directory of unit files; created, mode 0755, if it is missing. */
  readonly unitsDirectory: string;
  /** The same directory as systemd sees it, where systemd has another root file system than this process. */
  readonly unitsDirectoryForSystemd?: string;
  /** `system`, `user`, or a D-Bus address, for example `unix:path=/run/dbus/system_bus_socket`. */
  readonly bus: "system" | "user" | (string & Record<never, never>);
  readonly log: Log;
  /** The root file system with systemd's journal, if it is not this process's own. */
  readonly journalRoot?: string;
  /** fleet's own directory of Quadlet files, below one that podman's generator searches; without it, there are none. */
  readonly quadletDirectory?: string;
  /** Deadline of one call; 25 s by default, as in sd_bus_call(3). A reload has a longer one. */
  readonly requestTimeout_ms?: number;
}

/**
 * Returns a {@link Systemd} that connects at first use, or at `ready()`. Throws `SystemdError`, code `unavailable`, if the
 * environment has no address of the user bus.
 */
export function openSystemd(options: SystemdOptions): Systemd {
  const { unitsDirectory, bus, log, journalRoot, quadletDirectory, requestTimeout_ms = 25_000 } = options;
  const directory = openUnitDirectory(
    unitsDirectory,
    (name) => log("warn", `Found unrecognized file in ${unitsDirectory}, ignoring: ${name}`),
  );
  const systemd = new DbusSystemd({
    connector: openBusConnector({ bus, timeout_ms: requestTimeout_ms }),
    directory,
    pathForSystemd: (options.unitsDirectoryForSystemd ?? directory.path).replace(/\/+$/, ""),
    ...quadletDirectory !== undefined && { generatedFrom: quadletDirectory },
    log,
    loadLog: journalLoadLog({ bus, ...(journalRoot !== undefined && { root: journalRoot }) }),
  });
  if (quadletDirectory === undefined) return systemd;
  return new QuadletSystemd({
    systemd,
    directory: openUnitDirectory(
      quadletDirectory,
      (name) => log("warn", `Found unrecognized file in ${quadletDirectory}, ignoring: ${name}`),
      isQuadlet,
    ),
    generator: openQuadletGenerator(bus === "user" ? "user" : "system"),
  });
}
