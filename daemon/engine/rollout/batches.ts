/**
 * The order in which a roll-out changes units: batches, each of which must be healthy before the next one begins. Pure.
 *
 * @module
 */

import type { Rollout, RolloutStep, UnitName, UnitSpec } from "../../../registry/model.ts";
import { isUnchanged } from "../../../registry/apps.ts";
import { rolloutOptionsOf } from "../../../registry/deployment.ts";
import { parseRequirements } from "../../../registry/requirements.ts";
import { topologicalSort } from "../../../runtime/topological_sort.ts";
import { optionsOf, unitNames, type UnitOption } from "../../../systemd/unit_file.ts";
import { isTemplate, templateOf } from "../../../systemd/unit_name.ts";

/** Steps, by their index in the roll-out, that are carried out together. */
export interface Batch {
  /**
   * `start`: stops no unit that runs. `replace`: each unit gets another file, which may restart it or move it. `stop`: units
   * are stopped or destroyed.
   */
  readonly kind: "start" | "replace" | "stop";
  /** The template of the units, or the only unit; "" for a `start`. */
  readonly group: UnitName;
  readonly steps: readonly number[];
}

/** Returns the options of the file with this hash; none if there is no such file. */
export type OptionsByHash = (hash: string) => readonly UnitOption[];

/** Returns the options of unit files, each parsed once. */
export function optionsByHash(files: ReadonlyMap<string, { readonly text: string }>): OptionsByHash {
  const parsed = new Map<string, readonly UnitOption[]>();
  return (hash) => parsed.getOrInsertComputed(hash, () => optionsOf(files.get(hash)?.text ?? ""));
}

/**
 * Returns the batches of a roll-out, in order. On the way back they are taken in reverse. `isPartial`: true for a unit of
 * which some machines have another file.
 */
export function batchesOf(
  { steps, maxParallel }: Pick<Rollout, "steps" | "maxParallel">,
  optionsOf: OptionsByHash,
  isPartial: (unit: UnitName) => boolean,
): Batch[] {
  const order = dependencyOrder(steps, optionsOf);
  const of = (kind: Batch["kind"]) => order.filter((at) => kindOf(steps[at]!, isPartial) === kind);
  const starts = placementOrder(of("start"), steps, optionsOf);
  return [
    ...starts.length > 0 ? [{ kind: "start", group: "", steps: starts } as const] : [],
    ...groups(of("replace"), steps).flatMap(([group, members]) => {
      const { hash } = steps[members[0]!]!.after!;
      const size = maxParallel ?? rolloutOptionsOf(optionsOf(hash)).maxParallel;
      return chunks(members, size).map((steps): Batch => ({ kind: "replace", group, steps }));
    }),
    // A unit is stopped before those that it needs. Of a template, the highest instances are the first to go.
    ...groups(of("stop").reverse(), steps).map(([group, members]): Batch => (
      { kind: "stop", group, steps: members.toReversed() }
    )),
  ];
}

function kindOf(step: RolloutStep, isPartial: (unit: UnitName) => boolean): Batch["kind"] {
  const { before, after, unit } = step;
  if (isTemplate(unit)) return "start";
  if (isUnchanged(step)) return isPartial(unit) ? "replace" : "start";
  if (activity(after) < activity(before)) return "stop";
  // A loaded unit may run, too: something else than fleet may have started it.
  return activity(before) > 0 && before?.hash !== after?.hash ? "replace" : "start";
}

function activity(spec: UnitSpec | undefined): number {
  return spec === undefined ? 0 : { inactive: 0, loaded: 1, launched: 2 }[spec.desiredState];
}

const collator = new Intl.Collator("en", { numeric: true });

/** Groups steps by template, in the order of the first of each; the instances of a template by their names and numbers. */
function groups(ats: readonly number[], steps: readonly RolloutStep[]): (readonly [UnitName, readonly number[]])[] {
  const name = (at: number) => steps[at]!.unit;
  const byGroup = Map.groupBy(ats, (at) => groupOf(name(at)));
  return [...byGroup].map((
    [group, members],
  ) => [group, members.toSorted((a, b) => collator.compare(name(a), name(b)))]);
}

/** Returns the template of an instance, and any other unit itself: what `MaxParallel=` counts together. */
export function groupOf(unit: UnitName): UnitName {
  return templateOf(unit) ?? unit;
}

function chunks<T>(items: readonly T[], size: number): (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
}

/** The options of a [Unit] section that name units which must be there first, see systemd.unit(5). */
const needs = ["After", "Requires", "BindsTo", "Requisite"];

/** Returns the steps in the order of the roll-out, but each after those of the units that its own needs. */
function dependencyOrder(steps: readonly RolloutStep[], optionsOf: OptionsByHash): readonly number[] {
  const indices = new Map(steps.map(({ unit }, at) => [unit, at]));
  const first = steps.map(() => new Set<number>());
  for (const [at, step] of steps.entries()) {
    const options = optionsOf((step.after ?? step.before)?.hash ?? "");
    for (const { section, name, value } of options) {
      if (section !== "Unit" || !needs.includes(name) && name !== "Before") continue;
      for (const other of unitNames(value, step.unit)) {
        const index = indices.get(other);
        if (index === undefined || index === at) continue;
        if (name === "Before") first[index]!.add(at);
        else first[at]!.add(index);
      }
    }
  }
  return topologicalSort(steps.map((_, at) => at), (at) => [...first[at]!]);
}

/**
 * Returns steps in the order in which their units are written: each unit before those that its MachineOf= names. If these
 * were there first, the engine might give them machines that are not the same one.
 */
function placementOrder(
  ats: readonly number[],
  steps: readonly RolloutStep[],
  optionsOf: OptionsByHash,
): readonly number[] {
  const followers = new Map<UnitName, number[]>();
  for (const at of ats) {
    const { unit, after } = steps[at]!;
    const { machineOf } = parseRequirements(unit, optionsOf(after?.hash ?? ""));
    for (const peer of machineOf) followers.getOrInsertComputed(peer, () => []).push(at);
  }
  return topologicalSort(ats, (at) => followers.get(steps[at]!.unit) ?? []);
}
