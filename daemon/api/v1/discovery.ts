/**
 * `/discovery`: the API described for generated clients (Google API discovery document, version 1).
 *
 * @module
 */

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

function schemaOf({ title, properties = {} }: Component) {
  const fields = Object.entries(properties).filter(([name]) => name !== "unreadable").sort(([a], [b]) =>
    a < b ? -1 : 1
  );
  return {
    id: title,
    properties: Object.fromEntries(fields.map(([name, schema]) => [name, fieldOf(schema)])),
    type: "object",
  };
}

function fieldOf({ type, enum: values, items, additionalProperties: value }: JsonSchema): object {
  if (items) return { items: { $ref: items.$ref?.split("/").at(-1) }, type };
  if (value) return { additionalProperties: fieldOf(value), properties: {}, type };
  return values ? { enum: values, type } : { type };
}

const schemas: Record<string, ReturnType<typeof schemaOf>> = Object.fromEntries(
  entities.map((entity) => [entity.title, schemaOf(entity)]),
);
// As in fleet 1.0, although the field may be absent.
schemas["Unit"]!.properties["machineID"] = { required: true, type: "string" };
function pages(id: string, description: string, path: string, entity: string, filters: readonly string[] = []) {
  const parameters = [...filters, "nextPageToken"].sort();
  return {
    description,
    httpMethod: "GET",
    id,
    parameters: Object.fromEntries(parameters.map((name) => [name, { location: "query", type: "string" }])),
    path,
    response: { $ref: entity },
  };
}

function one(httpMethod: string, id: string, description: string, path: string, entities: Record<string, unknown>) {
  return {
    description,
    httpMethod,
    id,
    parameterOrder: ["unitName"],
    parameters: { unitName: { location: "path", required: true, type: "string" } },
    path: `${path}/{unitName}`,
    ...entities,
  };
}

const resources = {
  Machines: { methods: { List: pages("fleet.Machine.List", "One page of the machines.", "machines", "MachinePage") } },
  UnitState: {
    methods: {
      Get: one("GET", "fleet.UnitState.Get", "One unit state.", "state", {
        response: { $ref: "UnitState" },
      }),
      List: pages("fleet.UnitState.List", "One page of the unit states.", "state", "UnitStatePage", [
        "machineID",
        "unitName",
      ]),
    },
  },
  Units: {
    methods: {
      Delete: one("DELETE", "fleet.Unit.Delete", "Removes a unit.", "units", {}),
      Get: one("GET", "fleet.Unit.Get", "One unit.", "units", { response: { $ref: "Unit" } }),
      List: pages("fleet.Unit.List", "One page of the units.", "units", "UnitPage"),
      Set: one("PUT", "fleet.Unit.Set", "Creates, replaces or updates a unit.", "units", { request: { $ref: "Unit" } }),
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
