/**
 * Says what runs where after units have not all moved, and by which commands each of them starts again. Pure.
 *
 * @module
 */

import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import { commandLine, quotedWord } from "../../runtime/command_line.ts";
import type { CutOverResult, LeftUnit } from "./cut_over.ts";

/** The words of a command line that have selected units. */
export interface Choice {
  /** The value of `--machine`; undefined if it is not given. */
  readonly machine?: string;
  /** Names and patterns of units; none for all. */
  readonly units: readonly string[];
}

/** The parts of the commands that are printed. */
export interface Migration {
  /** The first words of a command line for this cluster. */
  readonly fleetctl: readonly string[];
  /** The value of `--from`. */
  readonly from: string;
  /** The value of `--record`; undefined if it is not given. */
  readonly record?: string;
  readonly choice: Choice;
  /** The machines of the old cluster by ID. */
  readonly oldMachines: ReadonlyMap<string, MachineEntity>;
  /** The user to log in as on a machine of the old cluster. */
  readonly user: string;
}

/** Returns a command line that moves units. */
function importCommand(
  { fleetctl, from, record }: Migration,
  verb: "--start" | "--back",
  { machine, units }: Choice,
): string {
  const flags = [
    ...[`--from=${from}`, verb],
    ...record === undefined ? [] : [`--record=${record}`],
    ...machine === undefined ? [] : [`--machine=${machine}`],
  ];
  return commandLine([...fleetctl, "import", ...flags], units);
}

function startCommand({ fleetctl }: Migration, names: readonly string[]): string {
  return commandLine([...fleetctl, "start"], names);
}

/** Returns the text that ^C ends a move with: into this cluster, or back. */
export function interruptAdvice(migration: Migration, verb: "--start" | "--back"): string {
  const { choice } = migration;
  const goOn = `To go on: ${importCommand(migration, verb, choice)}`;
  if (verb === "--back") {
    return `Interrupted. Units that have stopped here may not be started in the old cluster yet.\n${goOn}`;
  }
  const back = `To start them in the old cluster again: ${importCommand(migration, "--back", choice)}`;
  return `Interrupted. Units that have stopped in the old cluster may not be started here yet.\n${goOn}\n${back}`;
}

/** Returns the commands for units that were to move back, and that the old cluster has not accepted; no lines if there are none. */
export function backAdviceLines(names: readonly string[], migration: Migration): string[] {
  if (names.length === 0) return [];
  return [
    "They may run nowhere: each was to stop here, and the old cluster was not asked, or did not agree, to start it.",
    `To go on: ${importCommand(migration, "--back", { units: names })}`,
    `To start them here again: ${startCommand(migration, names)}`,
  ];
}

/** Returns the state of each unit that has not moved or not started, and the commands that start them; no lines if all have. */
export function adviceLines(result: CutOverResult, migration: Migration): string[] {
  const { left, failed, isOldLost } = result;
  if (left.length + failed.length === 0) return [];
  const begun = left.filter(({ phase }) => phase !== "untouched").map(({ move }) => move.name);
  const lines = left.map((unit) => `Unit ${unit.move.name} ${stateOf(unit, isOldLost)}`);
  if (left.length > 0) {
    const when = isOldLost ? " when the old cluster answers again" : "";
    lines.push(`To go on${when}: ${importCommand(migration, "--start", migration.choice)}`);
  }
  if (failed.length > 0) {
    lines.push(
      `To start what did not start here, after a repair: ${startCommand(migration, failed)}`,
    );
  }
  const back = [...begun, ...failed];
  if (back.length > 0) {
    lines.push(`To start them in the old cluster again: ${importCommand(migration, "--back", { units: back })}`);
  }
  return isOldLost ? [...lines, ...withoutOldCluster(left, migration)] : lines;
}

/** Returns where a unit is, as the predicate of a sentence. */
function stateOf({ move, phase, seen }: LeftUnit, isOldLost: boolean): string {
  if (phase === "untouched") return `is as it was in the old cluster: ${seen}`;
  if (move.target !== "launched") return `is not ${move.target} here yet`;
  if (phase === "stopped") return "runs nowhere: it has stopped in the old cluster, and is not started here";
  if (isOldLost) return `may run nowhere: the old cluster was asked to stop it, and has reported ${seen} last`;
  return `has not stopped in the old cluster: ${seen}`;
}

/** Returns the commands that start units here without the old cluster. */
function withoutOldCluster(left: readonly LeftUnit[], migration: Migration): string[] {
  const { oldMachines, user } = migration;
  const down = left.filter(({ move, phase }) => move.target === "launched" && phase !== "untouched");
  if (down.length === 0) return [];
  const byMachine = Map.groupBy(down, ({ move }) => move.machineID);
  const commands = [...byMachine].map(([id, units]) => {
    const names = units.map(({ move }) => move.name);
    const start = startCommand(migration, names);
    if (id === undefined) return start;
    const address = oldMachines.get(id)?.primaryIP || id;
    const stop = commandLine(["sudo", "systemctl", "stop"], names);
    // The shell of the machine reads the command again.
    const remote = names.every((name) => quotedWord(name) === name) ? stop : quotedWord(stop);
    return `${commandLine(["ssh", `${user}@${address}`])} ${remote} && ${start}`;
  });
  return [
    "If it does not come back, stop them on their machines, and start them here:",
    ...commands.map((line) => `  ${line}`),
  ];
}
