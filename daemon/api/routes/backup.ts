/**
 * `/backup`: what an operator has put into the cluster, all of it at one revision of the store.
 *
 * @module
 */

import type { Cluster, UnitName } from "../../../registry/model.ts";
import type { Api, Call } from "../context.ts";
import { compact, cordonEntity, nonEmpty } from "../v1/entities.ts";
import type { BackupEntity, UnitEntity } from "../v1/types.ts";

/** GET `/backup`. */
export async function getBackup(api: Api, { peer }: Call): Promise<Response> {
  const cluster = await api.registry.read();
  const backup = backupOf(cluster, (name) => JSON.parse(api.units.text(cluster, cluster.units.get(name)!)));
  return api.responses.json(JSON.stringify(backup), peer.whenOver);
}

/** Returns the backup of a cluster. `unitOf` returns a unit of the cluster with its options. */
function backupOf(cluster: Cluster, unitOf: (name: UnitName) => UnitEntity): BackupEntity {
  const inOrder = [...cluster.units.values()].sort((a, b) => a.launchedAt - b.launchedAt || (a.name < b.name ? -1 : 1));
  const units = inOrder.map(({ name }) => {
    const { app, desiredState, options, unreadable } = unitOf(name);
    return compact<UnitEntity>({ app, desiredState, name, options, unreadable });
  });
  const metadata = Object.fromEntries([...cluster.dynamicMetadata].sort(([a], [b]) => a < b ? -1 : 1));
  const cordons = [...cluster.cordons ?? []].sort(([a], [b]) => a < b ? -1 : 1)
    .map(([id, cordon]) => cordonEntity(id, cordon));
  return compact<BackupEntity>({ cordons: nonEmpty(cordons), metadata, revision: cluster.revision, units });
}
