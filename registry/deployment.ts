/**
 * The [X-Fleet] options that say how a directory of unit files is deployed: how many instances a template has, the desired
 * state of a unit, and how a roll-out changes it. They put no requirement on machines. Pure.
 *
 * @module
 */

import { lastValue, type UnitOption } from "../systemd/unit_file.ts";
import { isTemplate, quote, templateOf, validateUnitName } from "../systemd/unit_name.ts";
import { parseTimeSpan_ms } from "../systemd/unit_time_span.ts";
import { type DesiredState, desiredStates } from "./model.ts";
import { fleetSection } from "./requirements.ts";

/** The largest number of instances of one template. */
export const maxInstances = 1000;

/** The deployment options of one unit file. */
export interface Deployment {
  /** The instance names of a template, such as `1` and `2`, each once; none for other units. */
  readonly instances: readonly string[];
  readonly desiredState: DesiredState;
}

/**
 * Returns how a unit file is deployed; a value that {@link deploymentProblem} refuses counts as absent. `fallback`: the
 * desired state without `Desired=`.
 */
export function deploymentOf(
  name: string,
  options: readonly UnitOption[],
  fallback: DesiredState = "launched",
): Deployment {
  const desired = lastValue(options, fleetSection, "Desired");
  return {
    instances: isTemplate(name) ? instanceNames(lastValue(options, fleetSection, "Instances")) ?? [] : [],
    desiredState: desiredStates.find((state) => state === desired) ?? fallback,
  };
}

/** The options of a unit file that say how a roll-out changes the unit. */
export interface RolloutOptions {
  /** The number of instances of the unit's template, or of machines of a global unit, that are changed at once. */
  readonly maxParallel: number;
  /** The time in which the unit must become healthy. */
  readonly healthyDeadline_ms: number;
  /** The time for which the unit must stay healthy before the next one is changed. */
  readonly minHealthyTime_ms: number;
}

const defaults: RolloutOptions = { maxParallel: 1, healthyDeadline_ms: 60_000, minHealthyTime_ms: 3_000 };

/** The longest HealthyDeadline and MinHealthyTime. */
const longestTime_ms = 24 * 60 * 60_000;

/** Returns how a roll-out changes a unit; a value that {@link deploymentProblem} refuses counts as absent. */
export function rolloutOptionsOf(options: readonly UnitOption[]): RolloutOptions {
  return {
    maxParallel: parseMaxParallel(lastValue(options, fleetSection, "MaxParallel")) ?? defaults.maxParallel,
    healthyDeadline_ms: parseTime_ms(lastValue(options, fleetSection, "HealthyDeadline"), 1_000) ??
      defaults.healthyDeadline_ms,
    minHealthyTime_ms: parseTime_ms(lastValue(options, fleetSection, "MinHealthyTime"), 0) ??
      defaults.minHealthyTime_ms,
  };
}

function parseMaxParallel(value: string): number | undefined {
  return /^[1-9]\d*$/.test(value) && Number(value) <= maxInstances ? Number(value) : undefined;
}

function parseTime_ms(value: string, shortest_ms: number): number | undefined {
  const span_ms = value === "" ? undefined : parseTimeSpan_ms(value);
  return span_ms !== undefined && span_ms >= shortest_ms && span_ms <= longestTime_ms ? span_ms : undefined;
}

function rolloutProblem(options: readonly UnitOption[]): string | undefined {
  const maxParallel = lastValue(options, fleetSection, "MaxParallel");
  if (maxParallel !== "" && parseMaxParallel(maxParallel) === undefined) {
    return `MaxParallel=${quote(maxParallel)} is not a number from 1 to ${maxInstances}`;
  }
  for (const [name, shortest_ms] of [["HealthyDeadline", 1_000], ["MinHealthyTime", 0]] as const) {
    const value = lastValue(options, fleetSection, name);
    if (value === "" || parseTime_ms(value, shortest_ms) !== undefined) continue;
    return `${name}=${quote(value)} is not a time span from ${shortest_ms / 1000}s to 1d: expect one such as 30s`;
  }
  return undefined;
}

/** Returns why the deployment options of a unit must not be stored; undefined if they may. */
export function deploymentProblem(name: string, options: readonly UnitOption[]): string | undefined {
  const desired = lastValue(options, fleetSection, "Desired");
  if (desired !== "" && !(desiredStates as readonly string[]).includes(desired)) {
    return `Desired=${quote(desired)} is not a state: expect ${desiredStates.toReversed().join(", ")}`;
  }
  const problem = rolloutProblem(options);
  if (problem !== undefined) return problem;
  const instances = lastValue(options, fleetSection, "Instances");
  if (instances === "") return undefined;
  if (!isTemplate(name) && templateOf(name) === undefined) {
    return "Instances= belongs in a template, such as web@.service";
  }
  const names = instanceNames(instances);
  if (names === undefined) {
    return `Instances=${quote(instances)} is neither a number up to ${maxInstances} nor a list such as blue,green`;
  }
  const invalid = names.find((instance) => validateUnitName(instanceOf(name, instance)) !== undefined);
  return invalid === undefined ? undefined : `Instances= names ${quote(invalid)}, which no unit name may contain`;
}

/** Parses `3` as 1, 2 and 3, and `blue,green` as these names. Undefined if the value is neither. */
function instanceNames(value: string): string[] | undefined {
  if (/^\d+$/.test(value)) {
    const count = Number(value);
    return count > maxInstances ? undefined : Array.from({ length: count }, (_, index) => `${index + 1}`);
  }
  if (value === "") return [];
  const names = value.split(",").map((name) => name.trim());
  return names.includes("") || names.length > maxInstances ? undefined : [...new Set(names)];
}

/** Returns the options of a template with another value of `Instances=`. */
export function withInstances(template: readonly UnitOption[], value: string): readonly UnitOption[] {
  const kept = instanceOptions(template);
  const option = { section: fleetSection, name: "Instances", value };
  const place = template.findIndex((each) => !kept.includes(each));
  const at = place >= 0 ? place : kept.findLastIndex(({ section }) => section === fleetSection) + 1 || kept.length;
  return [...kept.slice(0, at), option, ...kept.slice(at)];
}

/** Returns the name of an instance of a template, or of another instance of the same template. */
export function instanceOf(name: string, instance: string): string {
  return (templateOf(name) ?? name).replace("@.", () => `@${instance}.`);
}

/**
 * Returns the options of an instance: those of its template without `Instances=`. So the file of an instance stays the
 * same, and the instance keeps running, when the number of instances changes.
 */
export function instanceOptions(template: readonly UnitOption[]): readonly UnitOption[] {
  return template.filter((option) => option.section !== fleetSection || option.name !== "Instances");
}

/** A unit as a unit file deploys it. */
export interface DeployedUnit {
  readonly name: string;
  readonly options: readonly UnitOption[];
  /** A template is inactive. */
  readonly desiredState: DesiredState;
}

/** Returns the units that a unit file deploys: its own, and the instances that a template names. */
export function deployedUnits(
  name: string,
  options: readonly UnitOption[],
  fallback?: DesiredState,
): { readonly own: DeployedUnit; readonly instances: readonly DeployedUnit[] } {
  const { instances, desiredState } = deploymentOf(name, options, fallback);
  const shared = instanceOptions(options);
  return {
    own: {
      name,
      options: templateOf(name) === undefined ? options : shared,
      desiredState: isTemplate(name) ? "inactive" : desiredState,
    },
    instances: instances.map((instance) => ({ name: instanceOf(name, instance), options: shared, desiredState })),
  };
}

/** The changes that give a template the instances that its `Instances=` names. */
export interface Scaling {
  /** The template, then the instances that it lacks. */
  readonly units: readonly DeployedUnit[];
  /** The names of the instances that it has too many, the last one first. */
  readonly surplus: readonly string[];
}

/**
 * Returns the changes after which a template has the instances that `options` name. `units`: those of the cluster. Instances
 * that are not of the template's application stay.
 */
export function scalingOf(
  template: { readonly name: string; readonly app?: string },
  options: readonly UnitOption[],
  units: Iterable<{ readonly name: string; readonly app?: string }>,
): Scaling {
  const { own, instances } = deployedUnits(template.name, options);
  const present = [...units].filter(({ name }) => name !== template.name && templateOf(name) === template.name);
  const exists = new Set(present.map(({ name }) => name));
  const wanted = new Set(instances.map(({ name }) => name));
  return {
    units: [own, ...instances.filter(({ name }) => !exists.has(name))],
    surplus: present.filter(({ name, app }) => app === template.app && !wanted.has(name)).map(({ name }) => name)
      .sort((a, b) => b.localeCompare(a, "en", { numeric: true })),
  };
}
