/**
 * `/plan`: what would happen because of changes that have not been made.
 *
 * @module
 */

import type { UnitRecord } from "../../../registry/mod.ts";
import { validateAppName } from "../../../registry/apps.ts";
import type { AppName, Cluster, MachineId, Unit, UnitName } from "../../../registry/model.ts";
import { firstRepeated } from "../../../runtime/first_repeated.ts";
import { quote, validateUnitName } from "../../../systemd/unit_name.ts";
import { Explainer } from "../../engine/explain.ts";
import { type Draft, type MachineEffect, type Preview, preview } from "../../engine/preview.ts";
import { isActiveJob } from "../../policy/globals.ts";
import type { Api, Call } from "../context.ts";
import { maxAppBody_bytes } from "../http/limits.ts";
import { errorReply } from "../http/responses.ts";
import type { Complete } from "../v1/decode.ts";
import { compact, nonEmpty, unitEntity } from "../v1/entities.ts";
import type { MachineEffectEntity, PlanEntity, PlannedUnitEntity, UnitEntity } from "../v1/types.ts";
import { PlanRequest } from "../v1/types.ts";
import { plannedDrains } from "./drains.ts";
import { readRequest } from "./json_request.ts";
import { type CheckedFile, systemdWarnings } from "./systemd_warnings.ts";
import { decidePut } from "./unit_put.ts";

/** POST `/plan`. */
export async function planChanges(api: Api, call: Call): Promise<Response> {
  const body = await readRequest(api, call, PlanRequest, maxAppBody_bytes);
  if ("refusal" in body) return body.refusal;
  const cluster = await api.registry.read();
  const invalid = whyInvalid(cluster, body.value);
  if (invalid !== undefined) return errorReply(400, invalid);
  if (body.value.drain.length > 0) {
    const drains = plannedDrains(cluster, body.value.drain, api.clock.now_ms());
    return api.responses.json(JSON.stringify({ drains, revision: cluster.revision }), call.peer.whenOver);
  }
  const { plan, files } = planOf(
    cluster,
    body.value,
    (name) => JSON.parse(api.units.text(cluster, cluster.units.get(name)!)),
  );
  const found = await systemdWarnings(api, call, files, (name) => recordOf(cluster, name).text);
  const units = plan.units?.map((unit) => ({
    ...unit,
    ...found.has(unit.name) && { warnings: [...unit.warnings ?? [], ...found.get(unit.name)!] },
  }));
  return api.responses.json(JSON.stringify(compact<PlanEntity>({ ...plan, units })), call.peer.whenOver);
}

type Changes = Complete<PlanRequest>;

/** Returns why a request makes no sense. A change that its own request would refuse is part of the plan instead. */
function whyInvalid({ machines }: Cluster, changes: Changes): string | undefined {
  const { units, destroy, leave, drain, cordon, uncordon, labels, app, prune } = changes;
  const invalid = app === "" ? undefined : validateAppName(app);
  if (invalid !== undefined) return invalid;
  if (prune && app === "") return "prune needs app";
  const names = [...units.map(({ name }) => name), ...destroy];
  const twice = firstRepeated(names);
  if (twice !== undefined) return `unit ${quote(twice)} is named twice`;
  const others = [units, destroy, leave, cordon, uncordon, labels, app].some(({ length }) => length > 0) || prune;
  if (drain.length > 0 && others) return "drain excludes other changes";
  const named = [...leave, ...drain, ...cordon, ...uncordon, ...labels.map(({ machineID }) => machineID)];
  const absent = named.find((id) => !machines.has(id));
  return absent === undefined ? undefined : `machine ${quote(absent)} is not in the cluster`;
}

/** The change of one unit: what is known before its effects are. */
interface Decided {
  readonly name: UnitName;
  readonly change: PlannedUnitEntity["change"];
  readonly draft?: Draft;
  readonly refusal?: string;
  readonly warnings?: readonly string[];
  /** The file that would be stored. */
  readonly checked?: CheckedFile;
}

interface Planned {
  readonly plan: PlanEntity;
  /** The files that would be stored. */
  readonly files: readonly CheckedFile[];
}

/** Plans changes. `unitOf` returns a unit of the cluster with its options. */
function planOf(cluster: Cluster, changes: Changes, unitOf: (name: UnitName) => UnitEntity): Planned {
  const app = changes.app === "" ? undefined : changes.app;
  const unnamed = app === undefined ? [] : unnamedUnits(cluster, app, changes);
  const decided = [
    ...changes.units.map((unit) => decideUnit(cluster, unit, app)),
    ...[...changes.destroy, ...changes.prune ? unnamed : []].map((name) => decideDestroy(cluster, name, app)),
  ];
  const predicted = preview(cluster, [...decided.flatMap(({ draft }) => draft ?? []), ...machineDrafts(changes)]);
  const named = new Set(decided.map(({ name }) => name));
  const others = [...affected(cluster, predicted)].filter((name) => !named.has(name)).sort()
    .map((name): Decided => ({ name, change: "none" }));
  const explainer = new Explainer();
  const units = [...decided, ...others].map((each) => plannedUnit(cluster, predicted, explainer, each, unitOf));
  const left = changes.prune ? undefined : nonEmpty(unnamed);
  return {
    plan: compact<PlanEntity>({ revision: cluster.revision, units: nonEmpty(units), left }),
    files: decided.flatMap(({ checked }) => checked ?? []),
  };
}

function machineDrafts({ leave, cordon, uncordon, labels }: Changes): readonly Draft[] {
  return [
    ...leave.map((machine): Draft => ({ kind: "leave", machine })),
    ...cordon.map((machine): Draft => ({ kind: "cordon", machine, isCordoned: true })),
    ...uncordon.map((machine): Draft => ({ kind: "cordon", machine, isCordoned: false })),
    ...labels.map(({ machineID: machine, key, value }): Draft => ({
      kind: "label",
      machine,
      key,
      ...value !== "" && { value },
    })),
  ];
}

/** Returns the units of an application that a request does not name. */
function unnamedUnits(cluster: Cluster, app: AppName, { units, destroy }: Changes): readonly UnitName[] {
  const named = new Set([...units.map(({ name }) => name), ...destroy]);
  return [...cluster.units.values()].filter((unit) => unit.app === app && !named.has(unit.name))
    .map(({ name }) => name).sort();
}

/** Returns why an application may not change a unit: another one owns it. */
export function whyOwned(unit: Unit | undefined, app: AppName | undefined): string | undefined {
  if (app === undefined || unit?.app === undefined || unit.app === app) return undefined;
  return `unit ${quote(unit.name)} belongs to application ${quote(unit.app)}: change it there, or destroy it first`;
}

function decideUnit(
  cluster: Cluster,
  { name, desiredState, options }: Changes["units"][number],
  app: AppName | undefined,
): Decided {
  const invalid = validateUnitName(name);
  if (invalid !== undefined) return { name, change: "refuse", refusal: invalid };
  const was = recordOf(cluster, name);
  const decision = decidePut(was, { name, desiredState, options });
  const owned = whyOwned(was.unit, app);
  if (owned !== undefined) return { name, change: "refuse", refusal: owned };
  if (decision.kind === "refuse") return { name, change: "refuse", refusal: decision.message };
  if (decision.kind === "nothing" && app !== undefined && was.unit?.next) {
    // A roll-out that was aborted has left another file on some machines, which get the unit's own again.
    return { name, change: "update", draft: { kind: "put", name, desiredState: was.unit.desiredState } };
  }
  if (decision.kind === "nothing") {
    return { name, change: app !== undefined && was.unit?.app === undefined ? "adopt" : "none" };
  }
  const { kind, file, findings } = decision;
  const draft: Draft = { kind: "put", name, desiredState: decision.desiredState, ...file && { file } };
  const change = !was.unit ? "create" : kind === "store" ? "replace" : "update";
  const warnings = findings.map(({ message }) => message);
  return { name, change, draft, warnings, ...kind === "store" && file && { checked: { name, file, findings } } };
}

function decideDestroy(cluster: Cluster, name: UnitName, app: AppName | undefined): Decided {
  const unit = cluster.units.get(name);
  const refusal = unit ? whyOwned(unit, app) : "unit does not exist";
  if (refusal !== undefined) return { name, change: "refuse", refusal };
  return { name, change: "destroy", draft: { kind: "destroy", name } };
}

/** Returns what the cluster has of a unit. */
export function recordOf({ units, targets, files }: Cluster, name: UnitName): UnitRecord {
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

function effectEntity({ machines }: Cluster, { machine, kind, from, along }: MachineEffect): MachineEffectEntity {
  return compact<MachineEffectEntity>({
    machineID: machine,
    primaryIP: nonEmpty(machines.get(machine)?.ip),
    effect: kind,
    from,
    along,
  });
}
