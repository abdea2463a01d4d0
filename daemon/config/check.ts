/**
 * `fleetd --check-config`: finds the values of all options and everything that is wrong with them.
 *
 * @module
 */

import { messageOf } from "../../runtime/log.ts";
import { ConfigError } from "./fleet_conf.ts";
import { type Configuration, readConfiguration } from "./load.ts";
import { effectiveConfig } from "./print.ts";
import { permissionHint } from "../lifecycle/startup.ts";

/** The result of a check. */
export interface CheckedConfig {
  /** Remarks; the configuration can be used. */
  readonly warnings: readonly string[];
  /** Reasons why the daemon would not start, or why a part of it would not work. */
  readonly errors: readonly string[];
  /** Each option and its source; "" if the configuration cannot be used. */
  readonly text: string;
}

/** Checks a configuration file, or the default one. `readRest` throws if the files that the configuration names cannot be used. */
export async function checkConfig(
  path: string | undefined,
  readRest: (config: Configuration["config"], sources: Configuration["sources"]) => Promise<unknown>,
): Promise<CheckedConfig> {
  try {
    const configuration = await readConfiguration(path);
    const { config, sources, warnings, faults } = configuration;
    const rest = await readRest(config, sources).then(() => [], (error) => [describe(error)]);
    const text = rest.length > 0 ? "" : effectiveConfig(configuration);
    return { warnings, errors: [...faults, ...rest], text };
  } catch (error) {
    if (!(error instanceof ConfigError)) return { warnings: [], errors: [describe(error)], text: "" };
    const hint = permissionHint(error);
    return {
      warnings: error.warnings,
      errors: [...error.problems.map((problem) => `${problem}${hint}`), ...error.faults],
      text: "",
    };
  }
}

function describe(error: unknown): string {
  return `${messageOf(error)}${permissionHint(error)}`;
}
