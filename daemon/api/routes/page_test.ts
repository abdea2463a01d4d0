import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { ApiFixture } from "../../../tests/support/api_fixture.ts";

const files: Readonly<Record<string, string>> = { "index.html": "<!doctype html>", "main.js": "1" };

Deno.test("the page is served with headers that keep foreign content out", async () => {
  await using api = await ApiFixture.open({ pageFile: (name) => Promise.resolve(files[name]) });
  const { code, text, headers } = await api.send("GET", "/ui/");
  assert.equal(code, 200);
  assert.equal(text, "<!doctype html>");
  assert.equal(headers.get("content-type"), "text/html; charset=utf-8");
  const policy = headers.get("content-security-policy") ?? "";
  for (const part of ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "trusted-types 'none'"]) {
    assert.ok(policy.includes(part), `${policy} lacks ${part}`);
  }
  assert.equal(headers.get("x-content-type-options"), "nosniff");
});

Deno.test("a browser that has a file of the page does not load it again", async () => {
  await using api = await ApiFixture.open({ pageFile: (name) => Promise.resolve(files[name]) });
  const first = await api.send("GET", "/ui/main.js");
  const etag = first.headers.get("etag") ?? "";
  assert.match(etag, /^"[0-9a-f]{32}"$/);
  const second = await api.send("GET", "/ui/main.js", { headers: { "if-none-match": etag } });
  assert.deepEqual([second.code, second.text], [304, ""]);
  const other = await api.send("GET", "/ui/main.js", { headers: { "if-none-match": '"other"' } });
  assert.equal(other.code, 200);
});

Deno.test("a file of the page is compressed for clients that accept it", async () => {
  const text = "let a = 1;\n".repeat(1000);
  await using api = await ApiFixture.open({ pageFile: () => Promise.resolve(text) });
  const get = (accepted: string) =>
    api.handler(new Request("http://localhost/", { headers: { "accept-encoding": accepted } }), {
      target: "/ui/main.js",
    });
  const plain = await get("br, gzip;q=0");
  assert.deepEqual([plain.headers.get("content-encoding"), await plain.text()], [null, text]);
  const compressed = await get("gzip, deflate, br");
  assert.equal(compressed.headers.get("content-encoding"), "gzip");
  const bytes = new Uint8Array(await compressed.arrayBuffer());
  assert.equal(compressed.headers.get("content-length"), `${bytes.length}`);
  assert.ok(bytes.length < 200, `${bytes.length} bytes`);
  assert.equal(gunzipSync(bytes).toString(), text);
  assert.notEqual(compressed.headers.get("etag"), plain.headers.get("etag"));
  assert.equal(compressed.headers.get("vary"), "Accept-Encoding");
});

Deno.test("a daemon without the built page says how to build it", async () => {
  await using api = await ApiFixture.open({ pageFile: () => Promise.resolve(undefined) });
  const { code, text } = await api.send("GET", "/ui/");
  assert.equal(code, 404);
  assert.match(text, /deno task build/);
});

Deno.test("the path without a slash leads to the page, and no other file is served", async () => {
  await using api = await ApiFixture.open({ pageFile: (name) => Promise.resolve(files[name]) });
  const { code, headers } = await api.send("GET", "/ui");
  assert.deepEqual([code, headers.get("location")], [301, "/ui/"]);
  assert.equal((await api.send("GET", "/ui/main.ts")).code, 404);
  assert.equal((await api.send("POST", "/ui/")).code, 405);
});

Deno.test("the page is served while the daemon cannot answer for the cluster", async () => {
  await using api = await ApiFixture.open({
    status: () => ({ ready: false, reason: "etcd is away" }),
    pageFile: (name) => Promise.resolve(files[name]),
  });
  assert.equal((await api.send("GET", "/ui/")).code, 200);
});

Deno.test("a client learns its role", async () => {
  await using api = await ApiFixture.open();
  assert.equal((await api.send("GET", "/fleet/v1/access")).text, '{"role":"write"}');
  const peer = { as: "dashboard", role: "read" } as const;
  assert.equal((await api.send("GET", "/fleet/v1/access", { peer })).text, '{"as":"dashboard","role":"read"}');
});
