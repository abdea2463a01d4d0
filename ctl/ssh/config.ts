/**
 * What fleetctl honors of ~/.ssh/config (ssh_config(5)): HostName, HostKeyAlias, User, Port, IdentityFile,
 * CertificateFile, IdentityAgent, IdentitiesOnly, ProxyJump.
 *
 * @module
 */

import { matchesPatterns } from "./known_hosts.ts";

/** What the configuration says of one host; what it leaves open is undefined. */
export interface HostConfig {
  readonly hostName?: string;
  readonly user?: string;
  readonly port?: number;
  /** The name under which the host's key is known. */
  readonly hostKeyAlias?: string;
  /** Path of the agent's socket as written, `none` or `SSH_AUTH_SOCK`. */
  readonly identityAgent?: string;
  /** Paths as written. */
  readonly identityFiles: readonly string[];
  /** Paths as written. */
  readonly certificateFiles: readonly string[];
  readonly identitiesOnly: boolean;
  /** Hosts to go through, in order; each `[user@]host[:port]`. */
  readonly jumps: readonly string[];
  /** Options that decide how to connect and are not supported; `Match` where a block with conditions sets any of them. */
  readonly unsupported: readonly string[];
}

/** Options that decide where a connection goes, or with which key, and are not supported; by their name in lower case. */
const unsupported: Readonly<Record<string, string>> = Object.fromEntries(
  ["AddressFamily", "BindAddress", "BindInterface", "CanonicalizeHostname", "PKCS11Provider", "ProxyCommand"].map((
    name,
  ) => [name.toLowerCase(), name]),
);

/** Options that are honored, by their name in lower case. */
const honored = new Set([
  ...["hostname", "hostkeyalias", "user", "port", "identityfile", "certificatefile", "identityagent", "identitiesonly"],
  "proxyjump",
]);

/** Values that ask for what happens anyway. */
const defaultValues = new Set(["none", "any", "no"]);

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
  const alias = first("hostkeyalias");
  const agent = first("identityagent");
  const all = (name: string) => options.filter((option) => option.name === name).map(({ value }) => value);
  const skipped = blocks.filter(({ conditions }) => conditions.includes(undefined))
    .filter(({ conditions }) => conditions.every((condition) => condition === undefined || met(condition)))
    .flatMap((block) => block.options).filter(({ name }) => honored.has(name) || Object.hasOwn(unsupported, name));
  const asked = [...new Set(options.map(({ name }) => name))].filter((name) => {
    return Object.hasOwn(unsupported, name) && !defaultValues.has((first(name) ?? "").toLowerCase());
  });
  // Whichever of the two comes first counts.
  const jump = options.find(({ name }) => name === "proxyjump" || name === "proxycommand");
  return {
    ...(hostName === undefined ? {} : { hostName: expandTokens("HostName", hostName, { h: host }) }),
    ...(alias === undefined ? {} : { hostKeyAlias: alias }),
    ...(agent === undefined ? {} : { identityAgent: agent }),
    ...(user === undefined ? {} : { user }),
    ...(isPort(port) ? { port } : {}),
    identityFiles: all("identityfile").filter((path) => path !== "none"),
    certificateFiles: all("certificatefile").filter((path) => path !== "none"),
    identitiesOnly: first("identitiesonly") === "yes",
    unsupported: [
      ...asked.filter((name) => name !== "proxycommand" || jump?.name !== "proxyjump")
        .map((name) => unsupported[name] as string),
      ...(skipped.length > 0 ? ["Match"] : []),
    ],
    jumps: jumps === "none" || jump?.name === "proxycommand" ? [] : jumps.split(",").map((jump) => jump.trim()),
  };
}

/**
 * Replaces the tokens of an option's value (ssh_config(5), TOKENS): `%%` by a percent sign, others by what `tokens` has
 * under their letter. Throws an error that names the option and the token if there is none.
 */
export function expandTokens(option: string, value: string, tokens: Readonly<Record<string, string>>): string {
  return value.replace(/%(.?)/gs, (token, letter: string) => {
    if (letter === "%") return "%";
    const text = Object.hasOwn(tokens, letter) ? tokens[letter] : undefined;
    if (text === undefined) throw new Error(`${option} ${value} in ~/.ssh/config: ${token} is not supported there`);
    return text;
  });
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
