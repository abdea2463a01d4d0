/**
 * Puts this machine's units into a store that has lost them, so that they keep running. The daemon has joined the cluster
 * when this runs, and its agent has not begun.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import type { MachineId, Revision, UnitName } from "../../registry/model.ts";
import { type Change, ConflictError, type Registry } from "../../registry/mod.ts";
import { fleetOptionsOf } from "../../registry/requirements.ts";
import type { Systemd, UnitStatus } from "../../systemd/port.ts";
import { parseUnitFile, serializeUnitFile } from "../../systemd/unit_file.ts";
import { hashUnitFile } from "../../systemd/unit_hash.ts";
import type { AttachedFiles } from "./attached_files.ts";
import { adopted, commanded, type Intent, type IntentMemory } from "./intent.ts";

type Labels = Readonly<Record<string, string>>;

/** State of the daemon that survives its restarts. */
export interface KeptState {
  readonly intents: IntentMemory;
  /** Returns true if this machine's units are to be put into the store that was accepted last. */
  keepsUnits(): Promise<boolean>;
  saveKeepsUnits(keeps: boolean): Promise<void>;
  /** Returns the machine's dynamic metadata as it was seen last. */
  labels(): Promise<Labels>;
  saveLabels(labels: Labels): Promise<void>;
}

/** Options of {@link keepUnitsIfAsked}. */
export interface KeepUnitsOptions {
  readonly registry: Pick<Registry, "unit" | "read" | "commit">;
  readonly systemd: Pick<Systemd, "files" | "statuses">;
  readonly state: KeptState;
  readonly attached: Pick<AttachedFiles, "kept">;
  readonly machine: MachineId;
  readonly log: Log;
  readonly clock: Pick<Clock, "now_ms">;
}

/**
 * Prepares for a store that is accepted at `revision`: every restart request counts as carried out at that revision, because
 * the revisions of the store before it would hide or repeat requests of this one. `keeps`: units are put into the store.
 */
export async function prepareStore(
  state: KeptState,
  { revision }: { readonly revision: Revision },
  keeps: boolean,
): Promise<void> {
  for (const [unit, intent] of await state.intents.load()) {
    if (intent.restart !== revision) await state.intents.save(unit, { ...intent, restart: revision });
  }
  await state.saveKeepsUnits(keeps);
}

/** Returns a function that saves the machine's labels when they have changed. */
export function rememberLabels(state: KeptState, log: Log): (labels: Labels) => void {
  let saved: Labels | undefined;
  return (labels) => {
    if (labels === saved) return;
    saved = labels;
    state.saveLabels(labels).catch((error) => log("error", messageOf(error)));
  };
}

/** Attempts at one unit while other machines change it: a global unit is put by each of them. */
const maxAttempts = 5;

const why = "it was on this machine when its store was replaced";

/**
 * If an operator has asked for it, puts labels that the store does not have, then units: those that it does not have,
 * with their files and the states that the agent has commanded; and those that it has on no machine are placed on this one.
 * What the store has already is not changed. Throws if the store cannot be reached; it can be repeated.
 */
export async function keepUnitsIfAsked(options: KeepUnitsOptions): Promise<void> {
  const { registry, systemd, state, machine, log } = options;
  if (!await state.keepsUnits()) return;
  const known = (await registry.read()).dynamicMetadata.get(machine) ?? {};
  for (const [key, value] of Object.entries(await state.labels())) {
    if (known[key] === undefined) await registry.commit({ kind: "metadata", machine, key, value });
  }
  for (const content of await options.attached.kept()) await registry.commit({ kind: "content", ...content });
  const files = await systemd.files();
  const statuses = await systemd.statuses(new Set(files.keys()));
  const intents = await state.intents.load();
  let kept = 0;
  await inParallel([...files], async ([name, text]) => {
    const file = fileOf(name, text);
    const status = statuses.get(name);
    if (file === undefined) log("error", "the unit cannot be kept: its file cannot be parsed", { unit: name });
    else if (status !== undefined && await keep(options, name, file, stateOf(intents.get(name), status))) kept++;
  });
  await state.saveKeepsUnits(false);
  log("info", `${kept} units of this machine were put into the store`, { found: files.size });
}

type File = NonNullable<Extract<Change, { kind: "put" }>["file"]>;

function fileOf(name: UnitName, text: string): File | undefined {
  try {
    const options = parseUnitFile(text);
    const serialized = serializeUnitFile(options);
    return { hash: hashUnitFile(serialized), text: serialized, fleetOptions: fleetOptionsOf(name, options) };
  } catch {
    return undefined;
  }
}

function stateOf(intent: Intent | undefined, status: UnitStatus): "loaded" | "launched" {
  return commanded(intent ?? adopted(status, 0), status).commanded;
}

/** Returns true if the unit was put or placed, false if the store has it with a decision of its own. */
async function keep(
  { registry, machine, clock }: KeepUnitsOptions,
  name: UnitName,
  file: File,
  state: "loaded" | "launched",
): Promise<boolean> {
  for (let attempt = 1;; attempt++) {
    const was = await registry.unit(name);
    const isDecided = was.unit !== undefined && (was.unit.requirements.global ||
      was.unit.unreadable !== undefined || was.unit.desiredState === "inactive");
    if (isDecided || was.target !== undefined) return false;
    const placed = { machine, why, since_ms: clock.now_ms() };
    try {
      const desiredState = was.unit?.desiredState ?? state;
      await registry.commit({ kind: "put", was, desiredState, placed, ...(was.unit === undefined && { file }) });
      return true;
    } catch (error) {
      if (!(error instanceof ConflictError) || attempt === maxAttempts) {
        throw new Error(`cannot keep unit ${name}: ${messageOf(error)}`, { cause: error });
      }
    }
  }
}
