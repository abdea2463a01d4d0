import assert from "node:assert/strict";
import { interrupted } from "../../../tests/support/interrupted_registry.ts";
import { ApiFixture } from "../../../tests/support/api_fixture.ts";

const path = "/fleet/v1/loss";

Deno.test("a wait after a mass loss is reported with the machines that are missing, until an operator ends it", async () => {
  await using api = await ApiFixture.open();
  await api.join("m1");
  assert.deepEqual(JSON.parse((await api.send("GET", path)).text), { present: 1 });
  const refused = await api.send("DELETE", path);
  assert.equal(refused.code, 404);
  assert.match(refused.text, /does not wait for machines that were lost at once/);

  await api.lose("m1", "m2", "m3");
  assert.deepEqual(JSON.parse((await api.send("GET", path)).text), {
    ...{ missing: ["m2", "m3"], present: 1, since: 1000, until: 301_000 },
  });
  const { text } = await api.send("GET", "/fleet/v1/units");
  assert.equal(text, "{}");

  assert.equal((await api.send("DELETE", path)).code, 204);
  assert.equal((await api.registry.read()).massLoss?.isOver, true, "the engine sees the end");
  assert.deepEqual(JSON.parse((await api.send("GET", path)).text), { present: 1 }, "nothing is waited for");
  assert.equal((await api.send("DELETE", path)).code, 404, "it ends once");
});

Deno.test("a wait that more machines join while it is ended is ended all the same", async () => {
  await using api = await ApiFixture.open();
  await api.lose("m1", "m2");
  api.handler = api.handlerOver(interrupted(api.registry, 1, () => api.lose("m1", "m2", "m3")));
  const answer = await api.send("DELETE", "/fleet/v1/loss");
  assert.equal(answer.code, 204, answer.text);
  assert.equal((await api.registry.read()).massLoss?.isOver, true);
});
