/**
 * The state that a stream of events has reported. When a new stream starts (from another daemon, or from one that no longer
 * has the history), only the differences are passed on. Pure.
 *
 * @module
 */

import type { MachineEvent, RolloutEvent, StateEvent } from "../../daemon/api/v1/types.ts";

/** An event: its name, and its data as JSON text. */
export interface StreamEvent {
  readonly event: string;
  readonly data: string;
}

/** The reported state of the cluster. */
export class EventMemory {
  readonly #known = new Map<string, string>();
  /** Keys of the snapshot that is being received; undefined after its end. */
  #snapshot: Set<string> | undefined;
  /** True once a whole snapshot has been passed on. */
  #isComplete = false;

  /** Starts a new stream, which begins with a snapshot or continues the last one. */
  begin(withSnapshot: boolean): void {
    this.#snapshot = withSnapshot ? new Set() : undefined;
  }

  /** Takes the next event and returns the events to pass on: none if it is known; at the end of a snapshot, removals too. */
  take(event: StreamEvent): readonly StreamEvent[] {
    if (event.event === "reset") {
      this.#snapshot = new Set();
      return this.#isComplete ? [] : [event];
    }
    if (event.event === "synced") return [...this.#finish(), event];
    const key = keyOf(event);
    if (key === undefined) return [event];
    const data = comparable(event);
    const isKnown = this.#known.get(key) === data;
    if (isRemoval(event)) this.#known.delete(key);
    else this.#known.set(key, data);
    this.#snapshot?.add(key);
    return this.#snapshot && this.#isComplete && isKnown ? [] : [event];
  }

  /** Ends a snapshot. Returns a removal for each known key that the snapshot lacks. */
  #finish(): StreamEvent[] {
    const snapshot = this.#snapshot;
    if (!snapshot) return [];
    this.#snapshot = undefined;
    this.#isComplete = true;
    return [...this.#known.keys()].filter((key) => !snapshot.has(key)).flatMap((key) => {
      this.#known.delete(key);
      const [event = "", name = "", machineID = ""] = key.split(" ");
      if (event === "decision") return [];
      const data = event === "machine"
        ? { id: name }
        : event === "loss"
        ? {}
        : event === "rollout"
        ? { app: name }
        : event === "drain"
        ? { machineID: name }
        : { name, ...(event === "state" ? { machineID } : {}) };
      return [{ event, data: JSON.stringify(data) }];
    });
  }
}

/** Returns the data of an event without what differs although nothing has changed: its time, and the steps of a roll-out. */
function comparable({ event, data }: StreamEvent): string {
  if (event !== "rollout") return data.replace(/,"time":\d+\}$/, "}");
  const { app, rollout } = JSON.parse(data) as RolloutEvent;
  return JSON.stringify([app, rollout && [rollout.id, rollout.status, rollout.reason]]);
}

/** Returns the key of the object that an event is about; undefined if it is about none. */
function keyOf({ event, data }: StreamEvent): string | undefined {
  if (!["unit", "decision", "state", "machine", "loss", "rollout", "drain"].includes(event)) return undefined;
  const { id, name, machineID, app } = JSON.parse(data) as Partial<MachineEvent & StateEvent & RolloutEvent>;
  if (event === "rollout") return `rollout ${app}`;
  if (event === "drain") return `drain ${machineID}`;
  return event === "state" ? `state ${name} ${machineID}` : `${event} ${id ?? name}`;
}

/** True if the object that an event is about is gone: the field of the event's name is absent. */
function isRemoval({ event, data }: StreamEvent): boolean {
  const fields = JSON.parse(data) as Readonly<Record<string, unknown>>;
  if (event === "loss") return fields.missing === undefined;
  if (event === "drain") return fields.status === undefined;
  return event === "decision" ? fields.machineID === undefined && !fields.waiting : fields[event] === undefined;
}
