/**
 * Brings units into the cluster, for the commands that take unit files: submit, load, start, restart.
 *
 * @module
 */

import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import type { DesiredState } from "../../registry/model.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import { checkUnit } from "../../registry/unit_check.ts";
import { serializeUnitFile, type UnitOption } from "../../systemd/unit_file.ts";
import { isTemplate, templateOf } from "../../systemd/unit_name.ts";
import type { FlagSpec } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { unloaded } from "../waiting/conditions.ts";
import { complain, type Io, reasonOf, say } from "../terminal/port.ts";
import { lineOf, type NamedUnit, namedUnit } from "./local_file.ts";
import { CreationError, optionsOf, planUnit, type Sourcing, type UnitPlan } from "./resolve_source.ts";
import { waitForUnits } from "../waiting/wait_for_units.ts";

/** A unit that is in the cluster now. */
export interface CreatedUnit {
  readonly name: string;
  readonly isGlobal: boolean;
  /** What it is wanted in now. */
  readonly desiredState: string;
  /** True if it was created with that state by this command. */
  readonly begun: boolean;
  readonly options: readonly UnitOption[];
  /** The unit as it was; undefined if it is new. */
  readonly existing?: UnitEntity;
  /** True if it was to be replaced and, because of its state, was not. */
  readonly isKept?: boolean;
  /** Hash of the file that replaced another in that state: the machine that has the unit may still have the old one. */
  readonly replacement?: string;
}

/** How a command creates units. */
export interface Creation {
  /** Desired states in which `--replace` may replace a unit. */
  readonly replaceable: readonly DesiredState[];
  /** The state the command wants units in: a new one is created with it in one request. */
  readonly wanted?: DesiredState;
  readonly replace: boolean;
  /** Attempts to wait for a replaced unit to become inactive; 0 for as long as it takes. */
  readonly attempts: number;
}

/** Flags of every command that creates units. */
export const creationFlags: readonly FlagSpec[] = [
  {
    name: "allow-unknown",
    kind: "switch",
    fallback: false,
    help: "Accept options of [X-Fleet] and sections that fleet does not know",
  },
  { name: "name", kind: "text", fallback: "", help: "Name of the unit that - reads from standard input" },
  { name: "sign", kind: "switch", fallback: false, help: "Deprecated: does nothing" },
];

/** `--replace`. */
export const replaceFlag: FlagSpec = {
  name: "replace",
  kind: "switch",
  fallback: false,
  help: "Replace units in the cluster that differ from their local files",
};

/**
 * Creates or, if asked to, replaces the units named by the arguments, and the templates that the replaced ones were made
 * of, and prints what it did. Undefined if one of them could not be created, which has been said; those before it are
 * there then, but inactive.
 */
export async function createUnits(context: Context, creation: Creation): Promise<CreatedUnit[] | undefined> {
  const planned = await planUnits(context, creation);
  const created = planned && await putUnits(context, planned, creation);
  return created && await followTemplates(context, planned.plans) ? created : undefined;
}

/** What {@link putUnits} has to do. Undefined if that cannot be told, which has been said. */
export async function planUnits(context: Context, creation: Creation): Promise<Planned | undefined> {
  if (context.flags.on("sign")) {
    complain(context.io, "WARNING: The signed/verified units feature is DEPRECATED and cannot be used.");
  }
  const given = await withInput(context);
  return given && await planAll(given, creation);
}

/** Creates or replaces units as planned. Undefined if one of them could not be created, which has been said. */
export async function putUnits(
  context: Context,
  planned: Planned,
  creation: Creation,
): Promise<CreatedUnit[] | undefined> {
  // If one cannot be created none is started, as if all had been created before the first was started.
  const { plans, failures = [] } = planned;
  const wanted = failures.length > 0 ? undefined : creation.wanted;
  try {
    const created = await putAll(context, plans, wanted);
    for (const { message } of failures) complain(context.io, `Error creating units: ${message}`);
    if (failures.length > 0) return undefined;
    const withdrawn = new Set(created.filter((unit) => !unit.begun).map((unit) => unit.name));
    await waitForReplaced(context, plans.filter(({ name }) => withdrawn.has(name)), creation.attempts);
    return created;
  } catch (error) {
    if (!(error instanceof CreationError)) throw error;
    complain(context.io, `Error creating units: ${error.message}`);
    return undefined;
  }
}

/**
 * Replaces templates of the cluster that differ from the local files of which their instances were replaced, so that
 * instances that are created later are alike. False if one could not be replaced, which has been said.
 */
export async function followTemplates(context: Context, plans: readonly UnitPlan[]): Promise<boolean> {
  const templates = new Map(plans.flatMap(({ name, template }) => {
    return template ? [[templateOf(name) as string, template.options] as const] : [];
  }));
  try {
    await inParallel([...templates], async ([name, options]) => {
      const existing = await context.client.unit(name);
      const same = serializeUnitFile(optionsOf(existing?.options)) === serializeUnitFile(options);
      if (!existing || existing.unreadable === undefined && same) return;
      await context.client.putUnit({ name, options });
      say(context.io, `Unit ${name} inactive`);
    });
    return true;
  } catch (error) {
    complain(context.io, `Error creating units: failed replacing a template: ${reasonOf(error)}`);
    return false;
  }
}

/** The context with a unit's name in place of `-`, and standard input as its file. Undefined if it makes no sense. */
async function withInput(context: Context): Promise<Context | undefined> {
  const { args, flags, io } = context;
  const dashes = args.filter((argument) => argument === "-").length;
  const { name, file } = namedUnit(flags.text("name"));
  if (dashes === 0 && !flags.given("name")) return context;
  if (dashes !== 1 || flags.text("name") === "" || name !== file) {
    complain(io, "Error creating units: - reads one unit from standard input: name it with --name=NAME");
    return undefined;
  }
  const text = await io.readInput();
  const reading: Io = Object.create(io, {
    readFile: { value: (path: string) => path === file ? Promise.resolve(text) : io.readFile(path) },
  });
  return { ...context, io: reading, args: args.map((argument) => argument === "-" ? name : argument) };
}

/** What is to be done about the units of a command line. */
export interface Planned {
  /** What to do about each unit, up to the first that cannot be created. */
  readonly plans: readonly UnitPlan[];
  /** Why units cannot be created. */
  readonly failures?: readonly CreationError[];
}

async function planAll(context: Context, creation: Creation): Promise<Planned> {
  const units = new Map<string, NamedUnit>();
  for (const unit of context.args.map(namedUnit)) if (!units.has(unit.name)) units.set(unit.name, unit);
  const templates = new Map<string, Promise<UnitPlan>>();
  const results = await inParallel([...units.values()], async (unit) => {
    const earlier = new Map(templates);
    const sourcing: Sourcing = {
      client: context.client,
      io: context.io,
      replace: creation.replace,
      replaceable: new Set(creation.replaceable),
      earlier: (name) => earlier.get(name),
    };
    const plan = planUnit(unit, sourcing).then((plan) => check(context, plan));
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

/** Checks the unit before anything is sent: refuses what the API would refuse, and warns of what is doubtful. */
function check(context: Context, plan: UnitPlan): UnitPlan {
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
    throw new CreationError(`${reasons}. Add --allow-unknown to accept it all the same.`);
  }
  const ignored = local?.ignored.map(({ line, message }) => located(`ignored ${message}`, line)) ?? [];
  for (const text of [...ignored, ...findings.map(({ text }) => text)]) context.io.log("WARN", text);
  return plan;
}

async function putAll(
  context: Context,
  plans: readonly UnitPlan[],
  wanted: DesiredState | undefined,
): Promise<CreatedUnit[]> {
  const told = new TurnTaking();
  return await inParallel(plans, async (plan, index) => {
    const created = await putOne(context, plan, wanted);
    told.take(index, () => {
      for (const note of plan.notes) note.on === "out" ? say(context.io, note.text) : complain(context.io, note.text);
      if (plan.options && (created.isGlobal || created.begun || !plan.existing)) {
        // All of it is one request, but a unit has always been inactive first. A global has no current state, but the space in front of it has always been there.
        say(context.io, `Unit ${plan.name} ${created.isGlobal ? "" : "inactive"}`);
      }
    });
    return created;
  });
}

async function putOne(context: Context, plan: UnitPlan, wanted: DesiredState | undefined): Promise<CreatedUnit> {
  const { name, existing } = plan;
  const options: readonly UnitOption[] = plan.options ?? optionsOf(existing?.options);
  const isGlobal = parseRequirements(name, options).global;
  const before = { ...existing ? { existing } : {}, ...plan.isKept ? { isKept: true } : {} };
  if (!plan.options) {
    return { name, isGlobal, options, desiredState: existing?.desiredState ?? "inactive", begun: false, ...before };
  }
  // A template can be nothing else than inactive. A unit that is replaced as it gets its state stays where it is, if it may.
  const state = isTemplate(name) ? undefined : wanted;
  try {
    await context.client.putUnit({ name, options, ...(state ? { desiredState: state } : {}) });
  } catch (cause) {
    throw new CreationError(`failed creating unit ${name}: ${reasonOf(cause)}`, { cause });
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

/** Runs what was handed in out of order in order. */
class TurnTaking {
  readonly #held = new Map<number, () => void>();
  #next = 0;

  take(turn: number, action: () => void): void {
    this.#held.set(turn, action);
    for (let ready = this.#held.get(this.#next); ready; ready = this.#held.get(this.#next)) {
      this.#held.delete(this.#next++);
      ready();
    }
  }
}
