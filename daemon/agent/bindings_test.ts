import assert from "node:assert/strict";
import { inUse, waitingForOthers } from "./bindings.ts";
import type { DesiredUnit } from "./desired.ts";
import type { Current } from "./plan.ts";
import { boundTo, readRelations, type Relations, relationsOf } from "../policy/relations.ts";
import { startOrder } from "./start_order.ts";

function read(files: Readonly<Record<string, string>>): ReadonlyMap<string, Relations> {
  return new Map(Object.entries(files).map(([name, text]) => [name, relationsOf(name, text)]));
}

const front = "front@1.service";

const cases: readonly {
  name: string;
  front?: { name?: string; text: string };
  side: string;
  stopsWith: boolean;
  requires: boolean;
}[] = [
  { name: "BindsTo=", side: "[Unit]\nBindsTo=front@%i.service\n", stopsWith: true, requires: true },
  {
    name: "Requires= among others",
    side: "[Unit]\nRequires=x.mount front@1.service\n",
    stopsWith: true,
    requires: true,
  },
  {
    name: "a unit that only a comment between continued lines names is not bound",
    side: "[Unit]\nRequires=x.mount \\\n# front@1.service\n y.mount\n",
    stopsWith: false,
    requires: false,
  },
  { name: "Requisite=", side: `[Unit]\nRequisite=${front}\n`, stopsWith: true, requires: true },
  {
    name: "Slice=, also of a slice inside",
    front: { name: "app.slice", text: "" },
    side: "[Service]\nSlice=app-web.slice\n",
    stopsWith: true,
    requires: false,
  },
  {
    name: "an earlier Slice= has no effect",
    front: { name: "app.slice", text: "" },
    side: "[Service]\nSlice=app.slice\nSlice=other.slice\n",
    stopsWith: false,
    requires: false,
  },
  {
    name: "RequiresMountsFor= of a path below a mount",
    front: { name: "srv-my\\x2ddata.mount", text: "" },
    side: "[Unit]\nRequiresMountsFor=/opt /srv/my-data/%i/\n",
    stopsWith: true,
    requires: false,
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
    front: { text: "[Unit]\nPropagatesStopTo=side@%i.service\n" },
    side: "",
    stopsWith: true,
    requires: false,
  },
  {
    name: "RequiredBy= of the other",
    front: { text: "[Install]\nRequiredBy=side@%i.service\n" },
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

for (const { name, front: { name: unit = front, text } = { text: "" }, side, stopsWith, requires } of cases) {
  Deno.test(`bindings: ${name}`, () => {
    const bindings = read({ [unit]: text, "side@1.service": side, "other.service": "" });
    assert.deepEqual([...boundTo(unit, bindings, "stopsWith")], stopsWith ? ["side@1.service"] : []);
    assert.deepEqual([...boundTo(unit, bindings, "requires")], requires ? ["side@1.service"] : []);
  });
}

Deno.test("bindings: slices and mounts are bound to those around them", () => {
  const bindings = read({
    "app-web-eu.slice": "",
    "app.slice": "",
    "srv-data.mount": "",
    "srv.mount": "",
    "-.mount": "",
  });
  assert.deepEqual([...boundTo("app.slice", bindings, "stopsWith")], ["app-web-eu.slice"]);
  assert.deepEqual([...boundTo("srv.mount", bindings, "stopsWith")], ["srv-data.mount"]);
});

Deno.test("bindings: units that are bound through others, also in a circle", () => {
  const bindings = read({
    "a.service": "[Unit]\nPartOf=c.service\n",
    "b.service": "[Unit]\nBindsTo=a.service\n",
    "c.service": "[Unit]\nRequires=b.service\n",
  });
  assert.deepEqual([...boundTo("a.service", bindings, "stopsWith")].sort(), ["b.service", "c.service"]);
});

Deno.test("bindings: units are bound to containers by the names of their services, and containers to what they use", () => {
  const bindings = readRelations(
    new Map([
      ["data.volume", "[Volume]\nLabel=a=b\n"],
      ["web.container", "[Container]\nImage=web\nServiceName=front\nVolume=data.volume:/data\nPod=app.pod\n"],
      ["app.pod", "[Pod]\n"],
      ["side.service", "[Unit]\nBindsTo=front.service\nAfter=front.service\n"],
    ]),
  );
  assert.deepEqual([...boundTo("web.container", bindings, "requires")], ["side.service"]);
  assert.deepEqual([...boundTo("data.volume", bindings, "requires")].sort(), ["side.service", "web.container"]);
  assert.deepEqual([...boundTo("app.pod", bindings, "stopsWith")].sort(), ["side.service", "web.container"]);
  const order = ["data.volume", "app.pod", "web.container", "side.service"];
  assert.deepEqual(
    startOrder(["side.service", "web.container", "app.pod", "data.volume"], bindings).slice(2),
    order.slice(2),
  );
});

Deno.test("bindings: a container that was stopped with its loaded volume is started when the volume's new file is there", () => {
  const unit = (name: string, desiredState: "loaded" | "launched", hash = "new") =>
    ({ name, hash, desiredState, restart: 0, startOnly: false }) as unknown as DesiredUnit;
  const found = (name: string, hash: string, active: string) =>
    ({ name, hash, commanded: "loaded", restart: 0, status: { active } }) as unknown as Current;
  const waits = (
    hash: string,
    active: string,
    desiredState: "loaded" | "launched" = "loaded",
    name = "web.container",
  ) =>
    waitingForOthers({
      intents: new Map([[name, { did: "load", done: true, invocation: "", restart: 0, along: "data.volume" }]]),
      wanted: new Map([[name, unit(name, "launched")], ["data.volume", unit("data.volume", desiredState)]]),
      current: new Map([["data.volume", found("data.volume", hash, active)]]),
    }, () => false).has(name);
  assert.equal(waits("old", "inactive"), true, "the old file is still there");
  assert.equal(waits("new", "deactivating"), true, "the volume is still being stopped");
  assert.equal(waits("new", "inactive", "launched"), true, "the volume is started first");
  assert.equal(waits("new", "inactive"), false);
  assert.equal(waits("new", "inactive", "loaded", "side.service"), true, "a plain unit waits for what it is bound to");
});

Deno.test("bindings: a build is in use until the container that runs on it has stopped", () => {
  const relations = readRelations(
    new Map([["site.build", "[Build]\n"], ["web.container", "[Container]\nImage=site.build\n"]]),
  );
  const isInUse = (active: string, wantedHash?: string) => {
    const unit = (name: string, active: string) =>
      [name, { name, hash: "old", commanded: "loaded", restart: 0, status: { active } } as unknown as Current] as const;
    return inUse({
      relations,
      wanted: new Map(wantedHash === undefined ? [] : [["site.build", { hash: wantedHash } as DesiredUnit]]),
      current: new Map([unit("site.build", "inactive"), unit("web.container", active)]),
    }).has("site.build");
  };
  assert.equal(isInUse("active", "new"), true);
  assert.equal(isInUse("deactivating"), true);
  assert.equal(isInUse("inactive"), false);
  assert.equal(isInUse("active", "old"), false, "the build is neither replaced nor removed");
});
