/** Certificates for tests of the API: an authority, a server, and clients of several kinds. */

import { type Credentials, credentialsOf } from "../../daemon/api/auth/credentials.ts";
import { readConfiguration } from "../../daemon/config/load.ts";
import { type Config, options } from "../../daemon/config/options.ts";
import { must } from "../lab/process.ts";

/** The options that control access to the API from the network. */
export type AccessOptions = Partial<
  Pick<Config, "apiCertfile" | "apiKeyfile" | "apiClientCafile" | "apiTokensFile" | "apiInsecure">
>;

/** Reads credentials as a daemon with these options does. */
export async function readCredentials(access: AccessOptions): Promise<Credentials> {
  const variables = Object.entries(access).map(([key, value]) =>
    [`FLEET_${options[key as keyof Config].name.toUpperCase()}`, String(value)] as const
  );
  return credentialsOf(await readConfiguration(null, Object.fromEntries(variables)));
}

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority and the certificates of a test. Each is also a file in `directory`: `NAME.crt`, with its `NAME.key`. */
export interface Authority {
  readonly directory: string;
  readonly ca: string;
  readonly server: Certificate;
  /** A client of the authority. */
  readonly trusted: Certificate;
  /** A client of the authority; its subject has the role for reading. */
  readonly reader: Certificate;
  /** A client of the authority; its subject has an unknown role. */
  readonly misspelt: Certificate;
  /** A client of the authority, whose certificate has expired. */
  readonly expired: Certificate;
  /** A client of another authority. */
  readonly foreign: Certificate;
  /** A certificate of the authority, but for servers only. */
  readonly serving: Certificate;
}

const keyOptions = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** Creates an authority and its certificates with openssl, in a new directory. `names`: the alternative names of every certificate. */
export async function makeAuthority(names = "IP:127.0.0.1,DNS:localhost"): Promise<Authority> {
  const directory = await Deno.makeTempDir({ prefix: "fleet-tls-" });
  const path = (name: string) => `${directory}/${name}`;
  const authority = (name: string) =>
    must([
      ...["openssl", "req", "-x509", ...keyOptions, "-days", "2", "-subj", `/CN=${name}`],
      ...["-keyout", path(`${name}.key`), "-out", path(`${name}.crt`)],
    ]);
  await Promise.all(["ours", "theirs"].map(authority));
  await Deno.writeTextFile(path("names"), `subjectAltName=${names}\n`);
  await Deno.writeTextFile(path("serving"), "extendedKeyUsage=serverAuth\n");
  const sign = async (
    name: string,
    by: string,
    validity: readonly string[] = ["-days", "2"],
    organizations = "",
    extensions = "names",
  ): Promise<Certificate> => {
    await must([
      ...["openssl", "req", ...keyOptions, "-subj", `${organizations}/CN=${name}`],
      ...["-keyout", path(`${name}.key`), "-out", path(`${name}.csr`)],
    ]);
    await must([
      ...["openssl", "x509", "-req", "-in", path(`${name}.csr`), "-CA", path(`${by}.crt`), "-CAkey", path(`${by}.key`)],
      ...["-set_serial", String(1 + Math.floor(Math.random() * 1e9)), "-extfile", path(extensions), ...validity],
      ...["-out", path(`${name}.crt`)],
    ]);
    const [cert, key] = await Promise.all(["crt", "key"].map((kind) => Deno.readTextFile(path(`${name}.${kind}`))));
    return { cert: cert!, key: key! };
  };
  return {
    directory,
    ca: await Deno.readTextFile(path("ours.crt")),
    server: await sign("server", "ours"),
    trusted: await sign("trusted", "ours"),
    reader: await sign("reader", "ours", undefined, "/O=Example Ltd/O=fleet:read"),
    misspelt: await sign("misspelt", "ours", undefined, "/O=fleet:reader"),
    expired: await sign("expired", "ours", ["-days", "-1"]),
    foreign: await sign("foreign", "theirs"),
    serving: await sign("serving", "ours", undefined, "", "serving"),
  };
}
