/**
 * The files by which the API tells strangers from friends: certificates and tokens. 🚪
 *
 * @module
 */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
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
  const [certificate] = certificatesOf(cert, `${at(sources, "api_certfile")}api_certfile ${config.apiCertfile}`);
  const named = `${at(sources, "api_keyfile")}api_keyfile ${config.apiKeyfile}`;
  if (!certificate.checkPrivateKey(privateKeyOf(key, named))) {
    throw new Error(`${named}: it is not the key of the certificate in ${config.apiCertfile}`);
  }
  if (clientCa === undefined) return { cert, key };
  certificatesOf(clientCa, `${at(sources, "api_client_cafile")}api_client_cafile ${config.apiClientCafile}`);
  return { cert, key, clientCa };
}

/** Node would take a file that makes no sense, and then refuse each handshake without a word. */
function certificatesOf(text: string, named: string): [X509Certificate, ...X509Certificate[]] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  try {
    const [first, ...rest] = blocks.map((block) => new X509Certificate(block));
    if (first) return [first, ...rest];
  } catch (error) {
    throw new Error(`${named}: a certificate in it cannot be read`, { cause: error });
  }
  throw new Error(`${named}: there is no certificate in it (PEM, "-----BEGIN CERTIFICATE-----")`);
}

function privateKeyOf(text: string, named: string): KeyObject {
  try {
    // A file may hold the certificate as well, which TLS does not mind.
    const [block = text] = /-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*-----END [A-Z ]*PRIVATE KEY-----/.exec(text) ?? [];
    return createPrivateKey(block);
  } catch (error) {
    throw new Error(`${named}: it is no private key that can be read (PEM, without a passphrase)`, { cause: error });
  }
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
