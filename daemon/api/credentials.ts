/**
 * The files by which the API tells strangers from friends: certificates and tokens. 🚪
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { messageOf } from "../../registry/log.ts";
import type { Config } from "../config.ts";
import type { Credentials, TlsTexts } from "./door.ts";
import { Tokens } from "./tokens.ts";

/** The options that say who may use the API from the network. */
export type AccessConfig = Pick<
  Config,
  "apiCertfile" | "apiKeyfile" | "apiClientCafile" | "apiTokensFile" | "apiInsecure"
>;

/** Where each option was set. */
type Sources = ReadonlyMap<string, string>;

/** Reads what the configuration names. Throws, naming option, its source and file, when something cannot be read. */
export async function readCredentials(config: AccessConfig, sources: Sources = new Map()): Promise<Credentials> {
  const tls = await readTls(config, sources);
  const tokens = await readTokens(config.apiTokensFile, sources);
  return {
    policy: {
      ...(tokens ? { tokens } : {}),
      ...(tls?.clientCa === undefined ? {} : { clientCertificates: true }),
      ...(config.apiInsecure ? { insecure: true } : {}),
    },
    ...(tls ? { tls } : {}),
  };
}

async function readTls(config: AccessConfig, sources: Sources): Promise<TlsTexts | undefined> {
  if (config.apiCertfile === "") return undefined;
  const [cert, key, clientCa] = await Promise.all([
    readNamed("api_certfile", config.apiCertfile, sources),
    readNamed("api_keyfile", config.apiKeyfile, sources),
    config.apiClientCafile === "" ? undefined : readNamed("api_client_cafile", config.apiClientCafile, sources),
  ]);
  return { cert, key, ...(clientCa === undefined ? {} : { clientCa }) };
}

async function readTokens(path: string, sources: Sources): Promise<Tokens | undefined> {
  if (path === "") return undefined;
  const text = await readNamed("api_tokens_file", path, sources);
  try {
    return Tokens.parse(text);
  } catch (error) {
    throw new Error(`${at(sources, "api_tokens_file")}api_tokens_file ${path}: ${messageOf(error)}`, { cause: error });
  }
}

async function readNamed(option: string, path: string, sources: Sources): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`${at(sources, option)}cannot read ${path}, the file that ${option} names`, { cause: error });
  }
}

function at(sources: Sources, option: string): string {
  const source = sources.get(option);
  return source === undefined ? "" : `${source}: `;
}
