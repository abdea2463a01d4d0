/**
 * The credentials of the API: the server's certificate, and what clients authenticate with.
 *
 * @module
 */

import { messageOf } from "../../../runtime/log.ts";
import type { Config } from "../../config/options.ts";
import { at, readNamed, type Sources } from "../../config/named_files.ts";
import { certificatesOf, privateKeyOf } from "../../config/pem.ts";
import type { Policy } from "./policy.ts";
import { Tokens } from "./tokens.ts";

/** The TLS of a server, in PEM. With `clientCa`, clients are asked for a certificate of that authority. */
export interface ServerTls {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string;
}

/** The access policy and TLS of network addresses: without `tls`, connections are in plain text. */
export interface Credentials {
  readonly policy: Policy;
  readonly tls?: ServerTls;
}

/** The options that control access to the API from the network. */
export type AccessConfig = Pick<
  Config,
  "apiCertfile" | "apiKeyfile" | "apiClientCafile" | "apiTokensFile" | "apiInsecure"
>;

/** Reads the files that the configuration names. Throws, naming the option, its source and the file, if one cannot be read. */
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

async function readTls(config: AccessConfig, sources: Sources): Promise<ServerTls | undefined> {
  if (config.apiCertfile === "") return undefined;
  const [cert, key, clientCa] = await Promise.all([
    readNamed("api_certfile", config.apiCertfile, sources),
    readNamed("api_keyfile", config.apiKeyfile, sources),
    config.apiClientCafile === "" ? undefined : readNamed("api_client_cafile", config.apiClientCafile, sources),
  ]);
  const [certificate] = certificatesOf(cert, `${at(sources, "api_certfile")}api_certfile ${config.apiCertfile}`);
  const named = `${at(sources, "api_keyfile")}api_keyfile ${config.apiKeyfile}`;
  if (!certificate.checkPrivateKey(privateKeyOf(key, named))) {
    throw new Error(`${named}: it is not the key of the certificate in ${config.apiCertfile}`);
  }
  if (clientCa === undefined) return { cert, key };
  certificatesOf(clientCa, `${at(sources, "api_client_cafile")}api_client_cafile ${config.apiClientCafile}`);
  return { cert, key, clientCa };
}

async function readTokens(path: string, sources: Sources): Promise<Tokens | undefined> {
  if (path === "") return undefined;
  const text = await readNamed("api_tokens_file", path, sources);
  try {
    return Tokens.parse(text);
  } catch (error) {
    throw new Error(`${at(sources, "api_tokens_file")}api_tokens_file ${path}: ${messageOf(error)}`);
  }
}
