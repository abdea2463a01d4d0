/**
 * The credentials of the API: the server's certificate, and what clients authenticate with. Pure.
 *
 * @module
 */

import { messageOf } from "../../../runtime/log.ts";
import { ConfigError } from "../../config/fleet_conf.ts";
import type { Configuration } from "../../config/load.ts";
import { at } from "../../config/named_files.ts";
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

/** Returns the credentials of a configuration. Throws a ConfigError that names the option and the file of malformed tokens. */
export function credentialsOf(configuration: Configuration): Credentials {
  const { config, apiTls: { ca, cert, key } = {} } = configuration;
  const tokens = tokensOf(configuration);
  return {
    policy: {
      ...(tokens && { tokens }),
      ...(ca !== undefined && { clientCertificates: true }),
      ...(config.apiInsecure && { insecure: true }),
    },
    ...(cert !== undefined && key !== undefined && { tls: { cert, key, ...(ca !== undefined && { clientCa: ca }) } }),
  };
}

function tokensOf({ apiTokens, config, sources, warnings, faults }: Configuration): Tokens | undefined {
  try {
    return apiTokens === undefined ? undefined : Tokens.parse(apiTokens);
  } catch (error) {
    const named = `${at(sources, "api_tokens_file")}api_tokens_file ${config.apiTokensFile}`;
    throw new ConfigError(`${named}: ${messageOf(error)}`, { warnings, faults });
  }
}
