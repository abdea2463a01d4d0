import assert from "node:assert/strict";
import { type Config, ConfigError, parseConfig, parseDuration_ms } from "./config.ts";

const file = (text: string) => ({ file: { path: "/etc/fleet/fleet.conf", text }, env: {} });

Deno.test("without file and environment, fleet 1.0's defaults hold", () => {
  const { config, warnings, sources } = parseConfig({ env: { PATH: "/bin" } });
  assert.deepEqual(warnings, []);
  assert.deepEqual(config.etcdServers, ["http://127.0.0.1:2379", "http://127.0.0.1:4001"]);
  assert.equal(config.etcdKeyPrefix, "/_coreos.com/fleet/");
  assert.equal(config.agentTtl_ms, 30_000);
  assert.equal(config.engineReconcileInterval_ms, 2_000);
  assert.equal(config.etcdRequestTimeout_ms, 1_000);
  assert.equal(config.unitsDirectory, "/run/fleet/units/");
  assert.equal(config.tokenLimit, 100);
  assert.equal(sources.get("agent_ttl"), "default");
});

const readings: readonly { name: string; text: string; want: Partial<Config> }[] = [
  { name: "remarks and blank lines", text: "# x\n; y\n\nverbosity=1", want: { verbosity: 1 } },
  { name: "keys in any case, spaces around =", text: "Public_IP \t=  10.0.0.1", want: { publicIp: "10.0.0.1" } },
  { name: "the last of equal keys", text: "verbosity=1\nverbosity=2", want: { verbosity: 2 } },
  { name: "double quotes", text: 'etcd_password="a#b;c"', want: { etcdPassword: "a#b;c" } },
  { name: "single quotes", text: "etcd_password='a\"b'", want: { etcdPassword: 'a"b' } },
  { name: "quotes with a remark behind", text: 'metadata="a=b" # note', want: { metadata: { a: "b" } } },
  { name: "a remark behind a bare value", text: "public_ip=10.0.0.1 # note", want: { publicIp: "10.0.0.1" } },
  { name: "nothing", text: "public_ip=", want: { publicIp: "" } },
  { name: "a continued line", text: "metadata=a=b,\\\n  c=d", want: { metadata: { a: "b", c: "d" } } },
  { name: "nothing in a section", text: "[fleet]\nverbosity=3", want: { verbosity: 0 } },
  {
    name: "servers in a list",
    text: 'etcd_servers=["http://a:1", "http://b:2"]',
    want: { etcdServers: ["http://a:1", "http://b:2"] },
  },
  { name: "servers with a trailing comma", text: "etcd_servers=http://a:1,", want: { etcdServers: ["http://a:1"] } },
  {
    name: "metadata with = in a value",
    text: "metadata=a=b=c,dropped,x=1,x=2",
    want: { metadata: { a: "b=c", x: "2" } },
  },
  { name: "hexadecimal and octal", text: "token_limit=0x10\nverbosity=010", want: { tokenLimit: 16, verbosity: 8 } },
  {
    name: "Go's booleans",
    text: "disable_engine=T\nsystemd_user=0",
    want: { disableEngine: true, systemdUser: false },
  },
];

for (const { name, text, want } of readings) {
  Deno.test(`fleet.conf: ${name}`, () => {
    const { config } = parseConfig(file(text));
    for (const [key, value] of Object.entries(want)) assert.deepEqual(config[key as keyof Config], value);
  });
}

const refusals: readonly { name: string; text: string; message: RegExp }[] = [
  {
    name: "a bare agent_ttl",
    text: "\nagent_ttl=30",
    message: /fleet\.conf:2: option agent_ttl "30": .*missing unit in duration "30"/,
  },
  { name: "an interval of nothing", text: "engine_reconcile_interval=abc", message: /number of seconds/ },
  { name: "an interval of zero", text: "engine_reconcile_interval=0", message: /more than 0/ },
  { name: "a page size of words", text: "token_limit=abc", message: /whole number/ },
  { name: "a boolean of words", text: "disable_engine=maybe", message: /true or false/ },
  { name: "a server that is no URL", text: "etcd_servers=localhost", message: /http:\/\/HOST:PORT/ },
  { name: "a line without =", text: "verbosity", message: /fleet\.conf:1: expected OPTION=VALUE/ },
  { name: "a backslash at the end", text: "verbosity=1\\", message: /nothing follows/ },
];

for (const { name, text, message } of refusals) {
  Deno.test(`fleet.conf refuses ${name}`, () => assert.throws(() => parseConfig(file(text)), { message }));
}

Deno.test("the environment wins, also where it is empty", () => {
  const { config, sources } = parseConfig({ ...file("public_ip=10.0.0.1"), env: { FLEET_PUBLIC_IP: "" } });
  assert.equal(config.publicIp, "");
  assert.equal(sources.get("public_ip"), "FLEET_PUBLIC_IP");
  assert.throws(() => parseConfig({ env: { FLEET_AGENT_TTL: "" } }), ConfigError);
});

Deno.test("an unknown option is named with the nearest known one; a meaningless one with why", () => {
  const { warnings } = parseConfig(file("agent_tll=30s\nenable_grpc=true\nqwertyuiop=1"));
  assert.deepEqual(warnings, [
    "Config option agent_tll is not known and is ignored (/etc/fleet/fleet.conf:1); did you mean agent_ttl?",
    "Config option enable_grpc is ignored: all traffic goes through the store's watches (/etc/fleet/fleet.conf:2)",
    "Config option qwertyuiop is not known and is ignored (/etc/fleet/fleet.conf:3)",
  ]);
});

Deno.test("a password is never shown", () => {
  const { sources } = parseConfig(file("etcd_password=secret"));
  assert.ok(![...sources.values()].some((source) => source.includes("secret")));
});

Deno.test("durations are Go's", () => {
  assert.equal(parseDuration_ms("1m30s"), 90_000);
  assert.equal(parseDuration_ms("1.5h"), 5_400_000);
  assert.equal(parseDuration_ms("500ms"), 500);
  assert.throws(() => parseDuration_ms("1x"));
});
