/**
 * `/discovery`: the API of fleet 1.0 as a Google API discovery document (version 1), for generated clients.
 *
 * @module
 */

import { operations } from "./operations.ts";
import type { Component, JsonSchema } from "./schema.ts";
import {
  MachineEntity,
  MachinePage,
  UnitEntity,
  UnitOptionEntity,
  UnitPage,
  UnitStateEntity,
  UnitStatePage,
} from "./types.ts";

/** The entities of fleet 1.0; fields that it does not know are left out. */
const entities = [MachineEntity, MachinePage, UnitEntity, UnitOptionEntity, UnitPage, UnitStateEntity, UnitStatePage];

/** Fields that fleet 1.0 does not have. */
const newFields = new Set([
  "cordon",
  "capacity",
  "reserved",
  "app",
  "unreadable",
  "health",
  "healthReason",
  "healthSince",
]);

function schemaOf({ title, properties = {} }: Component) {
  const fields = Object.entries(properties).filter(([name]) => !newFields.has(name)).sort(([a], [b]) => a < b ? -1 : 1);
  return {
    id: title,
    properties: Object.fromEntries(fields.map(([name, schema]) => [name, fieldOf(schema)])),
    type: "object",
  };
}

function fieldOf({ type, enum: values, items, additionalProperties: value }: JsonSchema): object {
  if (items) return { items: { $ref: titleIn(items) }, type };
  if (value) return { additionalProperties: fieldOf(value), properties: {}, type };
  return values ? { enum: values, type } : { type };
}

/** The title of the component that a schema refers to. */
const titleIn = ({ $ref }: JsonSchema) => $ref?.split("/").at(-1);

const schemas: Record<string, ReturnType<typeof schemaOf>> = Object.fromEntries(
  entities.map((entity) => [entity.title, schemaOf(entity)]),
);
// As in fleet 1.0, although the field may be absent.
schemas["Unit"]!.properties["machineID"] = { required: true, type: "string" };

/** Describes an operation as the method that fleet 1.0 gives this ID. */
function method(id: string, key: string) {
  const { description, parameters = [], responses, requestBody } = operations[key]!;
  const [httpMethod, path = ""] = key.split(" ");
  const response = responses[200]?.content?.["application/json"]?.schema;
  const inPath = parameters.filter((parameter) => parameter.required).map(({ name }) => name);
  const names = parameters.map(({ name }) => name).sort();
  return {
    description,
    httpMethod,
    id,
    ...(inPath.length > 0 ? { parameterOrder: inPath } : {}),
    parameters: Object.fromEntries(
      names.map((name) =>
        inPath.includes(name)
          ? [name, { location: "path", required: true, type: "string" }]
          : [name, { location: "query", type: "string" }]
      ),
    ),
    path: path.slice(1),
    // In fleet 1.0 a request has the type of the response.
    ...(requestBody ? { request: { $ref: "Unit" } } : {}),
    ...(response ? { response: { $ref: titleIn(response) } } : {}),
  };
}

const resources = {
  Machines: { methods: { List: method("fleet.Machine.List", "GET /machines") } },
  UnitState: {
    methods: {
      Get: method("fleet.UnitState.Get", "GET /state/{unitName}"),
      List: method("fleet.UnitState.List", "GET /state"),
    },
  },
  Units: {
    methods: {
      Delete: method("fleet.Unit.Delete", "DELETE /units/{unitName}"),
      Get: method("fleet.Unit.Get", "GET /units/{unitName}"),
      List: method("fleet.Unit.List", "GET /units"),
      Set: method("fleet.Unit.Set", "PUT /units/{unitName}"),
    },
  },
};

/** The document's JSON text. The client replaces `$ENDPOINT`. */
export const discoveryText = JSON.stringify({
  auth: {},
  basePath: "/fleet/v1/",
  baseUrl: "$ENDPOINT/fleet/v1/",
  batchPath: "batch",
  description: "",
  discoveryVersion: "v1",
  documentationLink: "http://github.com/coreos/fleet",
  icons: { x16: "", x32: "" },
  id: "fleet:v1",
  kind: "discovery#restDescription",
  labels: [],
  name: "schema",
  parameters: {},
  protocol: "rest",
  resources,
  rootUrl: "$ENDPOINT/",
  schemas,
  servicePath: "fleet/v1/",
  title: "fleet API",
  version: "v1",
});
