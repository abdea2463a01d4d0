/**
 * fleetd's configuration: environment over file over default, with the names, defaults and list syntaxes of fleet 1.0.
 * Pure: texts in, values out.
 *
 * @module
 */

import { readSettings, type Setting } from "./config_file.ts";

/** Everything that can be configured. */
export interface Config {
  readonly verbosity: number;
  readonly etcdServers: readonly string[];
  readonly etcdUsername: string;
  readonly etcdPassword: string;
  readonly etcdKeyfile: string;
  readonly etcdCertfile: string;
  readonly etcdCafile: string;
  readonly etcdKeyPrefix: string;
  readonly etcdRequestTimeout_ms: number;
  readonly engineReconcileInterval_ms: number;
  readonly publicIp: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly agentTtl_ms: number;
  readonly unitsDirectory: string;
  readonly systemdUser: boolean;
  readonly tokenLimit: number;
  readonly disableEngine: boolean;
}

/** A configuration that cannot be used: the message names option, value, source and what is expected. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/** What was read, and what the operator should hear about it. */
export interface Parsed {
  readonly config: Config;
  /** Where each option's value comes from: `default`, `FILE:LINE` or a variable's name. */
  readonly sources: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

/** How an option's text becomes a value. Throws an error that says what is expected. */
type Reader<T> = (text: string) => T;

interface Option<T> {
  readonly name: string;
  readonly fallback: string;
  readonly read: Reader<T>;
}

const text: Reader<string> = (value) => value;

function option<T>(name: string, fallback: string, read: Reader<T>): Option<T> {
  return { name, fallback, read };
}

const options = {
  verbosity: option("verbosity", "0", readInteger),
  etcdServers: option("etcd_servers", "http://127.0.0.1:2379,http://127.0.0.1:4001", readServers),
  etcdUsername: option("etcd_username", "", text),
  etcdPassword: option("etcd_password", "", text),
  etcdKeyfile: option("etcd_keyfile", "", text),
  etcdCertfile: option("etcd_certfile", "", text),
  etcdCafile: option("etcd_cafile", "", text),
  etcdKeyPrefix: option("etcd_key_prefix", "/_coreos.com/fleet/", text),
  etcdRequestTimeout_ms: option("etcd_request_timeout", "1.0", readSeconds_ms),
  engineReconcileInterval_ms: option("engine_reconcile_interval", "2.0", readInterval_ms),
  publicIp: option("public_ip", "", text),
  metadata: option("metadata", "", readMetadata),
  agentTtl_ms: option("agent_ttl", "30s", readTtl_ms),
  unitsDirectory: option("units_directory", "/run/fleet/units/", readPath),
  systemdUser: option("systemd_user", "false", readBoolean),
  tokenLimit: option("token_limit", "100", readTokenLimit),
  disableEngine: option("disable_engine", "false", readBoolean),
} as const satisfies { readonly [Key in keyof Config]: Option<Config[Key]> };

/** Options of fleet 1.0 that have no meaning here, each with why. */
const meaningless: Readonly<Record<string, string>> = {
  enable_grpc: "all traffic goes through the store's watches",
  disable_watches: "there is nothing to poll instead",
  verify_units: "it is no longer supported",
  authorized_keys_file: "it is no longer supported",
};

/** Reads a configuration. Throws {@link ConfigError} for a value that cannot be used, rather than guess. */
export function parseConfig(
  sources: {
    readonly file?: { readonly path: string; readonly text: string };
    readonly env: Readonly<Record<string, string>>;
  },
): Parsed {
  const warnings: string[] = [];
  const settings = new Map<string, Setting>();
  const { file, env } = sources;
  if (file) { for (const [name, setting] of readSettings(file.path, file.text)) settings.set(name, setting); }
  for (const [variable, value] of Object.entries(env)) {
    const name = variable.startsWith("FLEET_") ? variable.slice("FLEET_".length).toLowerCase() : "";
    if (name !== "") settings.set(name, { value, source: variable });
  }
  const names = Object.values(options).map((one) => one.name);
  for (const [name, { source }] of settings) {
    if (names.includes(name)) continue;
    const why = meaningless[name];
    warnings.push(
      why ? `Config option ${name} is ignored: ${why} (${source})` : unknownOption(name, source, names),
    );
  }
  const from = new Map<string, string>();
  const entries = Object.entries(options).map(([key, { name, fallback, read }]) => {
    const { value, source } = settings.get(name) ?? { value: fallback, source: "default" };
    from.set(name, source);
    return [key, readOption(name, value, source, read)];
  });
  return { config: Object.fromEntries(entries), sources: from, warnings };
}

function readOption(name: string, value: string, source: string, read: Reader<unknown>): unknown {
  try {
    return read(value);
  } catch (error) {
    const shown = name.includes("password") ? "" : ` "${value}"`;
    throw new ConfigError(`${source}: option ${name}${shown}: ${(error as Error).message}`, { cause: error });
  }
}

function unknownOption(name: string, source: string, names: readonly string[]): string {
  const nearest = [...names].sort((a, b) => distance(name, a) - distance(name, b))[0]!;
  const hint = distance(name, nearest) <= 3 ? `; did you mean ${nearest}?` : "";
  return `Config option ${name} is not known and is ignored (${source})${hint}`;
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

function readInteger(value: string): number {
  // Number() knows 0x; a leading zero is octal, as in Go's strconv.
  const octal = /^[-+]?0[0-7]+$/.test(value);
  const parsed = octal ? parseInt(value, 8) : /^[-+]?(0[xX][0-9a-fA-F]+|\d+)$/.test(value) ? Number(value) : NaN;
  if (!Number.isSafeInteger(parsed)) throw new Error("expected a whole number");
  return parsed;
}

function readTokenLimit(value: string): number {
  const parsed = readInteger(value);
  if (parsed < 1 || parsed > 65535) throw new Error("expected a whole number from 1 to 65535");
  return parsed;
}

function readSeconds_ms(value: string): number {
  const parsed = value.trim() === "" ? NaN : Number(value);
  if (!Number.isFinite(parsed) || parsed < 0) throw new Error("expected a number of seconds, such as 1.5");
  return parsed * 1000;
}

function readInterval_ms(value: string): number {
  const parsed = readSeconds_ms(value);
  if (parsed === 0) throw new Error("expected more than 0 seconds");
  return parsed;
}

function readTtl_ms(value: string): number {
  const parsed = parseDuration_ms(value);
  if (parsed < 1_000) throw new Error("expected at least 1s, the shortest lease that etcd grants");
  return parsed;
}

const units_ms: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "µs": 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Parses a duration as Go writes it: `30s`, `1m30s`, `500ms`. Throws an error that says what is expected. */
export function parseDuration_ms(value: string): number {
  if (value === "0") return 0;
  if (!/^((\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h))+$/.test(value)) {
    const missing = /^[\d.]+$/.test(value) ? `: missing unit in duration "${value}"` : "";
    throw new Error(`expected a duration such as 30s, 1m30s or 500ms${missing}`);
  }
  let total_ms = 0;
  for (const [, amount, unit] of value.matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g)) {
    total_ms += Number(amount) * units_ms[unit!]!;
  }
  return total_ms;
}

function readBoolean(value: string): boolean {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(value)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(value)) return false;
  throw new Error("expected true or false");
}

/** `http://a,http://b`, `"http://a"` and `["http://a", "http://b"]` all work. */
function readServers(value: string): readonly string[] {
  const servers = value.split(",").map((item) => item.replace(/^[\s["]+/, "").replace(/[\s"\]]+$/, ""))
    .filter((item) => item !== "");
  for (const server of servers) {
    if (!/^https?:\/\/[^/\s]+\/?$/.test(server)) {
      throw new Error(`expected http://HOST:PORT or https://HOST:PORT, found "${server}"`);
    }
  }
  if (servers.length === 0) throw new Error("expected at least one http://HOST:PORT");
  return servers.map((server) => server.replace(/\/$/, ""));
}

/** `key=value,key=value`; an item without `=` is dropped, and the last of equal keys wins. */
function readMetadata(value: string): Readonly<Record<string, string>> {
  const pairs = value.split(",").filter((item) => item.includes("=")).map((item) => {
    const equals = item.indexOf("=");
    return [item.slice(0, equals).trim(), item.slice(equals + 1).trim()] as const;
  });
  return Object.fromEntries(pairs);
}

function readPath(value: string): string {
  if (!value.startsWith("/")) throw new Error("expected an absolute path");
  return value;
}
