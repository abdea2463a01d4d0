/**
 * Compares a new configuration with the one in force. Pure.
 *
 * @module
 */

import { type Config, options } from "./options.ts";
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
  const changed = (Object.keys(options) as (keyof Config)[])
    .filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key])).map((key) => options[key]);
  const never = changed.filter(({ part }) => part === "never").map(({ name }) => name);
  if (never.length > 0) {
    return { refusal: `${never.join(", ")} cannot change while fleetd runs: systemctl restart fleet` };
  }
  const any = (...kinds: readonly string[]) => changed.some(({ part }) => kinds.includes(part));
  const sameTls = (["ca", "cert", "key"] as const).every((file) => old.etcdTls?.[file] === next.etcdTls?.[file]);
  const store = after.registry === "etcd" && (any("store") || !sameTls);
  const registry = store || any("registry");
  return { store, registry, api: registry || any("api"), membership: registry || any("membership", "credentials") };
}
