/**
 * `/plan`: what would happen because of changes that have not been made.
 *
 * @module
 */

import type { UnitRecord } from "../../../registry/mod.ts";
import type { Cluster, MachineId, UnitName } from "../../../registry/model.ts";
import { quote, validateUnitName } from "../../../systemd/unit_name.ts";
import { Explainer } from "../../engine/explain.ts";
import { type Draft, type MachineEffect, type Preview, preview } from "../../engine/preview.ts";
import { isActiveJob } from "../../policy/globals.ts";
import type { Api, Call } from "../context.ts";
import { errorReply } from "../http/responses.ts";
import type { Complete } from "../v1/decode.ts";
import { compact, nonEmpty, unitEntity } from "../v1/entities.ts";
import type { MachineEffectEntity, PlanEntity, PlannedUnitEntity, UnitEntity } from "../v1/types.ts";
import { PlanRequest } from "../v1/types.ts";
import { readRequest } from "./json_request.ts";
import { decidePut } from "./unit_put.ts";

/** POST `/plan`. */
export async function planChanges(api: Api, call: Call): Promise<Response> {
  const body = await readRequest(api, call, PlanRequest);
  if ("refusal" in body) return body.refusal;
  const cluster = await api.registry.read();
  const invalid = whyInvalid(cluster, body.value);
  if (invalid !== undefined) return errorReply(400, invalid);
  const plan = planOf(cluster, body.value, (name) => JSON.parse(api.units.text(cluster, cluster.units.get(name)!)));
  return api.responses.json(JSON.stringify(plan), call.peer.whenOver);
}

type Changes = Complete<PlanRequest>;

/** Returns why a request makes no sense. A change that its own request would refuse is part of the plan instead. */
function whyInvalid({ machines }: Cluster, { units, destroy, leave }: Changes): string | undefined {
  const names = [...units.map(({ name }) => name), ...destroy];
  const seen = new Set<UnitName>();
  const twice = names.find((name) => seen.size === seen.add(name).size);
  if (twice !== undefined) return `unit ${quote(twice)} is named twice`;
  const absent = leave.find((id) => !machines.has(id));
  return absent === undefined ? undefined : `machine ${quote(absent)} is not in the cluster`;
}

/** The change of one unit: what is known before its effects are. */
interface Decided {
  readonly name: UnitName;
  readonly change: PlannedUnitEntity["change"];
  readonly draft?: Draft;
  readonly refusal?: string;
  readonly warnings?: readonly string[];
}

/** Plans changes. `unitOf` returns a unit of the cluster with its options. */
export function planOf(cluster: Cluster, changes: Changes, unitOf: (name: UnitName) => UnitEntity): PlanEntity {
  const decided = [
    ...changes.units.map((unit) => decideUnit(cluster, unit)),
    ...changes.destroy.map((name) => decideDestroy(cluster, name)),
  ];
  const leaving = changes.leave.map((machine): Draft => ({ kind: "leave", machine }));
  const predicted = preview(cluster, [...decided.flatMap(({ draft }) => draft ?? []), ...leaving]);
  const named = new Set(decided.map(({ name }) => name));
  const others = [...affected(cluster, predicted)].filter((name) => !named.has(name)).sort()
    .map((name): Decided => ({ name, change: "none" }));
  const explainer = new Explainer();
  const units = [...decided, ...others].map((each) => plannedUnit(cluster, predicted, explainer, each, unitOf));
  return compact<PlanEntity>({ revision: cluster.revision, units: nonEmpty(units) });
}

function decideUnit(cluster: Cluster, { name, desiredState, options }: Changes["units"][number]): Decided {
  const invalid = validateUnitName(name);
  if (invalid !== undefined) return { name, change: "refuse", refusal: invalid };
  const was = recordOf(cluster, name);
  const decision = decidePut(was, { name, desiredState, options });
  if (decision.kind === "refuse") return { name, change: "refuse", refusal: decision.message };
  if (decision.kind === "nothing") return { name, change: "none" };
  const { kind, file, findings } = decision;
  const draft: Draft = { kind: "put", name, desiredState: decision.desiredState, ...file && { file } };
  const change = !was.unit ? "create" : kind === "store" ? "replace" : "update";
  return { name, change, draft, warnings: findings.map(({ message }) => message) };
}

function decideDestroy(cluster: Cluster, name: UnitName): Decided {
  if (!cluster.units.has(name)) return { name, change: "refuse", refusal: "unit does not exist" };
  return { name, change: "destroy", draft: { kind: "destroy", name } };
}

function recordOf({ units, targets, files }: Cluster, name: UnitName): UnitRecord {
  const unit = units.get(name);
  const target = targets.get(name);
  const file = unit && files.get(unit.hash);
  return { name, ...unit && { unit }, ...target && { target }, ...file && { text: file.text } };
}

/** Returns the units with effects, and those that lose their machine without getting another. */
function affected({ targets, machines }: Cluster, { after, effects }: Preview): Set<UnitName> {
  const names = new Set(effects.keys());
  for (const { unit, machine } of targets.values()) {
    if (machines.has(machine) && after.units.has(unit) && machineOf(after, unit) === undefined) names.add(unit);
  }
  return names;
}

/** Returns the machine of a unit, if it is present. */
function machineOf({ targets, machines }: Cluster, name: UnitName): MachineId | undefined {
  const machine = targets.get(name)?.machine;
  return machine !== undefined && machines.has(machine) ? machine : undefined;
}

function plannedUnit(
  cluster: Cluster,
  { after, effects }: Preview,
  explainer: Explainer,
  { name, change, refusal, warnings }: Decided,
  unitOf: (name: UnitName) => UnitEntity,
): PlannedUnitEntity {
  const was = cluster.units.get(name);
  const unit = change === "refuse" ? undefined : after.units.get(name);
  const isWaiting = unit && isActiveJob(unit) && machineOf(after, name) === undefined;
  const explanation = isWaiting ? explainer.explain(after, name) : undefined;
  const target = isWaiting ? undefined : unit && after.targets.get(name);
  return compact<PlannedUnitEntity>({
    name,
    change,
    desiredState: unit?.desiredState,
    was: was && (change === "replace" ? unitOf(name) : unitEntity(cluster, was)),
    revision: was?.revision,
    effects: nonEmpty((effects.get(name) ?? []).map((effect) => effectEntity(cluster, effect))),
    machineID: target?.machine,
    why: nonEmpty(target?.why),
    waiting: explanation?.summary,
    machines: nonEmpty(
      explanation?.machines.filter(({ reasons }) => reasons.length > 0).map(({ id, machine, reasons }) => ({
        machineID: id,
        ...machine?.ip && { primaryIP: machine.ip },
        reasons: reasons.map(({ rule, reason }) => ({ reason, rule })),
      })),
    ),
    refusal,
    warnings: nonEmpty(warnings),
  });
}

function effectEntity({ machines }: Cluster, { machine, kind, from }: MachineEffect): MachineEffectEntity {
  return compact<MachineEffectEntity>({
    machineID: machine,
    primaryIP: nonEmpty(machines.get(machine)?.ip),
    effect: kind,
    from,
  });
}
