/** Judges what the machines did against what was asked for. Pure. */

import { absent, describe, everywhere, possible, sameWant, single, versionOf, type Want } from "./units.ts";
import type { Knowledge } from "./units.ts";

/** A unit on one machine's systemd. */
export interface Seen {
  readonly active: string;
  readonly description: string;
}

/** The content of one machine's systemd and unit directory. */
export interface Survey {
  readonly machine: string;
  readonly units: ReadonlyMap<string, Seen>;
  /** Texts of the unit files of fleet, by name. */
  readonly files: ReadonlyMap<string, string>;
}

/** Returns the differences between the desired state and what the machines do; empty if there is none. */
export function differences(wants: ReadonlyMap<string, Want>, surveys: readonly Survey[]): string[] {
  const found = [...wants].flatMap(([name, want]) => difference(name, want, surveys));
  for (const name of everywhere) {
    for (const { machine, units } of surveys) {
      const active = units.get(name)?.active ?? "not there";
      if (active !== "active") found.push(`${name} is ${active} on ${machine}, and should run on every machine`);
    }
  }
  for (const { machine, units, files } of surveys) {
    for (const name of new Set([...units.keys(), ...files.keys()])) {
      if (!wants.has(name) && !everywhere.includes(name)) found.push(`${name} is on ${machine}, and should not exist`);
    }
  }
  return found;
}

function difference(name: string, want: Want, surveys: readonly Survey[]): string[] {
  const running = surveys.filter(({ units }) => !["inactive", undefined].includes(units.get(name)?.active));
  const holding = surveys.filter(({ files }) => files.has(name));
  const where = (some: readonly Survey[]) => some.map(({ machine }) => machine).join(" and ") || "no machine";
  const should = `${name} should be ${want.state === "absent" ? "absent" : `${want.state}, version ${want.version}`}`;
  const launched = want.state === "launched", placed = launched || want.state === "loaded";
  if (running.length !== (launched ? 1 : 0)) return [`${should}, and runs on ${where(running)}`];
  if (holding.length !== (placed ? 1 : 0)) return [`${should}, and its file is on ${where(holding)}`];
  const version = holding[0] && versionOf(holding[0].files.get(name)!);
  if (placed && version !== want.version) return [`${should}, and its file has version ${version}`];
  if (!launched) return [];
  const { active, description } = running[0]!.units.get(name)!;
  if (active !== "active") return [`${should}, and is ${active} on ${where(running)}`];
  if (running[0] !== holding[0]) return [`${should}, and runs on ${where(running)}, its file is on ${where(holding)}`];
  return description === describe(name, want.version) ? [] : [`${should}, and runs as "${description}"`];
}

/** An acknowledged change that was lost, or one that happened although it was refused: what the store has, and what it may have. */
export function lostChanges(
  knowledge: ReadonlyMap<string, Knowledge>,
  stored: ReadonlyMap<string, Want>,
): string[] {
  return [...knowledge].flatMap(([name, known]) => {
    const found = stored.get(name) ?? absent;
    const allowed = possible(known);
    if (allowed.some((want) => sameWant(want, found))) return [];
    const show = ({ state, version }: Want) => state === "absent" ? state : `${state} version ${version}`;
    return [`${name} is ${show(found)}, and the client's changes leave only ${allowed.map(show).join(" or ")}`];
  });
}

/** A moment at which a machine's systemd started or lost a unit. `invocation` is undefined if the unit is gone. */
export interface Transition {
  readonly at_ms: number;
  readonly machine: string;
  readonly unit: string;
  readonly invocation: string | undefined;
}

/** Invocation IDs of running units, by machine and then by unit. */
export type Running = ReadonlyMap<string, ReadonlyMap<string, string>>;

/**
 * Returns the transitions of units that the client did not change and that no fault explains. `excused`: machines that a fault takes
 * away from the cluster, so that their units may stop, move, and be stopped when the machine is back.
 */
export function unexplained(
  before: Running,
  transitions: readonly Transition[],
  unchanged: ReadonlySet<string>,
  excused: ReadonlySet<string>,
): string[] {
  return transitions.flatMap(({ machine, unit, invocation }) => {
    if (!unchanged.has(unit)) return [];
    const homes = [...before].filter(([, units]) => units.has(unit)).map(([home]) => home);
    const isGlobal = everywhere.includes(unit);
    if (isGlobal ? excused.has(machine) : homes.some((home) => excused.has(home))) return [];
    const did = invocation === undefined ? "stopped" : before.get(machine)?.has(unit) ? "restarted" : "started";
    return [`${unit} ${did} on ${machine}, and ran on ${homes.join(" and ") || "no machine"} before`];
  });
}

/** Returns the units that run on two machines although they never may, with the machines. */
export function copies(running: Running): string[] {
  return single.flatMap((unit) => {
    const homes = [...running].filter(([, units]) => units.has(unit)).map(([home]) => home);
    return homes.length > 1 ? [`${unit} ran on ${homes.join(" and ")} at once`] : [];
  });
}

/** Returns the transitions that lead from one sample of a machine to the next. */
export function changesBetween(
  at_ms: number,
  machine: string,
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): Transition[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((unit) => before.get(unit) !== after.get(unit))
    .map((unit) => ({ at_ms, machine, unit, invocation: after.get(unit) }));
}
