/**
 * Compares the units of an old cluster with this one.
 *
 * @module
 */

import type { MachineEntity, PlannedUnitEntity, UnitEntity } from "../../daemon/api/v1/types.ts";
import { fleetOptionNames, fleetSection, parseRequirements } from "../../registry/requirements.ts";
import { isTemplate } from "../../systemd/unit_name.ts";
import type { ApiClient } from "../api/client.ts";
import { rethrowAs } from "../terminal/port.ts";
import type { OldCluster, OldUnit } from "./old_cluster.ts";

/** A unit of the old cluster, compared with this one. */
export interface ComparedUnit {
  readonly name: string;
  /** `create`: this cluster does not have it. `refuse`: this cluster refuses it. */
  readonly change: "create" | "same" | "differs" | "refuse";
  readonly old: OldUnit;
  /** The unit as this cluster has it. */
  readonly here?: UnitEntity;
  readonly refusal?: string;
  /** Options that probably do not mean here what they meant there. */
  readonly warnings: readonly string[];
  /** The reason if no machine of this cluster would take the unit in its old desired state. */
  readonly unplaceable?: Unplaceable;
}

/** The reason why a unit could not run here: in one sentence and, for each machine that is not eligible, with every detail. */
export interface Unplaceable {
  readonly why: string;
  readonly machines: NonNullable<PlannedUnitEntity["machines"]>;
}

/** Metadata that units require and that no machine of this cluster has. */
export interface MissingMetadata {
  readonly key: string;
  /** The accepted values. */
  readonly values: readonly string[];
  readonly units: readonly string[];
  /** IDs of the old cluster's machines that have it. */
  readonly oldMachines: readonly string[];
}

/** The comparison of two clusters. */
export interface Comparison {
  readonly units: readonly ComparedUnit[];
  readonly missingMetadata: readonly MissingMetadata[];
}

/** Compares units of an old cluster with this one, which predicts what would become of them. */
export async function compare(client: ApiClient, { units, machines }: OldCluster): Promise<Comparison> {
  const failed = rethrowAs("Error comparing the units with this cluster");
  const here = new Map((await client.units().catch(failed)).map((unit) => [unit.name, unit]));
  const stored = await client.plan({
    units: units.map(({ name, options }) => {
      return { name, options: [...options], desiredState: here.get(name)?.desiredState ?? "inactive" };
    }),
  }).catch(failed);
  const changes = new Map((stored.units ?? []).map((unit) => [unit.name, unit]));
  // Units that run in the old cluster come first: of units that conflict, one waits there, too.
  const running = units.filter(({ name, desiredState }) => {
    return desiredState !== "inactive" && !isTemplate(name) && changes.get(name)?.change !== "refuse";
  }).sort((a, b) => Number(b.machineID !== undefined) - Number(a.machineID !== undefined));
  const started = await client.plan({
    units: running.map(({ name, options, desiredState }) => {
      return { name, desiredState, ...changes.get(name)?.change === "create" && { options: [...options] } };
    }),
  }).catch(failed);
  const predicted = new Map((started.units ?? []).map((unit) => [unit.name, unit]));
  const compared = units.map((unit) => {
    return comparedUnit(unit, here.get(unit.name), changes.get(unit.name), predicted.get(unit.name));
  });
  const missing = missingMetadata(running, machines, await client.machines().catch(failed));
  return { units: compared, missingMetadata: missing };
}

function comparedUnit(
  old: OldUnit,
  here: UnitEntity | undefined,
  stored: PlannedUnitEntity | undefined,
  started: PlannedUnitEntity | undefined,
): ComparedUnit {
  const { name } = old;
  const common = { name, old, ...here && { here } };
  if (!stored || stored.change === "refuse") {
    const refusal = stored?.refusal ?? "this cluster did not answer for it";
    return { ...common, change: "refuse", refusal, warnings: [] };
  }
  const change = stored.change === "create" ? "create" : stored.change === "replace" ? "differs" : "same";
  const why = started?.change === "refuse" ? started.refusal : started?.waiting;
  return {
    ...common,
    change,
    warnings: [...stored.warnings ?? [], ...newMeanings(old)],
    ...why !== undefined && { unplaceable: { why, machines: started?.machines ?? [] } },
  };
}

/** The options of [X-Fleet] that fleet 1.0 knows, by their modern names. */
const oldOptions = new Set(["MachineID", "MachineOf", "MachineMetadata", "Conflicts", "Replaces", "Global"]);

/** Returns a warning for each option that fleet 1.0 ignores and this fleet does not. */
function newMeanings({ options }: OldUnit): string[] {
  const names = options.filter(({ section }) => section === fleetSection).map(({ name }) => name);
  return [...new Set(names)].filter((name) => fleetOptionNames.includes(name) && !oldOptions.has(name))
    .map((name) => `${name}= of [${fleetSection}] has no effect in fleet 1.0, and has one here`);
}

/** Returns the metadata that units require and no machine here has, by key. */
function missingMetadata(
  units: readonly OldUnit[],
  oldMachines: readonly MachineEntity[],
  machines: readonly MachineEntity[],
): MissingMetadata[] {
  const missing = new Map<string, MissingMetadata & { readonly units: string[] }>();
  for (const { name, options } of units) {
    for (const [key, values] of parseRequirements(name, options).machineMetadata) {
      const has = ({ metadata = {} }: MachineEntity) => values.includes(metadata[key] ?? "");
      if (machines.some(has)) continue;
      const entry = missing.getOrInsertComputed(JSON.stringify([key, ...values]), () => {
        return { key, values, units: [], oldMachines: oldMachines.filter(has).map(({ id }) => id) };
      });
      entry.units.push(name);
    }
  }
  return [...missing.values()].sort((a, b) => a.key < b.key ? -1 : 1);
}
