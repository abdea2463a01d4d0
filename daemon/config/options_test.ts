import assert from "node:assert/strict";
import fc from "fast-check";
import "../../tests/support/property_seed.ts";
import { ConfigError } from "./fleet_conf.ts";
import { type Config, parseConfig, parseDuration_ms } from "./options.ts";

const file = (text: string) => ({ file: { path: "/etc/fleet/fleet.conf", text }, env: {} });

/** Every option: its default, a value as it is written and as it is read, and what is refused with why. */
const options: {
  readonly [Key in keyof Config]: {
    readonly name: string;
    readonly fallback: Config[Key];
    readonly text: string;
    readonly value: Config[Key];
    readonly bad?: readonly (readonly [text: string, expected: RegExp])[];
    /** Other options without which it is refused. */
    readonly needs?: string;
  };
} = {
  verbosity: {
    ...{ name: "verbosity", fallback: 0, text: "0x2", value: 2 },
    bad: [["", /whole number/], ["1.5", /whole number/], ["yes", /whole number/], ["08", /whole number/]],
  },
  logFormat: { name: "log_format", fallback: "text", text: "json", value: "json", bad: [["xml", /text or json/]] },
  metricsUnits: { name: "metrics_units", fallback: false, text: "true", value: true, bad: [["", /true or false/]] },
  registry: {
    ...{ name: "registry", fallback: "etcd", text: "embedded", value: "embedded" },
    bad: [["", /etcd or embedded/], ["Etcd", /etcd or embedded/]],
  },
  stateDirectory: {
    ...{ name: "state_directory", fallback: "/var/lib/fleet", text: "/srv", value: "/srv" },
    bad: [["srv", /absolute path/], ["", /absolute path/]],
  },
  etcdServers: {
    ...{ name: "etcd_servers", fallback: ["http://127.0.0.1:2379", "http://127.0.0.1:4001"] },
    ...{ text: '["https://a:1", "https://[::1]:2"]', value: ["https://a:1", "https://[::1]:2"] },
    bad: [
      ["", /at least one http/],
      ["a:2379", /found "a:2379"/],
      ["unix:///run/etcd", /http:\/\/HOST:PORT or https/],
      ["http://a/b", /found "http:\/\/a\/b"/],
      ["http://a:1,https://b:1", /all of them/],
    ],
  },
  etcdUsername: { name: "etcd_username", fallback: "", text: "fleet", value: "fleet" },
  etcdPassword: { name: "etcd_password", fallback: "", text: "'a#b'", value: "a#b" },
  etcdKeyfile: {
    ...{ name: "etcd_keyfile", fallback: "", text: "/k", value: "/k", needs: "etcd_certfile=/c" },
    bad: [["/k", /expected etcd_certfile too/]],
  },
  etcdCertfile: {
    ...{ name: "etcd_certfile", fallback: "", text: "/c", value: "/c", needs: "etcd_keyfile=/k" },
    bad: [["/c", /expected etcd_keyfile too/]],
  },
  etcdCafile: { name: "etcd_cafile", fallback: "", text: "/ca", value: "/ca" },
  etcdKeyPrefix: { name: "etcd_key_prefix", fallback: "/_coreos.com/fleet/", text: "/f/", value: "/f/" },
  etcdRequestTimeout_ms: {
    ...{ name: "etcd_request_timeout", fallback: 1_000, text: "2.5", value: 2_500 },
    bad: [["", /number of seconds/], ["1s", /number of seconds/], ["-1", /number of seconds/]],
  },
  engineReconcileInterval_ms: {
    ...{ name: "engine_reconcile_interval", fallback: 2_000, text: "0.5", value: 500 },
    bad: [["0", /more than 0/], ["abc", /number of seconds/], ["Infinity", /number of seconds/]],
  },
  publicIp: { name: "public_ip", fallback: "", text: "10.0.0.1", value: "10.0.0.1" },
  metadata: { name: "metadata", fallback: {}, text: "a=b,c=d", value: { a: "b", c: "d" } },
  reservedCpu_m: {
    ...{ name: "reserved_cpu", fallback: 0, text: "0.5", value: 500 },
    bad: [["one", /a number of CPUs/], ["-1", /a number of CPUs/]],
  },
  reservedMemory_bytes: {
    ...{ name: "reserved_memory", fallback: 0, text: "2G", value: 2 * 2 ** 30 },
    bad: [["2GB", /an amount of memory/], ["", /an amount of memory/]],
  },
  resources: {
    ...{ name: "resources", fallback: {}, text: "gpu=2, license=5", value: { gpu: 2, license: 5 } },
    bad: [["gpu", /expected name=number, such as gpu=1/], ["gpu=1,gpu=2", /"gpu" is named twice/]],
  },
  agentTtl_ms: {
    ...{ name: "agent_ttl", fallback: 30_000, text: "1m30s", value: 90_000 },
    bad: [["30", /missing unit in duration "30"/], ["", /a duration such as 30s/], ["0", /at least 1s/]],
  },
  massLossThreshold: {
    ...{ name: "mass_loss_threshold", fallback: 0.5, text: "0.25", value: 0.25 },
    bad: [["", /a number from 0 to 1/], ["1.1", /a number from 0 to 1/], ["half", /a number from 0 to 1/]],
  },
  massLossGrace_ms: {
    ...{ name: "mass_loss_grace", fallback: 300_000, text: "90s", value: 90_000 },
    bad: [["5", /missing unit in duration "5"/], ["500ms", /0 for none, or at least 1s/], ["500h", /at most 480h/]],
  },
  unitsDirectory: {
    ...{ name: "units_directory", fallback: "/run/fleet/units/", text: "/run/u", value: "/run/u" },
    bad: [["u", /absolute path/]],
  },
  systemdUser: { name: "systemd_user", fallback: false, text: "True", value: true, bad: [["yes", /true or false/]] },
  tokenLimit: {
    ...{ name: "token_limit", fallback: 100, text: "7", value: 7 },
    bad: [["0", /1 to 65535/], ["65536", /1 to 65535/], ["abc", /whole number/]],
  },
  disableEngine: { name: "disable_engine", fallback: false, text: "1", value: true, bad: [["", /true or false/]] },
  apiCertfile: {
    ...{ name: "api_certfile", fallback: "", text: "/c", value: "/c", needs: "api_keyfile=/k" },
    bad: [["/c", /expected api_keyfile too/]],
  },
  apiKeyfile: {
    ...{ name: "api_keyfile", fallback: "", text: "/k", value: "/k", needs: "api_certfile=/c" },
    bad: [["/k", /expected api_certfile too/]],
  },
  apiClientCafile: {
    ...{ name: "api_client_cafile", fallback: "", text: "/ca", value: "/ca" },
    ...{ needs: "api_certfile=/c\napi_keyfile=/k", bad: [["/ca", /expected api_certfile too/]] },
  },
  apiTokensFile: { name: "api_tokens_file", fallback: "", text: "/t", value: "/t" },
  apiInsecure: { name: "api_insecure", fallback: false, text: "t", value: true, bad: [["on", /true or false/]] },
  apiPeerCertfile: {
    ...{ name: "api_peer_certfile", fallback: "", text: "/c", value: "/c", needs: "api_peer_keyfile=/k" },
    bad: [["/c", /expected api_peer_keyfile too/]],
  },
  apiPeerKeyfile: {
    ...{ name: "api_peer_keyfile", fallback: "", text: "/k", value: "/k", needs: "api_peer_certfile=/c" },
    bad: [["/k", /expected api_peer_certfile too/]],
  },
  apiPeerCafile: { name: "api_peer_cafile", fallback: "", text: "/ca", value: "/ca" },
  apiPeerTokenFile: { name: "api_peer_token_file", fallback: "", text: "/t", value: "/t" },
};

Deno.test("without file and environment, fleet 1.0's defaults hold", () => {
  const { config, warnings, sources } = parseConfig({ env: { PATH: "/bin" } });
  assert.deepEqual(warnings, []);
  assert.deepEqual(config, Object.fromEntries(Object.entries(options).map(([key, { fallback }]) => [key, fallback])));
  assert.deepEqual(new Set(sources.values()), new Set(["default"]));
});

for (const [key, { name, text, value, bad = [], needs = "" }] of Object.entries(options)) {
  const variable = `FLEET_${name.toUpperCase()}`;
  /** The value of a variable, without the quotes that a line of a file may have. */
  const bare = text.replace(/^'(.*)'$/, "$1");

  Deno.test(`option ${name}: by file, by variable, and the variable wins`, () => {
    const byFile = parseConfig(file(`${name}=${text}\n${needs}`));
    assert.deepEqual(byFile.config[key as keyof Config], value);
    assert.equal(byFile.sources.get(name), "/etc/fleet/fleet.conf:1");
    const byVariable = parseConfig({ ...file(`# nothing\n${needs}`), env: { [variable]: bare } });
    assert.deepEqual(byVariable.config[key as keyof Config], value);
    assert.equal(byVariable.sources.get(name), variable);
    const other = bad.length > 0 && needs === "" ? bad[0]![0] : "/other";
    const both = parseConfig({ ...file(`${name}=${other}\n${needs}`), env: { [variable]: bare } });
    assert.deepEqual(both.config[key as keyof Config], value, "a value that is not in force is not checked");
    assert.equal(both.sources.get(name), variable);
    const changed = Object.entries(options).filter(([one, option]) => {
      return JSON.stringify(byVariable.config[one as keyof Config]) !== JSON.stringify(option.fallback);
    });
    const meant = [
      key,
      ...Object.entries(options).flatMap(([one, option]) => needs.includes(`${option.name}=`) ? [one] : []),
    ];
    assert.deepEqual(changed.map(([one]) => one).sort(), meant.sort(), "nothing else changes");
  });

  for (const [wrong, expected] of bad) {
    Deno.test(`option ${name} is not "${wrong}"`, () => {
      const quoted = wrong.includes("#") || wrong.includes(";") ? `"${wrong}"` : wrong;
      const cases = [
        { parse: () => parseConfig(file(`\n${name}=${quoted}`)), source: "/etc/fleet/fleet.conf:2" },
        { parse: () => parseConfig({ env: { [variable]: wrong } }), source: variable },
      ];
      for (const { parse, source } of cases) {
        assert.throws(parse, (error) => {
          assert.ok(error instanceof ConfigError);
          assert.equal(error.problems.length, 1, error.message);
          assert.ok(error.message.startsWith(`${source}: option ${name}`), error.message);
          assert.match(error.message, expected);
          return true;
        });
      }
    });
  }
}

Deno.test("one error names everything that cannot be used", () => {
  const text = "agent_ttl=30\nnonsense\ntoken_limit=abc\n[section]\nmore nonsense\n";
  assert.throws(() => parseConfig({ ...file(text), env: { FLEET_VERBOSITY: "x" } }), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.deepEqual(error.problems.map((problem) => problem.replace(/: .*/, "")).sort(), [
      ...["/etc/fleet/fleet.conf:1", "/etc/fleet/fleet.conf:2", "/etc/fleet/fleet.conf:3", "/etc/fleet/fleet.conf:5"],
      "FLEET_VERBOSITY",
    ]);
    return true;
  });
  assert.throws(() => parseConfig(file("etcd_keyfile=/k\napi_certfile=/c")), (error) => {
    return error instanceof ConfigError && error.problems.length === 2;
  });
});

const readings: readonly { name: string; text: string; want: Partial<Config> }[] = [
  { name: "remarks and blank lines", text: "# x\n; y\n\nverbosity=1", want: { verbosity: 1 } },
  { name: "keys in any case, spaces around =", text: "Public_IP \t=  10.0.0.1", want: { publicIp: "10.0.0.1" } },
  { name: "the last of equal keys", text: "verbosity=1\nverbosity=2", want: { verbosity: 2 } },
  { name: "double quotes", text: 'etcd_password="a#b;c"', want: { etcdPassword: "a#b;c" } },
  { name: "single quotes", text: "etcd_password='a\"b'", want: { etcdPassword: 'a"b' } },
  { name: "quotes with a remark behind", text: 'metadata="a=b" # note', want: { metadata: { a: "b" } } },
  { name: "a remark behind a bare value", text: "public_ip=10.0.0.1 # note", want: { publicIp: "10.0.0.1" } },
  { name: "quotes kept where they do not enclose all", text: 'etcd_username="a" b', want: { etcdUsername: '"a" b' } },
  {
    name: "two texts in quotes are not one",
    text: 'metadata="a=b", "c=d"',
    want: { metadata: { '"a': 'b"', '"c': 'd"' } },
  },
  {
    name: "a byte order mark, and the line ends of Windows",
    text: "\uFEFFverbosity=1\r\netcd_username=x\r\n",
    want: { verbosity: 1, etcdUsername: "x" },
  },
  { name: "no remark within a quoted value", text: "etcd_username='a ; b' ; c", want: { etcdUsername: "a ; b" } },
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

Deno.test("the warning about an unknown option names the nearest known one; about one without effect, the reason", () => {
  const { warnings } = parseConfig(file("agent_tll=30s\nenable_grpc=true\nqwertyuiop=1"));
  assert.deepEqual(warnings, [
    "Config option agent_tll is not known and is ignored (/etc/fleet/fleet.conf:1); did you mean agent_ttl? " +
    "Its default is in force: 30s",
    "Config option enable_grpc is ignored: all traffic goes through the store's watches (/etc/fleet/fleet.conf:2)",
    "Config option qwertyuiop is not known and is ignored (/etc/fleet/fleet.conf:3)",
  ]);
});

Deno.test("an option without effect that is switched off gives no warning", () => {
  const text = "enable_grpc=false\ndisable_watches=0\nverify_units=F\nauthorized_keys_file=\n";
  assert.deepEqual(parseConfig(file(text)).warnings, []);
  assert.deepEqual(parseConfig({ env: { FLEET_VERIFY_UNITS: "true", FLEET_AUTHORIZED_KEYS_FILE: "/a" } }).warnings, [
    "Config option verify_units is no longer supported - ignoring (FLEET_VERIFY_UNITS)",
    "Config option authorized_keys_file is no longer supported - ignoring (FLEET_AUTHORIZED_KEYS_FILE)",
  ]);
});

Deno.test("likely mistakes give warnings", () => {
  const cases: readonly (readonly [text: string, warnings: readonly string[]])[] = [
    ["[fleet]\nVerbosity=3", [
      "/etc/fleet/fleet.conf:2: verbosity is ignored because it is in section [fleet]: options have to be before any section",
    ]],
    ["etcd_username=u\netcd_password=ab#cd", [
      '/etc/fleet/fleet.conf:2: the value of etcd_password ends before "#": put it in quotes if the rest belongs to it',
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

Deno.test("only variables in capitals set options", () => {
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
  const servers = ["http://root:secret@a", '"http://a,https://root:s#cret,sec/ret@a"', "root:secret@a:2379"]
    .map((server) => `etcd_servers=${server}`);
  for (
    const text of [
      "etcd_password=secret",
      "etcd_password secret",
      "etcd_password=x#secret\netcd_username=u",
      ...servers,
    ]
  ) {
    const message = refusal(text);
    assert.match(message, /fleet\.conf:1/);
    assert.doesNotMatch(message, /secret/);
  }
});

Deno.test("random files and environments throw no other error than ConfigError", () => {
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

Deno.test("durations are in Go's notation", () => {
  assert.equal(parseDuration_ms("1m30s"), 90_000);
  assert.equal(parseDuration_ms("1.5h"), 5_400_000);
  assert.equal(parseDuration_ms("500ms"), 500);
  assert.equal(parseDuration_ms("0"), 0);
  assert.equal(parseDuration_ms("1s.5s1000\u00b5s1000\u03bcs1000000ns"), 1_503);
  for (const wrong of ["", "s", "30", "1x", "1 s", "-1s", "1s ", "1s2", ".s", "1..5s"]) {
    assert.throws(() => parseDuration_ms(wrong), /expected a duration/, wrong);
  }
});
