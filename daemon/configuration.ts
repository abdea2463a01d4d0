/**
 * Where the configuration comes from: fleet.conf and the environment. 🚪
 *
 * @module
 */

import { type Config, ConfigError, parseConfig, type Parsed } from "./config.ts";

/** The file that is read where none is named. */
export const defaultConfigPath = "/etc/fleet/fleet.conf";

/** A configuration, the file it was read from, if there was one, and what the TLS files hold that it names for etcd. */
export interface Configuration extends Parsed {
  readonly path?: string;
  readonly etcdTls?: TlsTexts;
}

/**
 * Reads the configuration anew. `path`: this file, which has to be there; if left out the usual one, if it is there; null
 * for none. `variables` win over the environment's. Throws {@link ConfigError} when it cannot be used, also when a file
 * that it names cannot be read.
 */
export async function readConfiguration(
  path?: string | null,
  variables: Readonly<Record<string, string>> = {},
): Promise<Configuration> {
  const chosen = path ?? defaultConfigPath;
  const text = path === null ? undefined : await readConfigFile(chosen, path !== undefined);
  const file = text === undefined ? {} : { file: { path: chosen, text } };
  const parsed = parseConfig({ ...file, env: { ...Deno.env.toObject(), ...variables } });
  const etcdTls = await readTls(parsed.config, parsed.sources);
  return { ...parsed, ...(text !== undefined && { path: chosen }), ...(etcdTls && { etcdTls }) };
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

/** The PEM texts that a configuration names; undefined if it names none. */
export interface TlsTexts {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Reads the PEM files of a configuration. Throws {@link ConfigError} that names option, source and path. */
async function readTls(
  config: Config,
  sources: ReadonlyMap<string, string>,
): Promise<TlsTexts | undefined> {
  if (config.registry !== "etcd") return undefined;
  const problems: string[] = [];
  let cause: unknown;
  const read = async (option: string, path: string) => {
    try {
      return path === "" ? undefined : await Deno.readTextFile(path);
    } catch (error) {
      const source = sources.get(option);
      const at = source === undefined ? "" : `${source}: `;
      problems.push(`${at}option ${option}: cannot read ${path}: ${(error as Error).message}`);
      cause ??= error;
      return undefined;
    }
  };
  const ca = await read("etcd_cafile", config.etcdCafile);
  const cert = await read("etcd_certfile", config.etcdCertfile);
  const key = await read("etcd_keyfile", config.etcdKeyfile);
  if (problems.length > 0) throw new ConfigError(problems, { cause });
  if (ca === undefined && cert === undefined && key === undefined) return undefined;
  return { ...(ca !== undefined && { ca }), ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) };
}
