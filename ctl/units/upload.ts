/**
 * Uploads units to the cluster, for the commands that accept unit files: submit, load, start, restart.
 *
 * @module
 */

import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import type { DesiredState } from "../../registry/model.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import { checkUnit } from "../../registry/unit_check.ts";
import { serializeUnitFile, type UnitOption } from "../../systemd/unit_file.ts";
import { isTemplate, templateOf } from "../../systemd/unit_name.ts";
import { type FlagSpec, switchFlag, textFlag } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { followersFirst } from "./followers.ts";
import { unloaded } from "../waiting/conditions.ts";
import { printError, printLine, reasonOf, rethrowAs } from "../terminal/port.ts";
import { uploadContents } from "./attached_contents.ts";
import { lineOf, namedUnit, unusedBeside, withFile } from "./local_file.ts";
import { CreationError, optionsOf, planUnit, type Sourcing, type UnitPlan } from "./resolve_source.ts";
import { waitForUnits } from "../waiting/wait_for_units.ts";

/** A unit after its upload. */
export interface CreatedUnit {
  readonly name: string;
  readonly isGlobal: boolean;
  /** Its desired state now. */
  readonly desiredState: string;
  /** True if this command has created or replaced it with that state. */
  readonly begun: boolean;
  readonly options: readonly UnitOption[];
  /** The unit before the command; undefined if it is new. */
  readonly existing?: UnitEntity;
  /** True if `--replace` did not replace it because of its state. */
  readonly isKept?: boolean;
  /** Hash of the file that has replaced another: the machine of the unit may still have the old one. */
  readonly replacement?: string;
}

/** The options by which a command creates units. */
export interface Creation {
  /** Desired states in which `--replace` may replace a unit. */
  readonly replaceable: readonly DesiredState[];
  /** The desired state, which a new unit gets in the request that creates it. */
  readonly desiredState?: DesiredState;
  readonly replace: boolean;
  /** Attempts to wait for a replaced unit to become inactive, of 2 seconds each; 0 is no limit. */
  readonly attempts: number;
}

/** `--allow-unknown`, of every command that reads unit files for the cluster. */
export const allowUnknownFlag = switchFlag("allow-unknown", "Accept unknown options of [X-Fleet] and unknown sections");

/** `--name`, of every command that accepts `-` as a file. */
export const nameFlag = textFlag("name", "NAME", "Name the unit that - reads from standard input");

/** Flags of every command that creates units. */
export const creationFlags: readonly FlagSpec[] = [
  allowUnknownFlag,
  nameFlag,
  switchFlag("sign", "Deprecated: ignored"),
];

/** `--replace`. */
export const replaceFlag: FlagSpec = switchFlag(
  "replace",
  "Replace units of the cluster that differ from their local files",
);

/**
 * Creates the units of the arguments or, with `--replace`, replaces them and then the templates of the replaced instances,
 * and prints each change. Throws {@link CreationError} if a unit cannot be created; the units before it exist then, inactive.
 */
export async function createUnits(context: Context, creation: Creation): Promise<CreatedUnit[]> {
  const planned = await planUnits(context, creation);
  const created = await putUnits(context, planned, creation);
  await followTemplates(context, planned.plans);
  return created;
}

/** Plans the units of the arguments for {@link putUnits}. Throws {@link CreationError} if they make no sense. */
export async function planUnits(context: Context, creation: Creation): Promise<Planned> {
  if (context.flags.on("sign")) {
    printError(context.io, "WARNING: The signed/verified units feature is DEPRECATED and cannot be used.");
  }
  return await planAll(await withInput(context), creation);
}

/** Creates or replaces units as planned. Throws {@link CreationError}, or several of them, if not all can be created. */
export async function putUnits(
  context: Context,
  { plans, failures = [] }: Planned,
  creation: Creation,
): Promise<CreatedUnit[]> {
  // If one unit cannot be created none is started.
  const desiredState = failures.length > 0 ? undefined : creation.desiredState;
  const created = await putAll(context, plans, desiredState);
  if (failures.length > 0) throw new AggregateError(failures);
  const withdrawn = new Set(created.filter((unit) => !unit.begun).map((unit) => unit.name));
  await waitForReplaced(context, plans.filter(({ name }) => withdrawn.has(name)), creation.attempts);
  return created;
}

/** Replaces the templates of replaced instances by their local files, so that later instances are the same. */
export async function followTemplates(context: Context, plans: readonly UnitPlan[]): Promise<void> {
  const templates = new Map(plans.flatMap(({ name, template }) => {
    return template ? [[templateOf(name) as string, template] as const] : [];
  }));
  await inParallel([...templates], async ([name, { options, contents }]) => {
    const existing = await context.client.unit(name);
    const same = serializeUnitFile(optionsOf(existing?.options)) === serializeUnitFile(options);
    if (!existing || existing.unreadable === undefined && same) return;
    await uploadContents(context.client, contents);
    await context.client.putUnit({ name, options });
    printLine(context.io, `Unit ${name} inactive`);
  }).catch(rethrowAs("Error creating units: failed replacing a template"));
}

/** Returns the context with the name of a unit in place of `-`, and standard input as its file. */
export async function withInput(context: Context): Promise<Context> {
  const { args, flags, io } = context;
  const dashes = args.filter((argument) => argument === "-").length;
  const { name, file } = namedUnit(flags.text("name"));
  if (dashes === 0 && !flags.given("name")) return context;
  if (dashes !== 1 || flags.text("name") === "" || name !== file) {
    throw new CreationError("- reads one unit from standard input, which needs --name=NAME");
  }
  const reading = withFile(io, file, await io.readInput());
  return { ...context, io: reading, args: args.map((argument) => argument === "-" ? name : argument) };
}

/** The plans for the units of a command line. */
export interface Planned {
  /** The plan of each unit, up to the first that cannot be created. */
  readonly plans: readonly UnitPlan[];
  /** The errors of units that cannot be created. */
  readonly failures?: readonly CreationError[];
}

async function planAll(context: Context, creation: Creation): Promise<Planned> {
  // Of several arguments for one unit, the first counts.
  const units = Map.groupBy(context.args.map(namedUnit), ({ name }) => name).values();
  const templates = new Map<string, Promise<UnitPlan>>();
  const noted = new Set<string>();
  const results = await inParallel([...units.map(([first]) => first!)], async (unit) => {
    const earlier = new Map(templates);
    const sourcing: Sourcing = {
      client: context.client,
      io: context.io,
      replace: creation.replace,
      replaceable: new Set(creation.replaceable),
      earlier: (name) => earlier.get(name),
    };
    const plan = planUnit(unit, sourcing).then((plan) => check(context, plan, noted));
    if (isTemplate(unit.name)) templates.set(unit.name, plan);
    try {
      return await plan;
    } catch (error) {
      if (error instanceof CreationError) return error;
      throw error;
    }
  });
  const failures = results.filter((result) => result instanceof CreationError);
  const first = results.findIndex((result) => result instanceof CreationError);
  return { plans: (first < 0 ? results : results.slice(0, first)) as UnitPlan[], failures };
}

/**
 * Checks a unit before anything is sent: refuses units that the API would refuse, and warns of probable mistakes. `noted`:
 * the notes about files that were printed for other instances of the same template.
 */
async function check(context: Context, plan: UnitPlan, noted: Set<string>): Promise<UnitPlan> {
  if (!plan.options) return plan;
  const { name, options, local } = plan;
  const located = (message: string, line: number | undefined) =>
    `Unit ${name}: ${message}` + (local && line !== undefined ? ` (${local.path}:${line})` : "");
  const findings = checkUnit(name, options)
    .map((finding) => ({ ...finding, text: located(finding.message, local && lineOf(local, finding)) }));
  const invalid = findings.find(({ kind }) => kind === "invalid");
  if (invalid) throw new CreationError(invalid.text);
  const unknown = findings.filter(({ kind }) => kind === "unknown");
  if (unknown.length > 0 && !context.flags.on("allow-unknown")) {
    const reasons = unknown.map(({ text }) => text).join("; ");
    throw new CreationError(`${reasons}. Use --allow-unknown to accept it.`);
  }
  const ignored = local?.ignored.map(({ line, message }) => located(`ignored ${message}`, line)) ?? [];
  for (const text of [...ignored, ...findings.map(({ text }) => text)]) context.io.log("WARN", text);
  for (const { path, why, isMistake } of local ? await unusedBeside(local, context.io) : []) {
    if (!noted.has(path)) context.io.log(isMistake ? "WARN" : "INFO", `${path} ${why}`);
    noted.add(path);
  }
  return plan;
}

async function putAll(
  context: Context,
  plans: readonly UnitPlan[],
  desiredState: DesiredState | undefined,
): Promise<CreatedUnit[]> {
  const output = new OrderedOutput();
  return await followersFirst(plans, async (plan, index) => {
    const created = await putOne(context, plan, desiredState);
    output.add(index, () => {
      for (const note of plan.notes) {
        note.on === "out" ? printLine(context.io, note.text) : printError(context.io, note.text);
      }
      if (plan.options && (created.isGlobal || created.begun || !plan.existing)) {
        // fleet 1.0 prints that a unit is inactive first; a global unit has no state, but the space before it.
        printLine(context.io, `Unit ${plan.name} ${created.isGlobal ? "" : "inactive"}`);
      }
    });
    return created;
  });
}

async function putOne(context: Context, plan: UnitPlan, desiredState: DesiredState | undefined): Promise<CreatedUnit> {
  const { name, existing } = plan;
  const options: readonly UnitOption[] = plan.options ?? optionsOf(existing?.options);
  const isGlobal = parseRequirements(name, options).global;
  const before = { ...existing ? { existing } : {}, ...plan.isKept ? { isKept: true } : {} };
  if (!plan.options) {
    return { name, isGlobal, options, desiredState: existing?.desiredState ?? "inactive", begun: false, ...before };
  }
  // A template is always inactive. A unit that is replaced with its state stays on its machine if it may.
  const state = isTemplate(name) ? undefined : desiredState;
  try {
    if (plan.local?.contents.size) await uploadContents(context.client, plan.local.contents);
    await context.client.putUnit({ name, options, ...(state ? { desiredState: state } : {}) });
  } catch (cause) {
    throw new CreationError(`${name}: ${reasonOf(cause)}`, { cause });
  }
  const begun = state !== undefined && state !== "inactive";
  return {
    ...{ name, isGlobal, options, desiredState: state ?? "inactive", begun, ...before },
    ...(begun && existing ? { replacement: await hashOf(options) } : {}),
  };
}

async function hashOf(options: readonly UnitOption[]): Promise<string> {
  return (await import("../../systemd/unit_hash.ts")).hashUnitFile(serializeUnitFile(options));
}

async function waitForReplaced(context: Context, plans: readonly UnitPlan[], attempts: number): Promise<void> {
  const waits = plans
    .filter((plan) => plan.options && plan.existing && !parseRequirements(plan.name, plan.options).global)
    .map(({ name }) => ({
      name,
      stages: [{ condition: unloaded(), goal: "report state inactive", line: () => `Unit ${name} inactive` }],
    }));
  const failures = await waitForUnits(context, waits, attempts);
  if (failures.length > 0) throw new CreationError(failures.map(({ reason }) => reason).join("; "));
}

/** Runs actions in the order of their numbers, whatever the order in which they are added. */
class OrderedOutput {
  readonly #held = new Map<number, () => void>();
  #next = 0;

  add(turn: number, action: () => void): void {
    this.#held.set(turn, action);
    for (let ready = this.#held.get(this.#next); ready; ready = this.#held.get(this.#next)) {
      this.#held.delete(this.#next++);
      ready();
    }
  }
}
