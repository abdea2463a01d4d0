import assert from "node:assert/strict";
import { ResponseBudget } from "./answers.ts";

const mebibyte = 1024 * 1024;

Deno.test("long answers hold so much together, until their readers have taken them", async () => {
  const answers = new ResponseBudget();
  const waiting: (() => void)[] = [];
  const give = (text: string) => answers.json(text, (callback) => waiting.push(callback)).status;
  const long = "x".repeat(mebibyte);
  for (let count = 0; count < 128; count++) assert.equal(give(long), 200);
  assert.equal(give(long), 503);
  assert.equal(give("x".repeat(64 * 1024)), 200, "a short one");
  assert.equal(waiting.length, 128, "which does not count");
  waiting.pop()?.();
  assert.equal(give(long), 200);
  assert.equal(give(long), 503);
  const { status, headers } = answers.json(long, undefined);
  assert.deepEqual([status, headers.get("Content-Type")], [200, "application/json"], "nobody waits");
  assert.match(await answers.json(long, () => {}).text(), /too many long answers wait/);
});
