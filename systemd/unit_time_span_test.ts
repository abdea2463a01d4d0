import assert from "node:assert/strict";
import { parseTimeSpan_ms } from "./unit_time_span.ts";

Deno.test("time spans of systemd.time(7) are parsed", () => {
  const spans = {
    "10": 10_000,
    "10s": 10_000,
    " 2min 30s ": 150_000,
    "2min30s": 150_000,
    "1.5h": 5_400_000,
    ".5s": 500,
    "500ms": 500,
    "3 sec": 3_000,
    "2h": 7_200_000,
    "1d 1w": 691_200_000,
    "1M": 2_630_016_000,
    "1m": 60_000,
    "0": 0,
  };
  for (const [text, span_ms] of Object.entries(spans)) assert.equal(parseTimeSpan_ms(text), span_ms, text);
});

Deno.test("text that is not a time span is undefined", () => {
  for (const text of ["", " ", "s", "10x", "ten", "-5s", "10s,", "infinity", "1:30", "10S", "5 s s"]) {
    assert.equal(parseTimeSpan_ms(text), undefined, text);
  }
});
