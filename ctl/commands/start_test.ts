import assert from "node:assert/strict";
import { FakeApi, refusal } from "../testing/fake_api.ts";
import { type CommandResult, FakeIo, fleetctl } from "../testing/fake_terminal.ts";

const option = "Service.ExecStart=/bin/a";
const where = "454c34ef.../10.77.0.11";

/** A terminal beside which these files lie. */
function beside(files: Readonly<Record<string, string>>): FakeIo {
  const io = new FakeIo();
  for (const [path, text] of Object.entries(files)) io.files.set(path, text);
  return io;
}

const file = (program: string) => `[Service]\nExecStart=${program}\n`;

/** How a command ended, and what it changed. */
async function ran(
  api: FakeApi,
  line: string,
  io = new FakeIo(),
): Promise<CommandResult & { writes: readonly string[] }> {
  api.requests.length = 0;
  return { ...await fleetctl(api, line, io), writes: api.writes.map((write) => write.split(" {")[0]!) };
}

for (const [active, sub] of [["failed", "failed"], ["inactive", "dead"], ["activating", "auto-restart"]] as const) {
  Deno.test(`start: a launched unit that is ${active} (${sub}) is started again`, async () => {
    const api = new FakeApi();
    api.add("a.service", "launched", option);
    api.reportState("a.service", active, sub);
    api.onStart = (name) => {
      api.reportState(name, "activating", "start");
      api.reportState(name, "active", "running");
    };
    const { status, stdout, writes } = await ran(api, "start a");
    assert.deepEqual([status, stdout], [0, `Unit a.service launched on ${where}\n`]);
    assert.deepEqual(writes, ["POST /units/a.service/start"]);
  });
}

Deno.test("start: a launched unit that is started again and fails again makes it fail", async () => {
  const api = new FakeApi();
  api.add("a.service", "launched", option);
  api.reportState("a.service", "failed", "failed", "exit-code");
  api.onStart = (name) => {
    api.reportState(name, "activating", "start");
    api.reportState(name, "failed", "failed", "exit-code");
  };
  const { status, stderr } = await ran(api, "start a");
  assert.equal(status, 1);
  assert.match(stderr, /^Error waiting for units: unit a\.service failed: .*: exit-code\n/);
});

Deno.test("start: a launched unit that runs is left alone, and none is waited for with --no-block", async () => {
  const api = new FakeApi();
  for (const name of ["a.service", "b.service"]) api.add(name, "launched", option);
  api.reportState("b.service", "failed", "failed");
  api.onStart = () => {};
  const { status, stdout, stderr, writes } = await ran(api, "start --no-block a b");
  assert.deepEqual([status, stdout, stderr], [0, "Triggered unit b.service start\n", ""]);
  assert.deepEqual(writes, ["POST /units/b.service/start"]);
});

Deno.test("start: a launched unit that is still being started is waited for", async () => {
  const api = new FakeApi();
  api.add("a.service", "launched", option);
  api.reportState("a.service", "activating", "start-pre");
  const running = ran(api, "start a");
  while (!api.requests.includes("GET /events")) await new Promise((resolve) => setTimeout(resolve, 1));
  api.reportState("a.service", "active", "running");
  const { status, stdout, writes } = await running;
  assert.deepEqual([status, stdout, writes], [0, `Unit a.service launched on ${where}\n`, []]);
});

Deno.test("start: a launched global is started again where it does not run", async () => {
  const api = new FakeApi();
  api.machines = ["aa", "bb"].map((id) => ({ id: id.padEnd(32, "0") }));
  api.add("g.service", "launched", option, "X-Fleet.Global=true");
  const [first, second] = api.machines.map(({ id }) => id) as [string, string];
  const say = (machineID: string, active: string) => {
    const states = api.states.get("g.service") ?? new Map();
    states.set(machineID, { state: { name: "g.service", machineID, systemdActiveState: active } });
    api.states.set("g.service", states);
  };
  api.onStart = () => {};
  say(first, "active");
  say(second, "active");
  assert.deepEqual(await ran(api, "start g"), { status: 0, stdout: "", stderr: "", writes: [] });
  say(second, "failed");
  const { status, stdout, writes } = await ran(api, "start g");
  assert.deepEqual([status, stdout], [0, "Triggered global unit g.service start\n"]);
  assert.deepEqual(writes, ["POST /units/g.service/start"]);
  api.intercept = ({ method }) => method === "POST" ? refusal(404, "") : undefined;
  const old = await ran(api, "start g");
  assert.equal(old.status, 1);
  assert.match(old.stderr, /this server cannot start the global unit g\.service again, .* on bb000000\.\.\.\n/);
});

Deno.test("start: a server that knows no such request restarts, or stops and starts, what does not run", async () => {
  const api = new FakeApi();
  api.add("a.service", "launched", option);
  api.reportState("a.service", "failed", "failed");
  api.intercept = ({ method }, path) => method === "POST" && path.endsWith("/start") ? refusal(404, "") : undefined;
  api.onRestart = (name) => {
    api.reportState(name, "activating", "start");
    api.reportState(name, "active", "running");
  };
  const restarted = await ran(api, "start a");
  assert.deepEqual([restarted.status, restarted.writes.at(-1)], [0, "POST /units/a.service/restart"]);
  api.reportState("a.service", "failed", "failed");
  api.intercept = ({ method }) => method === "POST" ? refusal(404, "") : undefined;
  const original = await ran(api, "start a");
  assert.deepEqual([original.status, original.writes.slice(-2)], [
    0,
    ["PUT /units/a.service", "PUT /units/a.service"],
  ]);
});

Deno.test("start: where units are stopped and started, one that does not stop leaves no other stopped", async () => {
  const api = new FakeApi();
  for (const name of ["a.service", "b.service"]) {
    api.add(name, "launched", option);
    api.reportState(name, "failed", "failed");
  }
  api.intercept = ({ method }) => method === "POST" ? refusal(404, "") : undefined;
  api.onDesiredState = (name) => {
    if (name === "a.service") api.reconcile(name);
  };
  const { status, stdout, stderr, writes } = await ran(api, "start --block-attempts=1 a b");
  assert.deepEqual(writes.slice(-2).sort(), ["PUT /units/a.service", "PUT /units/b.service"]);
  assert.equal(api.units.get("b.service")?.desiredState, "launched");
  assert.deepEqual([status, stdout], [1, `Unit a.service launched on ${where}\n`]);
  assert.match(stderr, /^Error waiting for units: timed out waiting for unit b\.service to report state loaded\n$/);
});

const crashing = (api: FakeApi) => {
  api.onDesiredState = (name) => {
    api.reconcile(name);
    setTimeout(() => api.reportState(name, "failed", "failed", "exit-code"), 5);
  };
};

for (const line of ["start a", "restart a"]) {
  Deno.test(`${line}: a service that crashes right after it has become active makes it fail`, async () => {
    const api = new FakeApi();
    api.add("a.service", line === "start a" ? "inactive" : "loaded", option);
    crashing(api);
    const { status, stderr } = await ran(api, line);
    assert.equal(status, 1);
    assert.match(stderr, /unit a\.service failed: systemd reports it loaded, failed \(failed\): exit-code\n/);
  });
}

for (
  const { name, flags, options, waits } of [
    { name: "--settle", flags: "--settle=60", options: [], waits: true },
    { name: "--settle=0", flags: "--settle=0", options: [], waits: false },
    { name: "Type=notify", flags: "--settle=60", options: ["Service.Type=notify"], waits: false },
    { name: "BusName=", flags: "--settle=60", options: ["Service.BusName=org.example"], waits: false },
    { name: "Type=exec", flags: "--settle=60", options: ["Service.Type=exec"], waits: true },
  ]
) {
  Deno.test(`start: with ${name}, a service ${waits ? "has to stay active" : "is not waited for to stay active"}`, async () => {
    const api = new FakeApi();
    api.add("a.service", "inactive", option, ...options);
    const io = new FakeIo();
    const began_ms = io.now_ms();
    assert.equal((await ran(api, `start ${flags} a`, io)).status, 0);
    const took_ms = io.now_ms() - began_ms;
    assert.equal(took_ms >= 60_000, waits, `${took_ms} ms`);
  });
}

const instances = ["web@1.service", "web@2.service", "web@3.service"];

/** A cluster that runs three instances of a template, which it has. */
function webCluster(): FakeApi {
  const api = new FakeApi();
  api.add("web@.service", "inactive", option);
  for (const name of instances) api.add(name, "launched", option);
  return api;
}

/** Units that are being replaced. */
interface Seen {
  away: number;
  /** The most that were away at a time. */
  most: number;
  readonly began: string[];
}

/** Replaces instances slowly, and counts. */
function countAway(api: FakeApi, fails: ReadonlySet<string> = new Set()): Seen {
  const seen: Seen = { away: 0, most: 0, began: [] };
  api.onDesiredState = (name) => {
    if (!instances.includes(name)) return;
    seen.began.push(name);
    seen.most = Math.max(seen.most, ++seen.away);
    const unit = api.units.get(name)!;
    unit.currentState = "launched";
    api.publishUnit(name);
    api.reportState(name, "activating", "start");
    setTimeout(() => {
      seen.away--;
      if (fails.has(name)) api.reportState(name, "failed", "failed", "exit-code");
      else api.reportState(name, "active", "running");
    }, 5);
  };
  return seen;
}

const upgrade = (flags = "") => `start --replace ${flags} web@1 web@2 web@3`;

for (const [flags, most] of [["", 1], ["--max-parallel=2", 2], ["--max-parallel=3", 3], ["--no-block", 3]] as const) {
  Deno.test(`start --replace ${flags}: instances of one template are replaced ${most} at a time`, async () => {
    const api = webCluster();
    const seen = countAway(api);
    const { status } = await ran(api, upgrade(flags), beside({ "web@.service": file("/bin/b") }));
    while (seen.away > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    assert.deepEqual([status, seen.most, seen.began.sort()], [0, most, instances]);
  });
}

Deno.test("start --replace: nothing more is replaced once one has failed, and the template stays", async () => {
  const api = webCluster();
  const seen = countAway(api, new Set(["web@2.service"]));
  const { status, stderr } = await ran(api, upgrade(), beside({ "web@.service": file("/bin/b") }));
  assert.deepEqual([status, seen.began], [1, ["web@1.service", "web@2.service"]]);
  assert.match(stderr, /\nNot replaced, since web@2\.service has failed: web@3\.service\n$/);
  assert.equal(api.units.get("web@.service")?.options[0]?.value, "/bin/a");
});

Deno.test("start --replace: units of different templates are replaced at the same time", async () => {
  const api = new FakeApi();
  for (const name of ["a.service", "b.service"]) api.add(name, "launched", option);
  const { status, writes } = await ran(
    api,
    "start --replace a b",
    beside({ "a.service": file("/bin/b"), "b.service": file("/bin/b") }),
  );
  assert.equal(status, 0);
  assert.deepEqual(writes, ["PUT /units/a.service", "PUT /units/b.service"]);
});

Deno.test("start --replace: the template follows its instances, so that a new instance is like them", async () => {
  const api = webCluster();
  const io = beside({ "web@.service": file("/bin/b") });
  const { status, stdout } = await ran(api, upgrade(), io);
  assert.equal(status, 0);
  assert.match(stdout, /\nUnit web@\.service inactive\n$/);
  const scaled = await ran(api, "start web@4", io);
  assert.deepEqual([scaled.status, scaled.stderr], [0, ""]);
  assert.equal(api.units.get("web@4.service")?.options[0]?.value, "/bin/b");
  assert.equal((await ran(api, upgrade(), io)).writes.length, 0, "nothing is left to replace");
});

Deno.test("start --replace: a template follows that an interrupted command has left behind", async () => {
  const api = webCluster();
  const io = beside({ "web@.service": file("/bin/b") });
  for (const name of instances) api.units.get(name)!.options[0]!.value = "/bin/b";
  assert.deepEqual((await ran(api, upgrade(), io)).writes, ["PUT /units/web@.service"]);
});

Deno.test("load --replace: the template follows", async () => {
  const api = new FakeApi();
  api.add("web@.service", "inactive", option);
  api.add("web@1.service", "loaded", option);
  const { writes } = await ran(api, "load --replace web@1", beside({ "web@.service": file("/bin/b") }));
  assert.deepEqual(writes, ["PUT /units/web@1.service", "PUT /units/web@.service"]);
});

Deno.test("start: --timeout holds although the server does not answer why the unit waits", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.onDesiredState = () => {};
  const client = api.client.bind(api);
  api.client = () => Object.assign(client(), { explain: () => new Promise<never>(() => {}) });
  const io = new FakeIo();
  const began_ms = io.now_ms();
  const { status, stderr } = await ran(api, "start --timeout=5 a", io);
  const took_ms = io.now_ms() - began_ms;
  assert.equal(status, 1);
  assert.match(stderr, /timed out waiting for unit a\.service to report state launched\n/);
  assert.ok(took_ms >= 5000, `${took_ms} ms`);
});

Deno.test("restart: --timeout is for all units together", async () => {
  const api = new FakeApi();
  const names = Array.from({ length: 40 }, (_, index) => `u${index}.service`);
  for (const name of names) api.add(name, "launched", option);
  api.onRestart = (name) => {
    api.reportState(name, "deactivating", "stop-sigterm");
    api.reportState(name, "active", "running");
  };
  const { status, stderr } = await ran(api, `restart --timeout=20 ${names.join(" ")}`);
  assert.equal(status, 1);
  assert.match(stderr, /timed out waiting for unit u\d+\.service to become active in systemd\n/);
});

Deno.test("start: a unit that does not move is told of, again and again", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.onDesiredState = (name) => {
    api.reconcile(name);
    api.reportState(name, "activating", "start");
  };
  const { stderr } = await ran(api, "start --timeout=130 a");
  const told = stderr.split("\n").filter((line) => line.includes(" has made no progress for "));
  assert.ok(told.length >= 3, stderr);
  for (const line of told) {
    assert.match(
      line,
      /^Unit a\.service has made no progress for \d+ (s|min) and has yet to become active in systemd: systemd reports it loaded, activating \(start\)$/,
    );
  }
});

/** A cluster whose machine takes units, and whose systemd refuses every command for them. */
function refusing(error: string, load: string, active = "inactive"): FakeApi {
  const api = new FakeApi();
  const refuse = (name: string) => {
    const unit = api.units.get(name);
    if (unit) Object.assign(unit, { machineID: api.machines[0]!.id });
    api.publishUnit(name);
    api.reportRefusal(name, error, load, active);
  };
  Object.assign(api, { onDesiredState: refuse, onStart: refuse, onRestart: refuse, onStop: refuse, onDelete: refuse });
  return api;
}

for (
  const [error, load] of [["bad unit file setting", "bad-setting"], ["Unit a.service is masked", "masked"]] as const
) {
  Deno.test(`start: ends with the reason where systemd will never start the unit (${load})`, async () => {
    const api = refusing(error, load);
    api.add("a.service", "inactive", option);
    const { status, stdout, stderr } = await ran(api, "start a");
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(
      stderr,
      new RegExp(`^Error waiting for units: unit a\\.service cannot be started or stopped as it is: ${error}\\n`),
    );
    assert.equal(stderr.split(error).length, 2, "the reason is told once");
    assert.equal((await ran(api, "start a")).status, 1, "and at every try");
  });
}

for (const verb of ["stop", "destroy", "unload"]) {
  Deno.test(`${verb}: ends with the reason where systemd will never stop the unit`, async () => {
    const api = refusing("stop refused: only by dependency", "loaded", "active");
    const { onDesiredState } = api;
    api.onDesiredState = () => {};
    api.add("a.service", "launched", option);
    api.onDesiredState = onDesiredState;
    const { status, stderr } = await ran(api, `${verb} a`);
    assert.equal(status, 1);
    assert.match(stderr, /unit a\.service cannot be started or stopped as it is: stop refused: only by dependency\n/);
  });
}

Deno.test("start: an older refusal does not count if systemd starts the unit after all", async () => {
  const api = new FakeApi();
  api.add("a.service", "loaded", option);
  api.reportRefusal("a.service", "bad unit file setting", "bad-setting");
  api.onDesiredState = (name) => void setTimeout(() => api.reconcile(name), 10);
  assert.equal((await ran(api, "start a")).status, 0);
});

Deno.test("load: a unit that systemd cannot use makes it fail", async () => {
  const api = new FakeApi();
  api.add("a.service", "inactive", option);
  api.onDesiredState = (name) => {
    api.reconcile(name);
    api.reportState(name, "inactive", "dead", undefined, "bad-setting");
  };
  const { status, stderr } = await ran(api, "load a");
  assert.equal(status, 1);
  assert.match(stderr, /unit a\.service cannot be started as it is: systemd reports it bad-setting\n/);
});

Deno.test("stop: the repeated attempts of a machine are no progress", async () => {
  const api = new FakeApi();
  api.add("a.service", "launched", option);
  api.onDesiredState = () => {};
  const flapping = setInterval(() => {
    api.reportState("a.service", "deactivating", "stop-sigterm");
    api.reportState("a.service", "active", "running", "it is busy");
  }, 20);
  try {
    const { stderr } = await ran(api, "stop --timeout=20 a");
    assert.match(
      stderr,
      /^Unit a\.service: it is busy\nUnit a\.service has made no progress for 1\d s and .*: it is busy\n/,
    );
  } finally {
    clearInterval(flapping);
  }
});
