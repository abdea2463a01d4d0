import assert from "node:assert/strict";
import { decodeText } from "./text_bytes.ts";

Deno.test("a byte that is not UTF-8 becomes a lone surrogate, and everything else stays", () => {
  const bytes = (...parts: (string | number)[]) =>
    Uint8Array.from(parts.flatMap((part) => typeof part === "string" ? [...new TextEncoder().encode(part)] : [part]));
  assert.equal(decodeText(bytes("a=é€😀\n")), "a=é€😀\n");
  assert.equal(decodeText(bytes("caf", 0xe9, "\né€😀", 0xff)), "caf\udce9\né€😀\udcff");
  // Cut in the middle of a character, an overlong form, and a surrogate.
  assert.equal(decodeText(bytes("x", 0xe2, 0x82)), "x\udce2\udc82");
  assert.equal(decodeText(bytes(0xc0, 0xaf, "y", 0xed, 0xa0, 0x80)), "\udcc0\udcafy\udced\udca0\udc80");
  assert.ok(decodeText(bytes("\uFFFD")).isWellFormed());
});
