import assert from "node:assert/strict";
import { pageText, pageToken, requestedPage } from "./pages.ts";

const token = (bytes: readonly number[]) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");

const queries: readonly (readonly [name: string, query: string, expected: ReturnType<typeof requestedPage>])[] = [
  ["no token: the first page", "", { page: 1 }],
  ["a token", "nextPageToken=ZAACAA==", { page: 2 }],
  ["other parameters are ignored", "alt=json&nextPageToken=ZAACAA%3D%3D&x", { page: 2 }],
  ["longer input, the excess ignored", `nextPageToken=${token([100, 0, 3, 0, 9, 9])}`, { page: 3 }],
  ["line breaks within", "nextPageToken=ZA%0AAC%0D%0AAA==", { page: 2 }],
  ["the last page there can be", `nextPageToken=${token([100, 0, 255, 255])}`, { page: 65535 }],
  ["a token given twice", "nextPageToken=a&nextPageToken=b", { refusal: "too many values for page token" }],
  ["an empty token", "nextPageToken=", { refusal: "EOF" }],
  ["one byte", "nextPageToken=ZA==", { refusal: "unexpected EOF" }],
  ["three bytes", "nextPageToken=ZAAC", { refusal: "unexpected EOF" }],
  ["missing padding", "nextPageToken=ZAACAA", { refusal: "illegal base64 data at input byte 4" }],
  ["half the padding", "nextPageToken=ZAACAA=", { refusal: "illegal base64 data at input byte 7" }],
  ["something else for padding", "nextPageToken=ZAACAA=A", { refusal: "illegal base64 data at input byte 6" }],
  ["something behind the padding", "nextPageToken=ZAACAA==A", { refusal: "illegal base64 data at input byte 8" }],
  ["padding at the start", "nextPageToken=====", { refusal: "illegal base64 data at input byte 0" }],
  ["bad base64", "nextPageToken=ZA!CAA==", { refusal: "illegal base64 data at input byte 2" }],
  ["the digits of plain base64", "nextPageToken=ZA%2FC", { refusal: "illegal base64 data at input byte 2" }],
  ["not ASCII", "nextPageToken=%C3%A9", { refusal: "illegal base64 data at input byte 0" }],
  ["another limit", `nextPageToken=${token([99, 0, 2, 0])}`, { refusal: "token limit must be 100" }],
  ["page 0", `nextPageToken=${token([100, 0, 0, 0])}`, { refusal: "token page must be greater than zero" }],
];

Deno.test("which page is asked for", async (test) => {
  for (const [name, query, expected] of queries) {
    await test.step(name, () => assert.deepEqual(requestedPage(new URLSearchParams(query), 100), expected));
  }
});

Deno.test("a token is limit and page, 16 bits each, little-endian, in padded URL-safe base64", () => {
  assert.equal(pageToken(100, 2), "ZAACAA==");
  assert.equal(pageToken(0xfbff, 0xffff), "__v__w==");
});

const pages: readonly (readonly [name: string, total: number, page: number, size: number, expected: string])[] = [
  ["nothing at all", 0, 1, 2, "{}"],
  ["less than a page", 1, 1, 2, '{"units":[0]}'],
  ["just a page: no empty one follows", 2, 1, 2, '{"units":[0,1]}'],
  ["more than a page", 3, 1, 2, `{"nextPageToken":"${pageToken(2, 2)}","units":[0,1]}`],
  ["the last page", 3, 2, 2, '{"units":[2]}'],
  ["past the end", 3, 3, 2, "{}"],
  ["beyond 65535 entities", 70_000, 701, 99, `{"nextPageToken":"${pageToken(99, 702)}","units":[`],
  ["the last page that a token can name", 70_000, 65_535, 1, '{"units":[65534]}'],
];

Deno.test("a page of a list", async (test) => {
  for (const [name, total, page, size, expected] of pages) {
    await test.step(name, () => {
      const all = Array.from({ length: total }, (_, index) => index);
      const text = pageText("units", all, { page, size }, String);
      assert.equal(expected.endsWith("[") ? text.slice(0, expected.length) : text, expected);
    });
  }
  await test.step("keys in alphabetical order", () => {
    const text = pageText("machines", [1, 2], { page: 1, size: 1 }, String);
    assert.equal(text, `{"machines":[1],"nextPageToken":"${pageToken(1, 2)}"}`);
  });
});
