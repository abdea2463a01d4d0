import assert from "node:assert/strict";
import { ApiFixture } from "../../../tests/support/api_fixture.ts";
import { PendingStops } from "./original_client.ts";

const path = "/fleet/v1/units/hello.service?alt=json";
const original = { "User-Agent": "google-api-go-client/0.5" };

async function stateOf(api: ApiFixture, headers: Record<string, string>): Promise<string> {
  const { desiredState, currentState } = JSON.parse((await api.send("GET", path, { headers })).text);
  return `${desiredState}, is ${currentState}`;
}

Deno.test("fleet 1.0's client sees the previous state of a unit that it has stopped once, as its restart expects", async () => {
  await using api = await ApiFixture.open();
  await api.put("hello.service", "launched");
  const now = (await stateOf(api, {})).replace(/^launched/, "loaded");
  assert.equal((await api.send("PUT", path, { body: { desiredState: "loaded" }, headers: original })).code, 204);
  assert.equal(await stateOf(api, {}), now);
  assert.equal(await stateOf(api, original), "loaded, is launched");
  assert.equal(await stateOf(api, original), now);
});

Deno.test("fleet 1.0's client sees the present state after a stop by another client or of a unit that was not launched", async () => {
  await using api = await ApiFixture.open();
  await api.put("hello.service", "launched");
  assert.equal((await api.send("PUT", path, { body: { desiredState: "loaded" } })).code, 204);
  assert.notEqual(await stateOf(api, original), "loaded, is launched");
  assert.equal((await api.send("PUT", path, { body: { desiredState: "inactive" }, headers: original })).code, 204);
  assert.equal((await api.send("PUT", path, { body: { desiredState: "loaded" }, headers: original })).code, 204);
  assert.notEqual(await stateOf(api, original), "loaded, is launched");
});

Deno.test("a pending stop expires, and the oldest is dropped above the limit", () => {
  const stops = new PendingStops();
  stops.add("a.service", 0);
  assert.equal(stops.take("a.service", 10_000), false);
  for (let n = 0; n <= 1000; n++) stops.add(`${n}.service`, 0);
  assert.equal(stops.take("0.service", 1), false);
  assert.equal(stops.take("1.service", 1), true);
  assert.equal(stops.take("1.service", 1), false);
});
