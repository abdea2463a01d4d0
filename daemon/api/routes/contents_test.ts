import assert from "node:assert/strict";
import { fileOption } from "../../../registry/attached_files.ts";
import { nameContent } from "../../../registry/content_hash.ts";
import { ApiFixture } from "../../../tests/support/api_fixture.ts";

const bytes = Uint8Array.from({ length: 300 }, (_, at) => at % 256);
const name = nameContent(bytes);
const path = `/fleet/v1/contents/${name.hash}`;
const unit = (content?: typeof name) => ({
  desiredState: "launched",
  options: [
    { section: "Service", name: "ExecStart", value: "/bin/sleep infinity" },
    fileOption({ source: "app.conf", path: "app.conf", mode: 0o644, ...content && { content } }),
  ],
});

Deno.test("a unit is put after the contents of its files, of which every byte is kept", async () => {
  await using api = await ApiFixture.open();
  const put = () => api.send("PUT", "/fleet/v1/units/a.service", { body: unit(name) });
  const early = await put();
  assert.equal(early.code, 409);
  assert.match(early.text, new RegExp(`the content of File=app.conf \\(${name.hash}\\) is not in the store`));
  assert.equal((await api.send("PUT", path, { body: { content: bytes.toBase64() } })).code, 204);
  assert.equal((await put()).code, 201);
  const { content, size } = JSON.parse((await api.send("GET", path)).text);
  assert.deepEqual([Uint8Array.fromBase64(content), size], [bytes, 300]);
  const { options } = JSON.parse((await api.send("GET", "/fleet/v1/units/a.service")).text);
  assert.equal(options[1].value, `app.conf:app.conf:0644:${name.hash}:300`);
});

Deno.test("a unit whose files name no content is refused, as by a client that does not know File=", async () => {
  await using api = await ApiFixture.open();
  const { code, text } = await api.send("PUT", "/fleet/v1/units/a.service", { body: unit() });
  assert.equal(code, 400);
  assert.match(text, /File=app\.conf names no content: put the unit with a fleetctl that supports File=/);
  const wrongSize = await api.send("PUT", "/fleet/v1/units/a.service", { body: unit({ ...name, size_bytes: 1 }) });
  assert.equal(wrongSize.code, 409);
});

Deno.test("a content that is not what its name says, or is too large, is refused", async () => {
  await using api = await ApiFixture.open();
  const refusal = async (content: unknown, at = path) => {
    const { code, text } = await api.send("PUT", at, { body: { content } });
    return `${code} ${JSON.parse(text).error.message}`;
  };
  assert.match(await refusal(btoa("other")), /^400 the SHA-256 of the content is [0-9a-f]{64}, not /);
  assert.match(await refusal("%"), /^400 .*expected content to be base64$/);
  assert.match(await refusal(7), /^400 .*expected content to be a string$/);
  assert.equal(await refusal(new Uint8Array(65_537).toBase64()), "413 the file has 65537 bytes (max 65536)");
  assert.match(await refusal("", "/fleet/v1/contents/x"), /^400 the name of a content must be its SHA-256/);
  assert.equal((await api.send("GET", path)).code, 404);
});

Deno.test("a roll-out begins only when the store has the contents of its units", async () => {
  await using api = await ApiFixture.open();
  const body = { what: "apply", units: [{ name: "a.service", revision: 0, ...unit(name) }] };
  const early = await api.send("POST", "/fleet/v1/apps/shop", { body });
  assert.equal(early.code, 409);
  assert.match(early.text, /unit \\"a\.service\\": the content of File=app\.conf .* is not in the store/);
  assert.equal((await api.send("PUT", path, { body: { content: bytes.toBase64() } })).code, 204);
  assert.equal((await api.send("POST", "/fleet/v1/apps/shop", { body })).code, 201);
});
