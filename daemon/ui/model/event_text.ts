/**
 * Events as sentences. Pure.
 *
 * @module
 */

import type { UnitEvent } from "../../api/v1/types.ts";
import type { ClusterEvent } from "./cluster.ts";

/** The most units that the text of a roll-out's event names. */
const maxSteps = 3;

/** Returns what an event says, without the name of its unit or machine. `nameOf` returns the name of a machine. */
export function eventText(event: ClusterEvent, nameOf: (machine: string) => string): string {
  switch (event.kind) {
    case "unit":
      return unitText(event.data);
    case "decision": {
      const { machineID, from, why } = event.data;
      if (machineID === undefined) return why;
      return `${from === undefined ? "placed on" : `moved from ${nameOf(from)} to`} ${nameOf(machineID)}: ${why}`;
    }
    case "state": {
      const { state, machineID, error } = event.data;
      const place = `on ${nameOf(machineID)}`;
      if (!state) return `no longer ${place}`;
      return `${state.systemdActiveState} (${state.systemdSubState}) ${place}${
        error === undefined ? "" : `: ${error}`
      }`;
    }
    case "machine":
      return event.data.machine ? "present" : "has left the cluster";
    case "rollout": {
      const { rollout } = event.data;
      if (!rollout) return "the roll-out was deleted";
      const { what, status, reason, steps = [] } = rollout;
      const changed = steps.slice(0, maxSteps).map(({ name, state }) => `${name} is ${state}`);
      const others = steps.length > maxSteps ? [`${steps.length - maxSteps} other units`] : [];
      return [`${what} is ${status}`, ...reason === undefined ? [] : [reason], [...changed, ...others].join(", ")]
        .filter((part) => part !== "").join(": ");
    }
    case "drain": {
      const { status, by } = event.data;
      if (status === undefined) return "is no longer drained";
      return `drain: ${status}${by === undefined ? "" : `, requested by ${by}`}`;
    }
    case "loss": {
      const { missing = [] } = event.data;
      return missing.length === 0
        ? "the engine waits for no machine"
        : `the engine waits for ${missing.length} machines that were lost at once, and moves no unit of theirs`;
    }
  }
}

function unitText({ unit, changed, time }: UnitEvent): string {
  const by = changed ? `, changed by ${changed.by}` : "";
  if (!unit) return `destroyed${by}`;
  const { desiredState, currentState } = unit;
  // The event of a change by an author has its time; other events report what has become of it.
  if (changed && time !== undefined && time !== changed.at && currentState !== undefined) {
    return `current state is ${currentState}`;
  }
  return `${changed?.what === undefined ? "" : `${changed.what}: `}desired state is ${desiredState}${by}`;
}

/** Returns the unit or the machine that an event is about. */
export function subjectOf(event: ClusterEvent): string {
  if (event.kind === "machine") return event.data.id;
  if (event.kind === "rollout") return event.data.app;
  if (event.kind === "drain") return event.data.machineID;
  return event.kind === "loss" ? "cluster" : event.data.name;
}
