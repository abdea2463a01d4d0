import assert from "node:assert/strict";
import fc from "fast-check";
import "../tests/property_seed.ts";
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
  { name: "quotes kept where they do not enclose all", text: 'public_ip="a" b', want: { publicIp: '"a" b' } },
  {
    name: "two texts in quotes are not one",
    text: 'metadata="a=b", "c=d"',
    want: { metadata: { '"a': 'b"', '"c': 'd"' } },
  },
  {
    name: "a byte order mark, and the line ends of Windows",
    text: "\uFEFFverbosity=1\r\npublic_ip=x\r\n",
    want: { verbosity: 1, publicIp: "x" },
  },
  { name: "no remark within a quoted value", text: "public_ip='a ; b' ; c", want: { publicIp: "a ; b" } },
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
    name: "metadata with empty halves",
    text: "metadata==x,y=, a = b ",
    want: { metadata: { "": "x", y: "", a: "b" } },
  },
  { name: "one server in quotes", text: 'etcd_servers="http://a:1/"', want: { etcdServers: ["http://a:1"] } },
  { name: "no limit", text: "etcd_request_timeout=0", want: { etcdRequestTimeout_ms: 0 } },
  {
    name: "an interval in parts of seconds",
    text: "engine_reconcile_interval=.5",
    want: { engineReconcileInterval_ms: 500 },
  },
  {
    name: "the embedded registry",
    text: "registry=embedded\nstate_directory=/srv",
    want: { registry: "embedded", stateDirectory: "/srv" },
  },
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
  {
    name: "an interval beyond what a timer can wait",
    text: "engine_reconcile_interval=1e9",
    message: /number of seconds/,
  },
  { name: "an agent_ttl below a second", text: "agent_ttl=500ms", message: /at least 1s/ },
  { name: "an agent_ttl beyond what a timer can wait", text: "agent_ttl=1000h", message: /at most 480h/ },
  { name: "a negative agent_ttl", text: "agent_ttl=-30s", message: /a duration such as 30s/ },
  { name: "an interval of zero", text: "engine_reconcile_interval=0", message: /more than 0/ },
  { name: "a page size of words", text: "token_limit=abc", message: /whole number/ },
  { name: "a boolean of words", text: "disable_engine=maybe", message: /true or false/ },
  { name: "a server that is no URL", text: "etcd_servers=localhost", message: /http:\/\/HOST:PORT/ },
  { name: "a mixed list of servers", text: "etcd_servers=http://a:1,https://b:1", message: /all of them/ },
  { name: "no server", text: 'etcd_servers=","', message: /at least one/ },
  { name: "servers in single quotes within a list", text: "etcd_servers=['http://a:1']", message: /found "'http/ },
  { name: "a page that is too large", text: "token_limit=65536", message: /1 to 65535/ },
  { name: "another registry", text: "registry=consul", message: /expected etcd or embedded/ },
  { name: "a directory that depends on where it is started", text: "units_directory=units", message: /absolute path/ },
  {
    name: "a certificate without its key",
    text: "etcd_certfile=/a",
    message: /fleet\.conf:1: option etcd_certfile: expected etcd_keyfile too/,
  },
  { name: "a key without its certificate", text: "etcd_keyfile=/a", message: /expected etcd_certfile too/ },
  { name: "a line without = in a section", text: "[a]\nverbosity", message: /fleet\.conf:2: expected OPTION=VALUE/ },
  { name: "a section that is not closed", text: "[a", message: /fleet\.conf:1: expected/ },
  { name: "a line without =", text: "verbosity", message: /fleet\.conf:1: expected OPTION=VALUE/ },
  { name: "a backslash at the end", text: "verbosity=1\\", message: /nothing follows/ },
];

for (const { name, text, message } of refusals) {
  Deno.test(`fleet.conf refuses ${name}`, () => {
    assert.throws(() => parseConfig(file(text)), { name: "ConfigError", message });
  });
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

Deno.test("what is meaningless and switched off is no reason to speak", () => {
  const text = "enable_grpc=false\ndisable_watches=0\nverify_units=F\nauthorized_keys_file=\n";
  assert.deepEqual(parseConfig(file(text)).warnings, []);
  assert.deepEqual(parseConfig({ env: { FLEET_VERIFY_UNITS: "true", FLEET_AUTHORIZED_KEYS_FILE: "/a" } }).warnings, [
    "Config option verify_units is no longer supported - ignoring (FLEET_VERIFY_UNITS)",
    "Config option authorized_keys_file is no longer supported - ignoring (FLEET_AUTHORIZED_KEYS_FILE)",
  ]);
});

Deno.test("what was probably meant otherwise is told", () => {
  const cases: readonly (readonly [text: string, warnings: readonly string[]])[] = [
    ["[fleet]\nVerbosity=3", [
      "/etc/fleet/fleet.conf:2: verbosity is not read: it stands in section [fleet], and options stand before any section",
    ]],
    ["etcd_username=u\netcd_password=ab#cd", [
      '/etc/fleet/fleet.conf:2: the value of etcd_password ends before "#": put it in quotes if that belongs to it',
    ]],
    ["etcd_password=x", ["/etc/fleet/fleet.conf:1: option etcd_password is not used: there is no etcd_username"]],
    ["public_ip=10.0.0.1 ; fine\nmetadata=#fine", []],
    ["metadata=a=b,c d,", ['/etc/fleet/fleet.conf:1: option metadata: "c d" is dropped: expected key=value']],
    ["registry=embedded\netcd_servers=http://a:1", [
      "Config option etcd_servers is ignored: registry is embedded (/etc/fleet/fleet.conf:2)",
    ]],
  ];
  for (const [text, warnings] of cases) assert.deepEqual(parseConfig(file(text)).warnings, warnings);
});

Deno.test("only variables in capitals are options'", () => {
  const { config, warnings } = parseConfig({
    env: { fleet_verbosity: "1", FLEET_verbosity: "2", FLEETCTL_ENDPOINT: "x" },
  });
  assert.equal(config.verbosity, 0);
  assert.deepEqual(warnings, []);
});

Deno.test("metadata may have any key", () => {
  const { config } = parseConfig(file("metadata=__proto__=x,constructor=y"));
  assert.deepEqual(Object.entries(config.metadata), [["__proto__", "x"], ["constructor", "y"]]);
});

Deno.test("a password is never shown", () => {
  const refusal = (text: string) => {
    try {
      return parseConfig(file(text)).warnings.join();
    } catch (error) {
      return String(error);
    }
  };
  for (const text of ["etcd_password=secret", "etcd_password secret", "etcd_password=x#secret\netcd_username=u"]) {
    const said = refusal(text);
    assert.match(said, /fleet\.conf:1/);
    assert.doesNotMatch(said, /secret/);
  }
});

Deno.test("no file and no environment make anything but ConfigError", () => {
  const names = ["verbosity", "etcd_servers", "metadata", "agent_ttl", "token_limit", "registry", "nonsense"];
  const piece = fc.constantFrom(
    ...names,
    "=",
    '"',
    "'",
    "#",
    ";",
    "\\",
    "\n",
    "\r\n",
    "[",
    "]",
    " ",
    "1",
    "s",
    "http://a",
    ",",
  );
  let read = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.constantFrom(...names), fc.string(), (pieces, name, value) => {
      try {
        parseConfig({ file: { path: "f", text: pieces.join("") }, env: {} });
        read++;
        parseConfig({ env: { [`FLEET_${name.toUpperCase()}`]: value } });
      } catch (error) {
        assert(error instanceof ConfigError, `${error}`);
      }
    }),
    { numRuns: 2000 },
  );
  assert(read > 20, `only ${read} were read`);
});

Deno.test("durations are Go's", () => {
  assert.equal(parseDuration_ms("1m30s"), 90_000);
  assert.equal(parseDuration_ms("1.5h"), 5_400_000);
  assert.equal(parseDuration_ms("500ms"), 500);
  assert.equal(parseDuration_ms("0"), 0);
  assert.equal(parseDuration_ms("1s.5s1000\u00b5s1000\u03bcs1000000ns"), 1_503);
  for (const wrong of ["", "s", "30", "1x", "1 s", "-1s", "1s ", "1s2", ".s", "1..5s"]) {
    assert.throws(() => parseDuration_ms(wrong), /expected a duration/, wrong);
  }
});
