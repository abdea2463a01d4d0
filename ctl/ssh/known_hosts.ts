/**
 * The keys of hosts, as OpenSSH writes them down: the "SSH_KNOWN_HOSTS FILE FORMAT" section of sshd(8).
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash, createHmac } from "node:crypto";

/** One line of a known_hosts file. */
export interface KnownHost {
  /** `@revoked`, `@cert-authority`, or "" for a plain key. */
  readonly marker: string;
  /** The hosts it is about: patterns between commas, or one hashed name. */
  readonly hosts: string;
  /** Type of the key, `ssh-ed25519`. */
  readonly type: string;
  /** The key, base64. */
  readonly key: string;
  /** Line number, from 1. */
  readonly line: number;
}

/** A host whose key is looked up. */
export interface HostName {
  /** Its address, and the name it was asked for by if that is another. */
  readonly names: readonly string[];
  readonly port: number;
}

/** The key that a host has shown. */
export interface HostKey {
  readonly type: string;
  /** As it went over the wire, base64. */
  readonly key: string;
}

/** What is known of a host's key. */
export type HostVerdict =
  | { readonly verdict: "known" | "unknown" }
  | { readonly verdict: "changed" | "revoked"; readonly line: number };

/** Reads a file. Lines that make no sense are left out, as OpenSSH does. */
export function parseKnownHosts(text: string): KnownHost[] {
  return text.split("\n").flatMap((content, index) => {
    const words = content.trim().split(/\s+/);
    const marker = words[0]?.startsWith("@") ? words.shift() as string : "";
    const [hosts = "", type = "", key = ""] = words;
    if (hosts === "" || hosts.startsWith("#") || !/^[A-Za-z0-9+/]+=*$/.test(key)) return [];
    return [{ marker, hosts, type, key, line: index + 1 }];
  });
}

/** What the entries say of a host that shows this key. A revoked key is refused whatever else they say. */
export function judgeHostKey(entries: readonly KnownHost[], host: HostName, shown: HostKey): HostVerdict {
  const about = entries.filter((entry) => isAbout(entry, host));
  const isShown = (entry: KnownHost) => entry.type === shown.type && entry.key === shown.key;
  const revoked = about.find((entry) => entry.marker === "@revoked" && isShown(entry));
  if (revoked) return { verdict: "revoked", line: revoked.line };
  const plain = about.filter((entry) => entry.marker === "");
  if (plain.some(isShown)) return { verdict: "known" };
  const [other] = plain;
  return other ? { verdict: "changed", line: other.line } : { verdict: "unknown" };
}

/** Types of the keys known for a host: what to ask it for first. */
export function knownKeyTypes(entries: readonly KnownHost[], host: HostName): string[] {
  return [...new Set(entries.filter((entry) => entry.marker === "" && isAbout(entry, host)).map(({ type }) => type))];
}

/** The name under which a host is written down: `[address]:port` where the port is not 22. */
export function entryName(name: string, port: number): string {
  return port === 22 ? name : `[${name}]:${port}`;
}

/** The line that makes a host known. */
export function knownHostLine(host: HostName, { type, key }: HostKey): string {
  return `${entryName(host.names[0] as string, host.port)} ${type} ${key}\n`;
}

/** True if the entry names the host. */
function isAbout(entry: KnownHost, { names, port }: HostName): boolean {
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

/** A list of patterns; one with `!` that matches wins over all others. The name is in lower case. */
export function matchesPatterns(list: string, name: string): boolean {
  let matches = false;
  for (const pattern of list.toLowerCase().split(",")) {
    if (pattern.startsWith("!") && matchesPattern(pattern.slice(1), name)) return false;
    if (matchesPattern(pattern, name)) matches = true;
  }
  return matches;
}

/** `*` stands for any text, `?` for one character. */
function matchesPattern(pattern: string, name: string): boolean {
  const source = pattern.replace(/[\\^$.|+()[\]{}]/g, "\\$&").replace(/\*+/g, ".*").replace(/\?/g, ".");
  return new RegExp(`^${source}$`).test(name);
}

/** A key type as it has always been called in messages. */
export function keyTypeName(type: string): string {
  if (type === "ssh-rsa") return "RSA";
  if (type === "ssh-dss") return "DSA";
  return type.startsWith("ecdsa-sha2-") ? "ECDSA" : type;
}

/** The MD5 of a key, in pairs of hex digits: what `ssh-keygen -l -E md5` prints. */
export function md5Fingerprint(key: string): string {
  const digest = createHash("md5").update(Buffer.from(key, "base64")).digest("hex");
  return (digest.match(/../g) as string[]).join(":");
}

/** The SHA-256 of a key, as `ssh-keygen -l` prints it. */
export function sha256Fingerprint(key: string): string {
  return "SHA256:" + createHash("sha256").update(Buffer.from(key, "base64")).digest("base64").replace(/=+$/, "");
}
