import assert from "node:assert/strict";
import { pulledFrom } from "./pull.ts";

const piece = new TextEncoder().encode("piece");

/** Returns the reader of a stream of one piece that then ends as `last` does. */
function sourceOf(last: (controller: ReadableStreamDefaultController<Uint8Array>) => void) {
  const pulls = [(controller: ReadableStreamDefaultController<Uint8Array>) => controller.enqueue(piece), last];
  return new ReadableStream<Uint8Array>({ pull: (controller) => pulls.shift()?.(controller) }, { highWaterMark: 0 })
    .getReader();
}

Deno.test("the end, failure or cancellation of a stream is reported once", async (test) => {
  let ends = 0;
  const ended = () => void ends++;
  const never = () => assert.fail("the stream was not canceled");
  await test.step("the end", async () => {
    const stream = pulledFrom(sourceOf((source) => source.close()), ended, never);
    assert.equal(ends, 0);
    assert.equal(await new Response(stream).text(), "piece");
    assert.equal(ends, 1);
  });
  await test.step("a failure of the source", async () => {
    const stream = pulledFrom(sourceOf((source) => source.error(new Error("cut"))), ended, never);
    await assert.rejects(new Response(stream).text(), /cut/);
    assert.equal(ends, 2);
  });
  await test.step("an error that ended() throws", async () => {
    const broken = () => {
      throw new Error("gone");
    };
    await assert.rejects(new Response(pulledFrom(sourceOf((source) => source.close()), broken, never)).text(), /gone/);
  });
  await test.step("canceled", async () => {
    const reasons: unknown[] = [];
    const stream = pulledFrom(sourceOf(() => {}), ended, (reason) => void reasons.push(reason));
    await stream.cancel("enough");
    assert.deepEqual(reasons, ["enough"]);
    assert.equal(ends, 2);
  });
});
