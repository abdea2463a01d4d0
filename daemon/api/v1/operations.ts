/**
 * The operations of the API, each declared once as in an OpenAPI 3.1 document, with the schemas of its bodies.
 *
 * @module
 */

import { eventKinds } from "../events/diff.ts";
import { eventIdPattern, spanPattern } from "../events/event_id.ts";
import { outputs } from "../machine/port.ts";
import { maintenanceOperations } from "./maintenance_operations.ts";
import {
  answer,
  command,
  document,
  json,
  ofUnit,
  operation,
  type Operations,
  page,
  type Parameter,
  plain,
  probe,
  query,
  string,
  strings,
} from "./operation.ts";
import * as types from "./types.ts";

const contentHash: Parameter = {
  ...{ name: "hash", in: "path", required: true, schema: { type: "string", pattern: "^[0-9a-f]{64}$" } },
  description: "The SHA-256 of the content.",
};

const onMachine = query("machineID", "The machine to ask; a global unit is on many.");
const forwardingErrors = [404, 409, 421, 429, 501, 502];

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
      query("since", "The time of the first entry, in milliseconds since the epoch.", { type: "integer", minimum: 0 }),
      query("until", "The time of the last entry, in milliseconds since the epoch.", { type: "integer", minimum: 0 }),
      query("grep", "A regular expression (PCRE2) that messages must match, as in journalctl(1)."),
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

const appName: Parameter = {
  ...{ name: "app", in: "path", required: true, schema: { type: "string", pattern: types.appNamePattern } },
  description: "The name of an application, such as `shop`.",
};

const appOperations: Operations = {
  "GET /apps": page("listApps", "Lists the applications, by name.", types.AppPage),
  "GET /apps/{app}": operation(
    "getApp",
    "Returns an application with its units, its versions and its latest roll-out.",
    {
      parameters: [
        appName,
        query("version", "The units as this version left them, with their options, in place of the present ones.", {
          ...{ type: "integer", minimum: 1 },
        }),
      ],
      answers: { 200: answer("The application.", types.AppEntity) },
      errors: [404],
    },
  ),
  "POST /apps/{app}": operation(
    "startRollout",
    "Starts a roll-out: the engine changes units of an application as they were planned, in batches, and waits for each " +
      "batch to be healthy. The units belong to the application from then on.",
    {
      parameters: [appName],
      body: types.AppRequest,
      answers: { 201: answer("The roll-out.", types.RolloutEntity) },
      errors: [409, 413, 415, 507],
    },
  ),
  "GET /apps/{app}/rollout": operation("getRollout", "Returns the latest roll-out of an application.", {
    parameters: [appName],
    answers: { 200: answer("The roll-out.", types.RolloutEntity) },
    errors: [404],
  }),
  "POST /apps/{app}/rollout": operation(
    "controlRollout",
    "Pauses, resumes, aborts or undoes the latest roll-out of an application. One that has ended is undone by another " +
      "roll-out (201).",
    {
      parameters: [appName],
      body: types.RolloutRequest,
      answers: {
        200: answer("The roll-out.", types.RolloutEntity),
        201: answer("The roll-out that undoes the latest one.", types.RolloutEntity),
      },
      errors: [404, 409, 413, 415, 507],
    },
  ),
};

const clusterOperations: Operations = {
  "GET /usage": operation(
    "getUsage",
    "Returns what machines and their units use. Nothing is measured unless it is asked for.",
    {
      parameters: [
        query("machineID", "This machine only."),
        query("units", "`false`: without units.", { type: "string", enum: ["true", "false"] }),
      ],
      answers: { 200: answer("Processor time, memory, tasks and input/output.", types.UsageEntity) },
      errors: [404, 421, 429],
    },
  ),
  "GET /state": page(
    ...["listStates", "Lists the states of units, by unit name and machine ID.", types.UnitStatePage] as const,
    ...[query("unitName", "This unit only."), query("machineID", "This machine only.")],
  ),
  "GET /state/{unitName}": ofUnit("getState", "Returns a unit's state, for global units on the lowest machine ID.", {
    answers: { 200: answer("The state.", types.UnitStateEntity) },
  }),
  "GET /machines": page("listMachines", "Lists the machines that are present, by ID.", types.MachinePage),
  "GET /access": operation(
    "getAccess",
    "Returns what the client that asks may do.",
    { answers: { 200: answer("The role of the client.", types.AccessEntity) } },
  ),
  "GET /loss": operation(
    "getLoss",
    "Returns the machines that the engine waits for because too many were lost at once.",
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
    "Server-sent events: first the present, as `unit`, `decision`, `state`, `machine`, `loss`, `rollout` and `drain` events; then `synced`; then " +
      "each change. The last event of a change has an `id`. With `since` or `Last-Event-ID`, the changes since then come " +
      "in place of the present; if they are no longer known, `reset` comes first, and then the present. To a reader that " +
      "is too slow, `reset` is sent, and the stream ends. After `since=10m` and the like, `partial` says from which time " +
      "on the changes are complete. With `follow=false`, the stream ends after the changes of that time span.",
    {
      parameters: [
        query("since", "An event's `id`, a store revision, or a time span such as `10m`.", {
          type: "string",
          pattern: `${eventIdPattern}|${spanPattern}`,
        }),
        query(
          "follow",
          "`false`: ends after the latest changes of the time span of `since`, which the daemon of the leading engine " +
            "has recorded.",
          { type: "string", enum: ["true", "false"] },
        ),
        query("limit", "With `follow=false`, how many changes at most: by default 2,000.", {
          ...{ type: "integer", minimum: 0, maximum: 10_000 },
        }),
        query("unit", "These units only. Machines, losses, roll-outs and drains are sent all the same.", strings),
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
            "Events `unit`, `decision`, `state`, `machine`, `loss`, `rollout`, `drain`, `synced`, `reset` and `partial`. Their data " +
            "are the schemas UnitEvent, DecisionEvent, StateEvent, MachineEvent, LossEvent, RolloutEvent, DrainEvent, SyncedEvent, " +
            "ResetEvent and PartialEvent.",
          content: { "text/event-stream": { schema: string } },
        },
      },
      errors: [429],
    },
  ),
  "GET /contents/{hash}": operation("getContent", "Returns the content of a file that units name by `File=`.", {
    parameters: [contentHash],
    answers: { 200: answer("The content.", types.ContentEntity) },
    errors: [404],
  }),
  "PUT /contents/{hash}": operation(
    "putContent",
    "Uploads the content of a file, before the units that name it. It is deleted after ten minutes without such a unit.",
    {
      parameters: [contentHash],
      body: types.ContentRequest,
      answers: {
        204: { description: "The store has the content." },
      },
      errors: [413, 415, 507],
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
export const operations: Operations = {
  ...unitOperations,
  ...maintenanceOperations,
  ...appOperations,
  ...clusterOperations,
};

/** Operations without a prefix. */
export const probes: Operations = {
  "GET /healthz": probe("getHealth", "Answers `ok` while the process lives."),
  "GET /readyz": probe(
    "getReadiness",
    "Answers `ok` while the daemon can answer for the cluster and is a member of it.",
  ),
  "GET /metrics": probe("getMetrics", "Returns the daemon's metrics in the text format of Prometheus."),
};
