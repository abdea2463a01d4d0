/**
 * Loads the configuration from fleet.conf and the environment. An adapter.
 *
 * @module
 */

import { ConfigError } from "./fleet_conf.ts";
import { type Parsed, readOptions } from "./options.ts";
import { inspectFiles, type Inspection } from "./named_files.ts";
import { openFileWarnings } from "./open_files.ts";

/** The file that is read if none is named. */
export const defaultConfigPath = "/etc/fleet/fleet.conf";

/** A configuration, the file that it was read from, and the contents of the files that it names. */
export interface Configuration extends Parsed, Omit<Inspection, "problems" | "cause"> {
  readonly path?: string;
}

/**
 * Reads the configuration. `path` names a file that must exist; undefined means the default file, if it exists, and null
 * means no file. `variables` take precedence over the environment. Throws {@link ConfigError} if the configuration, or a
 * file that it names, cannot be used.
 */
export async function readConfiguration(
  path?: string | null,
  variables: Readonly<Record<string, string>> = {},
): Promise<Configuration> {
  const chosen = path ?? defaultConfigPath;
  const text = path === null ? undefined : await readConfigFile(chosen, path !== undefined);
  const file = text === undefined ? undefined : { path: chosen, text };
  const read = readOptions({ ...file && { file }, env: { ...Deno.env.toObject(), ...variables } });
  const { cause, ...files } = await inspectFiles(read, Date.now());
  const problems = [...read.problems, ...files.problems];
  const isUsable = problems.length + files.faults.length === 0;
  const open = isUsable ? await openFileWarnings({ ...read, file: file?.path }) : [];
  const warnings = [...read.warnings, ...files.warnings, ...open];
  const { config, sources, texts } = read;
  if (problems.length > 0 || !config) throw new ConfigError(problems, { cause, warnings, faults: files.faults });
  return { ...files, ...{ config, sources, texts, warnings }, ...(text !== undefined && { path: chosen }) };
}

async function readConfigFile(path: string, mustExist: boolean): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (!mustExist && error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.IsADirectory) {
      throw new ConfigError(`Provided config ${path} is a directory, not a file`);
    }
    throw new ConfigError(`Unable to use config file ${path}: ${(error as Error).message}`);
  }
}

/** Removes proxies from the environment: fetch and gRPC reach etcd and other daemons directly, as fleet 1.0 does. */
export function ignoreProxies(): void {
  for (const name of ["http_proxy", "https_proxy", "all_proxy", "grpc_proxy"]) {
    Deno.env.delete(name);
    Deno.env.delete(name.toUpperCase());
  }
}
