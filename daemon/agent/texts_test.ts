import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { UnitTexts } from "./texts.ts";

/** Returns the pauses between five requests for a file, and the last reason why it is missing. */
async function pauses(read: () => Promise<undefined>): Promise<{ readonly pauses_ms: number[]; readonly why: string }> {
  const clock = new ManualClock();
  const texts = new UnitTexts(read, clock, () => {});
  const pauses_ms: number[] = [];
  let why = "";
  for (let request = 0; request < 5; request++) {
    why = (await clock.runToEnd(texts.of(new Set(["h1"])))).missing.get("h1") ?? "";
    const pause_ms = texts.nextTry_ms(clock.monotonic_ms());
    pauses_ms.push(pause_ms);
    clock.advance(pause_ms);
  }
  return { pauses_ms, why };
}

Deno.test("a file that the store does not have is requested at pauses that grow to eight seconds", async () => {
  assert.deepEqual(await pauses(() => Promise.resolve(undefined)), {
    ...{ pauses_ms: [950, 1_900, 3_800, 7_600, 7_600], why: "the store has no unit file h1" },
  });
});

Deno.test("a file is requested every second while the store does not answer", async () => {
  const { pauses_ms } = await pauses(() => Promise.reject(new Error("away")));
  assert.deepEqual(pauses_ms, Array(5).fill(950));
});
