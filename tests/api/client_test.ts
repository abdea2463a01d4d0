import assert from "node:assert/strict";
import { ApiFixture } from "../support/api_fixture.ts";
import { Stage } from "./stage.ts";

Deno.test("a client in another language can use the API", async () => {
  await using api = await ApiFixture.open();
  await using stage = new Stage();
  const { addresses: [address] } = await stage.serve(api.handler, stage.unix());
  const client = new Deno.Command("python3", {
    args: [new URL("./client.py", import.meta.url).pathname, address!.slice("unix:".length)],
  });
  const { code, stdout, stderr } = await client.output();
  assert.equal(new TextDecoder().decode(stderr), "");
  assert.equal(new TextDecoder().decode(stdout), "250 units came and went\n");
  assert.equal(code, 0);
});
