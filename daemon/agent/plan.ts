/**
 * Computes the steps from the current to the desired state. Pure.
 *
 * @module
 */

import type { Revision, UnitName } from "../../registry/model.ts";
import type { UnitStatus } from "../../systemd/port.ts";
import type { DesiredUnit } from "./desired.ts";
import { type Commanded, isUp } from "./intent.ts";

/** One unit whose file is in fleet's directory. */
export interface Current extends Commanded {
  readonly name: UnitName;
  /** Hash of the file on disk. */
  readonly hash: string;
  readonly status: UnitStatus;
}

/** One step for one unit. */
export type Step =
  | {
    readonly kind: "stop";
    readonly unit: UnitName;
    readonly why: string;
    /** The request that this stop carries out; left out if there was none. */
    readonly restart?: Revision;
  }
  | { readonly kind: "remove"; readonly unit: UnitName; readonly why: string }
  | { readonly kind: "install"; readonly unit: UnitName; readonly hash: string; readonly why: string }
  | {
    readonly kind: "start";
    readonly unit: UnitName;
    readonly restart: Revision;
    readonly why: string;
    /** True if an operator has requested this start: the request counts as carried out when systemd's job has ended. */
    readonly isAsked?: true;
  }
  | { readonly kind: "restart"; readonly unit: UnitName; readonly restart: Revision; readonly why: string };

/** The steps of one kind. */
export type StepOf<Kind extends Step["kind"]> = Extract<Step, { kind: Kind }>;

/** A step whose command is a start job. */
export type StartStep = StepOf<"start" | "restart">;

/** Returns the steps of one kind, in order. */
export function stepsOf<Kind extends Step["kind"]>(steps: readonly Step[], kind: Kind): StepOf<Kind>[] {
  return steps.filter((step): step is StepOf<Kind> => step.kind === kind);
}

/**
 * Returns the next steps, in order of unit name. Units in `held` are left alone: they have a job, or a failed command waits
 * for its next try. A unit that must be removed or replaced is stopped first; the steps after that are decided when it has
 * stopped. Units in `later` are not started yet. Units in `inUse` do not run themselves, but other units need them: they
 * are stopped with those before they are replaced, and removed after those.
 */
export function plan(
  wanted: ReadonlyMap<UnitName, DesiredUnit>,
  current: ReadonlyMap<UnitName, Current>,
  held: ReadonlySet<UnitName>,
  later: ReadonlySet<UnitName> = new Set(),
  inUse: ReadonlySet<UnitName> = new Set(),
): readonly Step[] {
  const names = [...new Set([...wanted.keys(), ...current.keys()])].sort();
  return names.filter((name) => !held.has(name))
    .flatMap((name) => next(name, wanted.get(name), current.get(name), inUse.has(name)))
    .filter((step) => step.kind !== "start" && step.kind !== "restart" || !later.has(step.unit));
}

function next(
  unit: UnitName,
  wanted: DesiredUnit | undefined,
  current: Current | undefined,
  isInUse: boolean,
): Step[] {
  if (!wanted) return current && !isInUse ? dismantle(current, "unit loaded but not scheduled here") : [];
  const install: Step[] = [
    { kind: "install", unit, hash: wanted.hash, why: "unit scheduled here but not loaded" },
  ];
  if (wanted.desiredState === "launched") {
    const why = "unit currently loaded but desired state is launched";
    install.push({ kind: "start", unit, restart: wanted.restart, why, ...(wanted.startOnly && { isAsked: true }) });
  }
  if (!current) return install;
  if (current.hash !== wanted.hash) {
    const steps = dismantle(current, "unit loaded but hash differs to expected", isInUse);
    return steps.some((step) => step.kind === "stop") ? steps : [...steps, ...install];
  }
  if (wanted.desiredState === "loaded") {
    const { restart } = wanted;
    if (current.commanded === "launched") {
      return [{ kind: "stop", unit, restart, why: "unit currently launched but desired state is loaded" }];
    }
    // If something else has started the unit, it is left running unless an operator requests a stop.
    return restart > current.restart ? [{ kind: "stop", unit, restart, why: "a stop was asked for" }] : [];
  }
  if (current.commanded === "loaded") return install.slice(1);
  if (wanted.restart <= current.restart) return [];
  // For a unit that runs already, systemd's start job does nothing.
  if (wanted.startOnly) {
    return [{ kind: "start", unit, restart: wanted.restart, why: "a start was asked for", isAsked: true }];
  }
  return [{ kind: "restart", unit, restart: wanted.restart, why: "a restart was asked for" }];
}

/** Returns a stop for a unit that runs, or on which others do, and a removal for any other. */
function dismantle(current: Current, why: string, isInUse = false): Step[] {
  const up = current.commanded === "launched" || isUp(current.status) || isInUse;
  return [{ kind: up ? "stop" : "remove", unit: current.name, why }];
}
