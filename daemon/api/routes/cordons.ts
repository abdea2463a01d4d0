/**
 * `/cordons` and `/machines/{id}/cordon`: machines that take no new units, whether they are present or not.
 *
 * @module
 */

import type { MachineId } from "../../../registry/model.ts";
import { maxMetadataPart } from "../v1/types.ts";
import { CordonRequest } from "../v1/maintenance.ts";
import type { Api, Call } from "../context.ts";
import { cordonEntity } from "../v1/entities.ts";
import { emptyReply, errorReply, jsonReply } from "../http/responses.ts";
import { readRequest } from "./json_request.ts";
import { authorship } from "./units.ts";

/** GET `/cordons`. */
export async function listCordons(api: Api): Promise<Response> {
  const { cordons } = await api.registry.read();
  const sorted = [...cordons ?? []].sort(([a], [b]) => a < b ? -1 : 1);
  return jsonReply(JSON.stringify({ cordons: sorted.map(([id, cordon]) => cordonEntity(id, cordon)) }));
}

/** PUT `/machines/{id}/cordon`: the machine takes no new units. Another cordon of the machine is replaced. */
export async function putCordon(api: Api, machine: MachineId, call: Call): Promise<Response> {
  const body = await readRequest(api, call, CordonRequest);
  if ("refusal" in body) return body.refusal;
  if (machine.length > maxMetadataPart) return errorReply(400, "machine ID too long");
  const { why } = body.value;
  const cordon = { ...authorship(api, call), ...why && { why } };
  await api.registry.commit({ kind: "cordon", machine, cordon });
  return emptyReply(204);
}

/** DELETE `/machines/{id}/cordon`. */
export async function deleteCordon(api: Api, machine: MachineId): Promise<Response> {
  const { cordons, drains } = await api.registry.read();
  if (drains?.has(machine)) {
    return errorReply(409, `machine ${JSON.stringify(machine)} is drained: fleetctl undrain ends that, and the cordon`);
  }
  if (!cordons?.has(machine)) return errorReply(404, `machine ${JSON.stringify(machine)} is not cordoned`);
  await api.registry.commit({ kind: "cordon", machine });
  return emptyReply(204);
}
