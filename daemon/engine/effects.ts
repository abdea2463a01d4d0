/**
 * The actions of agents that changes cause: on the units whose copies differ, and on those that systemd stops together with
 * them. Pure.
 *
 * @module
 */

import type { Cluster, MachineId, UnitName } from "../../registry/model.ts";
import { isQuadlet } from "../../systemd/unit_name.ts";
import { boundTo, readRelations } from "../policy/relations.ts";

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
const binding = /^\s*(BindsTo|Requires|PartOf|StopPropagatedFrom|PropagatesStopTo|RequiredBy)\s*=/m;

/**
 * Returns the effects on units that run on and have the same file after the changes, but that systemd stops together with
 * one of `effects`. Their agent starts them again when that unit is active again. `before`: the cluster without the changes.
 */
export function boundEffects(
  before: Cluster,
  copies: { readonly before: Copies; readonly after: Copies },
  effects: ReadonlyMap<UnitName, readonly MachineEffect[]>,
): ReadonlyMap<UnitName, readonly MachineEffect[]> {
  const stops = [...effects].flatMap(([unit, of]) => of.flatMap((effect) => stopOf(unit, effect, copies.before)));
  const found = new Map<UnitName, Map<MachineId, MachineEffect>>();
  for (const [machine, units] of Map.groupBy(stops, (stop) => stop.machine)) {
    const relations = readRelations(bindingTexts(before, copies.before, machine));
    for (const { unit } of units) {
      // A unit that stays without running keeps those down that are bound to it.
      const kind = copies.after.get(unit)?.get(machine)?.launched === false && !isQuadlet(unit) ? "stop" : "restart";
      for (const name of boundTo(unit, relations, "stopsWith")) {
        if (!runsOn(before, copies, name, machine)) continue;
        const own = found.get(name) ?? new Map<MachineId, MachineEffect>();
        found.set(name, own.set(machine, own.get(machine) ?? { machine, kind, along: unit }));
      }
    }
  }
  return new Map([...found].map(([name, own]) => [name, [...own.values()]]));
}

/** Returns the machine on which an effect stops a copy; none for an effect that stops nothing. */
function stopOf(
  unit: UnitName,
  { kind, machine, from }: MachineEffect,
  before: Copies,
): readonly { readonly unit: UnitName; readonly machine: MachineId }[] {
  // A Quadlet file that is only loaded, such as a volume, is replaced after a stop, because containers use it.
  const isReplaced = kind === "load" && isQuadlet(unit) && before.get(unit)?.has(machine);
  if (kind === "move") return [{ unit, machine: from! }];
  return kind === "restart" || kind === "stop" || isReplaced ? [{ unit, machine }] : [];
}

/** Returns the files of a machine's units that may be bound to others, by unit. */
function bindingTexts({ files }: Cluster, copies: Copies, machine: MachineId): ReadonlyMap<UnitName, string> {
  const texts = new Map<UnitName, string>();
  for (const [name, own] of copies) {
    const copy = own.get(machine);
    const text = copy && files.get(copy.hash)?.text;
    if (text !== undefined && (isQuadlet(name) || binding.test(text))) texts.set(name, text);
  }
  return texts;
}

/** True if a unit is up on a machine, as far as is known, and the changes themselves leave it as it is. */
function runsOn(
  { states }: Cluster,
  { before, after }: { readonly before: Copies; readonly after: Copies },
  name: UnitName,
  machine: MachineId,
): boolean {
  const [old, copy] = [before.get(name)?.get(machine), after.get(name)?.get(machine)];
  const active = states.get(name)?.get(machine)?.active;
  return old?.launched === true && copy?.launched === true && old.hash === copy.hash && active !== "inactive" &&
    active !== "failed";
}
