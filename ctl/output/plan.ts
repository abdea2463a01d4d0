/**
 * Prints a plan: what would become of units, where they would run, and how their files differ.
 *
 * @module
 */

import type { DrainEntity, MachineEffectEntity, PlanEntity, PlannedUnitEntity } from "../../daemon/api/v1/types.ts";
import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { type Context, exitFailure } from "../cli/command.ts";
import { machineLegend } from "../machines/format.ts";
import { drainLines } from "../machines/moves.ts";
import { type Io, printError, printLine } from "../terminal/port.ts";
import type { ApplicationUnit } from "../units/application.ts";
import type { ApiClient } from "../api/client.ts";
import { changedContents, contentText } from "../units/attached_contents.ts";
import { optionsOf } from "../units/resolve_source.ts";
import { documentText, formatOf, listFormats, outputFlag } from "./list.ts";

/** Exit status of a plan with changes. */
export const exitChanges = 2;

/** The last paragraph of the help of commands that print plans. */
export const exitStatuses = "The exit status is 0 if nothing would change, 2 if something would, and 1 after an error.";

/** `--output` of commands that print plans. */
export const planOutputFlag = outputFlag(
  "FORMAT",
  "Print a table, wide (whole IDs), json or yaml",
  "table",
  listFormats,
);

/** Returns the format of `--output`. Throws {@link UsageError}. */
export function planFormat(context: Context): string {
  return formatOf(context, listFormats);
}

/** The units of a plan as their files have them, by name. */
export type PlannedFiles = ReadonlyMap<string, ChangedFile & { readonly path?: string }>;

/** Prints a plan, and returns the exit status. */
export async function printPlan(context: Context, plan: PlanEntity, files: PlannedFiles): Promise<number> {
  const { io } = context;
  const format = planFormat(context);
  if (format === "json" || format === "yaml") {
    io.out(await documentText(await planDocument(context, plan, files), format));
  } else {
    await printChanges(context, plan, files);
    printLine(io, `${planSummary(plan)} Nothing was changed.`);
  }
  if (printRefusals(context, plan, files) > 0) return exitFailure;
  return (plan.units ?? []).some(isChanged) ? exitChanges : 0;
}

/** Prints the drains of a plan, and returns the exit status. */
export async function printDrainPlan(context: Context, { revision, drains = [] }: PlanEntity): Promise<number> {
  const { io } = context;
  const format = planFormat(context);
  if (format === "json" || format === "yaml") io.out(await documentText({ revision, drains }, format));
  else {
    for (const line of drains.flatMap(drainLines)) printLine(io, line);
    printLine(io, `Plan at revision ${revision}. Nothing was changed.`);
  }
  return drainStatus(drains);
}

/** Returns the exit status of a command that shows what drains would do. */
export function drainStatus(drains: readonly DrainEntity[]): number {
  return drains.some(({ units = [], globals = [] }) => units.length + globals.length > 0) ? exitChanges : 0;
}

/** Prints the units that a plan would change, or that it affects. */
export async function printChanges(context: Context, plan: PlanEntity, files: PlannedFiles): Promise<void> {
  const { io } = context;
  const full = context.flags.text(planOutputFlag.name) === "wide";
  for (const unit of plan.units ?? []) {
    if (unit.change === "refuse" || !isChanged(unit)) continue;
    for (const line of await changeLines(context, unit, files.get(unit.name), full)) printLine(io, line);
  }
  const left = plan.left ?? [];
  if (left.length > 0) printLine(io, `Left as they are, since no file names them (see --prune): ${left.join(", ")}`);
}

/** Prints the changes that would be refused. Returns their number. */
export function printRefusals({ io }: Context, plan: PlanEntity, files: PlannedFiles): number {
  const refused = (plan.units ?? []).filter(({ change }) => change === "refuse");
  for (const { name, refusal } of refused) {
    const path = files.get(name)?.path;
    printError(io, `Unit ${name}: ${refusal}${path ? ` (${path})` : ""}`);
  }
  return refused.length;
}

/** Returns a plan as it is printed in JSON, with the differences of files. */
export async function planDocument(
  { client }: Pick<Context, "client">,
  plan: PlanEntity,
  files: PlannedFiles,
): Promise<Readonly<Record<string, unknown>>> {
  const units = await Promise.all((plan.units ?? []).map(async (unit) => {
    const file = files.get(unit.name);
    const diff = unit.change === "replace" && file ? await fileDiff(client, unit, file) : undefined;
    return {
      ...unit,
      ...file?.path !== undefined && { file: file.path },
      ...diff && { diff: diff.join("\n") + "\n" },
    };
  }));
  return { ...plan, units };
}

function isChanged({ change, effects = [], waiting, was }: PlannedUnitEntity): boolean {
  return change !== "none" || effects.length > 0 || waiting !== undefined && was?.machineID !== undefined;
}

const verbs: Readonly<Record<string, string>> = {
  create: "+ create",
  replace: "~ replace",
  update: "~ update",
  adopt: "~ adopt",
  destroy: "- destroy",
  none: "  affect",
};

/** A unit file with the contents that it names, as far as they are local. */
type ChangedFile = Pick<ApplicationUnit, "options"> & Partial<Pick<ApplicationUnit, "contents">>;

/** Returns the lines about the change of a unit. `file`: the unit as its file has it. */
export async function changeLines(
  { io, client }: Pick<Context, "io" | "client">,
  unit: PlannedUnitEntity,
  file: ChangedFile | undefined,
  full = false,
): Promise<string[]> {
  const diff = unit.change === "replace" && file ? await fileDiff(client, unit, file) : [];
  return linesOf(unit, diff, full).map((line) => colored(io, line));
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

function effectLine(
  { effect, machineID: id, primaryIP = "", from, along }: MachineEffectEntity,
  full: boolean,
): string {
  const machine = machineLegend({ id, primaryIP }, full);
  if (effect !== "move") return `${effect} on ${machine}${along === undefined ? "" : `, together with ${along}`}`;
  return `move from ${machineLegend({ id: from ?? "" }, full)} to ${machine}`;
}

/** Returns the lines of unified diffs between the file in the cluster and the new one, and between attached files. */
async function fileDiff(
  client: ApiClient,
  { was }: PlannedUnitEntity,
  { options, contents = new Map() }: ChangedFile,
): Promise<string[]> {
  const before = optionsOf(was?.options);
  const lines = await unifiedDiff(serializeUnitFile(before), serializeUnitFile(options));
  for (const { path, old, now } of await changedContents(client, before, options, contents)) {
    lines.push(`file ${path}${old ? "" : " (new)"}${now ? "" : " (removed)"}`);
    const [from, to] = [old, now].map((content) => content ? contentText(content) : "");
    if (from !== undefined && to !== undefined) lines.push(...await unifiedDiff(from, to));
    else lines.push(`  ${old?.problem ?? now?.problem ?? "its content is binary"}`);
  }
  return lines;
}

async function unifiedDiff(old: string, text: string): Promise<string[]> {
  const { structuredPatch } = await import("diff");
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
  ["adopt", "to adopt"],
  ["destroy", "to destroy"],
  ["refuse", "refused"],
];

/** Returns how many units a plan changes, as a sentence. */
export function planSummary({ revision, units = [] }: PlanEntity): string {
  const count = (change: string) => units.filter((unit) => unit.change === change).length;
  const parts = done.flatMap(([change, words]) => count(change) > 0 ? [`${count(change)} ${words}`] : []);
  const affected = units.filter((unit) => unit.change === "none" && isChanged(unit)).length;
  const unchanged = count("none") - affected;
  const all = [
    ...parts,
    ...affected > 0 ? [`${affected} affected`] : [],
    ...unchanged > 0 ? [`${unchanged} unchanged`] : [],
  ];
  return `Plan at revision ${revision}: ${all.length === 0 ? "no units" : all.join(", ")}.`;
}
