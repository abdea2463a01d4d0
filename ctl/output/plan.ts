/**
 * Prints a plan: what would become of units, where they would run, and how their files differ.
 *
 * @module
 */

import type { MachineEffectEntity, PlanEntity, PlannedUnitEntity } from "../../daemon/api/v1/types.ts";
import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { textFlag } from "../cli/argv.ts";
import { type Context, exitFailure } from "../cli/command.ts";
import { machineLegend } from "../machines/format.ts";
import { type Io, printError, printLine } from "../terminal/port.ts";
import type { ApplicationUnit } from "../units/application.ts";
import { optionsOf } from "../units/resolve_source.ts";
import { documentText, formatOf, listFormats } from "./list.ts";

/** Exit status of a plan with changes. */
export const exitChanges = 2;

/** The last paragraph of the help of commands that print plans. */
export const exitStatuses = "The exit status is 0 if nothing would change, 2 if something would, and 1 after an error.";

/** `--output` of commands that print plans. */
export const planOutputFlag = textFlag("output", "FORMAT", "Print a table, wide (whole IDs), json or yaml", {
  fallback: "table",
});

/** Returns the format of `--output`. Throws {@link UsageError}. */
export function planFormat(context: Context): string {
  return formatOf(context, listFormats);
}

/** Prints a plan, and returns the exit status. `files`: the units as their files have them, by name. */
export async function printPlan(
  context: Context,
  plan: PlanEntity,
  files: ReadonlyMap<string, ApplicationUnit>,
): Promise<number> {
  const { io } = context;
  const format = planFormat(context);
  const planned = await Promise.all((plan.units ?? []).map(async (unit) => {
    const file = files.get(unit.name);
    const diff = unit.change === "replace" && file ? await fileDiff(unit, file) : undefined;
    return { unit, ...file && { path: file.path }, ...diff && { diff } };
  }));
  const refused = planned.filter(({ unit }) => unit.change === "refuse");
  const changed = planned.filter(({ unit }) => unit.change !== "refuse" && isChanged(unit));
  if (format === "json" || format === "yaml") {
    const units = planned.map(({ unit, path, diff }) => ({
      ...unit,
      ...path !== undefined && { file: path },
      ...diff && { diff: diff.join("\n") + "\n" },
    }));
    io.out(await documentText({ revision: plan.revision, units }, format));
  } else {
    const full = format === "wide";
    for (const { unit, diff } of changed) {
      for (const line of linesOf(unit, diff ?? [], full)) printLine(io, colored(io, line));
    }
    printLine(io, summary(plan, planned.map(({ unit }) => unit)));
  }
  for (const { unit, path } of refused) printError(io, `Unit ${unit.name}: ${unit.refusal}${path ? ` (${path})` : ""}`);
  if (refused.length > 0) return exitFailure;
  return changed.length > 0 ? exitChanges : 0;
}

function isChanged({ change, effects = [], waiting, was }: PlannedUnitEntity): boolean {
  return change !== "none" || effects.length > 0 || waiting !== undefined && was?.machineID !== undefined;
}

const verbs: Readonly<Record<string, string>> = {
  create: "+ create",
  replace: "~ replace",
  update: "~ update",
  destroy: "- destroy",
  none: "  affect",
};

/** Returns the lines about the change of a unit. `file`: the unit as its file has it. */
export async function changeLines(
  io: Io,
  unit: PlannedUnitEntity,
  file: Pick<ApplicationUnit, "options"> | undefined,
): Promise<string[]> {
  const diff = unit.change === "replace" && file ? await fileDiff(unit, file) : [];
  return linesOf(unit, diff, false).map((line) => colored(io, line));
}

function linesOf(unit: PlannedUnitEntity, diff: readonly string[], full: boolean): string[] {
  const { name, change, desiredState, was, effects = [], waiting, machines = [], why, warnings = [] } = unit;
  const before = was?.desiredState;
  const state = change === "create"
    ? `, ${desiredState}`
    : before !== undefined && desiredState !== undefined && before !== desiredState
    ? `, ${before} -> ${desiredState}`
    : "";
  const isNewPlace = effects.some(({ effect }) => ["start", "load", "move"].includes(effect));
  return [
    `${verbs[change] ?? change} ${name}${state}`,
    ...diff.map((line) => `    ${line}`),
    ...effects.map((effect) => `    ${effectLine(effect, full)}${isNewPlace && why ? `: ${why}` : ""}`),
    ...waiting === undefined ? [] : [`    waits: ${waiting}`],
    ...machines.map(({ machineID: id, primaryIP = "", reasons }) =>
      `      ${machineLegend({ id, primaryIP }, full)}: ${reasons.map(({ reason }) => reason).join("; ")}`
    ),
    ...warnings.map((warning) => `    warning: ${warning}`),
  ];
}

function effectLine({ effect, machineID: id, primaryIP = "", from }: MachineEffectEntity, full: boolean): string {
  const machine = machineLegend({ id, primaryIP }, full);
  if (effect !== "move") return `${effect} on ${machine}`;
  return `move from ${machineLegend({ id: from ?? "" }, full)} to ${machine}`;
}

/** Returns the lines of a unified diff between the file in the cluster and the new one, without its header. */
async function fileDiff({ was }: PlannedUnitEntity, file: Pick<ApplicationUnit, "options">): Promise<string[]> {
  const { structuredPatch } = await import("diff");
  const [old, text] = [optionsOf(was?.options), file.options].map(serializeUnitFile) as [string, string];
  const { hunks } = structuredPatch("", "", old, text, undefined, undefined, { context: 2 });
  return hunks.flatMap(({ oldStart, oldLines, newStart, newLines, lines }) => [
    `@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`,
    ...lines.filter((line) => !line.startsWith("\\")),
  ]);
}

const colors: readonly (readonly [RegExp, number])[] = [[/^(\+| {4}\+)/, 32], [/^(-| {4}-)/, 31], [/^(~| {4}@@)/, 36]];

function colored({ color }: Io, line: string): string {
  const code = color ? colors.find(([start]) => start.test(line))?.[1] : undefined;
  return code === undefined ? line : `\x1b[${code}m${line}\x1b[0m`;
}

/** The words of the summary, by change. */
const done: readonly (readonly [PlannedUnitEntity["change"], string])[] = [
  ["create", "to create"],
  ["replace", "to replace"],
  ["update", "to update"],
  ["destroy", "to destroy"],
  ["refuse", "refused"],
];

function summary({ revision }: PlanEntity, units: readonly PlannedUnitEntity[]): string {
  const count = (change: string) => units.filter((unit) => unit.change === change).length;
  const parts = done.flatMap(([change, words]) => count(change) > 0 ? [`${count(change)} ${words}`] : []);
  const affected = units.filter((unit) => unit.change === "none" && isChanged(unit)).length;
  const unchanged = count("none") - affected;
  const all = [
    ...parts,
    ...affected > 0 ? [`${affected} affected`] : [],
    ...unchanged > 0 ? [`${unchanged} unchanged`] : [],
  ];
  return `Plan at revision ${revision}: ${all.length === 0 ? "no units" : all.join(", ")}. Nothing was changed.`;
}
