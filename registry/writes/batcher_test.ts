import assert from "node:assert/strict";
import { Batcher } from "./batcher.ts";
import { merge } from "./group_commit.ts";

/** Returns a batcher of words, and the batches that it has sent. The test answers each of them. */
function wordBatcher(maxWords = 100) {
  const sent: { words: readonly string[]; answer(): void; fail(): void }[] = [];
  const batcher = new Batcher<string, string>({
    fits: (batch) => batch.length < maxWords,
    send: (words) =>
      new Promise((resolve, reject) => {
        const answer = () => resolve(words.map((word) => word.toUpperCase()));
        sent.push({ words, answer, fail: () => reject(new Error("no")) });
      }),
  });
  return { batcher, sent };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("two requests are sent at once, and those that arrive meanwhile in one batch", async () => {
  const { batcher, sent } = wordBatcher();
  const answers = ["a", "b", "c", "d", "e"].map((word) => batcher.request(word));
  assert.deepEqual(sent.map((batch) => batch.words), [["a"], ["b"]]);
  sent[0]!.answer();
  await settle();
  assert.deepEqual(sent.map((batch) => batch.words), [["a"], ["b"], ["c", "d", "e"]]);
  sent[1]!.answer();
  sent[2]!.answer();
  assert.deepEqual(await Promise.all(answers), ["A", "B", "C", "D", "E"]);
});

Deno.test("requests that do not fit into a full batch are sent in later batches, in order", async () => {
  const { batcher, sent } = wordBatcher(2);
  const answers = ["a", "b", "c", "d", "e"].map((word) => batcher.request(word));
  for (let at = 0; at < 4; at++) {
    sent[at]!.answer();
    await settle();
  }
  assert.deepEqual(sent.map((batch) => batch.words), [["a"], ["b"], ["c", "d"], ["e"]]);
  await Promise.all(answers);
});

Deno.test("a failed batch rejects its own requests, and no others", async () => {
  const { batcher, sent } = wordBatcher();
  const answers = ["a", "b", "c", "d"].map((word) => batcher.request(word).catch((error) => error.message));
  sent[0]!.answer();
  await settle();
  sent[2]!.fail();
  sent[1]!.answer();
  assert.deepEqual(await Promise.all(answers), ["A", "B", "no", "no"]);
});

const put = (key: string, value = "v") => ({ put: key, value });

const merges: readonly { name: string; of: Parameters<typeof merge>[0]; want: number | undefined }[] = [
  {
    name: "changes of different units share the file and the mark that they have in common",
    of: ["a", "b"].map((name) => ({
      compares: [{ key: name, mod: 0 }],
      ops: [put(name), put("file/x", "text"), put("written", "")],
    })),
    want: 4,
  },
  {
    name: "changes of different units may need the same content",
    of: ["a", "b"].map((name) => ({
      compares: [{ key: name, mod: 0 }, { key: "content/x", mod: 5 }],
      ops: [put(name)],
    })),
    want: 2,
  },
  {
    name: "changes that have seen different contents are not merged",
    of: [["a", 5], ["b", 6]].map(([name, mod]) => ({
      compares: [{ key: "content/x", mod: Number(mod) }],
      ops: [put(String(name))],
    })),
    want: undefined,
  },
  {
    name: "two changes of one unit are not merged",
    of: [1, 2].map((mod) => ({ compares: [{ key: "a", mod }], ops: [put("a", `${mod}`)] })),
    want: undefined,
  },
  {
    name: "two values of one key are not merged",
    of: ["1", "2"].map((v) => ({ compares: [], ops: [put("k", v)] })),
    want: undefined,
  },
  {
    name: "a put and a delete of one key are not merged",
    of: [{ compares: [], ops: [put("k")] }, { compares: [], ops: [{ delete: "k" }] }],
    want: undefined,
  },
  {
    name: "more operations than a transaction may have are not merged",
    of: Array.from({ length: 129 }, (_, at) => ({ compares: [], ops: [put(`${at}`)] })),
    want: undefined,
  },
];

for (const { name, of, want } of merges) {
  Deno.test(`merging transactions: ${name}`, () => assert.equal(merge(of)?.ops.length, want));
}
