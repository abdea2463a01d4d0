import assert from "node:assert/strict";
import { parseConfig } from "./options.ts";
import { effectiveConfig } from "./print.ts";

function linesOf(text: string, env: Record<string, string> = {}): string[] {
  return effectiveConfig(parseConfig({ file: { path: "/f.conf", text }, env })).trimEnd().split("\n");
}

const cases: readonly { name: string; text: string; env?: Record<string, string>; want: RegExp }[] = [
  { name: "a default", text: "", want: /^agent_ttl=30s +# default$/ },
  { name: "a line of the file", text: "\nagent_ttl=1m", want: /^agent_ttl=1m +# \/f\.conf:2$/ },
  {
    name: "a variable, which wins",
    text: "agent_ttl=1m",
    env: { FLEET_AGENT_TTL: "2m" },
    want: /^agent_ttl=2m +# FLEET_AGENT_TTL$/,
  },
  {
    name: "a password",
    text: "etcd_username=u\netcd_password=geheim",
    want: /^etcd_password=\(hidden\) +# \/f\.conf:2$/,
  },
  { name: "no password", text: "", want: /^etcd_password= +# default$/ },
  {
    name: "a password in an address",
    text: "metadata=proxy=http://u:geh@eim@h:1",
    want: /^metadata=proxy=http:\/\/\(hidden\)@h:1 /,
  },
  { name: "a value that would be cut", text: `metadata="a=b#c"`, want: /^metadata="a=b#c" / },
];

for (const { name, text, env, want } of cases) {
  Deno.test(`the effective configuration shows ${name}`, () => {
    const lines = linesOf(text, env);
    assert.ok(lines.some((line) => want.test(line)), `${want} in\n${lines.join("\n")}`);
    assert.ok(!lines.join("\n").match(/geh|eim/));
  });
}

Deno.test("the effective configuration can be read as a fleet.conf", () => {
  const text = `etcd_servers="http://a:1,http://b:2"\nmetadata=x=y;\npublic_ip="1.2.3.4"\n`;
  const first = parseConfig({ file: { path: "/a", text }, env: {} });
  const again = parseConfig({ file: { path: "/b", text: effectiveConfig(first) }, env: {} });
  assert.deepEqual(again.config, first.config);
  assert.deepEqual(again.warnings, []);
});
