import assert from "node:assert/strict";
import { relationsOf } from "../policy/relations.ts";
import { startOrder } from "./start_order.ts";

Deno.test("units are started in the order of their dependencies", () => {
  const cases: readonly { name: string; units: Readonly<Record<string, string>>; order: string }[] = [
    { name: "no dependencies: by name", units: { "b.service": "", "a.service": "" }, order: "a.service b.service" },
    {
      name: "After=",
      units: { "a.service": "After=c.service b.service", "b.service": "", "c.service": "After=b.service" },
      order: "b.service c.service a.service",
    },
    {
      name: "Before=",
      units: { "a.service": "", "z.service": "Before=a.service" },
      order: "z.service a.service",
    },
    {
      name: "specifiers of instances",
      units: { "a@1.service": "After=z@%i.service", "z@1.service": "" },
      order: "z@1.service a@1.service",
    },
    {
      name: "a circle is cut",
      units: { "a.service": "After=b.service", "b.service": "After=a.service" },
      order: "b.service a.service",
    },
    {
      name: "dependencies on units that are not started are ignored",
      units: { "a.service": "After=network.target", "b.service": "" },
      order: "a.service b.service",
    },
    {
      name: "a socket, a timer and a path before what they start, a target behind what it wants",
      units: { "a.service": "", "a.socket": "", "a.timer": "", "a.path": "", "a.target": "", "a.slice": "" },
      order: "a.slice a.socket a.timer a.path a.service a.target",
    },
    {
      name: "a mount before those below it",
      units: { "srv-data-deep.mount": "", "srv.mount": "", "srv-data.automount": "", "srv-data.mount": "" },
      order: "srv-data.automount srv.mount srv-data.mount srv-data-deep.mount",
    },
    {
      name: "explicit dependencies take precedence over the order of types",
      units: { "a.service": "Before=b.socket", "b.socket": "" },
      order: "a.service b.socket",
    },
    {
      name: "a file that cannot be read",
      units: { "b.service": "\\\nx", "a.service": "" },
      order: "a.service b.service",
    },
  ];
  for (const { name, units, order } of cases) {
    const orderings = new Map(
      Object.entries(units).map(([unit, line]) => [unit, relationsOf(unit, `[Unit]\n${line}\n`)]),
    );
    assert.equal(startOrder(orderings.keys(), orderings).join(" "), order, name);
  }
});

Deno.test("a long chain is ordered", () => {
  const names = Array.from({ length: 20_000 }, (_, index) => `${index}.service`);
  const orderings = new Map(names.map((name, index) => [name, { after: [`${index + 1}.service`], before: [] }]));
  assert.deepEqual(startOrder(names, orderings), names.toReversed());
});
