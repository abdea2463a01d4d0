import assert from "node:assert/strict";
import type { UnitState } from "../../../registry/model.ts";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import { unitUsage } from "./unit_usage.ts";

const seen = {
  states: new Map(["a.service", "web.container"].map((unit) => [unit, { unit, hash: unit } as UnitState])),
  texts: new Map([["web.container", "[Container]\nServiceName=front\n"]]),
};

Deno.test("units are measured by their names in systemd", async () => {
  const usage = (units: ReadonlyMap<string, string>) =>
    Promise.resolve({ units: [...units].map(([name, service]) => ({ name: `${name} as ${service}` })) });
  const names = (await unitUsage(seen, { usage }, new ManualClock())).map(({ name }) => name);
  assert.deepEqual(names, ["a.service as a.service", "web.container as front.service"]);
});

Deno.test("without an answer of systemd, no unit has figures", async () => {
  const clock = new ManualClock();
  assert.deepEqual(await unitUsage(seen, { usage: () => Promise.reject(new Error("no bus")) }, clock), []);
  let signal: AbortSignal | undefined;
  const hanging = unitUsage(seen, { usage: (_units, given) => (signal = given, new Promise(() => {})) }, clock);
  clock.advance(3_000);
  assert.deepEqual(await hanging, []);
  assert.equal(signal?.aborted, true, "systemctl is ended");
});
