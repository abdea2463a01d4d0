/**
 * `/drains`: machines that every unit is to leave. The leader's engine carries them out.
 *
 * @module
 */

import type { Cluster, Drain, MachineId } from "../../../registry/model.ts";
import {
  globalsOn,
  jobsOn,
  type MoveProgress,
  moveProgress,
  unreadableOn,
  withDrains,
} from "../../engine/drain/status.ts";
import type { Api, Call } from "../context.ts";
import { emptyReply, errorReply, jsonReply } from "../http/responses.ts";
import type { Complete } from "../v1/decode.ts";
import { compact, nonEmpty } from "../v1/entities.ts";
import {
  type DrainEntity,
  DrainRequest,
  type DrainsEntity,
  maxMetadataPart,
  maxMoves,
  type MovingUnitEntity,
} from "../v1/types.ts";
import { readRequest } from "./json_request.ts";
import { retryConflicts } from "./retry_conflicts.ts";
import { authorship } from "./units.ts";

/** The number of units of one machine that move at once, unless a request says otherwise. */
const defaultParallel = 10;

/** GET `/drains`. */
export async function listDrains(api: Api): Promise<Response> {
  return jsonReply(JSON.stringify(drainsEntity(await api.registry.read(), api.clock.now_ms())));
}

/** POST `/drains`: cordons machines and begins to drain them. Those that are drained already get the new options. */
export async function postDrains(api: Api, call: Call): Promise<Response> {
  const body = await readRequest(api, call, DrainRequest);
  if ("refusal" in body) return body.refusal;
  const invalid = whyInvalid(body.value);
  if (invalid !== undefined) return errorReply(400, invalid);
  const { dryRun, why } = body.value;
  const author = authorship(api, call);
  const machines = new Set(body.value.machines);
  return await retryConflicts(api.clock, async () => {
    const cluster = await api.registry.read();
    const drains = drainsOf(cluster, body.value, author, api.clock.now_ms());
    if (dryRun) return reply(200, withDrains(cluster, drains), api.clock.now_ms(), machines);
    await api.registry.commit({
      kind: "drain",
      drains: drains.map(({ machine, ...drain }) => {
        const was = cluster.drains?.get(machine);
        return { machine, ...was && { was }, isCordoned: cluster.cordons?.has(machine) ?? false, drain };
      }),
      cordon: { ...author, why: why || "it is drained" },
    });
    return reply(201, await api.registry.read(), api.clock.now_ms(), machines);
  });
}

/** DELETE `/drains/{id}`: cancels a drain, or ends one that is done. The machine takes units again unless `keepCordon`. */
export function deleteDrain(api: Api, machine: MachineId, { query }: Call): Promise<Response> {
  return retryConflicts(api.clock, async () => {
    const was = (await api.registry.read()).drains?.get(machine);
    if (!was) return errorReply(404, `machine ${JSON.stringify(machine)} is not drained`);
    await api.registry.commit({ kind: "undrain", was, keepsCordon: query.get("keepCordon") === "true" });
    return emptyReply(204);
  });
}

function whyInvalid({ machines, maxParallel }: Complete<DrainRequest>): string | undefined {
  if (machines.length === 0) return "machines must name at least one machine";
  if (new Set(machines).size < machines.length) return "machines names a machine twice";
  if (machines.some((id) => id === "" || id.length > maxMetadataPart || id.includes("/"))) return "invalid machine ID";
  return maxParallel > maxMoves ? `maxParallel must be at most ${maxMoves}` : undefined;
}

function drainsOf(
  cluster: Cluster,
  { machines, deadline, maxParallel, force, ignoreGlobals }: Complete<DrainRequest>,
  author: Pick<Drain, "changed">,
  now_ms: number,
): readonly Drain[] {
  return machines.map((machine): Drain => ({
    machine,
    ...author,
    maxParallel: maxParallel || defaultParallel,
    ...deadline > 0 && { deadlineAt_ms: now_ms + deadline * 1000 },
    ...force && { force },
    ...ignoreGlobals && { keepsGlobals: true },
    total: jobsOn(cluster, machine).length,
    // A drain that has stopped the global units must not start them again.
    status: hasStoppedGlobals(cluster, machine) ? "stopping" : "moving",
    // What happened before says nothing about this drain.
    revision: cluster.revision,
  }));
}

function hasStoppedGlobals({ drains, targets }: Cluster, machine: MachineId): boolean {
  const { status = "moving" } = drains?.get(machine) ?? {};
  return status !== "moving" && ![...targets.values()].some((target) => target.machine === machine);
}

/** Returns the drains of machines as they would begin now, with the usual options. */
export function plannedDrains(
  cluster: Cluster,
  machines: readonly MachineId[],
  now_ms: number,
): readonly DrainEntity[] {
  const options = { machines, dryRun: true, deadline: 0, maxParallel: 0, force: false, ignoreGlobals: false, why: "" };
  const { drains } = drainsEntity(withDrains(cluster, drainsOf(cluster, options, {}, now_ms)), now_ms);
  return drains.filter(({ machineID }) => machines.includes(machineID));
}

function reply(code: number, cluster: Cluster, now_ms: number, machines: ReadonlySet<MachineId>): Response {
  const { drains } = drainsEntity(cluster, now_ms);
  const own = drains.filter(({ machineID }) => machines.has(machineID));
  return jsonReply(JSON.stringify({ drains: own }), code);
}

/** The drains of a cluster, with the units that are left on each machine. */
export function drainsEntity(cluster: Cluster, now_ms: number): DrainsEntity {
  const drains = [...cluster.drains?.values() ?? []].sort((a, b) => a.machine < b.machine ? -1 : 1);
  const progress = drains.length > 0 ? moveProgress(cluster, now_ms) : new Map<string, MoveProgress>();
  return { drains: drains.map((drain) => drainEntity(cluster, drain, progress)) };
}

function drainEntity(cluster: Cluster, drain: Drain, progress: ReadonlyMap<string, MoveProgress>): DrainEntity {
  const { machine: machineID, changed, status, deadlineAt_ms, maxParallel, force, keepsGlobals, total } = drain;
  const units = jobsOn(cluster, machineID).map((name) => {
    const move = progress.get(name);
    return move ? movingEntity(cluster, name, move) : unplannedEntity(cluster, name, drain);
  });
  const unreadableUnits = unreadableOn(cluster, machineID)
    .filter((name) => !keepsGlobals || !cluster.units.get(name)?.requirements.global);
  return compact<DrainEntity>({
    at: changed?.at_ms,
    by: changed?.by,
    deadline: deadlineAt_ms,
    force,
    globals: keepsGlobals ? undefined : nonEmpty(globalsOn(cluster, machineID)),
    ignoreGlobals: keepsGlobals,
    machineID,
    maxParallel,
    primaryIP: nonEmpty(cluster.machines.get(machineID)?.ip),
    status,
    total,
    units: nonEmpty(units),
    unreadable: drain.unreadable,
    unreadableUnits: nonEmpty(unreadableUnits),
    why: cluster.cordons?.get(machineID)?.why,
  });
}

/** A unit about which no move is planned: its record cannot be read, or no unit moves at present. */
function unplannedEntity(
  { units, machines, targets, massLoss }: Cluster,
  name: string,
  drain: Drain,
): MovingUnitEntity {
  if (drain.unreadable !== undefined) {
    return { name, state: "blocked", why: `the record of the drain cannot be read: ${drain.unreadable}` };
  }
  const unreadable = units.get(name)?.unreadable;
  if (unreadable !== undefined) {
    return { name, state: "blocked", why: `its record cannot be read, so that it is left as it is: ${unreadable}` };
  }
  const why = massLoss
    ? "machines were lost at once: no unit moves until they are back, or until fleetctl accept-loss"
    : machines.has(targets.get(name)?.machine ?? "")
    ? "the engine has not decided about it yet"
    : "its machine is away";
  return { name, state: "waiting", why };
}

/** A unit that is to move. */
export function movingEntity({ machines }: Cluster, name: string, move: MoveProgress): MovingUnitEntity {
  const { state, to, stopsFirst, why, refusals } = move;
  return compact<MovingUnitEntity>({
    machines: nonEmpty(
      [...refusals ?? []].map(([id, found]) =>
        compact<NonNullable<MovingUnitEntity["machines"]>[number]>({
          machineID: id,
          primaryIP: nonEmpty(machines.get(id)?.ip),
          reasons: found.map(({ reason }) => reason),
        })
      ),
    ),
    name,
    state,
    stopsFirst,
    to,
    toIP: to === undefined ? undefined : nonEmpty(machines.get(to)?.ip),
    why,
  });
}
