import assert from "node:assert/strict";
import { messageOf } from "./log.ts";

const cases: readonly { readonly thrown: unknown; readonly message: string }[] = [
  { thrown: new Error("no space"), message: "no space" },
  { thrown: new Error("cannot write", { cause: new Error("no space") }), message: "cannot write: no space" },
  { thrown: new TypeError(""), message: "TypeError" },
  { thrown: Object.assign(new Error(""), { code: "EMFILE" }), message: "Error EMFILE" },
  { thrown: new Error("cannot write", { cause: new RangeError("") }), message: "cannot write: RangeError" },
  {
    thrown: new AggregateError([new Error("refused"), new Error("")]),
    message: "AggregateError: refused: Error",
  },
  { thrown: Object.assign(new Error(" "), { name: "" }), message: "an error without a message" },
  { thrown: "text", message: "text" },
  { thrown: "", message: "an error without a message" },
];

for (const { thrown, message } of cases) {
  Deno.test(`the text of an error is never empty: ${message}`, () => assert.equal(messageOf(thrown), message));
}
