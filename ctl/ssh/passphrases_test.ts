import assert from "node:assert/strict";
import { FakeIo } from "../testing/fake_terminal.ts";
import { Passphrases } from "./passphrases.ts";

function asked(answers: (string | undefined)[]): { passphrases: Passphrases; questions: string[] } {
  const io = new FakeIo();
  const questions: string[] = [];
  io.answers = (question, secret) => {
    assert.ok(secret);
    questions.push(question);
    return answers.shift();
  };
  return { passphrases: new Passphrases(io), questions };
}

Deno.test("concurrent connections with one key ask for its passphrase once", async () => {
  const { passphrases, questions } = asked(["sesame"]);
  const opens = (text: string) => text === "sesame";
  const both = await Promise.all([passphrases.of("/key", opens), passphrases.of("/key", opens)]);
  assert.deepEqual(both, [{ text: "sesame" }, { text: "sesame" }]);
  assert.deepEqual(questions, ["Enter passphrase for key '/key': "]);
});

Deno.test("a wrong passphrase may be corrected twice", async () => {
  const opens = (text: string) => text === "sesame";
  assert.deepEqual(await asked(["a", "b", "sesame"]).passphrases.of("/key", opens), { text: "sesame" });
  const { passphrases, questions } = asked(["a", "b", "c", "sesame"]);
  assert.equal(await passphrases.of("/key", opens), "wrong");
  assert.equal(questions.length, 3);
});

Deno.test("no passphrase is given without a terminal", async () => {
  assert.equal(await asked([undefined]).passphrases.of("/key", () => true), "not given");
});
