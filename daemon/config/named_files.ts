/**
 * Reads and checks the files and folders that the configuration names. An adapter.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { messageOf } from "../../runtime/log.ts";
import { certificatesOf, privateKeyOf, whyInvalid } from "./pem.ts";

/** The source of each option, by its name. */
export type Sources = ReadonlyMap<string, string>;

/** Returns the source of an option as the beginning of a message; "" if it is not known. */
export function at(sources: Sources, option: string): string {
  const source = sources.get(option);
  return source === undefined ? "" : `${source}: `;
}

/** Reads a file that an option names. Throws an error that names option, source and file, and says what to do. */
export async function readNamed(option: string, path: string, sources: Sources = new Map()): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const isDenied = (error as { code?: string }).code === "EACCES";
    const uid = Deno.uid();
    const advice = isDenied ? `; fleetd runs as user ID ${uid}: let it read the file, by chown ${uid} ${path}` : "";
    throw new Error(`${at(sources, option)}cannot read ${path}, the file that ${option} names${advice}`, {
      cause: error,
    });
  }
}

/** PEM texts of a client. */
export interface PemTexts {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Findings of {@link inspectFiles}. */
export interface Inspection {
  /** Mistakes with which the daemon cannot start. */
  readonly problems: readonly string[];
  /** Mistakes with which the daemon can start, but a part of it does not work. */
  readonly faults: readonly string[];
  readonly warnings: readonly string[];
  /** The contents of the TLS files for etcd, and for the API; undefined if none is named. */
  readonly etcdTls?: PemTexts;
  readonly apiTls?: PemTexts;
  /** The contents of `api_tokens_file`. */
  readonly apiTokens?: string;
  /** The error of the first file that could not be read. */
  readonly cause?: unknown;
}

const groups = {
  etcd: { ca: "etcd_cafile", cert: "etcd_certfile", key: "etcd_keyfile" },
  api: { ca: "api_client_cafile", cert: "api_certfile", key: "api_keyfile" },
  peer: { ca: "api_peer_cafile", cert: "api_peer_certfile", key: "api_peer_keyfile" },
} as const;

/** Reads and checks every file that a configuration names. `texts`: the options as written, by name. */
export async function inspectFiles(
  { texts, sources }: { readonly texts: ReadonlyMap<string, string>; readonly sources: Sources },
  now_ms: number,
): Promise<Inspection> {
  const usesEtcd = texts.get("registry") === "etcd";
  const open = () => new NamedFiles(texts, sources, now_ms);
  const [etcd, api, peer] = [open(), open(), open()];
  const [etcdTls, apiTls, apiTokens] = await Promise.all([
    usesEtcd ? etcd.tls(groups.etcd) : undefined,
    api.tls(groups.api),
    api.read("api_tokens_file"),
    peer.tls(groups.peer),
    peer.checkToken("api_peer_token_file"),
  ]);
  const folders = ["units_directory", ...usesEtcd ? [] : ["state_directory"]];
  const [cause] = [...etcd.causes, ...api.causes];
  return {
    problems: [...etcd.problems, ...api.problems],
    faults: [...peer.problems, ...folders.flatMap((option) => inspectFolder(option, texts, sources))],
    warnings: [etcd, api, peer].flatMap(({ warnings }) => warnings),
    ...(etcdTls && { etcdTls }),
    ...(apiTls && { apiTls }),
    ...(apiTokens !== undefined && { apiTokens }),
    ...(cause !== undefined && { cause }),
  };
}

/** The files of one purpose. */
class NamedFiles {
  readonly problems: string[] = [];
  readonly warnings: string[] = [];
  readonly causes: unknown[] = [];

  constructor(
    private readonly texts: ReadonlyMap<string, string>,
    private readonly sources: Sources,
    private readonly now_ms: number,
  ) {}

  /** Reads and checks TLS files. Returns undefined if none is named. */
  async tls(options: (typeof groups)[keyof typeof groups]): Promise<PemTexts | undefined> {
    const ca = await this.read(options.ca);
    const cert = await this.read(options.cert);
    const key = await this.read(options.key);
    if (ca !== undefined) this.#certificates(options.ca, ca);
    const [certificate] = cert === undefined ? [] : this.#certificates(options.cert, cert);
    const privateKey = key === undefined ? undefined : this.#attempt(() => privateKeyOf(key, this.#named(options.key)));
    if (certificate && privateKey && !certificate.checkPrivateKey(privateKey)) {
      this.problems.push(
        `${this.#named(options.key)}: it is not the key of the certificate in ${this.texts.get(options.cert)}`,
      );
    }
    const found = { ...(ca !== undefined && { ca }), ...(cert !== undefined && { cert }), ...(key && { key }) };
    return Object.keys(found).length > 0 ? found : undefined;
  }

  async checkToken(option: string): Promise<void> {
    const text = await this.read(option);
    if (text === undefined || /^[!-~]+$/.test(text.trim())) return;
    this.problems.push(`${this.#named(option)}: expected one token in it, and nothing else`);
  }

  /** Reads the file that an option names; undefined if it names none, or the file cannot be read. */
  async read(option: string): Promise<string | undefined> {
    const path = this.texts.get(option);
    if (!path) return undefined;
    try {
      return await readNamed(option, path, this.sources);
    } catch (error) {
      this.problems.push(messageOf(error));
      this.causes.push(error);
      return undefined;
    }
  }

  #certificates(option: string, text: string) {
    const all = this.#attempt(() => certificatesOf(text, this.#named(option))) ?? [];
    for (const certificate of all) {
      const why = whyInvalid(certificate, this.now_ms);
      if (why !== undefined) this.warnings.push(`${this.#named(option)}: ${why}`);
    }
    return all;
  }

  #attempt<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.problems.push(messageOf(error));
      return undefined;
    }
  }

  #named(option: string): string {
    return `${at(this.sources, option)}${option} ${this.texts.get(option)}`;
  }
}

/** Checks a folder against the permissions of this build, which say where fleetd may write. */
function inspectFolder(option: string, texts: ReadonlyMap<string, string>, sources: Sources): string[] {
  const path = texts.get(option);
  if (!path?.startsWith("/") || Deno.permissions.querySync({ name: "write", path }).state === "granted") return [];
  return [
    `${at(sources, option)}option ${option} "${path}": this fleetd may not write there: ` +
    "name a folder below /run/fleet (units_directory) or /var/lib/fleet (state_directory), " +
    "or build it with other permissions (see compile.sh)",
  ];
}
