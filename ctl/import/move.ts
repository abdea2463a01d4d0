/**
 * `fleetctl import --start` and `--back`: moves units between the old cluster and this one.
 *
 * @module
 */

import { commandLine } from "../../runtime/command_line.ts";
import { counted } from "../../runtime/counted.ts";
import type { ApiClient } from "../api/client.ts";
import { type Context, exitFailure } from "../cli/command.ts";
import { fleetctlWords, timeoutFlagName } from "../cli/global_flags.ts";
import { isMachine, machineIdLegend, machineLegend } from "../machines/format.ts";
import { documentText, isDocumentFormat } from "../output/list.ts";
import { exitChanges } from "../output/plan.ts";
import { outlivingOutput, printError, printLine, reasonOf } from "../terminal/port.ts";
import { forEachUnit, printFailures } from "../units/set_state.ts";
import { gone, unloaded } from "../waiting/conditions.ts";
import { waitForUnits } from "../waiting/wait_for_units.ts";
import { adviceLines, backAdviceLines, interruptAdvice, type Migration } from "./advice.ts";
import { compare } from "./compare.ts";
import { confirm } from "./confirm.ts";
import { cutOver } from "./cut_over.ts";
import { candidatesOf, type CutOver, decideCutOver, isStopped, type Move } from "./decide.ts";
import { lackingLines, type LackingMachine, lackingRows } from "./machine_metadata.ts";
import { type OldCluster, oldFleetctl } from "./old_cluster.ts";
import { Patience } from "./patience.ts";
import type { MovedUnit, MoveRecord } from "./record.ts";

/** Values of the flags, for a command that moves units. */
export interface MoveOptions {
  /** True to show what would be done only. */
  readonly isPlan: boolean;
  readonly format: string;
  /** The machine of the old cluster as it was typed; "" for all. */
  readonly machine: string;
  /** True for a unit that the patterns of the command line match. */
  readonly matches: (name: string) => boolean;
  /** Machines of this cluster that had other metadata in the old one. */
  readonly lacking: readonly LackingMachine[];
}

/** A unit that left the old cluster, as it was there. */
type RecordedUnit = MovedUnit & { readonly name: string };

/** Moves units from the old cluster to this one. Returns the exit status. */
export async function moveHere(
  context: Context,
  old: ApiClient,
  all: OldCluster,
  record: MoveRecord,
  options: MoveOptions,
): Promise<number> {
  const { io } = context;
  const cluster = { ...all, units: all.units.filter(({ name }) => options.matches(name)) };
  const candidates = candidatesOf(cluster, record.moved, machineOf(options.machine, record));
  const before = candidates.map(({ old, desiredState }) => ({ ...old, desiredState }));
  const { units } = await compare(context.client, { ...cluster, units: before });
  const decided = decideCutOver(candidates, new Map(units.map((unit) => [unit.name, unit])), all);
  const globals = cluster.units.filter(({ isGlobal, desiredState }) => isGlobal && desiredState !== "inactive")
    .map(({ name }) => name);
  const moves = decided.groups.flat();
  if (isDocumentFormat(options.format)) {
    const document = { ...cutOverDocument(decided, globals), machineMetadata: lackingRows(options.lacking) };
    io.out(await documentText(document, options.format));
  } else {
    printCutOver(context, decided, globals);
    for (const line of lackingLines(options.lacking, fleetctlWords(context.given))) printLine(io, line);
  }
  const isHeld = decided.held.length > 0;
  if (options.isPlan) return isHeld ? exitFailure : moves.length > 0 ? exitChanges : 0;
  if (moves.length > 0) {
    await confirm(context, `Stop ${counted(moves.length, "unit")} in the old cluster, and start here?`);
  } else printLine(io, "No unit moves.");
  return await outlivingOutput(io, async () => {
    // Also of units that an interrupted run has moved without noting it.
    await record.write(new Map([...record.moved, ...moves.map(entryOf), ...takenEntries(record, decided.done)]));
    const isWhole = moves.length === 0 || await cutOverAndAdvise(context, old, decided, record);
    return isWhole && !isHeld ? 0 : exitFailure;
  });
}

function entryOf({ name, desiredState, machineID }: Move): [string, MovedUnit] {
  return [name, { desiredState, ...machineID !== undefined && { machineID } }];
}

/** Returns entries of recorded units, with the mark that they have moved. */
function takenEntries({ moved }: MoveRecord, names: readonly string[]): [string, MovedUnit][] {
  return names.flatMap((name) => {
    const unit = moved.get(name);
    return unit ? [[name, { ...unit, hasMoved: true }]] : [];
  });
}

function migrationOf({ flags, given, args }: Context, record: MoveRecord): Migration {
  return {
    fleetctl: fleetctlWords(given),
    from: flags.text("from"),
    ...flags.given("record") && { record: record.path },
    choice: { ...flags.given("machine") && { machine: flags.text("machine") }, units: args },
    oldMachines: record.oldMachines,
    user: /^ssh:\/\/([^@/]+)@/i.exec(flags.text("from"))?.[1] ?? flags.text("ssh-username"),
  };
}

/** Moves units, and says how to go on if they do not all run here then. Returns true if they do. */
async function cutOverAndAdvise(
  context: Context,
  old: ApiClient,
  { groups }: CutOver,
  record: MoveRecord,
): Promise<boolean> {
  const { io } = context;
  const migration = migrationOf(context, record);
  let isRecorded = true;
  const taken = async (names: readonly string[]) => {
    try {
      await record.write(new Map([...record.moved, ...takenEntries(record, names)]));
    } catch (error) {
      // Other units are stopping: they must start here.
      printError(io, reasonOf(error));
      isRecorded = false;
    }
  };
  const removeMessage = io.onInterrupt(interruptAdvice(migration, "--start"));
  try {
    const result = await cutOver(context, old, groups, taken);
    for (const line of adviceLines(result, migration)) printError(io, line);
    return isRecorded && result.left.length + result.failed.length === 0;
  } finally {
    removeMessage();
  }
}

/** Returns the ID of the machine that a person means; undefined for all. Throws if there is none, or several. */
function machineOf(name: string, { oldMachines }: MoveRecord): string | undefined {
  if (name === "") return undefined;
  const machines = [...oldMachines.values()];
  const found = machines.filter((machine) => isMachine(machine, name)).map(({ id }) => id);
  if (found.length === 0) {
    const known = machines.map((machine) => machineLegend(machine, false)).join(", ");
    throw new Error(`The old cluster has no machine ${JSON.stringify(name)}; it has ${known || "none"}`);
  }
  if (found.length > 1) throw new Error(`${JSON.stringify(name)} names several machines: ${found.join(", ")}`);
  return found[0];
}

function cutOverDocument({ groups, held, done, stopped }: CutOver, globals: readonly string[]) {
  const moves = groups.map((group) =>
    group.map(({ name, target, machineID }) => ({ name, desiredState: target, machineID: machineID ?? null }))
  );
  return { moves, stays: held, moved: done, stopped, globals };
}

function printCutOver({ io }: Context, { groups, held, done, stopped }: CutOver, globals: readonly string[]): void {
  for (const move of groups.flat()) printLine(io, `> ${move.name} ${leaving(move)}, and is ${move.target} here`);
  for (const { name, why } of held) printLine(io, `! ${name} stays: ${why}`);
  if (done.length > 0) printLine(io, `Moved already: ${done.join(", ")}`);
  if (stopped.length > 0) {
    printLine(io, `Stopped or destroyed here since, and left so: ${stopped.join(", ")}. See fleetctl start, or --back`);
  }
  if (globals.length > 0) {
    printLine(
      io,
      `Global units run on every machine of both clusters: ${globals.join(", ")}. fleetctl start starts them here; ` +
        "each machine of the old cluster stops its copies with its old fleetd.",
    );
  }
}

/** Returns what happens to a unit in the old cluster, as the predicate of a sentence. */
function leaving({ old: { desiredState, states }, machineID }: Move): string {
  if (machineID === undefined) return "has no machine in the old cluster";
  const where = `on ${machineIdLegend(machineID, false)}`;
  if (desiredState !== "launched") return `does not run ${where}`;
  const hasEnded = states.some((state) => isStopped(state.systemdActiveState));
  return hasEnded ? `has ended ${where}, starts again` : `stops ${where}`;
}

/** Stops units here and gives them their recorded desired states in the old cluster. Returns the exit status. */
export async function moveBack(
  context: Context,
  old: ApiClient,
  cluster: OldCluster,
  record: MoveRecord,
  { isPlan, format, machine, matches }: MoveOptions,
): Promise<number> {
  const { io } = context;
  const id = machineOf(machine, record);
  const recorded = [...record.moved].filter(([name, { machineID }]) => {
    return matches(name) && (id === undefined || id === machineID);
  }).map(([name, unit]) => ({ name, ...unit }));
  const known = new Set(cluster.units.map(({ name }) => name));
  const units = recorded.filter(({ name }) => known.has(name));
  const held = recorded.filter(({ name }) => !known.has(name))
    .map(({ name }) => ({ name, why: `the old cluster at ${old.endpoint} does not have it` }));
  if (isDocumentFormat(format)) {
    const moves = units.map(({ name, desiredState, machineID = null }) => [{ name, desiredState, machineID }]);
    io.out(await documentText({ moves, stays: held }, format));
  } else {
    for (const { name, desiredState } of units) {
      printLine(io, `< ${name} becomes inactive here, and ${desiredState} in the old cluster`);
    }
    for (const { name, why } of held) printLine(io, `! ${name} stays: ${why}`);
    if (recorded.length === 0) printLine(io, `${record.path} names no unit that moved from there.`);
  }
  if (recorded.length === 0) return 0;
  if (isPlan) return units.length < recorded.length ? exitFailure : exitChanges;
  if (units.length === 0) return exitFailure;
  await confirm(context, `Stop ${counted(units.length, "unit")} here, and start in the old cluster?`);
  return await outlivingOutput(io, () => moveBackRecorded(context, old, { recorded, units }, record));
}

/** Moves units back, and says how to go on if not all of `recorded` have moved. Returns the exit status. */
async function moveBackRecorded(
  context: Context,
  old: ApiClient,
  { recorded, units }: Readonly<Record<"recorded" | "units", readonly RecordedUnit[]>>,
  record: MoveRecord,
): Promise<number> {
  const { client, io } = context;
  const migration = migrationOf(context, record);
  const removeMessage = io.onInterrupt(interruptAdvice(migration, "--back"));
  const back = await startThere(context, old, units).finally(removeMessage);
  // After the requests: a record that cannot be written must not keep a stopped unit down. To repeat them does no harm.
  const names = new Set(back.map(({ name }) => name));
  await record.write(new Map([...record.moved].filter(([name]) => !names.has(name))));
  for (const { name, desiredState } of back) printLine(io, `Unit ${name} ${desiredState} in the old cluster`);
  const failures = recorded.filter(({ name }) => !names.has(name));
  if (failures.length === 0) {
    printLine(io, `See them with ${commandLine([...oldFleetctl(migration.from), "list-units"])}`);
  } else printError(io, `Not moved back: ${failures.map(({ name }) => name).join(", ")} (at ${client.endpoint})`);
  const left = failures.filter((unit) => units.includes(unit)).map(({ name }) => name);
  for (const line of backAdviceLines(left, migration)) printError(io, line);
  return failures.length > 0 ? exitFailure : 0;
}

/** Stops units here and, when they have stopped, starts them in the old cluster. Returns those that it has accepted. */
async function startThere(
  context: Context,
  old: ApiClient,
  units: readonly RecordedUnit[],
): Promise<readonly RecordedUnit[]> {
  const stopped = await stopHere(context, units);
  const patience = new Patience(context.io, context.flags.number(timeoutFlagName));
  return await forEachUnit(context, stopped, `Error moving units back to ${old.endpoint}`, ({ name, desiredState }) => {
    return patience.try(() => old.putUnit({ name, desiredState }));
  });
}

/** Makes units inactive here, and waits until no machine has them. Returns those of which this is certain. */
async function stopHere<Unit extends { readonly name: string }>(
  context: Context,
  units: readonly Unit[],
): Promise<readonly Unit[]> {
  const { client } = context;
  const absent = new Set<string>();
  const requested = await forEachUnit(context, units, "Error stopping units here", async ({ name }) => {
    if (await client.unit(name)) await client.putUnit({ name, desiredState: "inactive" });
    else absent.add(name);
  });
  const waits = requested.map(({ name }) => ({
    name,
    stages: [
      absent.has(name)
        ? { condition: gone(), goal: "leave its machine" }
        : { condition: unloaded(), goal: "report state inactive" },
    ],
  }));
  const failures = await printFailures(context, await waitForUnits(context, waits, 0));
  return requested.filter((unit) => !failures.some(({ name }) => name === unit.name));
}
