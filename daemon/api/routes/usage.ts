/**
 * `/usage`: what machines and their units use. Each daemon measures its own machine when it is asked; the one that gets the
 * request asks the others.
 *
 * @module
 */

import { messageOf } from "../../../runtime/log.ts";
import { inParallel } from "../../../runtime/parallel.ts";
import type { Cluster, Machine } from "../../../registry/model.ts";
import type { Api, Call } from "../context.ts";
import { errorReply } from "../http/responses.ts";
import { clusterNameInSystemd, forwardedHeader, inTime, messageIn } from "../machine/forwarding.ts";
import type { LocalMachine } from "../machine/port.ts";
import { maxMachineRequests } from "../shared_state.ts";
import { apiPrefixes, type MachineUsageEntity, type UsageEntity } from "../v1/types.ts";

/** Time limit for one machine: one that does not answer must not hide the others for long. */
const machine_ms = 3_000;

/** Machines that are asked at the same time. */
const maxPeers = 64;

/** GET `/usage`: of all machines or, with `machineID`, of one. */
export async function getUsage(api: Api, call: Call): Promise<Response> {
  const { localMachine, sharedState } = api;
  if (!localMachine) return errorReply(501, "this server runs on no machine of the cluster");
  // Counted before the first await, or any number of requests could pass the check at once.
  const release = sharedState.machineRequests.take();
  if (!release) {
    return errorReply(429, `too many journals, statuses and figures are being read (${maxMachineRequests})`);
  }
  try {
    const cluster = await api.registry.read();
    const id = call.query.get("machineID");
    const asked = id === null ? [...cluster.machines.values()] : [cluster.machines.get(id)];
    const machines = asked.filter((machine) => machine !== undefined).sort((a, b) => a.id < b.id ? -1 : 1);
    if (id !== null && machines.length === 0) return errorReply(404, `machine ${JSON.stringify(id)} is not present`);
    if (call.request.headers.has(forwardedHeader) && id !== localMachine.id()) {
      return errorReply(421, `this is machine ${localMachine.id() ?? "of no cluster"}`);
    }
    const usage: UsageEntity = {
      machines: await inParallel(machines, (machine) => usageOf(api, localMachine, call, cluster, machine), maxPeers),
    };
    return api.responses.json(JSON.stringify(usage), call.peer.whenOver);
  } finally {
    release();
  }
}

async function usageOf(
  { clock }: Api,
  localMachine: LocalMachine,
  { request, query }: Call,
  cluster: Cluster,
  { id, apiAddress }: Machine,
): Promise<MachineUsageEntity> {
  const withUnits = query.get("units") !== "false";
  if (id === localMachine.id()) {
    const names = [...cluster.states].filter(([_, states]) => withUnits && states.has(id)).map(([name]) => name).sort();
    const units = new Map(names.map((name) => [name, clusterNameInSystemd(cluster, name, id)]));
    try {
      const { units: used, ...rest } = await inTime(
        clock,
        request,
        (signal) => localMachine.usage(units, signal),
        machine_ms,
      );
      return { machineID: id, ...rest, ...withUnits && { units: used ?? [] } };
    } catch (error) {
      return { machineID: id, error: `systemctl does not answer: ${messageOf(error)}` };
    }
  }
  if (apiAddress === undefined) {
    return { machineID: id, error: "its API is closed to other machines: ask there, or set api_peer_*" };
  }
  const path = `${apiPrefixes[0]}/usage?machineID=${encodeURIComponent(id)}${withUnits ? "" : "&units=false"}`;
  try {
    return await inTime(clock, request, async (signal) => {
      const headers = { [forwardedHeader]: localMachine.id() ?? "" };
      const response = await localMachine.fetchPeer(apiAddress, path, headers, signal);
      const text = await response.text();
      if (!response.ok) return { machineID: id, error: `it refuses to answer at ${apiAddress}: ${messageIn(text)}` };
      return (JSON.parse(text) as UsageEntity).machines[0]!;
    }, machine_ms);
  } catch (error) {
    return { machineID: id, error: `it does not answer at ${apiAddress}: ${messageOf(error)}` };
  }
}
