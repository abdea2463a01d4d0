import assert from "node:assert/strict";
import { boundTo } from "./bindings.ts";
import { type Relations, relationsOf } from "./relations.ts";

function read(files: Readonly<Record<string, string>>): ReadonlyMap<string, Relations> {
  return new Map(Object.entries(files).map(([name, text]) => [name, relationsOf(name, text)]));
}

const front = "front@1.service";

const cases: readonly { name: string; front?: string; side: string; stopsWith: boolean; requires: boolean }[] = [
  { name: "BindsTo=", side: "[Unit]\nBindsTo=front@%i.service\n", stopsWith: true, requires: true },
  {
    name: "Requires= among others",
    side: "[Unit]\nRequires=x.mount front@1.service\n",
    stopsWith: true,
    requires: true,
  },
  { name: "PartOf=", side: "[Unit]\nPartOf=front@1.service\n", stopsWith: true, requires: false },
  {
    name: "StopPropagatedFrom=",
    side: "[Unit]\nStopPropagatedFrom=front@1.service\n",
    stopsWith: true,
    requires: false,
  },
  {
    name: "PropagatesStopTo= of the other",
    front: "[Unit]\nPropagatesStopTo=side@%i.service\n",
    side: "",
    stopsWith: true,
    requires: false,
  },
  {
    name: "RequiredBy= of the other",
    front: "[Install]\nRequiredBy=side@%i.service\n",
    side: "",
    stopsWith: true,
    requires: true,
  },
  {
    name: "Wants= and After= bind nothing",
    side: `[Unit]\nWants=${front}\nAfter=${front}\n`,
    stopsWith: false,
    requires: false,
  },
  { name: "a file that cannot be read binds nothing", side: "[Unit\n", stopsWith: false, requires: false },
];

for (const { name, front: text = "", side, stopsWith, requires } of cases) {
  Deno.test(`bindings: ${name}`, () => {
    const bindings = read({ [front]: text, "side@1.service": side, "other.service": "" });
    assert.deepEqual([...boundTo(front, bindings, "stopsWith")], stopsWith ? ["side@1.service"] : []);
    assert.deepEqual([...boundTo(front, bindings, "requires")], requires ? ["side@1.service"] : []);
  });
}

Deno.test("bindings: units that are bound through others, also in a circle", () => {
  const bindings = read({
    "a.service": "[Unit]\nPartOf=c.service\n",
    "b.service": "[Unit]\nBindsTo=a.service\n",
    "c.service": "[Unit]\nRequires=b.service\n",
  });
  assert.deepEqual([...boundTo("a.service", bindings, "stopsWith")].sort(), ["b.service", "c.service"]);
});
