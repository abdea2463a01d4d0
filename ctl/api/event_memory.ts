/**
 * What a stream of events has told, so that a stream that begins anew (at another daemon, or at one that has forgotten)
 * tells only what is different. Pure.
 *
 * @module
 */

import type { DecisionEvent, MachineEvent, StateEvent, UnitEvent } from "../../daemon/api/v1/types.ts";

/** An event: its name and its data as JSON text. */
export interface ToldEvent {
  readonly event: string;
  readonly data: string;
}

/** See the head of this file. */
export class EventMemory {
  readonly #known = new Map<string, string>();
  /** What the present that is being told consists of; undefined behind its end. */
  #present: Set<string> | undefined;
  /** True once everything that there is has been told. */
  #isComplete = false;

  /** Says that a stream begins, with the present or with what was missed. */
  begin(withPresent: boolean): void {
    this.#present = withPresent ? new Set() : undefined;
  }

  /** Takes the next event, and returns those to tell: none if it is known, more if others have gone. */
  take(event: ToldEvent): readonly ToldEvent[] {
    if (event.event === "reset") {
      this.#present = new Set();
      return this.#isComplete ? [] : [event];
    }
    if (event.event === "synced") return [...this.#finish(), event];
    const key = keyOf(event);
    if (key === undefined) return [event];
    const data = event.data.replace(/,"time":\d+\}$/, "}");
    const isKnown = this.#known.get(key) === data;
    if (isGone(event)) this.#known.delete(key);
    else this.#known.set(key, data);
    this.#present?.add(key);
    return this.#present && this.#isComplete && isKnown ? [] : [event];
  }

  /** The end of a present: what it has not mentioned is gone. */
  #finish(): ToldEvent[] {
    const present = this.#present;
    if (!present) return [];
    this.#present = undefined;
    const gone = this.#isComplete ? [...this.#known.keys()].filter((key) => !present.has(key)) : [];
    this.#isComplete = true;
    return gone.flatMap((key) => {
      this.#known.delete(key);
      const [event = "", name = "", machineID = ""] = key.split(" ");
      if (event === "decision") return [];
      const data = event === "machine" ? { id: name } : { name, ...(event === "state" ? { machineID } : {}) };
      return [{ event, data: JSON.stringify(data) }];
    });
  }
}

/** What an event is about; undefined if it is not about a part of the cluster. */
function keyOf({ event, data }: ToldEvent): string | undefined {
  if (!["unit", "decision", "state", "machine"].includes(event)) return undefined;
  const { id, name, machineID } = JSON.parse(data) as Partial<MachineEvent & StateEvent>;
  return event === "state" ? `state ${name} ${machineID}` : `${event} ${id ?? name}`;
}

function isGone({ event, data }: ToldEvent): boolean {
  const { unit, state, machine, machineID, waiting } = JSON.parse(data) as Partial<
    & UnitEvent
    & Pick<StateEvent, "state">
    & MachineEvent
    & DecisionEvent
  >;
  switch (event) {
    case "unit":
      return unit === undefined;
    case "state":
      return state === undefined;
    case "machine":
      return machine === undefined;
    default:
      return machineID === undefined && !waiting;
  }
}
