import assert from "node:assert/strict";
import fc from "fast-check";
import "../../../tests/support/property_seed.ts";
import { type Page, pageText, pageToken, requestedPage } from "./pages.ts";

const token = (bytes: readonly number[]) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");

const queries: readonly (readonly [name: string, query: string, expected: ReturnType<typeof requestedPage>])[] = [
  ["no token: the first page", "", { size: 100, number: 1 }],
  ["a token", "nextPageToken=ZAACAA==", { size: 100, number: 2 }],
  ["other parameters are ignored", "alt=json&nextPageToken=ZAACAA%3D%3D&x", { size: 100, number: 2 }],
  ["longer input, the excess ignored", `nextPageToken=${token([100, 0, 3, 0, 9, 9])}`, { size: 100, number: 3 }],
  ["the last key of the page before", `nextPageToken=${token([100, 0, 3, 0, 62, 98])}`, {
    ...{ size: 100, number: 3, after: "b" },
  }],
  ["line breaks within", "nextPageToken=ZA%0AAC%0D%0AAA==", { size: 100, number: 2 }],
  ["the last page there can be", `nextPageToken=${token([100, 0, 255, 255])}`, { size: 100, number: 65535 }],
  ["a token given twice", "nextPageToken=a&nextPageToken=b", { refusal: "too many values for page token" }],
  ["an empty token", "nextPageToken=", { refusal: "EOF" }],
  ["one byte", "nextPageToken=ZA==", { refusal: "unexpected EOF" }],
  ["three bytes", "nextPageToken=ZAAC", { refusal: "unexpected EOF" }],
  ["missing padding", "nextPageToken=ZAACAA", { refusal: "illegal base64 data" }],
  ["half the padding", "nextPageToken=ZAACAA=", { refusal: "illegal base64 data" }],
  ["something else for padding", "nextPageToken=ZAACAA=A", { refusal: "illegal base64 data" }],
  ["something after the padding", "nextPageToken=ZAACAA==A", { refusal: "illegal base64 data" }],
  ["padding at the start", "nextPageToken=====", { refusal: "illegal base64 data" }],
  ["bad base64", "nextPageToken=ZA!CAA==", { refusal: "illegal base64 data" }],
  ["the digits of plain base64", "nextPageToken=ZA%2FC", { refusal: "illegal base64 data" }],
  ["not ASCII", "nextPageToken=%C3%A9", { refusal: "illegal base64 data" }],
  ["another limit", `nextPageToken=${token([99, 0, 2, 0])}`, { refusal: "token limit must be 100" }],
  ["page 0", `nextPageToken=${token([100, 0, 0, 0])}`, { refusal: "token page must be greater than zero" }],
];

Deno.test("the requested page", async (test) => {
  for (const [name, query, expected] of queries) {
    await test.step(name, () => assert.deepEqual(requestedPage(new URLSearchParams(query), 100), expected));
  }
});

Deno.test("a token is size and number, 16 bits each, little-endian, and the last key of the page before", () => {
  assert.equal(pageToken({ size: 100, number: 2 }), "ZAACAA==");
  assert.equal(pageToken({ size: 0xfbff, number: 0xffff }), "__v__w==");
  assert.equal(pageToken({ size: 100, number: 2, after: "a.service" }), "ZAACAD5hLnNlcnZpY2U=");
  const page = { size: 100, number: 7, after: "k\u00e9y\u{1f600}".repeat(60) };
  assert.deepEqual(requestedPage(new URLSearchParams({ nextPageToken: pageToken(page) }), 100), page);
});

/** Entries "a00", "a01", …, each its own key. */
const entries = (count: number) => Array.from({ length: count }, (_, index) => `a${String(index).padStart(5, "0")}`);
const plain = { key: (item: string) => item, text: (item: string) => `"${item}"` };

const pages: readonly (readonly [name: string, total: number, page: Page, expected: readonly string[], next?: Page])[] =
  [
    ["an empty list", 0, { size: 2, number: 1 }, []],
    ["less than a page", 1, { size: 2, number: 1 }, ["a00000"]],
    ["exactly a page: no empty one follows", 2, { size: 2, number: 1 }, ["a00000", "a00001"]],
    ["more than a page", 3, { size: 2, number: 1 }, ["a00000", "a00001"], { size: 2, number: 2, after: "a00001" }],
    ["the last page", 3, { size: 2, number: 2 }, ["a00002"]],
    ["past the end", 3, { size: 2, number: 3 }, []],
    ["after an entry, whatever the page's number", 9, { size: 2, number: 2, after: "a00006" }, ["a00007", "a00008"]],
    ["after an entry that has been removed", 9, { size: 2, number: 2, after: "a00006x" }, ["a00007", "a00008"]],
    ["after the last entry", 9, { size: 2, number: 2, after: "a00008" }, []],
    ["before the first entry", 1, { size: 2, number: 2, after: "" }, ["a00000"]],
    [
      ...["beyond 65535 entries", 70_000, { size: 1, number: 65_535 }, ["a65534"]] as const,
      { size: 1, number: 65_535, after: "a65534" },
    ],
    [
      ...["beyond 65535 pages", 70_000, { size: 1, number: 65_535, after: "a65534" }, ["a65535"]] as const,
      { size: 1, number: 65_535, after: "a65535" },
    ],
  ];

Deno.test("a page of a list", async (test) => {
  for (const [name, total, page, expected, next] of pages) {
    await test.step(name, () => {
      const { units = [], nextPageToken } = JSON.parse(pageText("units", entries(total), page, plain));
      assert.deepEqual(units, expected);
      assert.equal(nextPageToken, next && pageToken(next));
    });
  }
  await test.step("long entries make shorter pages", () => {
    const long = { ...plain, text: (item: string) => JSON.stringify(item.padEnd(400_000)) };
    const { units, nextPageToken } = JSON.parse(pageText("units", entries(9), { size: 5, number: 1 }, long));
    assert.equal(units.length, 3);
    assert.equal(nextPageToken, pageToken({ size: 5, number: 2, after: "a00002" }));
  });
  await test.step("an empty list is an empty object", () => {
    assert.equal(pageText("units", [], { size: 2, number: 1 }, plain), "{}");
  });
  await test.step("keys in alphabetical order", () => {
    const next = pageToken({ size: 1, number: 2, after: "a" });
    const page = { size: 1, number: 1 };
    assert.equal(pageText("machines", ["a", "b"], page, plain), `{"machines":["a"],"nextPageToken":"${next}"}`);
    assert.equal(pageText("units", ["a", "b"], page, plain), `{"nextPageToken":"${next}","units":["a"]}`);
  });
});

Deno.test("an entry that stays while others come and go is listed once, in order", () => {
  const key = fc.string({ maxLength: 3 });
  fc.assert(
    fc.property(
      fc.uniqueArray(key),
      fc.array(fc.array(key)),
      fc.integer({ min: 1, max: 4 }),
      (first, toggled, size) => {
        const present = new Set(first);
        const staying = new Set(first);
        const seen: string[] = [];
        let page: Page | undefined = { size, number: 1 };
        for (let turn = 0; page; turn++) {
          const text = pageText("units", [...present].sort(), page, { ...plain, text: (item) => JSON.stringify(item) });
          const { units = [], nextPageToken } = JSON.parse(text);
          seen.push(...units);
          const next = nextPageToken && requestedPage(new URLSearchParams({ nextPageToken }), size);
          page = next || undefined;
          for (const each of toggled[turn] ?? []) {
            if (!present.delete(each)) present.add(each);
            staying.delete(each);
          }
        }
        assert.deepEqual(seen, [...new Set(seen)].sort());
        for (const each of staying) assert.ok(seen.includes(each), each);
      },
    ),
  );
});
