/**
 * Units that systemd stops together with another unit, and that the agent starts again when the other unit is active again.
 * Pure.
 *
 * A unit is bound to another by `BindsTo=`, `Requires=`, `PartOf=` or `StopPropagatedFrom=` of systemd.unit(5), or by
 * `RequiredBy=` or `PropagatesStopTo=` of the other, and to its slice and its mounts: when the agent stops the other unit,
 * to replace its file for example, systemd stops the bound unit as well, and starts it again only where it restarts both in
 * one job.
 *
 * @module
 */

import type { UnitName } from "../../registry/model.ts";
import type { DesiredUnit } from "./desired.ts";
import { isQuadlet } from "../../systemd/unit_name.ts";
import { type Intent, isUp } from "./intent.ts";
import type { Current } from "./plan.ts";
import { boundTo, type Relations } from "../policy/relations.ts";

/** The units on this machine, with their relations and commands. */
export interface BoundUnits {
  readonly relations: ReadonlyMap<UnitName, Relations>;
  readonly intents: ReadonlyMap<UnitName, Intent>;
  readonly wanted: ReadonlyMap<UnitName, DesiredUnit>;
  readonly current: ReadonlyMap<UnitName, Current>;
}

/**
 * Returns the bound units that must be started again after a command for `unit`: `along` are restarted by systemd itself,
 * `down` are stopped together with `unit`, or were by an earlier command for it. `resumes`: see {@link Intent.resumes}.
 */
export function startedAgainAfter(
  unit: UnitName,
  isRestart: boolean,
  { relations, intents, wanted, current }: BoundUnits,
): { readonly along: readonly UnitName[]; readonly down: readonly UnitName[]; readonly resumes: boolean } {
  const along: UnitName[] = [];
  const down: UnitName[] = [];
  for (const name of boundTo(unit, relations, "stopsWith")) {
    const found = current.get(name);
    const desired = wanted.get(name);
    const isLaunched = found?.commanded === "launched" && desired?.desiredState === "launched";
    // A unit with another command of its own is started by that.
    if (!isLaunched || intents.get(name)?.did === "stop" || desired.hash !== found.hash) continue;
    if (isUp(found.status)) (isRestart ? along : down).push(name);
    else if (intents.get(name)?.along === unit) down.push(name);
  }
  const [old, desired] = [current.get(unit), wanted.get(unit)];
  const resumes = old?.commanded === "loaded" && desired?.desiredState === "loaded" && old.hash !== desired.hash;
  return { along, down, resumes };
}

/**
 * Returns the units that must not be started yet, with the reason: systemd has stopped them together with a unit that is not
 * active again. A unit that an operator has asked to start does not wait.
 */
export function waitingForOthers(
  { intents, wanted, current }: Omit<BoundUnits, "relations">,
  isBack: (unit: UnitName) => boolean,
): ReadonlyMap<UnitName, string> {
  const waiting = new Map<UnitName, string>();
  for (const [name, { did, along, restart, resumes }] of intents) {
    const desired = wanted.get(name);
    if (did !== "load" || along === undefined || desired?.desiredState !== "launched" || desired.restart > restart) {
      continue;
    }
    const other = current.get(along);
    const desiredOther = wanted.get(along);
    if (!other && !desiredOther) continue;
    const isCurrent = other?.commanded === "launched" && desiredOther?.desiredState === "launched" &&
      other.hash === desiredOther.hash;
    if (isCurrent && (other.status.active === "active" || isBack(along))) continue;
    if (resumes ? isReplaced(other, desiredOther) : isReadyFor(name, other, desiredOther)) continue;
    waiting.set(name, `systemd stopped it together with Unit(${along}); it is started again when that unit is active`);
  }
  return waiting;
}

/** True if a unit that is only loaded has its new file. */
function isReplaced(other: Current | undefined, desiredOther: DesiredUnit | undefined): boolean {
  return desiredOther?.desiredState === "loaded" && other?.commanded === "loaded" && other.hash === desiredOther.hash;
}

/** True if the start of a container starts the other Quadlet file as well, which is only loaded, such as a volume. */
function isReadyFor(name: UnitName, other: Current | undefined, desiredOther: DesiredUnit | undefined): boolean {
  return isQuadlet(name) && other !== undefined && isQuadlet(other.name) && isReplaced(other, desiredOther) &&
    !isUp(other.status);
}

/**
 * Returns the Quadlet files to be replaced or removed that do not run themselves, as a build whose end its container has
 * awaited, but on which a unit that runs depends. Without the file, podman would make no service of the container any more.
 */
export function inUse(
  { relations, wanted, current }: Pick<BoundUnits, "relations" | "wanted" | "current">,
): ReadonlySet<UnitName> {
  const running = [...current.values()].filter(({ status }) => isUp(status)).map(({ name }) => name);
  const isNeeded = (unit: UnitName) => running.some((name) => relations.get(name)?.stopsWith.includes(unit));
  const leaving = [...current.values()].filter(({ name, hash, status }) => {
    return isQuadlet(name) && !isUp(status) && wanted.get(name)?.hash !== hash;
  });
  return new Set(leaving.map(({ name }) => name).filter(isNeeded));
}
