/**
 * `/openapi.json`: the whole API described (OpenAPI 3.1), by the schemas that read its requests.
 *
 * @module
 */

import { eventKinds } from "../events/diff.ts";
import { eventIdPattern, spanPattern } from "../events/event_id.ts";
import { outputs } from "../machine/port.ts";
import type { Schema } from "./decode.ts";
import { schemas } from "./schemas.ts";
import { apiPrefixes } from "./types.ts";

interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly description: string;
  readonly schema: Schema;
  readonly required?: boolean;
}

/** One answer: what it says, and the media type and schema of its body, if it has one. */
interface Answer {
  readonly description: string;
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
  readonly headers?: Readonly<Record<string, { readonly description: string; readonly schema: Schema }>>;
}

/** What one method does at one path. */
export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: Answer["content"] };
  readonly responses: Readonly<Record<string, Answer>>;
}

const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const json = (name: string) => ({ "application/json": { schema: ref(name) } });
const plain = { "text/plain": { schema: { type: "string" } as Schema } };

const problems: Readonly<Record<number, string>> = {
  400: "The request makes no sense; the message says why.",
  401: "Credentials are missing or not known.",
  403: "Credentials do not suffice, or the address is closed; the message says why.",
  404: "There is none.",
  409: "The unit is not in a state for this, or others change it all the time; the message says why.",
  413: "The body is too long.",
  415: "The body is not application/json.",
  421: "Another daemon was meant.",
  429: "Too many streams are open, or too many questions to machines; the message says which.",
  500: "A failure; the message says why.",
  501: "A Transfer-Encoding that is not known, or a machine that cannot be asked; the message says why.",
  502: "The machine that runs the unit did not answer; the message says why.",
  503: "The daemon cannot answer for the cluster; the message says why.",
};

/** What any request may be answered with, whatever it asks for. */
const anywhere = [400, 401, 403, 500, 501, 503];

/** Answers of an operation: those of its own, and errors, of which some may come anywhere. */
function answers(own: Readonly<Record<number, Answer>>, ...errors: readonly number[]): Operation["responses"] {
  const all = [...new Set([...errors, ...anywhere])].sort((a, b) => a - b);
  const refusals = all.map((code) => [code, { description: problems[code] as string, content: json("Error") }]);
  return { ...own, ...Object.fromEntries(refusals) };
}

const unitName: Parameter = {
  ...{ name: "unitName", in: "path", required: true },
  description: "A full unit name, such as hello.service.",
  schema: { type: "string" },
};

function query(name: string, description: string, schema: Schema = { type: "string" }): Parameter {
  return { name, in: "query", description, schema };
}

const pageToken = query("nextPageToken", "The token that came with the page before.");

function page(operationId: string, summary: string, entity: string, filters: readonly Parameter[] = []): Operation {
  return {
    operationId,
    summary,
    parameters: [...filters, pageToken],
    responses: answers({ 200: { description: "One page.", content: json(entity) } }, 400),
  };
}

function ofUnit(
  operationId: string,
  summary: string,
  own: Readonly<Record<number, Answer>>,
  { parameters = [], errors = [404] }: { parameters?: readonly Parameter[]; errors?: readonly number[] } = {},
): Operation {
  return { operationId, summary, parameters: [unitName, ...parameters], responses: answers(own, ...errors) };
}

const body = (name: string): NonNullable<Operation["requestBody"]> => ({ required: true, content: json(name) });
const names = (description: string): Schema => ({ type: "array", items: { type: "string" }, description });

const units: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  "/units": { get: page("listUnits", "The units, by name.", "UnitPage") },
  "/units/{unitName}": {
    get: ofUnit("getUnit", "One unit.", { 200: { description: "The unit.", content: json("Unit") } }),
    put: {
      ...ofUnit("setUnit", "Creates, replaces or updates a unit.", {
        201: {
          description: "It is new, or another version of it.",
          headers: { Warning: { description: "What is probably not meant as it is.", schema: { type: "string" } } },
        },
        204: { description: "Its desired state is as asked for." },
      }, { errors: [400, 409, 413, 415] }),
      requestBody: body("UnitRequest"),
    },
    delete: ofUnit("deleteUnit", "Destroys a unit.", { 204: { description: "It is gone." } }, { errors: [404, 409] }),
  },
  "/units/{unitName}/restart": {
    post: ofUnit("restartUnit", "Asks for one restart wherever the unit is.", {
      204: { description: "It is asked for." },
    }, { errors: [404, 409] }),
  },
  "/units/{unitName}/start": {
    post: ofUnit("startUnit", "Asks for one start of a launched unit wherever it does not run.", {
      204: { description: "It is asked for." },
    }, { errors: [404, 409] }),
  },
  "/units/{unitName}/stop": {
    post: ofUnit("stopUnit", "Asks for one stop of a loaded unit that something else has started.", {
      204: { description: "It is asked for." },
    }, { errors: [404, 409] }),
  },
  "/units/{unitName}/explain": {
    get: ofUnit("explainUnit", "Why a unit is where it is, or is not.", {
      200: { description: "The explanation.", content: json("Explanation") },
    }),
  },
};

const onMachine = query("machineID", "Ask this machine; a global unit is on many.");

const hosts: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  "/units/{unitName}/journal": {
    get: ofUnit("getJournal", "What a unit has logged, from the machine that runs it.", {
      200: {
        description: "Lines, as they come.",
        content: { ...plain, "application/x-ndjson": { schema: { type: "string" } } },
      },
    }, {
      parameters: [
        query("lines", "How many of the latest lines.", { type: "integer", minimum: 0 }),
        query("follow", "Whether to go on with new lines.", { type: "string", enum: ["true", "false", "1", "0", ""] }),
        query("output", "How lines are written, as in journalctl(1).", { type: "string", enum: outputs }),
        onMachine,
      ],
      errors: [400, 404, 409, 421, 429, 501, 502],
    }),
  },
  "/units/{unitName}/status": {
    get: ofUnit("getStatus", "What systemctl says of a unit, on the machine that runs it.", {
      200: {
        description: "Text; or JSON where Accept prefers application/json.",
        content: { ...plain, ...json("UnitStatus") },
      },
    }, { parameters: [onMachine], errors: [404, 409, 421, 429, 501, 502] }),
  },
};

const eventId: Schema = { type: "string", pattern: eventIdPattern };

const rest: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  "/state": {
    get: page("listStates", "What machines say of units, by unit name and machine ID.", "UnitStatePage", [
      query("unitName", "This unit only."),
      query("machineID", "This machine only."),
    ]),
  },
  "/state/{unitName}": {
    get: ofUnit("getState", "What the unit's machine says of it, else the one with the lowest ID.", {
      200: { description: "The state.", content: json("UnitState") },
    }),
  },
  "/machines": {
    get: page("listMachines", "The machines that are present, by ID.", "MachinePage"),
    patch: {
      operationId: "patchMachines",
      summary: "Writes dynamic metadata of machines, one operation after the other.",
      requestBody: body("MetadataRequest"),
      responses: answers({ 204: { description: "It is written." } }, 400, 413),
    },
  },
  "/events": {
    get: {
      operationId: "watchEvents",
      summary: "The present, then every change, as server-sent events.",
      parameters: [
        query("since", "Begin with what has changed since: an event's id, a revision of the store, or a time as 10m.", {
          type: "string",
          pattern: `${eventIdPattern}|${spanPattern}`,
        }),
        query("unit", "These units only.", names("Unit names.")),
        query("machine", "These machines only.", names("Machine IDs.")),
        query("kind", "These kinds only.", { type: "array", items: { type: "string", enum: eventKinds } }),
        {
          ...{ name: "Last-Event-ID", in: "header", schema: eventId },
          description: "As since, and counts before it.",
        },
      ],
      responses: answers(
        {
          200: {
            description:
              "Events `unit`, `decision`, `state`, `machine`, `synced` and `reset`; their data are the schemas " +
              "UnitEvent, DecisionEvent, StateEvent, MachineEvent, SyncedEvent and ResetEvent.",
            content: { "text/event-stream": { schema: { type: "string" } } },
          },
        },
        400,
        429,
      ),
    },
  },
  "/store/accept": {
    post: {
      operationId: "acceptStore",
      summary: "Takes the store that is there in place of the one that was known.",
      responses: answers({ 200: { description: "It is taken.", content: json("AcceptedStore") } }, 409),
    },
  },
  "/discovery": { get: described("getDiscovery", "This API as a Google API discovery document.") },
  "/openapi.json": { get: described("getOpenapi", "This document.") },
};

function described(operationId: string, summary: string): Operation {
  const content = { "application/json": { schema: { type: "object" } as Schema } };
  return { operationId, summary, responses: answers({ 200: { description: "The document.", content } }) };
}

function probe(operationId: string, summary: string): Operation {
  const content = { ...plain, ...json("Error") };
  const responses = answers({ 200: { description: "ok", content: plain } });
  return { operationId, summary, responses: { ...responses, 503: { description: "Why not.", content } } };
}

/** Every path below a prefix, and those without. */
export const paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  ...Object.fromEntries(
    Object.entries({ ...units, ...hosts, ...rest }).map(([path, item]) => [apiPrefixes[0] + path, item]),
  ),
  "/healthz": { get: probe("getHealth", "Whether the process lives.") },
  "/readyz": { get: probe("getReadiness", "Whether the daemon can answer for the cluster.") },
  "/metrics": {
    get: { operationId: "getMetrics", summary: "Prometheus metrics.", responses: probe("", "").responses },
  },
};

let text: string | undefined;

/** The document's JSON text; made when it is first asked for. */
export function openapiText(version: string): string {
  return text ??= JSON.stringify({
    openapi: "3.1.0",
    info: {
      title: "fleet API",
      version: "v1",
      description: `Served by fleetd ${version}. What stands below ${apiPrefixes[0]} stands below ${
        apiPrefixes[1]
      }, too.`,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{}, { bearer: [] }, { certificate: [] }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        certificate: { type: "mutualTLS" },
      },
    },
  });
}
