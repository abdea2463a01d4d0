/**
 * The known_hosts file of OpenSSH: sshd(8), section SSH_KNOWN_HOSTS FILE FORMAT.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash, createHmac } from "node:crypto";

/** One line of a known_hosts file. */
export interface KnownHost {
  /** `@revoked`, `@cert-authority`, or "" for the key of a host. */
  readonly marker: string;
  /** The hosts that the line matches: patterns between commas, or one hashed name. */
  readonly hosts: string;
  /** Type of the key, for example `ssh-ed25519`. */
  readonly type: string;
  /** The key, base64. */
  readonly key: string;
  /** Line number, from 1. */
  readonly line: number;
}

/** A host whose key is looked up. */
export interface HostName {
  /** Its address, and the name that the user gave if it differs. */
  readonly names: readonly string[];
  readonly port: number;
}

/** The key that a host presents. */
export interface HostKey {
  readonly type: string;
  /** The key in its wire format, base64. */
  readonly key: string;
}

/** Result of looking up a host's key. */
export type HostVerdict =
  | { readonly verdict: "known" }
  /** `authority` is the line of a certificate authority for the host, if there is one. */
  | { readonly verdict: "unknown"; readonly authority?: number }
  | { readonly verdict: "changed" | "revoked"; readonly line: number };

/** Parses a file. Malformed lines are skipped, as OpenSSH does. */
export function parseKnownHosts(text: string): KnownHost[] {
  return text.split("\n").flatMap((content, index) => {
    const words = content.trim().split(/\s+/);
    const marker = words[0]?.startsWith("@") ? words.shift() as string : "";
    const [hosts = "", type = "", key = ""] = words;
    if (hosts === "" || hosts.startsWith("#") || !/^[A-Za-z0-9+/]+=*$/.test(key)) return [];
    return [{ marker, hosts, type, key, line: index + 1 }];
  });
}

/** Looks up the key that a host presents. A revoked key is refused even if another line lists it as a valid key. */
export function lookUpHostKey(entries: readonly KnownHost[], host: HostName, presented: HostKey): HostVerdict {
  const matching = entries.filter((entry) => matchesHost(entry, host));
  const isPresented = (entry: KnownHost) => entry.type === presented.type && entry.key === presented.key;
  const revoked = matching.find((entry) => entry.marker === "@revoked" && isPresented(entry));
  if (revoked) return { verdict: "revoked", line: revoked.line };
  const plain = matching.filter((entry) => entry.marker === "");
  if (plain.some(isPresented)) return { verdict: "known" };
  if (plain[0]) return { verdict: "changed", line: plain[0].line };
  const authority = matching.find((entry) => entry.marker === "@cert-authority");
  return { verdict: "unknown", ...(authority ? { authority: authority.line } : {}) };
}

/** Returns the types of the keys known for a host, which are to be negotiated first. */
export function knownKeyTypes(entries: readonly KnownHost[], host: HostName): string[] {
  const plain = entries.filter((entry) => entry.marker === "" && matchesHost(entry, host));
  return [...new Set(plain.map(({ type }) => type))];
}

/** Returns a host's name in known_hosts: `[address]:port` if the port is not 22. */
export function entryName(name: string, port: number): string {
  return port === 22 ? name : `[${name}]:${port}`;
}

/** Returns the line that adds a host. */
export function knownHostLine(host: HostName, { type, key }: HostKey): string {
  return `${entryName(host.names[0] as string, host.port)} ${type} ${key}\n`;
}

/** True if the entry matches the host. */
function matchesHost(entry: KnownHost, { names, port }: HostName): boolean {
  return names.some((name) => {
    const wanted = entryName(name, port).toLowerCase();
    return entry.hosts.startsWith("|") ? isHashOf(entry.hosts, wanted) : matchesPatterns(entry.hosts, wanted);
  });
}

/** `|1|salt|hash`, both base64: an HMAC-SHA1 of the name, keyed with the salt. */
function isHashOf(hashed: string, name: string): boolean {
  const [, version, salt = "", hash] = hashed.split("|");
  return version === "1" && createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest("base64") === hash;
}

/** True if a list of patterns matches a name in lower case; a matching pattern with `!` overrides all others. */
export function matchesPatterns(list: string, name: string): boolean {
  let matches = false;
  for (const pattern of list.toLowerCase().split(",")) {
    if (pattern.startsWith("!") && matchesPattern(pattern.slice(1), name)) return false;
    if (matchesPattern(pattern, name)) matches = true;
  }
  return matches;
}

/** Matches `*` with any text and `?` with one character. */
function matchesPattern(pattern: string, name: string): boolean {
  const source = pattern.replace(/[\\^$.|+()[\]{}]/g, "\\$&").replace(/\*+/g, ".*").replace(/\?/g, ".");
  return new RegExp(`^${source}$`).test(name);
}

/** Returns the name of a key type in messages, as in fleet 1.0. */
export function keyTypeName(type: string): string {
  if (type === "ssh-rsa") return "RSA";
  if (type === "ssh-dss") return "DSA";
  return type.startsWith("ecdsa-sha2-") ? "ECDSA" : type;
}

/** Returns the MD5 of a key in pairs of hex digits, as `ssh-keygen -l -E md5` prints it. */
export function md5Fingerprint(key: string): string {
  const digest = createHash("md5").update(Buffer.from(key, "base64")).digest("hex");
  return (digest.match(/../g) as string[]).join(":");
}

/** Returns the SHA-256 of a key, as `ssh-keygen -l` prints it. */
export function sha256Fingerprint(key: string): string {
  return "SHA256:" + createHash("sha256").update(Buffer.from(key, "base64")).digest("base64").replace(/=+$/, "");
}
