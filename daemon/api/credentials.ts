/**
 * The files by which the API tells strangers from friends: certificates and tokens. 🚪
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { messageOf } from "../../registry/log.ts";
import type { Config } from "../config.ts";
import type { Credentials, TlsTexts } from "./server.ts";
import { Tokens } from "./tokens.ts";

/** The options that say who may use the API from the network. */
export type AccessConfig = Pick<
  Config,
  "apiCertfile" | "apiKeyfile" | "apiClientCafile" | "apiTokensFile" | "apiInsecure"
>;

/** Reads what the configuration names. Throws, naming option and file, when something cannot be read. */
export async function readCredentials(config: AccessConfig): Promise<Credentials> {
  const tls = await readTls(config);
  const tokens = await readTokens(config.apiTokensFile);
  return {
    policy: {
      ...(tokens ? { tokens } : {}),
      ...(tls?.clientCa === undefined ? {} : { clientCertificates: true }),
      ...(config.apiInsecure ? { insecure: true } : {}),
    },
    ...(tls ? { tls } : {}),
  };
}

async function readTls(config: AccessConfig): Promise<TlsTexts | undefined> {
  if (config.apiCertfile === "") return undefined;
  const [cert, key, clientCa] = await Promise.all([
    readNamed("api_certfile", config.apiCertfile),
    readNamed("api_keyfile", config.apiKeyfile),
    config.apiClientCafile === "" ? undefined : readNamed("api_client_cafile", config.apiClientCafile),
  ]);
  return { cert, key, ...(clientCa === undefined ? {} : { clientCa }) };
}

async function readTokens(path: string): Promise<Tokens | undefined> {
  if (path === "") return undefined;
  const text = await readNamed("api_tokens_file", path);
  try {
    return Tokens.parse(text);
  } catch (error) {
    throw new Error(`api_tokens_file ${path}: ${messageOf(error)}`, { cause: error });
  }
}

async function readNamed(option: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`cannot read ${path}, the file that ${option} names`, { cause: error });
  }
}
