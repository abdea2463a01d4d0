import assert from "node:assert/strict";
import { shellWord } from "./remote.ts";

for (
  const word of [
    "a@1.service",
    "",
    "a b",
    "a\tb\nc",
    "$(touch x)",
    "`touch x`",
    "$HOME",
    "a\\x2db",
    '"; touch x; "',
    "'",
    "*",
    "!!",
  ]
) {
  Deno.test(`a shell reads ${JSON.stringify(word)} as one word, and runs nothing`, async () => {
    const directory = await Deno.makeTempDir();
    try {
      const args = ["-c", `printf '%s|' ${shellWord(word)} end`];
      const { stdout } = await new Deno.Command("sh", { args, cwd: directory, stdin: "null" }).output();
      assert.equal(new TextDecoder().decode(stdout), `${word}|end|`);
      assert.deepEqual([...Deno.readDirSync(directory)], []);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}
