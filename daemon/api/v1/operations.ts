/**
 * The operations of the API, each declared once as in an OpenAPI 3.1 document, with the schemas of its bodies.
 *
 * @module
 */

import { eventKinds } from "../events/diff.ts";
import { eventIdPattern, spanPattern } from "../events/event_id.ts";
import { outputs } from "../machine/port.ts";
import { type Component, type JsonSchema, ref } from "./schema.ts";
import * as types from "./types.ts";

interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly description: string;
  readonly schema: JsonSchema;
  readonly required?: boolean;
}

/** A body's media types, each with the schema of the body. */
type Content = Readonly<Record<string, { readonly schema: JsonSchema }>>;

interface Answer {
  readonly description: string;
  readonly content?: Content;
  readonly headers?: Readonly<Record<string, { readonly description: string; readonly schema: JsonSchema }>>;
}

/** The parts in which operations differ. */
interface Parts {
  readonly parameters?: readonly Parameter[];
  readonly body?: Component;
  /** Successful responses by status code. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Error codes beyond {@link commonErrors}. */
  readonly errors?: readonly number[];
}

const string: JsonSchema = { type: "string" };
const strings: JsonSchema = { type: "array", items: string };
const plain: Content = { "text/plain": { schema: string } };
const json = (component: Component): Content => ({ "application/json": { schema: ref(component) } });
const answer = (description: string, component: Component): Answer => ({ description, content: json(component) });

/** Errors of every operation. */
const commonErrors = [400, 401, 403, 500, 501, 503];

const errorDescriptions: Readonly<Record<number, string>> = {
  400: "The request is malformed or invalid; the message says why.",
  401: "Credentials are missing or unknown.",
  403: "The credentials do not suffice, or the address is closed; the message says why.",
  404: "The unit, its state or the machine does not exist, or the engine does not wait for machines.",
  409:
    "The state of the unit or the store does not allow this, or others keep changing the unit; the message says why.",
  413: "The request body is too long, or the change is larger than the store accepts; the message says which.",
  415: "The request body is not application/json.",
  421: "The request was forwarded to the wrong machine.",
  429: "Too many event streams, journals or statuses are open; the message says which.",
  500: "A failure; the message says why.",
  501: "The Transfer-Encoding is unknown, or the machine's API is closed to other machines; the message says which.",
  502: "The machine that runs the unit does not answer; the message says why.",
  503: "The daemon cannot answer for the cluster; the message says why.",
  507: "The store refuses writes since its space is used up; the message says what to do.",
};

/** Completes an operation by its summary and its error responses. */
function operation(operationId: string, description: string, { parameters, body, answers, errors = [] }: Parts) {
  const codes = [...new Set([...errors, ...commonErrors])].sort((a, b) => a - b);
  const refusals = codes.map((code) => [code, answer(errorDescriptions[code] as string, types.ErrorEntity)]);
  const words = operationId.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return {
    operationId,
    summary: words.charAt(0).toUpperCase() + words.slice(1),
    description,
    ...(parameters && { parameters }),
    ...(body && { requestBody: { required: true, description: body.description, content: json(body) } }),
    responses: { ...answers, ...Object.fromEntries(refusals) } as Readonly<Record<string, Answer>>,
  };
}

type Operation = ReturnType<typeof operation>;

const query = (name: string, description: string, schema = string): Parameter => ({
  ...{ name, in: "query", description, schema },
});

function page(id: string, description: string, entity: Component, ...filters: Parameter[]): Operation {
  const parameters = [...filters, query("nextPageToken", "The `nextPageToken` of the page before.")];
  return operation(id, description, { parameters, answers: { 200: answer("One page.", entity) } });
}

const unitName: Parameter = {
  ...{ name: "unitName", in: "path", required: true, schema: string },
  description: "A full unit name, such as `hello.service`.",
};

function ofUnit(id: string, description: string, { parameters = [], errors = [404], ...parts }: Parts): Operation {
  return operation(id, description, { ...parts, parameters: [unitName, ...parameters], errors });
}

function command(id: string, description: string): Operation {
  return ofUnit(id, description, {
    answers: { 204: { description: "The request is stored." } },
    errors: [404, 409, 507],
  });
}

function document(id: string, description: string): Operation {
  const content: Content = { "application/json": { schema: { type: "object" } } };
  return operation(id, description, { answers: { 200: { description: "The document.", content } } });
}

function probe(id: string, description: string): Operation {
  const answers = { 200: { description: "As described.", content: plain } };
  const { responses, ...rest } = operation(id, description, { answers });
  const failure = { description: "The reason why not.", content: { ...plain, ...json(types.ErrorEntity) } };
  return { ...rest, responses: { ...responses, 503: failure } };
}

const onMachine = query("machineID", "The machine to ask; a global unit is on many.");
const forwardingErrors = [404, 409, 421, 429, 501, 502];

/** Operations by method and path. */
export type Operations = Readonly<Record<string, Operation>>;

const unitOperations: Operations = {
  "GET /units": page("listUnits", "Lists the units of the cluster, by name.", types.UnitPage),
  "GET /units/{unitName}": ofUnit("getUnit", "Returns a unit with the options of its unit file.", {
    answers: { 200: answer("The unit.", types.UnitEntity) },
  }),
  "PUT /units/{unitName}": ofUnit("setUnit", "Creates or replaces a unit, or sets its desired state.", {
    body: types.UnitRequest,
    answers: {
      201: {
        description: "The unit is new, or has a new version.",
        headers: { Warning: { description: "What is probably a mistake in the unit file.", schema: string } },
      },
      204: { description: "The unit has the desired state." },
    },
    errors: [409, 413, 415, 507],
  }),
  "DELETE /units/{unitName}": ofUnit("deleteUnit", "Destroys a unit: its machines stop and unload it.", {
    answers: { 204: { description: "The unit is destroyed." } },
    errors: [404, 409, 507],
  }),
  "POST /units/{unitName}/restart": command(
    "restartUnit",
    "Restarts a launched unit once, on every machine that has it.",
  ),
  "POST /units/{unitName}/start": command(
    "startUnit",
    "Starts a launched unit once, on machines where it does not run.",
  ),
  "POST /units/{unitName}/stop": command("stopUnit", "Stops a loaded unit once, where something else has started it."),
  "GET /units/{unitName}/explain": ofUnit("explainUnit", "Explains why a unit is where it is, or on no machine.", {
    answers: { 200: answer("The explanation.", types.ExplanationEntity) },
  }),
  "GET /units/{unitName}/history": ofUnit("getHistory", "Returns the versions of a unit's file, newest first.", {
    parameters: [
      query("version", "This version only, with the options of its file.", { type: "integer", minimum: 1 }),
    ],
    answers: { 200: answer("The versions.", types.HistoryEntity) },
  }),
  "GET /units/{unitName}/journal": ofUnit("getJournal", "Reads a unit's journal on the machine that runs it.", {
    parameters: [
      query("lines", "How many of the latest lines: at most 100,000, by default 10.", { type: "integer", minimum: 0 }),
      query("follow", "Whether to continue with new lines.", { type: "string", enum: ["true", "false", "1", "0", ""] }),
      query("output", "The format of the lines, as in journalctl(1).", { type: "string", enum: outputs }),
      onMachine,
    ],
    answers: {
      200: {
        description: "Lines of text, or with `output=json` a JSON object a line.",
        content: { ...plain, "application/x-ndjson": { schema: string } },
      },
    },
    errors: forwardingErrors,
  }),
  "GET /units/{unitName}/status": ofUnit("getStatus", "Returns what systemctl(1) reports on the unit's machine.", {
    parameters: [onMachine],
    answers: {
      200: {
        description: "Text, or JSON if the Accept header prefers application/json.",
        content: { ...plain, ...json(types.UnitStatusEntity) },
      },
    },
    errors: forwardingErrors,
  }),
};

const clusterOperations: Operations = {
  "GET /state": page(
    ...["listStates", "Lists the states of units, by unit name and machine ID.", types.UnitStatePage] as const,
    ...[query("unitName", "This unit only."), query("machineID", "This machine only.")],
  ),
  "GET /state/{unitName}": ofUnit("getState", "Returns a unit's state, for global units on the lowest machine ID.", {
    answers: { 200: answer("The state.", types.UnitStateEntity) },
  }),
  "GET /machines": page("listMachines", "Lists the machines that are present, by ID.", types.MachinePage),
  "GET /loss": operation(
    "getLoss",
    "Returns the machines that the engine waits for since too many were lost at once.",
    { answers: { 200: answer("The wait, if there is one.", types.LossEntity) } },
  ),
  "DELETE /loss": operation(
    "acceptLoss",
    "Ends the wait for machines that were lost at once: their units move to other machines.",
    { answers: { 204: { description: "The wait is over." } }, errors: [404, 409, 507] },
  ),
  "PATCH /machines": operation(
    "patchMachines",
    "Changes dynamic metadata. Each operation is a transaction of its own.",
    {
      body: types.MetadataRequest,
      answers: { 204: { description: "The metadata is stored." } },
      errors: [413, 507],
    },
  ),
  "POST /plan": operation(
    "planChanges",
    "Predicts what would happen because of changes: which units would start, restart, move or stop on which machines, " +
      "and which would wait. Changes nothing, so that clients that may only read may ask.",
    {
      body: types.PlanRequest,
      answers: { 200: answer("The plan.", types.PlanEntity) },
      errors: [413, 415],
    },
  ),
  "GET /events": operation(
    "watchEvents",
    "Server-sent events: first the present, as `unit`, `decision`, `state`, `machine` and `loss` events; then `synced`; then " +
      "each change. The last event of a change has an `id`. With `since` or `Last-Event-ID`, the changes since then come " +
      "in place of the present; if they are no longer known, `reset` comes first, and then the present. To a reader that " +
      "is too slow, `reset` is sent, and the stream ends. After `since=10m` and the like, `partial` says from which time " +
      "on the changes are complete.",
    {
      parameters: [
        query("since", "An event's `id`, a store revision, or a time span such as `10m`.", {
          type: "string",
          pattern: `${eventIdPattern}|${spanPattern}`,
        }),
        query("unit", "These units only. Machines and losses are sent all the same.", strings),
        query("machine", "These machines only.", strings),
        query("kind", "These kinds of events only.", { type: "array", items: { type: "string", enum: eventKinds } }),
        {
          ...{ name: "Last-Event-ID", in: "header", schema: { type: "string", pattern: eventIdPattern } },
          description: "As `since`, and takes precedence over it.",
        },
      ],
      answers: {
        200: {
          description:
            "Events `unit`, `decision`, `state`, `machine`, `loss`, `synced`, `reset` and `partial`. Their data are " +
            "the schemas UnitEvent, DecisionEvent, StateEvent, MachineEvent, LossEvent, SyncedEvent, ResetEvent and " +
            "PartialEvent.",
          content: { "text/event-stream": { schema: string } },
        },
      },
      errors: [429],
    },
  ),
  "GET /backup": operation(
    "getBackup",
    "Returns every unit and all dynamic metadata, at one revision of the store.",
    { answers: { 200: answer("The backup.", types.BackupEntity) } },
  ),
  "POST /store/accept": operation("acceptStore", "Accepts a wiped or restored store in place of the known one.", {
    answers: { 200: answer("The store is accepted.", types.AcceptedStoreEntity) },
    errors: [409],
  }),
  "POST /store/accept/keep-units": operation(
    "acceptStoreKeepingUnits",
    "Accepts a wiped or restored store in place of the known one, and puts the units of this machine there.",
    { answers: { 200: answer("The store is accepted.", types.AcceptedStoreEntity) }, errors: [409] },
  ),
  "GET /discovery": document("getDiscovery", "Returns this API as a Google API discovery document."),
  "GET /openapi.json": document("getOpenapi", "Returns this document."),
};

/** Operations below the prefixes of the API. */
export const operations: Operations = { ...unitOperations, ...clusterOperations };

/** Operations without a prefix. */
export const probes: Operations = {
  "GET /healthz": probe("getHealth", "Answers `ok` while the process lives."),
  "GET /readyz": probe(
    "getReadiness",
    "Answers `ok` while the daemon can answer for the cluster and is a member of it.",
  ),
  "GET /metrics": probe("getMetrics", "Returns the daemon's metrics in the text format of Prometheus."),
};
