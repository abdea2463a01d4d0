import assert from "node:assert/strict";
import type { Context } from "../cli/command.ts";
import { stableFor_ms } from "./settling.ts";

Deno.test("units without readiness notification must stay active, and so must containers", () => {
  const context = { flags: { number: () => 1 } } as unknown as Context;
  const cases: readonly (readonly [name: string, section: string, option: string, value: string, stable_ms: number])[] =
    [
      ["a.service", "Service", "ExecStart", "/bin/true", 1000],
      ["a.service", "Service", "Type", "notify", 0],
      ["a.socket", "Socket", "ListenStream", "80", 0],
      ["a.container", "Container", "Image", "a", 1000],
      ["a.container", "Container", "Notify", "false", 1000],
      ["a.container", "Container", "Notify", "true", 0],
      ["a.container", "Container", "Notify", "healthy", 0],
      ["a.container", "Service", "Type", "oneshot", 0],
      ["a.kube", "Kube", "Yaml", "a.yml", 1000],
      ["a.volume", "Volume", "Label", "a=b", 0],
    ];
  for (const [name, section, option, value, stable_ms] of cases) {
    assert.equal(
      stableFor_ms(context, name, [{ section, name: option, value }]),
      stable_ms,
      `${name} ${option}=${value}`,
    );
  }
});
