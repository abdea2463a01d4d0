import assert from "node:assert/strict";
import { watchdogInterval_ms } from "./watchdog.ts";

const cases: readonly { name: string; env: Record<string, string>; want: number | undefined }[] = [
  { name: "no watchdog", env: {}, want: undefined },
  { name: "every ten seconds", env: { WATCHDOG_USEC: "10000000" }, want: 5_000 },
  { name: "this very process", env: { WATCHDOG_USEC: "10000000", WATCHDOG_PID: "7" }, want: 5_000 },
  { name: "another process", env: { WATCHDOG_USEC: "10000000", WATCHDOG_PID: "8" }, want: undefined },
  { name: "a malformed period", env: { WATCHDOG_USEC: "often" }, want: undefined },
];

for (const { name, env, want } of cases) {
  Deno.test(`the watchdog's interval: ${name}`, () => assert.equal(watchdogInterval_ms(env, 7), want));
}
