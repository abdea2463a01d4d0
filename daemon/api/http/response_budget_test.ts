import assert from "node:assert/strict";
import { ResponseBudget } from "./response_budget.ts";

const mebibyte = 1024 * 1024;

Deno.test("long responses share a limit until they have been sent", async () => {
  const responses = new ResponseBudget();
  const waiting: (() => void)[] = [];
  const respond = (text: string) => responses.json(text, (callback) => waiting.push(callback)).status;
  const long = "x".repeat(mebibyte);
  for (let count = 0; count < 128; count++) assert.equal(respond(long), 200);
  assert.equal(respond(long), 503);
  assert.equal(respond("x".repeat(64 * 1024)), 200, "a short response");
  assert.equal(waiting.length, 128, "a short response does not count");
  waiting.pop()?.();
  assert.equal(respond(long), 200);
  assert.equal(respond(long), 503);
  const { status, headers } = responses.json(long, undefined);
  assert.deepEqual(
    [status, headers.get("Content-Type")],
    [200, "application/json"],
    "a response that waits for no client",
  );
  assert.match(await responses.json(long, () => {}).text(), /too many long responses wait/);
});
