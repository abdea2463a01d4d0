/**
 * Opens the store that a configuration names. An adapter.
 *
 * @module
 */

import { openEtcdStore } from "../../registry/store/etcd/store.ts";
import type { Store } from "../../registry/store/port.ts";
import type { Configuration } from "../config/load.ts";

/** The limit of a request where the configuration sets none. */
const longestRequest_ms = 60_000;

/** Opens etcd, a file of this machine, or, for `memory`, a store that ends with the process. */
export async function openStore(
  { config, etcdTls }: Pick<Configuration, "config" | "etcdTls">,
  where: "configured" | "memory" = "configured",
): Promise<Store> {
  if (config.registry === "embedded") {
    const { openSqliteStore } = await import("../../registry/store/sqlite.ts");
    if (where === "memory") return openSqliteStore({ path: ":memory:" });
    await Deno.mkdir(config.stateDirectory, { recursive: true, mode: 0o700 });
    const path = `${config.stateDirectory}/fleet.db`;
    // SQLite gives its other files the mode of this one.
    (await Deno.open(path, { append: true, create: true, mode: 0o600 })).close();
    return openSqliteStore({ path });
  }
  return await openEtcdStore({
    endpoints: config.etcdServers,
    prefix: config.etcdKeyPrefix,
    // 0 means no limit, which no caller could wait for.
    requestTimeout_ms: config.etcdRequestTimeout_ms || longestRequest_ms,
    username: config.etcdUsername,
    password: config.etcdPassword,
    ...(etcdTls && { tls: etcdTls }),
  });
}
