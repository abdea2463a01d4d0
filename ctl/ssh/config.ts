/**
 * The options of ~/.ssh/config (ssh_config(5)) that fleetctl supports: HostName, HostKeyAlias, User, Port, IdentityFile,
 * CertificateFile, IdentityAgent, IdentitiesOnly, ProxyJump.
 *
 * @module
 */

import { matchesPatterns } from "./known_hosts.ts";
import { SshError } from "./port.ts";

/** The configuration of one host; an option that is not set is undefined. */
export interface HostConfig {
  readonly hostName?: string;
  readonly user?: string;
  readonly port?: number;
  /** The name under which the host's key is known. */
  readonly hostKeyAlias?: string;
  /** Path of the agent's socket before expansion, `none` or `SSH_AUTH_SOCK`. */
  readonly identityAgent?: string;
  /** Paths before expansion. */
  readonly identityFiles: readonly string[];
  /** Paths before expansion. */
  readonly certificateFiles: readonly string[];
  readonly identitiesOnly: boolean;
  /** Hosts to connect through, in order; each `[user@]host[:port]`. */
  readonly jumps: readonly string[];
  /** Relevant options that are not supported; `Match` if a block with unsupported conditions sets any relevant option. */
  readonly unsupported: readonly string[];
}

/** Unsupported options that change where a connection goes or which keys are accepted, by their name in lower case. */
const unsupported: Readonly<Record<string, string>> = Object.fromEntries([
  ...["AddressFamily", "BindAddress", "BindInterface", "CanonicalizeHostname", "PKCS11Provider", "ProxyCommand"],
  "RevokedHostKeys",
].map((name) => [name.toLowerCase(), name]));

/** Supported options, by their name in lower case. */
const supported = new Set([
  ...["hostname", "hostkeyalias", "user", "port", "identityfile", "certificatefile", "identityagent", "identitiesonly"],
  "proxyjump",
]);

/** Values of unsupported options that mean the default. */
const defaultValues = new Set(["none", "any", "no"]);

/** The patterns of a block's `Host` line; undefined for an unsupported `Match` line. */
export type HostPatterns = readonly string[] | undefined;

/** Options in order, and the conditions that must all be met for them to apply. */
export interface ConfigBlock {
  readonly conditions: readonly HostPatterns[];
  readonly options: readonly { readonly name: string; readonly value: string }[];
}

/** One option line. */
export interface ConfigLine {
  /** Name in lower case. */
  readonly name: string;
  readonly value: string;
  /** Words of the value, without quotes and a trailing comment. */
  readonly words: readonly string[];
}

/** Parses the option lines of a file. */
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

/** Returns the condition of a `Host` or `Match` line. The only supported `Match` is `Match all`. */
export function conditionOf({ name, words }: ConfigLine): HostPatterns {
  if (name === "host") return words;
  return words.length === 1 && words[0]?.toLowerCase() === "all" ? ["*"] : undefined;
}

/** Returns the configuration of a host: the first value of each option, and every IdentityFile and CertificateFile. */
export function hostConfig(blocks: readonly ConfigBlock[], host: string): HostConfig {
  const isMet = (patterns: HostPatterns) =>
    patterns !== undefined && matchesPatterns(patterns.join(","), host.toLowerCase());
  const options = blocks.filter(({ conditions }) => conditions.every(isMet))
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
    .filter(({ conditions }) => conditions.every((condition) => condition === undefined || isMet(condition)))
    .flatMap((block) => block.options).filter(({ name }) => supported.has(name) || Object.hasOwn(unsupported, name));
  const ignored = [...new Set(options.map(({ name }) => name))].filter((name) => {
    return Object.hasOwn(unsupported, name) && !defaultValues.has((first(name) ?? "").toLowerCase());
  });
  // The first of ProxyJump and ProxyCommand applies.
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
      ...ignored.filter((name) => name !== "proxycommand" || jump?.name !== "proxyjump")
        .map((name) => unsupported[name] as string),
      ...(skipped.length > 0 ? ["Match"] : []),
    ],
    jumps: jumps === "none" || jump?.name === "proxycommand" ? [] : jumps.split(",").map((jump) => jump.trim()),
  };
}

/**
 * Replaces the tokens of an option's value (ssh_config(5), TOKENS): `%%` by a percent sign, others by the text that
 * `tokens` has for their letter. Throws {@link SshError} if it has none.
 */
export function expandTokens(option: string, value: string, tokens: Readonly<Record<string, string>>): string {
  return value.replace(/%(.?)/gs, (token, letter: string) => {
    if (letter === "%") return "%";
    const text = Object.hasOwn(tokens, letter) ? tokens[letter] : undefined;
    if (text === undefined) {
      throw new SshError(`${option} ${value} in ~/.ssh/config: the token ${token} is not supported`);
    }
    return text;
  });
}

/** `[user@]host[:port]`, with an IPv6 address between brackets if a port follows. */
export interface HostSpec {
  readonly host: string;
  readonly user?: string;
  readonly port?: number;
}

/** Parses `[user@]host[:port]`. Returns undefined if the text is malformed. */
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
