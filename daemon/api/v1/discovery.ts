/**
 * `/discovery`: the API described for generated clients (Google API discovery document, version 1).
 *
 * @module
 */

import { desiredStates } from "../../../registry/model.ts";

const text = { type: "string" };
const state = { enum: desiredStates, type: "string" };
const list = (entity: string) => ({ items: { $ref: entity }, type: "array" });

const schemas = {
  Machine: {
    id: text,
    metadata: { additionalProperties: text, properties: {}, type: "object" },
    primaryIP: text,
  },
  MachinePage: { machines: list("Machine"), nextPageToken: text },
  Unit: {
    currentState: state,
    desiredState: state,
    machineID: { required: true, type: "string" },
    name: text,
    options: list("UnitOption"),
  },
  UnitOption: { name: text, section: text, value: text },
  UnitPage: { nextPageToken: text, units: list("Unit") },
  UnitState: {
    hash: text,
    machineID: text,
    name: text,
    systemdActiveState: text,
    systemdLoadState: text,
    systemdSubState: text,
  },
  UnitStatePage: { nextPageToken: text, states: list("UnitState") },
};

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
      Get: one("GET", "fleet.UnitState.Get", "What a machine says of a unit.", "state", {
        response: { $ref: "UnitState" },
      }),
      List: pages("fleet.UnitState.List", "One page of what machines say of units.", "state", "UnitStatePage", [
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

/** The document's JSON text. `$ENDPOINT` is for the client to fill in. */
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
  schemas: Object.fromEntries(
    Object.entries(schemas).map(([id, properties]) => [id, { id, properties, type: "object" }]),
  ),
  servicePath: "fleet/v1/",
  title: "fleet API",
  version: "v1",
});
