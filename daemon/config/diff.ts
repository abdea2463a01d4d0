/**
 * What a new configuration changes in a running daemon. Pure.
 *
 * @module
 */

import type { Config } from "./options.ts";
import type { TlsTexts } from "./load.ts";

/** How much has to begin anew for a new configuration to be in force. */
export interface Renewal {
  /** Another store, or another way to it. */
  readonly store: boolean;
  /** The registry's leases. Implied by {@link store}. */
  readonly registry: boolean;
  /** The routes of the API. Implied by {@link registry}. */
  readonly api: boolean;
  /** What this machine is and does in the cluster. Implied by {@link registry}. */
  readonly membership: boolean;
}

/**
 * `manner` is asked for at each use; `credentials` are handed to the server, whose address goes into the machine's record;
 * `never`: units stand on it, so only a restart changes it.
 */
type Need = "manner" | "credentials" | "api" | "membership" | "registry" | "store" | "never";

/** What each option needs. */
const needs: { readonly [Key in keyof Config]: Need } = {
  verbosity: "manner",
  logFormat: "manner",
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

/** Options that cannot change while the daemon runs, as they are called in the file. */
const restartOnly: Readonly<Partial<Record<keyof Config, string>>> = {
  registry: "registry",
  stateDirectory: "state_directory",
  unitsDirectory: "units_directory",
  systemdUser: "systemd_user",
};

/** A configuration, and the contents of the TLS files that it names for etcd. */
export interface EffectiveConfig {
  readonly config: Config;
  readonly etcdTls?: TlsTexts;
}

/**
 * What to begin anew, or why the new configuration cannot be taken on. TLS files are compared by their contents: a renewed
 * certificate keeps its name, and a file that is as it was is no reason to leave the cluster.
 */
export function renewal(old: EffectiveConfig, next: EffectiveConfig): Renewal | { readonly refusal: string } {
  const before = old.config;
  const after = next.config;
  const changed = (Object.keys(needs) as (keyof Config)[])
    .filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
  const never = changed.filter((key) => needs[key] === "never").map((key) => restartOnly[key] ?? key);
  if (never.length > 0) {
    return { refusal: `${never.join(", ")} cannot change while fleetd runs: systemctl restart fleet` };
  }
  const any = (...kinds: readonly string[]) => changed.some((key) => kinds.includes(needs[key]));
  const sameTls = (["ca", "cert", "key"] as const).every((part) => old.etcdTls?.[part] === next.etcdTls?.[part]);
  const store = after.registry === "etcd" && (any("store") || !sameTls);
  const registry = store || any("registry");
  return { store, registry, api: registry || any("api"), membership: registry || any("membership", "credentials") };
}
