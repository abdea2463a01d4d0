import assert from "node:assert/strict";
import { commandLine, quotedWord } from "./command_line.ts";

Deno.test("a printed command line quotes only the words that need it", () => {
  assert.equal(commandLine(["fleetctl", "start"], ["web@1.service"]), "fleetctl start web@1.service");
  assert.equal(
    commandLine(["fleetctl", "--endpoint=http://[::1]:80", "start"], ["a@\\x2d.service"]),
    "fleetctl '--endpoint=http://[::1]:80' start 'a@\\x2d.service'",
  );
});

Deno.test("a printed command line keeps an operand that begins with - from being a flag", () => {
  assert.equal(commandLine(["fleetctl", "start"], ["-.mount"]), "fleetctl start -- -.mount");
});

for (
  const word of ["a b", "", "it's", "$(touch x)", "`touch x`", "$HOME", "a\\x2db", '"', "*", "~", "a;b", "a\nb", "a&b"]
) {
  Deno.test(`a shell reads the printed word ${JSON.stringify(word)} as it is`, async () => {
    const args = ["-c", `printf '%s|' ${quotedWord(word)} end`];
    const { stdout } = await new Deno.Command("sh", { args, stdin: "null" }).output();
    assert.equal(new TextDecoder().decode(stdout), `${word}|end|`);
  });
}
