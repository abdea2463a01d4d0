/**
 * The schemas of everything that the API takes and gives, by the names that its description gives them. Data.
 *
 * @module
 */

import { desiredStates } from "../../../registry/model.ts";
import type { Schema } from "./decode.ts";

const text: Schema = { type: "string" };
const state: Schema = { type: "string", enum: desiredStates };
const machineId: Schema = { type: "string", description: "The 32 hexadecimal digits of machine-id(5)." };
const hash: Schema = { type: "string", pattern: "^[0-9a-f]{40}$", description: "SHA-1 of the serialised unit file." };
const revision: Schema = { type: "integer", minimum: 0, description: "A revision of the store." };
const since: Schema = { type: "integer", minimum: 0, description: "Milliseconds since the epoch." };
const pageToken: Schema = { type: "string", description: "Asks for the next page; absent on the last." };
const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const listOf = (items: Schema): Schema => ({ type: "array", items });

function object(required: readonly string[], properties: Readonly<Record<string, Schema>>): Schema {
  return { type: "object", properties, ...(required.length > 0 ? { required } : {}), additionalProperties: false };
}

/** More options than any unit file of the longest length that is stored makes sense with. */
const maxOptions = 4096;

/** Operations in one PATCH. Each is a transaction of its own. */
const maxOperations = 1000;

/** Body of a PUT of a unit. */
export const unitRequest: Schema = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 256, description: "That of the path, or left out." },
    desiredState: state,
    options: {
      type: "array",
      maxItems: maxOptions,
      items: { type: "object", properties: { section: text, name: text, value: text } },
    },
  },
};

const metadataValue: Schema = { type: "string", maxLength: 4096 };

/** Body of a PATCH of the machines. */
export const metadataRequest: Schema = {
  type: "array",
  maxItems: maxOperations,
  items: {
    type: "object",
    properties: {
      op: { type: "string", enum: ["add", "remove", "replace"] },
      path: { type: "string", pattern: "^/[^/]{1,256}/metadata/[A-Za-z0-9_.-]{1,256}$" },
      value: { oneOf: [metadataValue, { type: "object", properties: { value: metadataValue } }] },
    },
    required: ["op", "path"],
  },
};

const explanation = object(["name", "desiredState", "hash", "outcome", "summary", "revision"], {
  name: text,
  desiredState: state,
  currentState: state,
  hash: { ...hash, pattern: "^([0-9a-f]{40})?$", description: "As elsewhere; empty where it cannot be read." },
  launched: revision,
  restart: revision,
  outcome: { type: "string", enum: ["placed", "waiting", "global", "inactive", "template", "unreadable"] },
  summary: text,
  machineID: machineId,
  why: text,
  since,
  next: text,
  machines: listOf(ref("MachineExplanation")),
  notes: listOf(text),
  warnings: listOf(text),
  leader: machineId,
  revision,
});

const machineExplanation = object(["machineID", "eligibility"], {
  machineID: machineId,
  primaryIP: text,
  eligibility: { type: "string", enum: ["assigned", "eligible", "rejected", "offline", "none"] },
  reasons: listOf(object(["rule", "reason"], { rule: text, reason: text })),
  pending: text,
  currentState: state,
  restart: revision,
  state: ref("UnitState"),
  since,
  error: text,
  result: text,
});

/** Everything that is referred to by a name. */
export const schemas: Readonly<Record<string, Schema>> = {
  UnitRequest: unitRequest,
  MetadataRequest: metadataRequest,
  UnitOption: object([], { section: text, name: text, value: text }),
  Unit: object(["name"], {
    name: text,
    options: listOf(ref("UnitOption")),
    desiredState: state,
    currentState: state,
    machineID: machineId,
    unreadable: text,
  }),
  UnitPage: object([], { units: listOf(ref("Unit")), nextPageToken: pageToken }),
  UnitState: object(["name", "machineID"], {
    name: text,
    hash,
    machineID: machineId,
    systemdLoadState: text,
    systemdActiveState: text,
    systemdSubState: text,
  }),
  UnitStatePage: object([], { states: listOf(ref("UnitState")), nextPageToken: pageToken }),
  Machine: object(["id"], {
    id: machineId,
    primaryIP: text,
    metadata: { type: "object", additionalProperties: text },
  }),
  MachinePage: object([], { machines: listOf(ref("Machine")), nextPageToken: pageToken }),
  Explanation: explanation,
  MachineExplanation: machineExplanation,
  Error: object(["error"], { error: object(["code", "message"], { code: { type: "integer" }, message: text }) }),
  AcceptedStore: object(["was", "accepted"], {
    was: object(["id", "revision"], { id: text, revision }),
    accepted: object(["revision"], { id: text, revision }),
  }),
  Change: object(["at", "by"], { at: since, by: text }),
  UnitEvent: object(["name"], {
    ...{ name: text, unit: ref("Unit"), hash, restart: revision, changed: ref("Change"), time: since },
  }),
  DecisionEvent: object(["name", "why"], {
    time: since,
    name: text,
    machineID: machineId,
    from: machineId,
    why: text,
    since,
    waiting: { type: "boolean" },
    reasons: listOf(object(["machines", "reason"], { machines: { type: "integer", minimum: 1 }, reason: text })),
  }),
  StateEvent: object(["name", "machineID"], {
    time: since,
    name: text,
    machineID: machineId,
    state: ref("UnitState"),
    restart: revision,
    restarts: { type: "integer", minimum: 1 },
    since,
    error: text,
    permanent: { type: "boolean" },
    result: text,
    job: text,
  }),
  MachineEvent: object(["id"], { time: since, id: machineId, machine: ref("Machine") }),
  SyncedEvent: object(["revision"], { revision }),
  ResetEvent: object(["reason"], { reason: text }),
  UnitStatus: object(["name", "machineID", "properties"], {
    name: text,
    machineID: machineId,
    properties: {
      type: "object",
      additionalProperties: text,
      description: "Those of systemctl show; several values of one are lines.",
    },
  }),
};
