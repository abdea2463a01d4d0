/**
 * Prints the comparison of an old cluster with this one.
 *
 * @module
 */

import type { Context } from "../cli/command.ts";
import { fleetctlWords } from "../cli/global_flags.ts";
import { machineIdLegend, machineLegend } from "../machines/format.ts";
import { documentText } from "../output/list.ts";
import { changeLines } from "../output/plan.ts";
import { printLine } from "../terminal/port.ts";
import { lackingLines, type LackingMachine, lackingRows } from "./machine_metadata.ts";
import type { ComparedUnit, Comparison, MissingMetadata } from "./compare.ts";

/** The comparison as a document of JSON or YAML. */
export async function comparisonText(
  { units, missingMetadata }: Comparison,
  lacking: readonly LackingMachine[],
  from: string,
  format: "json" | "yaml",
): Promise<string> {
  const rows = units.map(({ name, change, old, here, refusal, warnings, unplaceable }) => ({
    ...{ name, change },
    old: {
      desiredState: old.desiredState,
      currentState: old.currentState,
      machineID: old.machineID ?? null,
      global: old.isGlobal,
    },
    here: here ? { desiredState: here.desiredState ?? "inactive", machineID: here.machineID ?? null } : null,
    ...refusal !== undefined && { refusal },
    warnings,
    ...unplaceable && { unplaceable: unplaceable.why },
  }));
  return await documentText({ from, units: rows, missingMetadata, machineMetadata: lackingRows(lacking) }, format);
}

/** Prints the comparison: a line for each unit that is not the same, with what to know about it, and the metadata that is missing. */
export async function printComparison(
  context: Context,
  comparison: Comparison,
  lacking: readonly LackingMachine[],
  replaces: boolean,
): Promise<void> {
  const { io } = context;
  const { units, missingMetadata } = comparison;
  for (const unit of units) for (const line of await unitLines(context, unit, replaces)) printLine(io, line);
  for (const line of [...missingMetadata.map(missingLine), ...lackingLines(lacking, fleetctlWords(context.given))]) {
    printLine(io, line);
  }
}

async function unitLines(context: Context, unit: ComparedUnit, replaces: boolean): Promise<string[]> {
  const { name, change, old, here, refusal, warnings, unplaceable } = unit;
  if (change === "refuse") return [`! refused ${name}: ${refusal}`];
  const notes = [
    ...warnings.map((warning) => `    warning: ${warning}`),
    ...unplaceable ? [`    cannot be ${old.desiredState} here: ${unplaceable.why}`] : [],
    ...(unplaceable?.machines ?? []).map(({ machineID: id, primaryIP = "", reasons }) => {
      return `      ${machineLegend({ id, primaryIP }, false)}: ${reasons.map(({ reason }) => reason).join("; ")}`;
    }),
  ];
  if (change === "create") return [`+ create ${name}, inactive (${placeOf(unit)})`, ...notes];
  if (change === "same") return notes.length === 0 ? [] : [`  same ${name} (${placeOf(unit)})`, ...notes];
  const { desiredState = "inactive" } = here ?? {};
  const [first = "", ...diff] = await changeLines(
    context,
    { name, change: "replace", desiredState, ...here && { was: here } },
    old,
  );
  const head = replaces ? first : `  keep ${name}: its file differs here, and --replace would replace it`;
  return [head, ...diff, ...notes];
}

/** Returns the desired state of a unit in the old cluster, and its machine. */
function placeOf({ old: { desiredState, machineID, isGlobal } }: ComparedUnit): string {
  const where = isGlobal ? ", global" : machineID ? ` on ${machineIdLegend(machineID, false)}` : "";
  return `${desiredState}${where} in the old cluster`;
}

function missingLine({ key, values, units, oldMachines }: MissingMetadata): string {
  const there = oldMachines.length === 0
    ? "no machine of the old cluster has it either"
    : `the old cluster has it on ${oldMachines.map((id) => machineIdLegend(id, false)).join(", ")}`;
  return `No machine here has ${key}=${values.join(` or ${key}=`)}, which ${units.join(", ")} ${
    units.length === 1 ? "requires" : "require"
  }; ${there}. See fleetctl machine label.`;
}

/** Returns how many units are to be created, and so on, as the part of a sentence. */
export function comparisonSummary({ units }: Comparison, replaces: boolean): string {
  const count = (change: string) => units.filter((unit) => unit.change === change).length;
  const parts: readonly (readonly [number, string])[] = [
    [count("create"), "to create"],
    [count("differs"), replaces ? "to replace" : "different and kept"],
    [count("same"), "already the same"],
    [count("refuse"), "refused"],
  ];
  const shown = parts.filter(([count]) => count > 0).map(([count, words]) => `${count} ${words}`);
  const unplaceable = units.filter((unit) => unit.unplaceable).length;
  const counts = shown.length === 0 ? "no units" : `units: ${shown.join(", ")}`;
  return unplaceable === 0 ? counts : `${counts}; ${unplaceable} of them cannot run on any machine here`;
}
