import assert from "node:assert/strict";
import { parseJournalEntry, TimeOrder } from "./merge.ts";

Deno.test("merging: an entry is held back until every source has sent one, or until a time limit", () => {
  const order = new TimeOrder(2, 0);
  const entry = (wall_ms: number) => ({ wall_ms, message: `${wall_ms}` });
  order.add(0, entry(500), 0);
  assert.deepEqual(order.take(1999), []);
  assert.deepEqual(order.take(2000).map(({ entry }) => entry.wall_ms), [500]);
  order.add(0, entry(900), 3000);
  order.add(1, entry(800), 3200);
  assert.deepEqual(order.take(3250), []);
  assert.deepEqual(order.take(3300).map(({ entry }) => entry.wall_ms), [800, 900]);
  order.add(1, entry(950), 3400);
  order.end(0);
  order.end(1);
  assert.deepEqual(order.take(3400).map(({ source }) => source), [1]);
});

Deno.test("merging: a line that is no journal entry is left out", () => {
  assert.equal(parseJournalEntry("no"), undefined);
  assert.equal(parseJournalEntry("{}"), undefined);
  assert.match(parseJournalEntry('{"__REALTIME_TIMESTAMP":"1000","MESSAGE":null}')?.message ?? "", /too long/);
});
