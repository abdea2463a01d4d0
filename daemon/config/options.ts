/**
 * Reads fleetd's options: the environment wins over the file, and the file over the defaults. Names, defaults and list
 * syntaxes are those of fleet 1.0. Pure.
 *
 * @module
 */

import { hideUserInfo } from "../../runtime/redact.ts";
import { nearest } from "../../runtime/spelling.ts";
import { parseCpu_m, parseMemory_bytes, parseResources } from "../../registry/reservation.ts";
import { parseTimeSpan_ms } from "../../systemd/unit_time_span.ts";
import { ConfigError, readSettings, type Setting } from "./fleet_conf.ts";

/** A configuration with the sources of its values and warnings for the operator. */
export interface Parsed {
  readonly config: Config;
  /** The source of each option's value: `default`, `FILE:LINE` or a variable's name. */
  readonly sources: ReadonlyMap<string, string>;
  /** Each option's value as it was written, by name. */
  readonly texts: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

/** Parses an option's text. Throws an error that names the expected form. */
type Reader<T> = (text: string, warn: (what: string) => void) => T;

/**
 * The part of the daemon that uses an option. `none`: the option is read at each use. `credentials`: the server, whose
 * address is in the machine's record. `never`: running units depend on the option, so that only a restart changes it.
 */
type Part = "none" | "credentials" | "api" | "membership" | "registry" | "store" | "never";

interface Option<T> {
  readonly name: string;
  readonly fallback: string;
  readonly read: Reader<T>;
  readonly part: Part;
  /** Another option that is required with this one. */
  readonly needs: string | undefined;
}

const text: Reader<string> = (value) => value;

function option<T>(name: string, fallback: string, read: Reader<T>, part: Part, needs?: string): Option<T> {
  return { name, fallback, read, part, needs };
}

/** Every option, by its key in {@link Config}. Options that name a file are "" if there is none. */
export const options = {
  /** More than 0 logs debug messages too. */
  verbosity: option("verbosity", "0", readInteger, "none"),
  /** The format of log lines: text for people, JSON for programs. */
  logFormat: option("log_format", "text", oneOf("text", "json"), "none"),
  /** True if /metrics has figures of each unit. */
  metricsUnits: option("metrics_units", "false", readBoolean, "api"),
  /** The kind of the cluster's store: etcd, or a file of this machine. */
  registry: option("registry", "etcd", oneOf("etcd", "embedded"), "never"),
  /** The directory of the embedded registry's file. */
  stateDirectory: option("state_directory", "/var/lib/fleet", readPath, "never"),
  etcdServers: option("etcd_servers", "http://127.0.0.1:2379,http://127.0.0.1:4001", readServers, "store"),
  etcdUsername: option("etcd_username", "", text, "store"),
  etcdPassword: option("etcd_password", "", text, "store"),
  etcdKeyfile: option("etcd_keyfile", "", text, "store", "etcd_certfile"),
  etcdCertfile: option("etcd_certfile", "", text, "store", "etcd_keyfile"),
  etcdCafile: option("etcd_cafile", "", text, "store"),
  etcdKeyPrefix: option("etcd_key_prefix", "/_coreos.com/fleet/", text, "store"),
  /** 0 means no limit. */
  etcdRequestTimeout_ms: option("etcd_request_timeout", "1.0", readSeconds_ms, "store"),
  engineReconcileInterval_ms: option("engine_reconcile_interval", "2.0", readInterval_ms, "registry"),
  /** "" to detect it. */
  publicIp: option("public_ip", "", readAddress, "membership"),
  metadata: option("metadata", "", readMetadata, "membership"),
  /** The CPU time and the memory of this machine that units do not get. */
  reservedCpu_m: option("reserved_cpu", "0", readCpu_m, "membership"),
  reservedMemory_bytes: option("reserved_memory", "0", readMemory_bytes, "membership"),
  /** Resources that units can reserve by number, such as GPUs. */
  resources: option("resources", "", readResources, "membership"),
  agentTtl_ms: option("agent_ttl", "30s", readTtl_ms, "registry"),
  /** The share of machines that may be lost at once without a wait for them. */
  massLossThreshold: option("mass_loss_threshold", "0.5", readShare, "membership"),
  massLossGrace_ms: option("mass_loss_grace", "5m", readWait_ms, "membership"),
  unitsDirectory: option("units_directory", "/run/fleet/units/", readUnitsDirectory, "never"),
  systemdUser: option("systemd_user", "false", readBoolean, "never"),
  /** The number of entries on a page of the API. */
  tokenLimit: option("token_limit", "100", readTokenLimit, "api"),
  disableEngine: option("disable_engine", "false", readBoolean, "membership"),
  /** TLS for the API on network addresses, and the authority of its clients. */
  apiCertfile: option("api_certfile", "", text, "credentials", "api_keyfile"),
  apiKeyfile: option("api_keyfile", "", text, "credentials", "api_certfile"),
  apiClientCafile: option("api_client_cafile", "", text, "credentials", "api_certfile"),
  apiTokensFile: option("api_tokens_file", "", text, "credentials"),
  /** Requests from network addresses need no credentials. */
  apiInsecure: option("api_insecure", "false", readBoolean, "credentials"),
  /** Credentials for requests to other daemons. */
  apiPeerCertfile: option("api_peer_certfile", "", text, "api", "api_peer_keyfile"),
  apiPeerKeyfile: option("api_peer_keyfile", "", text, "api", "api_peer_certfile"),
  apiPeerCafile: option("api_peer_cafile", "", text, "api"),
  /** A file with one token. */
  apiPeerTokenFile: option("api_peer_token_file", "", text, "api"),
};

/** The values of all options. */
export type Config = { readonly [Key in keyof typeof options]: ReturnType<(typeof options)[Key]["read"]> };

const optionNames: readonly string[] = Object.values(options).map(({ name }) => name);

/** Options of fleet 1.0 that have no effect here, each with the warning for an operator who sets it. */
const withoutEffect: ReadonlyMap<string, string> = new Map([
  ["enable_grpc", "Config option enable_grpc is ignored: all traffic goes through the store's watches"],
  ["disable_watches", "Config option disable_watches is ignored: there is nothing to poll instead"],
  ["verify_units", "Config option verify_units is no longer supported - ignoring"],
  ["authorized_keys_file", "Config option authorized_keys_file is no longer supported - ignoring"],
]);

/** The texts of a configuration: a file, and variables of the environment. */
interface ConfigTexts {
  readonly file?: { readonly path: string; readonly text: string };
  readonly env: Readonly<Record<string, string>>;
}

/** Reads a configuration. Throws {@link ConfigError} with every mistake in it; no value is guessed. */
export function parseConfig(from: ConfigTexts): Parsed {
  const { config, problems, warnings, ...rest } = readOptions(from);
  if (!config) throw new ConfigError(problems, { warnings });
  return { config, warnings, ...rest };
}

/** Reads all options. `config` is set if there are no problems. */
export function readOptions(
  sources: ConfigTexts,
): Omit<Parsed, "config"> & { readonly config?: Config; readonly problems: readonly string[] } {
  const { file, env } = sources;
  const read = file ? readSettings(file.path, file.text) : { settings: [], warnings: [], problems: [] };
  const settings = new Map<string, Setting>([...read.settings, ...readEnvironment(env)]);
  const warnings = [...read.warnings, ...unusedOptions(settings)];
  const problems = [...read.problems];
  const from = new Map<string, string>();
  const texts = new Map<string, string>();
  const entries = Object.entries(options).map(([key, { name, fallback, read }]) => {
    const { value, source } = settings.get(name) ?? { value: fallback, source: "default" };
    from.set(name, source);
    texts.set(name, value);
    const warn = (what: string) => void warnings.push(`${source}: option ${name}: ${what}`);
    try {
      return [key, read(value, warn)];
    } catch (error) {
      const shown = name.includes("password") ? "" : ` "${hideUserInfo(value)}"`;
      problems.push(`${source}: option ${name}${shown}: ${(error as Error).message}`);
      return [key, undefined];
    }
  });
  problems.push(...problemsTogether(texts, from));
  warnings.push(...warningsTogether(texts, from));
  const config: Config = Object.fromEntries(entries);
  return { ...(problems.length === 0 && { config }), sources: from, texts, warnings, problems };
}

/** Reads the variables: an option's is `FLEET_` and its name in capitals. A variable that is set but empty counts. */
function* readEnvironment(env: Readonly<Record<string, string>>): Generator<[name: string, setting: Setting]> {
  for (const [variable, value] of Object.entries(env)) {
    const name = /^FLEET_([A-Z_]+)$/.exec(variable)?.[1]?.toLowerCase();
    if (name !== undefined) yield [name, { value, source: variable }];
  }
}

function unusedOptions(settings: ReadonlyMap<string, Setting>): string[] {
  return [...settings].flatMap(([name, { value, source }]) => {
    if (optionNames.includes(name)) return [];
    const why = withoutEffect.get(name);
    if (why === undefined) return [unknownOption(name, source, settings)];
    return ["", "0", "f", "F", "FALSE", "false", "False"].includes(value) ? [] : [`${why} (${source})`];
  });
}

type ByName = ReadonlyMap<string, string>;

/** Returns the options that lack another option. */
function problemsTogether(texts: ByName, sources: ByName): string[] {
  return Object.values(options).flatMap(({ name, needs }) =>
    needs && texts.get(name) && !texts.get(needs) ? [`${sources.get(name)}: option ${name}: expected ${needs} too`] : []
  );
}

function warningsTogether(texts: ByName, sources: ByName): string[] {
  const warnings: string[] = [];
  if (texts.get("etcd_password") && !texts.get("etcd_username")) {
    warnings.push(`${sources.get("etcd_password")}: option etcd_password is not used: there is no etcd_username`);
  }
  const registry = texts.get("registry");
  if (registry !== "embedded") return warnings;
  for (const [name, source] of sources) {
    if (!name.startsWith("etcd_") || source === "default") continue;
    warnings.push(`Config option ${name} is ignored: registry is ${registry} (${source})`);
  }
  return warnings;
}

function unknownOption(name: string, source: string, settings: ReadonlyMap<string, Setting>): string {
  const meant = nearest(name, optionNames);
  const fallback = Object.values(options).find((option) => option.name === meant)?.fallback;
  const inForce = meant === undefined || settings.has(meant) ? "" : ` Its default is in force: ${fallback || "none"}`;
  const hint = meant === undefined ? "" : `; did you mean ${meant}?${inForce}`;
  return `Config option ${name} is not known and is ignored (${source})${hint}`;
}

function readInteger(value: string): number {
  // As in Go's strconv: 0x is hexadecimal, which Number() reads, and a leading zero is octal.
  const octal = /^[-+]?0[0-7]+$/.test(value);
  const parsed = octal
    ? parseInt(value, 8)
    : /^(0[xX][0-9a-fA-F]+|[-+]?(0|[1-9]\d*))$/.test(value)
    ? Number(value)
    : NaN;
  if (!Number.isSafeInteger(parsed)) throw new Error("expected a whole number");
  return parsed;
}

function readTokenLimit(value: string): number {
  const parsed = readInteger(value);
  if (parsed < 1 || parsed > 65535) throw new Error("expected a whole number from 1 to 65535");
  return parsed;
}

function oneOf<Word extends string>(...words: readonly Word[]): Reader<Word> {
  return (value) => {
    const word = words.find((each) => each === value);
    if (word === undefined) throw new Error(`expected ${words.join(" or ")}`);
    return word;
  };
}

/** The longest duration of an option: a timer of more than 24 days would fire at once. */
const maxWait_ms = 20 * 24 * 3_600_000;

function readSeconds_ms(value: string): number {
  const parsed = value.trim() === "" ? NaN : Number(value) * 1000;
  if (!(parsed >= 0 && parsed <= maxWait_ms)) throw new Error("expected a number of seconds, such as 1.5");
  return parsed;
}

function readInterval_ms(value: string): number {
  const parsed = readSeconds_ms(value);
  if (parsed === 0) throw new Error("expected more than 0 seconds");
  return parsed;
}

function readTtl_ms(value: string): number {
  const parsed = parseDuration_ms(value);
  if (parsed < 1_000) throw new Error("expected at least 1s, the shortest lease that etcd grants");
  if (parsed > maxWait_ms) throw new Error(`expected at most ${maxWait_ms / 3_600_000}h`);
  return parsed;
}

/** Parses a duration that a lease of etcd can have. */
function readWait_ms(value: string): number {
  const parsed = parseDuration_ms(value);
  if (parsed > 0 && parsed < 1_000) throw new Error("expected 0 for none, or at least 1s");
  if (parsed > maxWait_ms) throw new Error(`expected at most ${maxWait_ms / 3_600_000}h`);
  return parsed;
}

function readShare(value: string): number {
  const parsed = value.trim() === "" ? NaN : Number(value);
  if (!(parsed >= 0 && parsed <= 1)) {
    throw new Error("expected a number from 0 to 1, such as 0.5 for half of the machines");
  }
  return parsed;
}

/** A duration in Go's notation. */
const duration = /^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+$/;

/** Parses a duration in Go's notation: `30s`, `1m30s`, `500ms`. Throws an error that names the expected form. */
export function parseDuration_ms(value: string): number {
  if (value === "0") return 0;
  const parsed = duration.test(value) ? parseTimeSpan_ms(value) : undefined;
  if (parsed !== undefined) return parsed;
  const missing = /^[\d.]+$/.test(value) ? `: missing unit in duration "${value}"` : "";
  throw new Error(`expected a duration such as 30s, 1m30s or 500ms${missing}`);
}

function readBoolean(value: string): boolean {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(value)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(value)) return false;
  throw new Error("expected true or false");
}

/** Parses a list of URLs: `http://a,http://b`, `"http://a"` or `["http://a", "http://b"]`. */
function readServers(value: string): readonly string[] {
  const servers = value.split(",").map((item) => item.replace(/^[\s["]+/, "").replace(/[\s"\]]+$/, ""))
    .filter((item) => item !== "");
  for (const server of servers) {
    if (server.includes("@")) throw new Error("expected no user in it: set etcd_username and etcd_password");
    if (!/^https?:\/\/[^/\s]+\/?$/.test(server)) {
      throw new Error(`expected http://HOST:PORT or https://HOST:PORT, found "${server}"`);
    }
  }
  if (servers.length === 0) throw new Error("expected at least one http://HOST:PORT");
  if (new Set(servers.map((server) => server.split(":")[0])).size > 1) {
    throw new Error("expected all of them to be http:// or all https://");
  }
  return servers.map((server) => server.replace(/\/$/, ""));
}

/** Parses `key=value,key=value`. An item without `=` is dropped, and the last of equal keys wins, both with a warning. */
function readMetadata(value: string, warn: (what: string) => void): Readonly<Record<string, string>> {
  const pairs = new Map<string, string>();
  for (const item of value.split(",")) {
    const equals = item.indexOf("=");
    if (equals < 0) {
      if (item.trim() !== "") warn(`"${item.trim()}" is dropped: expected key=value`);
      continue;
    }
    const key = item.slice(0, equals).trim();
    const text = item.slice(equals + 1).trim();
    const before = pairs.get(key);
    if (before !== undefined && before !== text) warn(`"${key}" is set twice: "${text}" is used, "${before}" is not`);
    pairs.set(key, text);
  }
  return Object.fromEntries(pairs);
}

function readCpu_m(value: string): number {
  const parsed = parseCpu_m(value);
  if (parsed === undefined) throw new Error("expected a number of CPUs, such as 0.5");
  return parsed;
}

function readMemory_bytes(value: string): number {
  const parsed = parseMemory_bytes(value);
  if (parsed === undefined) throw new Error("expected an amount of memory, such as 512M or 2G");
  return parsed;
}

function readResources(value: string): Readonly<Record<string, number>> {
  const parsed = parseResources(value);
  if (typeof parsed === "string") throw new Error(parsed.replace(/^expect /, "expected "));
  return parsed;
}

/** Parses an IPv4 or IPv6 address without prefix length, scope or port; "" for none. */
function readAddress(value: string): string {
  const [, ...bytes] = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(value) ?? [];
  const isIpv4 = bytes.length === 4 && bytes.every((byte) => Number(byte) <= 255 && String(Number(byte)) === byte);
  const isIpv6 = /^[0-9A-Fa-f:.]+$/.test(value) && value.includes(":") && URL.canParse(`http://[${value}]/`);
  if (value === "" || isIpv4 || isIpv6) return value;
  throw new Error("expected one IP address, such as 10.0.0.11");
}

function readUnitsDirectory(value: string, warn: (what: string) => void): string {
  const path = readPath(value);
  if (!path.startsWith("/run/")) {
    warn(`"${value}" is not below /run: unit files there outlive a reboot`);
  }
  return path;
}

function readPath(value: string): string {
  if (!value.startsWith("/")) throw new Error("expected an absolute path");
  return value;
}
