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

/** Checks a configuration file, or the default one. `use` throws a ConfigError if the contents of a named file cannot be used. */
export async function checkConfig(
  path: string | undefined,
  use: (configuration: Configuration) => unknown,
): Promise<CheckedConfig> {
  try {
    const configuration = await readConfiguration(path);
    use(configuration);
    return { warnings: configuration.warnings, errors: configuration.faults, text: effectiveConfig(configuration) };
  } catch (error) {
    const hint = permissionHint(error);
    if (!(error instanceof ConfigError)) return { warnings: [], errors: [`${messageOf(error)}${hint}`], text: "" };
    return {
      warnings: error.warnings,
      errors: [...error.problems.map((problem) => `${problem}${hint}`), ...error.faults],
      text: "",
    };
  }
}
