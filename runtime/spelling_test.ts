import assert from "node:assert/strict";
import { editDistance, nearest } from "./spelling.ts";

const distances: [string, string, number][] = [["", "", 0], ["a", "", 1], ["stat", "start", 1], ["strt", "stop", 2], [
  "kitten",
  "sitting",
  3,
]];

for (const [a, b, expected] of distances) {
  Deno.test(`"${a}" is ${expected} edits from "${b}"`, () => assert.equal(editDistance(a, b), expected));
}

const known = ["MachineID", "MachineOf", "MachineMetadata", "Conflicts", "Replaces", "Global"];
const guesses: [string, string | undefined][] = [
  ["MachineMetaData", "MachineMetadata"],
  ["Conflict", "Conflicts"],
  ["global", "Global"],
  ["MachineId", "MachineID"],
  ["Wibble", undefined],
];

for (const [word, expected] of guesses) {
  Deno.test(`"${word}" is taken for ${expected ?? "nothing known"}`, () =>
    assert.equal(nearest(word, known), expected));
}
