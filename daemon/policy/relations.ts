/**
 * The relations to other units that unit files declare. Pure.
 *
 * @module
 */

import type { UnitName } from "../../registry/model.ts";
import { lastValue, optionsOf, unitNames, type UnitOption } from "../../systemd/unit_file.ts";
import { isQuadlet } from "../../systemd/unit_name.ts";
import { generatedService, referencedQuadlets } from "../../systemd/unit_quadlet.ts";

/** The relations that one unit's file declares. */
export interface Relations {
  /** Units that systemd stops this one together with. */
  readonly stopsWith: readonly UnitName[];
  /** Those among them without which the unit cannot be started. */
  readonly requires: readonly UnitName[];
  /** Units that systemd stops together with this one. */
  readonly stops: readonly UnitName[];
  /** Those among them that cannot be started without the unit. */
  readonly requiredBy: readonly UnitName[];
  /** Units that are started before this one, and after it. */
  readonly after: readonly UnitName[];
  readonly before: readonly UnitName[];
}

/** The lists that each option of a section adds to. An empty value does not clear them: these lists cannot be reset. */
const lists: Readonly<Record<string, readonly (keyof Relations)[]>> = {
  "Unit.BindsTo": ["stopsWith", "requires"],
  "Unit.Requires": ["stopsWith", "requires"],
  "Unit.Requisite": ["stopsWith", "requires"],
  "Unit.PartOf": ["stopsWith"],
  "Unit.StopPropagatedFrom": ["stopsWith"],
  "Unit.PropagatesStopTo": ["stops"],
  "Install.RequiredBy": ["stops", "requiredBy"],
  "Unit.After": ["after"],
  "Unit.Before": ["before"],
};

/**
 * Reads the relations of all units of a machine, by unit. Unit files name the service of a Quadlet file where fleet has the
 * name of the file.
 */
export function readRelations(texts: ReadonlyMap<UnitName, string>): Map<UnitName, Relations> {
  const quadlets = [...texts].filter(([name]) => isQuadlet(name));
  const units = new Map(quadlets.map(([name, text]) => [generatedService(name, optionsOf(text)), name]));
  const renamed = (names: readonly UnitName[]) => names.map((name) => units.get(name) ?? name);
  return new Map([...texts].map(([name, text]) => {
    const relations = relationsOf(name, text);
    if (units.size === 0) return [name, relations];
    return [name, {
      stopsWith: renamed(relations.stopsWith),
      requires: renamed(relations.requires),
      stops: renamed(relations.stops),
      requiredBy: renamed(relations.requiredBy),
      after: renamed(relations.after),
      before: renamed(relations.before),
    }];
  }));
}

/** Reads a unit's relations. A file that cannot be parsed has none. */
export function relationsOf(name: UnitName, text: string): Relations {
  const found: Record<keyof Relations, UnitName[]> = {
    ...{ stopsWith: [], requires: [], stops: [], requiredBy: [], after: [], before: [] },
  };
  const options = optionsOf(text);
  // podman's generator adds Requires=, or BindsTo= for a pod, and After=.
  for (const list of ["stopsWith", "requires", "after"] as const) {
    found[list].push(...referencedQuadlets(name, options));
  }
  // Not `requires`: systemd makes a slice without a file, and leaves out a mount that has none.
  for (const list of ["stopsWith", "after"] as const) {
    found[list].push(...slicesOf(name, options), ...mountsOf(name, options));
  }
  for (const { section, name: option, value } of options) {
    for (const list of lists[`${section}.${option}`] ?? []) {
      found[list].push(...unitNames(value, name));
    }
  }
  return found;
}

/** The sections in which `Slice=` of systemd.resource-control(5) names the slice of a unit. */
const sliceSections = ["Service", "Socket", "Mount", "Swap"];

/** Returns the slices that a unit is in: that of its option and those around it, see systemd.slice(5). */
function slicesOf(name: UnitName, options: readonly UnitOption[]): UnitName[] {
  const own = sliceSections.flatMap((section) => unitNames(lastValue(options, section, "Slice"), name));
  return [...own, ...own.flatMap(outerUnits), ...name.endsWith(".slice") ? outerUnits(name) : []];
}

/** Returns the mounts of the paths of `RequiresMountsFor=`, and those around them and around a mount itself. */
function mountsOf(name: UnitName, options: readonly UnitOption[]): UnitName[] {
  const paths = options.filter((option) => option.section === "Unit" && option.name === "RequiresMountsFor")
    .flatMap(({ value }) => unitNames(value, name));
  const own = paths.filter((path) => path.startsWith("/")).map((path) => `${escapedPath(path)}.mount`);
  return [...own, ...own.flatMap(outerUnits), ...name.endsWith(".mount") ? outerUnits(name) : []];
}

/** Returns the slices or mounts around one, by its name: `a.slice` is around `a-b.slice`. */
function outerUnits(name: UnitName): UnitName[] {
  const [, text = "", type] = /^(.+)\.([a-z]+)$/.exec(name) ?? [];
  const words = text.split("-");
  return words.slice(1).map((_, at) => `${words.slice(0, at + 1).join("-")}.${type}`)
    .filter((outer) => !outer.startsWith("."));
}

/** Escapes a path for the name of a mount, as systemd-escape(1) with `--path`. */
function escapedPath(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  const escaped = (char: string) =>
    [...new TextEncoder().encode(char)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  const text = parts.map((part) => part.replace(/[^A-Za-z0-9:_.]/gu, escaped)).join("-");
  return text === "" ? "-" : text.replace(/^\./, escaped);
}

/** The kinds of binding: the list in the bound unit's file, and the one in the other unit's file. */
const kinds = {
  stopsWith: "stops",
  requires: "requiredBy",
} as const satisfies Partial<Record<keyof Relations, keyof Relations>>;

/** Returns the units that are bound to `unit`, directly or through others. */
export function boundTo(
  unit: UnitName,
  relations: ReadonlyMap<UnitName, Relations>,
  kind: keyof typeof kinds,
): ReadonlySet<UnitName> {
  const bound = new Set<UnitName>();
  const open = [unit];
  for (let other = open.pop(); other !== undefined; other = open.pop()) {
    const named = relations.get(other)?.[kinds[kind]] ?? [];
    for (const [name, each] of relations) {
      if (name === unit || bound.has(name) || !each[kind].includes(other) && !named.includes(name)) continue;
      bound.add(name);
      open.push(name);
    }
  }
  return bound;
}
