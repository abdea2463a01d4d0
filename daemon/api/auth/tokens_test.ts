import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Tokens } from "./tokens.ts";

const hash = (token: string) => `sha256:${createHash("sha256").update(token).digest("hex")}`;

Deno.test("a tokens file maps tokens to their holders", () => {
  const tokens = Tokens.parse(
    `# clients\n\nread  dashboard ${hash("look")}\n\twrite deploy ${hash("do").toUpperCase().replace("SHA", "sha")} \n`,
  );
  assert.deepEqual(tokens.holder("look"), { name: "dashboard", role: "read" });
  assert.deepEqual(tokens.holder("do"), { name: "deploy", role: "write" });
  for (const wrong of ["", "loo", "look ", "LOOK", hash("look"), "x".repeat(100_000), "__proto__"]) {
    assert.equal(tokens.holder(wrong), undefined, wrong.slice(0, 20));
  }
});

Deno.test("a tokens file without tokens authorizes no client", () => {
  assert.equal(Tokens.parse("# none yet\n").holder(""), undefined);
});

Deno.test("an invalid line is named by its number, and not quoted", () => {
  const secret = "my-secret-token";
  for (
    const line of [
      "admin a " + hash("x"),
      "read " + hash("x"),
      `write a ${secret}`,
      `write a ${hash("x").slice(0, -1)}`,
      `write a ${hash("x")}0`,
      `write a b ${hash("x")}`,
      `write a md5:${"0".repeat(32)}`,
    ]
  ) {
    assert.throws(() => Tokens.parse(`# one\n${line}\n`), (error: Error) => {
      assert.match(error.message, /^line 2: expected /);
      return !error.message.includes(secret);
    }, line);
  }
});
