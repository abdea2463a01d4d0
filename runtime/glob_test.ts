import assert from "node:assert/strict";
import fc from "fast-check";
import { globMatch, globMatcher, isMalformedGlob } from "./glob.ts";

Deno.test("a pattern matches whole names", async (t) => {
  const cases: readonly (readonly [pattern: string, name: string, matches: boolean])[] = [
    ["a.service", "a.service", true],
    ["a.service", "a.servic", false],
    ["", "", true],
    ["", "a", false],
    ["*", "", true],
    ["*", "anything.service", true],
    ["*", "a/b", false],
    ["a*", "a.service", true],
    ["a*", "ba", false],
    ["*.service", "a.service", true],
    ["*a*b*", "xxaxxbxx", true],
    ["*a*b*", "xxbxxaxx", false],
    ["a*b", "a/b", false],
    ["a*/b", "ax/b", true],
    ["**x", "aax", true],
    ["a?c", "abc", true],
    ["a?c", "ac", false],
    ["a?c", "a/c", false],
    ["a?c", "a😀c", true],
    ["[a-c]x", "bx", true],
    ["[a-c]x", "dx", false],
    ["[^a-c]x", "dx", true],
    ["[^a-c]x", "bx", false],
    ["[!a]x", "!x", true],
    ["[abz]x", "zx", true],
    ["[\\]]x", "]x", true],
    ["[\\-z]x", "-x", true],
    ["[*]x", "*x", true],
    ["[*]x", "ax", false],
    ["[c-a]x", "bx", false],
    ["[à-ü]", "é", true],
    ["\\*", "*", true],
    ["\\*", "a", false],
    ["x\\.service", "x.service", true],
    ["web@*.service", "web@1.service", true],
    ["web@?.service", "web@10.service", false],
    ["*[", "a[", false],
    ["a[", "a", false],
    ["a[]", "a]", false],
    ["[]a]", "]", false],
    ["[^]a]", "b", false],
    ["[a-]", "a", false],
    ["[-a]", "a", false],
    ["[a-b-c]", "a", false],
    ["a\\", "a\\", false],
    ["*\\", "a", false],
    ["a*[", "b", false],
  ];
  for (const [pattern, name, matches] of cases) {
    await t.step(`${JSON.stringify(pattern)} ${matches ? "matches" : "does not match"} ${JSON.stringify(name)}`, () => {
      assert.equal(globMatch(pattern, name), matches);
    });
  }
});

/** Returns the regular expression that means the same as a pattern without classes. */
function asRegExp(pattern: string): RegExp {
  const literal = (char: string) => char.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
  const source = [...pattern].map((char) => char === "*" ? "[^/]*" : char === "?" ? "[^/]" : literal(char)).join("");
  return new RegExp(`^${source}$`, "u");
}

Deno.test("stars and question marks mean what a regular expression would", () => {
  const text = (chars: string) => fc.string({ unit: fc.constantFrom(...chars), maxLength: 9 });
  let matched = 0;
  fc.assert(
    fc.property(text("ab/.*?"), text("ab/."), (pattern, name) => {
      const expected = asRegExp(pattern).test(name);
      if (expected) matched++;
      assert.equal(globMatch(pattern, name), expected);
    }),
    { numRuns: 3000 },
  );
  assert(matched > 50, `only ${matched} matched`);
});

Deno.test("a pattern of many stars takes no more than pattern times name", () => {
  // With backtracking for each star this would take hours.
  assert.equal(globMatch("a*".repeat(500) + "b", "a".repeat(1500)), false);
});

Deno.test("a pattern as long as a unit file is parsed once, and names without its beginning are refused at once", () => {
  const matches = globMatcher("*a".repeat(128 * 1024));
  const start_ms = performance.now();
  for (let index = 0; index < 100_000; index++) {
    assert.equal(matches(`aaaaaaaaaaaaaaaa-${index}.service`), false);
    // A pass over the whole pattern for each name would take minutes.
    assert.ok(performance.now() - start_ms < 10_000, `${index} names take too long`);
  }
  const runs = globMatcher("*".repeat(128 * 1024));
  for (let index = 0; index < 10_000; index++) assert.equal(runs(`a-${index}.service`), true);
});

Deno.test("a malformed pattern is recognized", () => {
  for (const pattern of ["[", "a[", "[]", "[a", "[]a]", "[a-]", "[-a]", "[^", "a\\", "*[", "[\\"]) {
    assert.equal(isMalformedGlob(pattern), true, pattern);
  }
  for (const pattern of ["", "a.service", "*", "a[b]", "[^a-c]?", "\\[", "a]", "[\\]]"]) {
    assert.equal(isMalformedGlob(pattern), false, pattern);
  }
});
