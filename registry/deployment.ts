/**
 * The [X-Fleet] options that say how a directory of unit files is deployed: how many instances a template has, and the
 * desired state of a unit. They put no requirement on machines. Pure.
 *
 * @module
 */

import type { UnitOption } from "../systemd/unit_file.ts";
import { isTemplate, quote, templateOf, validateUnitName } from "../systemd/unit_name.ts";
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

/** The last value of an option counts, as for every option with one value. */
function lastValue(options: readonly UnitOption[], name: string): string {
  return options.findLast((option) => option.section === fleetSection && option.name === name)?.value.trim() ?? "";
}

/** Returns how a unit file is deployed; a value that {@link deploymentProblem} refuses counts as absent. */
export function deploymentOf(name: string, options: readonly UnitOption[]): Deployment {
  const desired = lastValue(options, "Desired");
  return {
    instances: isTemplate(name) ? instanceNames(lastValue(options, "Instances")) ?? [] : [],
    desiredState: desiredStates.find((state) => state === desired) ?? "launched",
  };
}

/** Returns why the deployment options of a unit must not be stored; undefined if they may. */
export function deploymentProblem(name: string, options: readonly UnitOption[]): string | undefined {
  const desired = lastValue(options, "Desired");
  if (desired !== "" && !(desiredStates as readonly string[]).includes(desired)) {
    return `Desired=${quote(desired)} is no state: expect ${desiredStates.toReversed().join(", ")}`;
  }
  const instances = lastValue(options, "Instances");
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
