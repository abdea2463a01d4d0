/**
 * Unit files of every kind that people and programs have made, and what random damage makes of them.
 *
 * Each hash of testing/corpus.json is for ever: with another, a new version of fleet would take every unit that runs for
 * an old one, and replace it.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import "../tests/support/property_seed.ts";
import corpus from "./testing/corpus.json" with { type: "json" };
import { parseUnitFile, serializeUnitFile, UnitFileError, type UnitOption } from "./unit_file.ts";
import { hashUnitFile } from "./unit_hash.ts";

interface Specimen {
  readonly what: string;
  readonly text: string;
  readonly hash?: string;
  readonly line?: number;
  readonly message?: string;
}

const specimens: readonly Specimen[] = corpus;

for (const { what, text, hash, line, message } of specimens) {
  Deno.test(`corpus: ${what}`, () => {
    if (hash === undefined) assert.throws(() => parseUnitFile(text), new UnitFileError(message!, line!));
    else assert.equal(hashUnitFile(serializeUnitFile(parseUnitFile(text))), hash);
  });
}

function read(text: string): readonly UnitOption[] | undefined {
  try {
    return parseUnitFile(text);
  } catch (error) {
    assert.ok(error instanceof UnitFileError, `parsing threw ${error}`);
    assert.ok(error.line >= 1 && error.line <= text.split("\n").length, `there is no line ${error.line}`);
    return undefined;
  }
}

/** One kind of damage. Positions are fractions of the text's length. */
type Damage = (text: string) => string;

const place = fc.double({ min: 0, max: 1, noNaN: true });
const span = fc.tuple(place, place).map((ends) => ends.sort((a, b) => a - b));
const cut = (text: string, [from, to]: readonly number[]) => {
  const [start, end] = [Math.floor(from! * text.length), Math.floor(to! * text.length)];
  return [text.slice(0, start), text.slice(start, end), text.slice(end)] as const;
};
const syntax = fc.constantFrom(..."[]=\\#;\n\r \t\0a\u0085\ud800", "\\\n", "\\ \n", "\r\n", "[S]\n", "\n[", "x=");
const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.tuple(place, syntax).map(([at, what]): Damage => (text) => {
    const [before, , after] = cut(text, [at, at]);
    return before + what + after;
  }),
  span.map((ends): Damage => (text) => {
    const [before, , after] = cut(text, ends);
    return before + after;
  }),
  span.map((ends): Damage => (text) => {
    const [before, middle, after] = cut(text, ends);
    return before + middle + middle + after;
  }),
  fc.tuple(place, fc.constantFrom(...specimens), span).map(([at, other, ends]): Damage => (text) => {
    const [before, , after] = cut(text, [at, at]);
    return before + cut(other.text, ends)[1] + after;
  }),
);

Deno.test("fuzz: a damaged unit file is refused with its line, or is parsed, written and parsed to the same options", () => {
  let taken = 0, refused = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...specimens),
      fc.array(damage, { minLength: 1, maxLength: 6 }),
      ({ text }, damages) => {
        const options = read(damages.reduce((damaged, damage) => damage(damaged), text));
        if (!options) return void refused++;
        taken++;
        const written = serializeUnitFile(options);
        const again = parseUnitFile(written);
        assert.deepEqual(again, [...Map.groupBy(options, ({ section }) => section).values()].flat());
        assert.equal(hashUnitFile(serializeUnitFile(again)), hashUnitFile(written));
      },
    ),
    { numRuns: 4000 },
  );
  assert.ok(taken > 1000 && refused > 200, `${taken} were unit files, ${refused} were not`);
});
