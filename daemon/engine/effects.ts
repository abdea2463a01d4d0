/**
 * The actions of agents that changes cause: on the units whose copies differ, and on those that systemd stops together with
 * them. Pure.
 *
 * @module
 */

import type { Cluster, MachineId, UnitName } from "../../registry/model.ts";
import { isQuadlet } from "../../systemd/unit_name.ts";
import { boundTo, readRelations, type Relations } from "../policy/relations.ts";

/** An action of one machine that the changes cause. */
export interface MachineEffect {
  readonly machine: MachineId;
  /** `move`: the unit stops on `from` and starts on `machine`. */
  readonly kind: "start" | "restart" | "stop" | "load" | "unload" | "move";
  readonly from?: MachineId;
  /** The unit together with which systemd stops this one, which the changes do not concern. */
  readonly along?: UnitName;
}

/** A unit on one machine. */
export interface Copy {
  readonly hash: string;
  readonly launched: boolean;
}

/** The units that the agents of a cluster have, by unit and machine. */
export type Copies = ReadonlyMap<UnitName, ReadonlyMap<MachineId, Copy>>;

/** Returns the effects on one unit, from its copies before and after the changes. */
export function effectsOf(
  before: ReadonlyMap<MachineId, Copy>,
  after: ReadonlyMap<MachineId, Copy>,
): readonly MachineEffect[] {
  const [[from, old] = [], ...othersBefore] = before;
  const [[machine, copy] = [], ...othersAfter] = after;
  const isMove = old?.launched && copy?.launched && from !== machine && othersBefore.length + othersAfter.length === 0;
  if (isMove) return [{ machine: machine!, kind: "move", from: from! }];
  return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((machine) => {
    const kind = kindOf(before.get(machine), after.get(machine));
    return kind === undefined ? [] : [{ machine, kind }];
  });
}

function kindOf(old: Copy | undefined, copy: Copy | undefined): MachineEffect["kind"] | undefined {
  if (!copy) return old && (old.launched ? "stop" : "unload");
  if (copy.launched) return !old?.launched ? "start" : old.hash === copy.hash ? undefined : "restart";
  if (old?.launched) return "stop";
  return old?.hash === copy.hash ? undefined : "load";
}

/** Options by which units are bound to each other. A file without any need not be parsed. */
const binding =
  /^\s*(BindsTo|Requires|Requisite|PartOf|StopPropagatedFrom|PropagatesStopTo|RequiredBy|Slice|RequiresMountsFor)\s*=/m;

/** Types of units that are bound to others by their names. */
const isNested = (name: UnitName) => /-.*\.(slice|mount)$/.test(name);

/** The units of agents without and with the changes. */
interface Comparison {
  readonly before: Copies;
  readonly after: Copies;
}

/**
 * Returns the effects on units that have the same file and desired state after the changes, but that systemd stops together
 * with one of `effects`: `restart` if their agent starts them again, which it does when that unit is active again or gone,
 * and `stop` if that unit stays without running, or if they cannot start without it. `before`: the cluster without the
 * changes.
 */
export function boundEffects(
  before: Cluster,
  copies: Comparison,
  effects: ReadonlyMap<UnitName, readonly MachineEffect[]>,
): ReadonlyMap<UnitName, readonly MachineEffect[]> {
  const stops = [...effects].flatMap(([unit, of]) => of.flatMap((effect) => stopOf(before, copies, unit, effect)));
  const found = new Map<UnitName, Map<MachineId, MachineEffect>>();
  for (const [machine, units] of Map.groupBy(stops, (stop) => stop.machine)) {
    const relations = readRelations(bindingTexts(before, copies.before, machine));
    // RequiredBy= of a unit that is gone does not apply any more.
    const staying = new Map([...relations].filter(([name]) => copies.after.get(name)?.has(machine)));
    for (const { unit } of units) {
      const copy = copies.after.get(unit)?.get(machine);
      // A unit that was only loaded is started again by those that need it.
      const staysDown = copy?.launched === false && !isQuadlet(unit) && copies.before.get(unit)?.get(machine)?.launched;
      const unable = copy ? noUnits : boundTo(unit, staying, "requires");
      for (const name of boundTo(unit, relations, "stopsWith")) {
        if (!isStopped(before, copies, name, machine)) continue;
        const isDown = staysDown || unable.has(name) || !startsAgain(copies.after, staying, name, machine);
        const own = found.get(name) ?? new Map<MachineId, MachineEffect>();
        if (own.has(machine) && !(isDown && own.get(machine)!.kind === "restart")) continue;
        found.set(name, own.set(machine, { machine, kind: isDown ? "stop" : "restart", along: unit }));
      }
    }
  }
  return new Map([...found].map(([name, own]) => [name, [...own.values()]]));
}

const noUnits: ReadonlySet<UnitName> = new Set();

/** Returns the machine on which an effect stops a copy; none for an effect that stops nothing. */
function stopOf(
  cluster: Cluster,
  copies: Comparison,
  unit: UnitName,
  { kind, machine, from }: MachineEffect,
): readonly { readonly unit: UnitName; readonly machine: MachineId }[] {
  if (kind === "move") return [{ unit, machine: from! }];
  if (kind === "restart" || kind === "stop") return [{ unit, machine }];
  const [old, copy] = [copies.before.get(unit)?.get(machine), copies.after.get(unit)?.get(machine)];
  if (!old || old.hash === copy?.hash) return [];
  // A unit that is only loaded may run because another one requires it. A Quadlet file, such as a volume, is replaced after a
  // stop even if it does not run, because containers use it.
  const stops = isUp(cluster, unit, machine) || copy !== undefined && isQuadlet(unit);
  return stops ? [{ unit, machine }] : [];
}

/** Returns the files of a machine's units that may be bound to others, by unit. */
function bindingTexts({ files }: Cluster, copies: Copies, machine: MachineId): ReadonlyMap<UnitName, string> {
  const texts = new Map<UnitName, string>();
  for (const [name, own] of copies) {
    const copy = own.get(machine);
    const text = copy && files.get(copy.hash)?.text;
    if (text !== undefined && (isQuadlet(name) || isNested(name) || binding.test(text))) texts.set(name, text);
  }
  return texts;
}

/** True if a unit is up on a machine, as far as is known, and the changes themselves leave it as it is. */
function isStopped(cluster: Cluster, { before, after }: Comparison, name: UnitName, machine: MachineId): boolean {
  const [old, copy] = [before.get(name)?.get(machine), after.get(name)?.get(machine)];
  if (!old || !copy || old.launched !== copy.launched || old.hash !== copy.hash) return false;
  return isUp(cluster, name, machine, old.launched);
}

/** True if fleet starts a unit that was stopped, or systemd does for a launched unit that requires it. */
function startsAgain(
  after: Copies,
  relations: ReadonlyMap<UnitName, Relations>,
  name: UnitName,
  machine: MachineId,
): boolean {
  return [name, ...boundTo(name, relations, "requires")].some((each) => after.get(each)?.get(machine)?.launched);
}

/** True if a unit is up on a machine; `otherwise` if its state is not known. */
function isUp({ states }: Cluster, name: UnitName, machine: MachineId, otherwise = false): boolean {
  const active = states.get(name)?.get(machine)?.active;
  return active === undefined ? otherwise : active !== "inactive" && active !== "failed";
}
