import assert from "node:assert/strict";
import { ApiFixture } from "../../../tests/support/api_fixture.ts";

Deno.test("the discovery document describes the API of fleet 1.0", async (test) => {
  await using api = await ApiFixture.open();
  const answer = await api.send("GET", "/v1-alpha/discovery");
  const document = JSON.parse(answer.text);
  assert.equal(answer.headers.get("Content-Type"), "application/json");

  const { schemas, resources, ...head } = document;
  await test.step("it has the name and the address of the API", () =>
    assert.deepEqual(head, {
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
      rootUrl: "$ENDPOINT/",
      servicePath: "fleet/v1/",
      title: "fleet API",
      version: "v1",
    }));
  await test.step("it describes every entity", () => {
    const fields = Object.entries(schemas as Record<string, { id: string; type: string; properties: object }>)
      .map(([id, schema]) => [id, schema.id, schema.type, Object.keys(schema.properties).join(" ")]);
    assert.deepEqual(fields, [
      ["Machine", "Machine", "object", "id metadata primaryIP"],
      ["MachinePage", "MachinePage", "object", "machines nextPageToken"],
      ["Unit", "Unit", "object", "currentState desiredState machineID name options"],
      ["UnitOption", "UnitOption", "object", "name section value"],
      ["UnitPage", "UnitPage", "object", "nextPageToken units"],
      ["UnitState", "UnitState", "object", "hash machineID name systemdActiveState systemdLoadState systemdSubState"],
      ["UnitStatePage", "UnitStatePage", "object", "nextPageToken states"],
    ]);
    assert.deepEqual(schemas.Unit.properties.desiredState, {
      enum: ["inactive", "loaded", "launched"],
      type: "string",
    });
    assert.deepEqual(schemas.Unit.properties.machineID, { required: true, type: "string" });
    assert.deepEqual(schemas.Unit.properties.options, { items: { $ref: "UnitOption" }, type: "array" });
    assert.deepEqual(schemas.Machine.properties.metadata.additionalProperties, { type: "string" });
  });
  await test.step("it describes every method", () => {
    type Method = { id: string; httpMethod: string; path: string; parameters: object; parameterOrder?: string[] };
    const methods = Object.entries(resources as Record<string, { methods: Record<string, Method> }>).flatMap((
      [resource, { methods }],
    ) =>
      Object.entries(methods).map(([name, method]) =>
        [`${resource}.${name}`, method.id, method.httpMethod, method.path, ...Object.keys(method.parameters)].join(" ")
      )
    );
    assert.deepEqual(methods, [
      "Machines.List fleet.Machine.List GET machines nextPageToken",
      "UnitState.Get fleet.UnitState.Get GET state/{unitName} unitName",
      "UnitState.List fleet.UnitState.List GET state machineID nextPageToken unitName",
      "Units.Delete fleet.Unit.Delete DELETE units/{unitName} unitName",
      "Units.Get fleet.Unit.Get GET units/{unitName} unitName",
      "Units.List fleet.Unit.List GET units nextPageToken",
      "Units.Set fleet.Unit.Set PUT units/{unitName} unitName",
    ]);
    assert.deepEqual(resources.Units.methods.Set.request, { $ref: "Unit" });
    assert.deepEqual(resources.Units.methods.Get.parameters.unitName, {
      location: "path",
      required: true,
      type: "string",
    });
    assert.deepEqual(resources.Units.methods.List.response, { $ref: "UnitPage" });
  });
});
