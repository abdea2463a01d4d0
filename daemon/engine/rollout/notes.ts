import type { Unit } from "../../../registry/model.ts";
import { short } from "../classify.ts";

/** The most machines that a note names. */
const maxNamed = 5;

/** Returns a note on the machines that run another file of a global unit than its own. */
export function stageNotes({ next, app }: Unit): string[] {
  const { machines = [] } = next ?? {};
  if (machines.length === 0) return [];
  const named = machines.slice(0, maxNamed).map(short).join(", ");
  const more = machines.length > maxNamed ? ` and ${machines.length - maxNamed} more` : "";
  const where = app === undefined ? "" : `; see fleetctl rollout status ${app}`;
  return [`a roll-out has given another file of it to ${named}${more}${where}`];
}
