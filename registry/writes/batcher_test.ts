import assert from "node:assert/strict";
import { Batcher } from "./batcher.ts";
import { merge } from "./group_commit.ts";

/** A gatherer of words whose rounds are answered by hand. */
function words(most = 100) {
  const rounds: { words: readonly string[]; answer(): void; fail(): void }[] = [];
  const gatherer = new Batcher<string, string>({
    fits: (round) => round.length < most,
    ask: (words) =>
      new Promise((resolve, reject) => {
        const answer = () => resolve(words.map((word) => word.toUpperCase()));
        rounds.push({ words, answer, fail: () => reject(new Error("no")) });
      }),
  });
  return { gatherer, rounds };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("what comes alone goes at once; what comes while the line is busy goes together", async () => {
  const { gatherer, rounds } = words();
  const answers = ["a", "b", "c", "d", "e"].map((word) => gatherer.ask(word));
  assert.deepEqual(rounds.map((round) => round.words), [["a"], ["b"]]);
  rounds[0]!.answer();
  await settle();
  assert.deepEqual(rounds.map((round) => round.words), [["a"], ["b"], ["c", "d", "e"]]);
  rounds[1]!.answer();
  rounds[2]!.answer();
  assert.deepEqual(await Promise.all(answers), ["A", "B", "C", "D", "E"]);
});

Deno.test("a round has a size, and the rest keeps its order", async () => {
  const { gatherer, rounds } = words(2);
  const answers = ["a", "b", "c", "d", "e"].map((word) => gatherer.ask(word));
  for (let at = 0; at < 4; at++) {
    rounds[at]!.answer();
    await settle();
  }
  assert.deepEqual(rounds.map((round) => round.words), [["a"], ["b"], ["c", "d"], ["e"]]);
  await Promise.all(answers);
});

Deno.test("a failed round is the failure of all that were in it, and of nobody else", async () => {
  const { gatherer, rounds } = words();
  const answers = ["a", "b", "c", "d"].map((word) => gatherer.ask(word).catch((error) => error.message));
  rounds[0]!.answer();
  await settle();
  rounds[2]!.fail();
  rounds[1]!.answer();
  assert.deepEqual(await Promise.all(answers), ["A", "B", "no", "no"]);
});

const put = (key: string, value = "v") => ({ put: key, value });

const merges: readonly { name: string; of: Parameters<typeof merge>[0]; want: number | undefined }[] = [
  {
    name: "different units, with one file and one mark between them",
    of: ["a", "b"].map((name) => ({
      compares: [{ key: name, mod: 0 }],
      ops: [put(name), put("file/x", "text"), put("written", "")],
    })),
    want: 4,
  },
  {
    name: "one unit twice",
    of: [1, 2].map((mod) => ({ compares: [{ key: "a", mod }], ops: [put("a", `${mod}`)] })),
    want: undefined,
  },
  {
    name: "one key with two values",
    of: ["1", "2"].map((v) => ({ compares: [], ops: [put("k", v)] })),
    want: undefined,
  },
  {
    name: "put and delete of one key",
    of: [{ compares: [], ops: [put("k")] }, { compares: [], ops: [{ delete: "k" }] }],
    want: undefined,
  },
  {
    name: "more than fit",
    of: Array.from({ length: 129 }, (_, at) => ({ compares: [], ops: [put(`${at}`)] })),
    want: undefined,
  },
];

for (const { name, of, want } of merges) {
  Deno.test(`merging transactions: ${name}`, () => assert.equal(merge(of)?.ops.length, want));
}
