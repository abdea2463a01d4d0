/**
 * Compares a new configuration with the one in force. Pure.
 *
 * @module
 */

import type { Config } from "./options.ts";
import type { PemTexts } from "./named_files.ts";

/** Parts of the daemon that have to be opened again for a new configuration. */
export interface Renewal {
  /** The connection to the store. */
  readonly store: boolean;
  /** The registry's leases. Implied by {@link store}. */
  readonly registry: boolean;
  /** The routes of the API. Implied by {@link registry}. */
  readonly api: boolean;
  /** The machine's record, agent and engine. Implied by {@link registry}. */
  readonly membership: boolean;
}

/**
 * The part of the daemon that uses an option. `none`: the option is read at each use. `credentials`: the server, whose
 * address is in the machine's record. `never`: running units depend on the option, so that only a restart changes it.
 */
type Part = "none" | "credentials" | "api" | "membership" | "registry" | "store" | "never";

/** The part that uses each option. */
const parts: { readonly [Key in keyof Config]: Part } = {
  verbosity: "none",
  logFormat: "none",
  tokenLimit: "api",
  publicIp: "membership",
  metadata: "membership",
  disableEngine: "membership",
  apiCertfile: "credentials",
  apiKeyfile: "credentials",
  apiClientCafile: "credentials",
  apiTokensFile: "credentials",
  apiInsecure: "credentials",
  apiPeerCertfile: "api",
  apiPeerKeyfile: "api",
  apiPeerCafile: "api",
  apiPeerTokenFile: "api",
  agentTtl_ms: "registry",
  engineReconcileInterval_ms: "registry",
  etcdServers: "store",
  etcdUsername: "store",
  etcdPassword: "store",
  etcdKeyfile: "store",
  etcdCertfile: "store",
  etcdCafile: "store",
  etcdKeyPrefix: "store",
  etcdRequestTimeout_ms: "store",
  registry: "never",
  stateDirectory: "never",
  unitsDirectory: "never",
  systemdUser: "never",
};

/** Names in fleet.conf of the options that cannot change while the daemon runs. */
const restartOnly: Readonly<Partial<Record<keyof Config, string>>> = {
  registry: "registry",
  stateDirectory: "state_directory",
  unitsDirectory: "units_directory",
  systemdUser: "systemd_user",
};

/** A configuration, and the contents of the TLS files that it names for etcd. */
export interface EffectiveConfig {
  readonly config: Config;
  readonly etcdTls?: PemTexts;
}

/**
 * Returns the parts to open again, or the reason why the new configuration cannot be used. TLS files are compared by their
 * contents: a renewed certificate keeps its file name, and an unchanged file is no reason to leave the cluster.
 */
export function renewal(old: EffectiveConfig, next: EffectiveConfig): Renewal | { readonly refusal: string } {
  const before = old.config;
  const after = next.config;
  const changed = (Object.keys(parts) as (keyof Config)[])
    .filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
  const never = changed.filter((key) => parts[key] === "never").map((key) => restartOnly[key] ?? key);
  if (never.length > 0) {
    return { refusal: `${never.join(", ")} cannot change while fleetd runs: systemctl restart fleet` };
  }
  const any = (...kinds: readonly string[]) => changed.some((key) => kinds.includes(parts[key]));
  const sameTls = (["ca", "cert", "key"] as const).every((file) => old.etcdTls?.[file] === next.etcdTls?.[file]);
  const store = after.registry === "etcd" && (any("store") || !sameTls);
  const registry = store || any("registry");
  return { store, registry, api: registry || any("api"), membership: registry || any("membership", "credentials") };
}
