import assert from "node:assert/strict";
import { fieldText, messageOf } from "./log.ts";

const cases: readonly { readonly thrown: unknown; readonly message: string }[] = [
  { thrown: new Error("no space"), message: "no space" },
  { thrown: new Error("cannot write", { cause: new Error("no space") }), message: "cannot write: no space" },
  {
    thrown: new Error("cannot write: no space", { cause: new Error("no space") }),
    message: "cannot write: no space",
  },
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
  Deno.test(`the message of an error is never empty, and names a cause once: ${message}`, () =>
    assert.equal(messageOf(thrown), message));
}

const fields: readonly (readonly [unknown, string])[] = [
  ["text", "text"],
  [7n, "7"],
  [null, "null"],
  [new Error("refused", { cause: new Error("no route") }), "refused: no route"],
  [{ error: new Error("refused"), revision: 7n, keys: ["a"] }, '{"error":"refused","revision":"7","keys":["a"]}'],
];

for (const [value, text] of fields) {
  Deno.test(`a field of a log line can be anything: ${text}`, () => assert.equal(fieldText(value), text));
}
