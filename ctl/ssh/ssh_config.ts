/**
 * What fleetctl honours of ~/.ssh/config: HostName, User, Port, IdentityFile, IdentitiesOnly, ProxyJump (ssh_config(5)).
 *
 * @module
 */

import { matchesPatterns } from "./known_hosts.ts";

/** What the configuration says of one host; what it leaves open is undefined. */
export interface HostConfig {
  readonly hostName?: string;
  readonly user?: string;
  readonly port?: number;
  /** Paths as written. */
  readonly identityFiles: readonly string[];
  readonly identitiesOnly: boolean;
  /** Hosts to go through, in order; each `[user@]host[:port]`. */
  readonly jumps: readonly string[];
}

/** One `Host` block: for which hosts, and its options in order. */
export interface ConfigBlock {
  /** Whitespace-separated patterns; undefined for a `Match` block, of which only `Match all` is understood. */
  readonly patterns: readonly string[] | undefined;
  readonly options: readonly { readonly name: string; readonly value: string }[];
}

/** Reads a file. What stands before the first block is for every host. */
export function parseSshConfig(text: string): ConfigBlock[] {
  const blocks: { patterns: readonly string[] | undefined; options: { name: string; value: string }[] }[] = [
    { patterns: ["*"], options: [] },
  ];
  for (const line of text.split("\n")) {
    const parts = /^\s*([A-Za-z0-9]+)\s*[\s=]\s*(.*?)\s*$/.exec(line);
    if (!parts) continue;
    const name = (parts[1] as string).toLowerCase();
    const value = unquote(parts[2] as string);
    if (name === "host") blocks.push({ patterns: (parts[2] as string).split(/\s+/).map(unquote), options: [] });
    else if (name === "match") blocks.push({ patterns: value === "all" ? ["*"] : undefined, options: [] });
    else blocks.at(-1)?.options.push({ name, value });
  }
  return blocks;
}

/** What the configuration says of a host: for each option the first value, but every IdentityFile. */
export function hostConfig(blocks: readonly ConfigBlock[], host: string): HostConfig {
  const list = (patterns: readonly string[]) => patterns.join(",");
  const options = blocks.filter(({ patterns }) => patterns && matchesPatterns(list(patterns), host.toLowerCase()))
    .flatMap((block) => block.options);
  const first = (name: string) => options.find((option) => option.name === name)?.value;
  const port = Number(first("port"));
  const jumps = first("proxyjump") ?? "none";
  const hostName = first("hostname");
  const user = first("user");
  return {
    ...(hostName === undefined ? {} : { hostName: hostName.replaceAll("%h", host).replaceAll("%%", "%") }),
    ...(user === undefined ? {} : { user }),
    ...(isPort(port) ? { port } : {}),
    identityFiles: options.filter(({ name }) => name === "identityfile").map(({ value }) => value)
      .filter((path) => path !== "none"),
    identitiesOnly: first("identitiesonly") === "yes",
    jumps: jumps === "none" ? [] : jumps.split(",").map((jump) => jump.trim()),
  };
}

/** `[user@]host[:port]`, with an IPv6 address between brackets if a port follows. */
export interface HostSpec {
  readonly host: string;
  readonly user?: string;
  readonly port?: number;
}

/** Takes `[user@]host[:port]` apart. Undefined if it is none. */
export function parseHostSpec(text: string): HostSpec | undefined {
  const at = text.lastIndexOf("@");
  const user = at > 0 ? { user: text.slice(0, at) } : {};
  const rest = text.slice(at + 1);
  const parts = /^\[([^\]]+)\](?::(\d+))?$/.exec(rest) ?? /^([^:]+)(?::(\d+))?$/.exec(rest) ??
    /^([^:[\]]*:[^[\]]*:[^[\]]*)$/.exec(rest);
  if (!parts) return undefined;
  const port = parts[2] === undefined ? undefined : Number(parts[2]);
  if (port !== undefined && !isPort(port)) return undefined;
  return { host: parts[1] as string, ...user, ...(port === undefined ? {} : { port }) };
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65536;
}

function unquote(text: string): string {
  return /^"(.*)"$/.exec(text)?.[1] ?? text;
}
