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

/** For which hosts a block is: the patterns of its `Host` line; undefined for a `Match` that is not understood. */
export type Condition = readonly string[] | undefined;

/** Options that stand together, in order, and the conditions that must all be met for them to count. */
export interface ConfigBlock {
  readonly conditions: readonly Condition[];
  readonly options: readonly { readonly name: string; readonly value: string }[];
}

/** One line that says something. */
export interface ConfigLine {
  /** In lower case. */
  readonly name: string;
  readonly value: string;
  /** The value's words, without quotes and without a comment behind them. */
  readonly words: readonly string[];
}

/** The lines of a file. */
export function configLines(text: string): ConfigLine[] {
  return text.split("\n").flatMap((line) => {
    const parts = /^\s*([A-Za-z0-9]+)\s*[\s=]\s*(.*?)\s*$/.exec(line);
    if (!parts) return [];
    const [, name, value] = parts as unknown as [string, string, string];
    return [{ name: name.toLowerCase(), value: unquote(value), words: wordsOf(value) }];
  });
}

function wordsOf(value: string): string[] {
  const words = value.match(/"[^"]*"|\S+/g) ?? [];
  const comment = words.findIndex((word) => word.startsWith("#"));
  return (comment < 0 ? words : words.slice(0, comment)).map(unquote);
}

/** The condition that a `Host` or `Match` line begins a block with. Of `Match` only `all` is understood. */
export function conditionOf({ name, words }: ConfigLine): Condition {
  if (name === "host") return words;
  return words.length === 1 && words[0]?.toLowerCase() === "all" ? ["*"] : undefined;
}

/** What the configuration says of a host: for each option the first value, but every IdentityFile. */
export function hostConfig(blocks: readonly ConfigBlock[], host: string): HostConfig {
  const met = (patterns: Condition) =>
    patterns !== undefined && matchesPatterns(patterns.join(","), host.toLowerCase());
  const options = blocks.filter(({ conditions }) => conditions.every(met))
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
