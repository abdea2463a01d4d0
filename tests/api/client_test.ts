import assert from "node:assert/strict";
import { ApiFixture } from "../support/api_fixture.ts";
import { ServerFixture } from "./server_fixture.ts";

Deno.test("a client in another language can use the API", async () => {
  await using api = await ApiFixture.open();
  await using servers = new ServerFixture();
  const { addresses: [address] } = await servers.serve(api.handler, servers.unix());
  const client = new Deno.Command("python3", {
    args: [new URL("./client.py", import.meta.url).pathname, address!.slice("unix:".length)],
  });
  const { code, stdout, stderr } = await client.output();
  assert.equal(new TextDecoder().decode(stderr), "");
  assert.equal(new TextDecoder().decode(stdout), "250 units came and went\n");
  assert.equal(code, 0);
});
