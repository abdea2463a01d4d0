import assert from "node:assert/strict";
import { parseTime_ms } from "./selection.ts";

const now_ms = new Date(2026, 10, 28, 20, 7, 49, 500).getTime();
const at = (...parts: [number, number, number, number?, number?, number?, number?]) => new Date(...parts).getTime();

const times: readonly [text: string, time_ms: number | undefined][] = [
  ["10m", now_ms - 600_000],
  ["1h30m", now_ms - 5_400_000],
  ["2h ago", now_ms - 7_200_000],
  ["90", now_ms - 90_000],
  ["now", now_ms],
  ["today", at(2026, 10, 28)],
  ["yesterday", at(2026, 10, 27)],
  ["14:30", at(2026, 10, 28, 14, 30)],
  ["14:30:05", at(2026, 10, 28, 14, 30, 5)],
  ["2026-11-01", at(2026, 10, 1)],
  ["2026-11-01 14:30", at(2026, 10, 1, 14, 30)],
  ["2026-11-01T14:30:05.250", at(2026, 10, 1, 14, 30, 5, 250)],
  ["2026-11-01T14:30:05Z", Date.UTC(2026, 10, 1, 14, 30, 5)],
  ["2026-11-01T14:30:05+02:00", Date.UTC(2026, 10, 1, 12, 30, 5)],
  ["2026-13-01", undefined],
  ["25:00", undefined],
  ["last week", undefined],
  ["", undefined],
  ["2026-11-01 ", undefined],
];

for (const [text, time_ms] of times) {
  Deno.test(`time ${JSON.stringify(text)}`, () => assert.equal(parseTime_ms(text, now_ms), time_ms));
}
