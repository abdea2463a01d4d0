/** Quadlet files over an in-memory systemd, whose generator makes services when systemd reloads. */

import assert from "node:assert/strict";
import { type Job, nameTaken, noQuadlet, quadletMissing, quadletRefused, SystemdError } from "../port.ts";
import type { SystemdChange, UnitStatus } from "../port.ts";
import { optionsOf } from "../unit_file.ts";
import type { UnitDirectory } from "../unit_directory.ts";
import { generatedService } from "../unit_quadlet.ts";
import { type GeneratingSystemd, QuadletSystemd } from "./client.ts";

/** A directory in memory. */
class FakeDirectory implements UnitDirectory {
  readonly path = "/run/containers/systemd/fleet";
  readonly texts = new Map<string, string>();
  names = () => Promise.resolve([...this.texts.keys()]);
  list = () => Promise.resolve(new Map(this.texts));
  write = (name: string, text: string) => {
    const isNew = this.texts.get(name) !== text;
    this.texts.set(name, text);
    return Promise.resolve(isNew);
  };
  remove = (name: string) => Promise.resolve(void this.texts.delete(name));
  exists = () => Promise.resolve(this.texts.size > 0);
}

/** A machine with podman, and the calls that its systemd got. */
class FakeMachine implements GeneratingSystemd {
  readonly directory = new FakeDirectory();
  readonly plain = new Map<string, string>();
  /** Services that the generator has made at the latest reload. */
  readonly generated = new Set<string>();
  readonly foreign = new Map<string, SystemdError>();
  readonly problems = new Map<string, string>();
  readonly tracked = new Set<string>();
  readonly calls: string[] = [];
  /** Files that podman cannot parse: while there is one, it makes no service of any file. */
  readonly unparsable = new Set<string>();
  hasPodman = true;
  /** ActiveState of every unit. */
  active = "active";
  changes: SystemdChange[] = [];

  open(): QuadletSystemd {
    const generator = {
      exists: () => this.hasPodman,
      problems: () => this.hasPodman ? Promise.resolve(this.problems) : Promise.reject(new Error("no such program")),
    };
    return new QuadletSystemd({ systemd: this, directory: this.directory, generator });
  }

  files = () => Promise.resolve(new Map(this.plain));
  install = (files: ReadonlyMap<string, string>) => {
    for (const [name, text] of files) this.plain.set(name, text);
    return Promise.resolve(new Map());
  };
  uninstall = (names: ReadonlySet<string>) => {
    for (const name of names) this.plain.delete(name);
    return Promise.resolve(new Map());
  };
  check = () => Promise.resolve(new Map());
  loadProblems = (name: string) => Promise.resolve([`problem of ${name}`]);
  reloadIfNeeded = () => Promise.resolve(false);
  reload = () => {
    this.calls.push("reload");
    this.generated.clear();
    if (!this.hasPodman || this.directory.texts.keys().some((name) => this.unparsable.has(name))) {
      return Promise.resolve();
    }
    for (const [name, text] of this.directory.texts) this.generated.add(generatedService(name, optionsOf(text)));
    return Promise.resolve();
  };
  #job(verb: string, unit: string): Promise<Job> {
    this.calls.push(`${verb} ${unit}`);
    return Promise.resolve({ unit, done: Promise.resolve("done") });
  }
  start = (name: string) => this.#job("start", name);
  stop = (name: string) => this.#job("stop", name);
  restart = (name: string) => this.#job("restart", name);
  runAs = (name: string, argv: readonly string[]) =>
    Promise.resolve(void this.calls.push(`as ${name} ${argv.join(" ")}`));
  kill = (name: string) => Promise.resolve(void this.calls.push(`kill ${name}`));
  resetFailed = (name: string) => Promise.resolve(void this.calls.push(`reset ${name}`));
  statuses = (names: ReadonlySet<string>) =>
    Promise.resolve(
      new Map([...names].map((name): [string, UnitStatus] => {
        const load = this.generated.has(name) || this.plain.has(name) ? "loaded" : "not-found";
        return [name, {
          name,
          load,
          active: this.active,
          sub: "running",
          result: "success",
          invocation: "a",
          since_ms: 1,
        }];
      })),
    );
  async *watch() {
    yield* this.changes;
  }
  ready = () => Promise.resolve();
  ownJob = () => Promise.resolve(undefined);
  close = () => Promise.resolve();
  track = (names: Iterable<string>) => {
    for (const name of names) this.tracked.add(name);
  };
  untrack = (name: string) => void this.tracked.delete(name);
  foreignUnits = () => Promise.resolve(this.foreign);
}

const web = "[Container]\nImage=web\n";
const codes = (failures: ReadonlyMap<string, SystemdError>) => [...failures].map(([name, { code }]) => [name, code]);

Deno.test("a Quadlet file is installed by a reload, and its service stands for it", async () => {
  const machine = new FakeMachine();
  const systemd = machine.open();
  assert.deepEqual(await systemd.install(new Map([["web.container", web], ["a.service", "[Service]\n"]])), new Map());
  assert.deepEqual([[...machine.directory.texts.keys()], [...machine.plain.keys()]], [["web.container"], [
    "a.service",
  ]]);
  assert.equal(await systemd.reloadIfNeeded(), true);
  assert.equal(await systemd.reloadIfNeeded(), false, "one reload is enough");
  assert.equal((await systemd.start("web.container")).unit, "web.container");
  await systemd.restart("a.service");
  await systemd.stop("web.container");
  await systemd.kill("web.container");
  await systemd.runAs("web.container", ["/bin/true"], 1_000);
  const calls = ["reload", "start web.service", "restart a.service", "stop web.service", "kill web.service"];
  calls.push("as web.service /bin/true");
  assert.deepEqual(machine.calls, calls);
  const status = (await systemd.statuses(new Set(["web.container", "a.service"]))).get("web.container");
  assert.deepEqual([status?.name, status?.load], ["web.container", "loaded"]);
  assert.deepEqual([...(await systemd.files()).keys()], ["a.service", "web.container"]);
  assert.deepEqual(await systemd.loadProblems("web.container"), ["problem of web.service"]);
  assert.deepEqual([...machine.tracked], ["web.service"]);

  machine.calls.length = 0;
  assert.deepEqual(await systemd.uninstall(new Set(["web.container", "a.service"])), new Map());
  assert.deepEqual([machine.directory.texts.size, machine.plain.size, machine.tracked.size], [0, 0, 0]);
  assert.equal(await systemd.reloadIfNeeded(), true);
  assert.deepEqual(machine.calls, ["reset web.service", "reload"]);
});

Deno.test("changes of a service are reported as those of its file, too", async () => {
  const machine = new FakeMachine();
  const systemd = machine.open();
  await systemd.install(new Map([["web.container", "[Container]\nServiceName=front\n"]]));
  machine.changes = [{ units: new Set(["front.service", "a.service"]) }, { units: undefined }, {
    units: new Set(["b.service"]),
  }];
  const seen = await Array.fromAsync(systemd.watch(new AbortController().signal));
  assert.deepEqual(seen.map(({ units }) => units && [...units]), [
    ["front.service", "a.service", "web.container"],
    undefined,
    ["b.service"],
  ]);
});

Deno.test("a file of which podman makes no service is refused, and removed before systemd reloads", async () => {
  const machine = new FakeMachine();
  const systemd = machine.open();
  machine.problems.set("bad.container", "unsupported key 'Exek' in group 'Container'");
  machine.problems.set("early.container", "requested Quadlet source data.volume was not found");
  const failures = await systemd.install(
    new Map([["bad.container", web], ["early.container", web], ["web.container", web]]),
  );
  assert.deepEqual(codes(failures), [["bad.container", quadletRefused], ["early.container", quadletMissing]]);
  assert.equal(
    failures.get("bad.container")?.message,
    `cannot install "bad.container": podman makes no service of it: unsupported key 'Exek' in group 'Container'`,
  );
  assert.deepEqual([...machine.directory.texts.keys()], ["web.container"]);
});

Deno.test("a name that another unit has is refused", async () => {
  const machine = new FakeMachine();
  const systemd = machine.open();
  machine.plain.set("db.service", "[Service]\n");
  machine.foreign.set("ssh.service", new SystemdError("systemd uses /usr/lib/ssh.service", nameTaken));
  const failures = await systemd.install(
    new Map([["db.container", web], ["ssh.container", web], ["web.container", web], ["web.kube", "[Kube]\n"]]),
  );
  assert.deepEqual(codes(failures), [["db.container", nameTaken], ["ssh.container", nameTaken], [
    "web.kube",
    nameTaken,
  ]]);
  assert.equal(
    failures.get("web.kube")?.message,
    'cannot install "web.kube": web.container has the same service, web.service',
  );
  assert.deepEqual(codes(await systemd.install(new Map([["web.service", "[Service]\n"]]))), [[
    "web.service",
    nameTaken,
  ]]);
  assert.ok(!machine.plain.has("web.service"), "its link would hide the container's service");
});

Deno.test("a machine without podman refuses Quadlet files", async () => {
  const machine = new FakeMachine();
  machine.hasPodman = false;
  const systemd = machine.open();
  assert.deepEqual(codes(await systemd.install(new Map([["web.container", web]]))), [["web.container", noQuadlet]]);
  assert.deepEqual([...await systemd.files()], []);
});

Deno.test("a daemon adopts the files of an earlier one, and has systemd read them once", async () => {
  const machine = new FakeMachine();
  machine.directory.texts.set("web.container", web);
  const systemd = machine.open();
  assert.deepEqual([...(await systemd.files()).keys()], ["web.container"]);
  assert.equal(await systemd.reloadIfNeeded(), true);
  await systemd.files();
  assert.equal(await systemd.reloadIfNeeded(), false);
  assert.deepEqual([...machine.tracked], ["web.service"]);
});

Deno.test("a check makes lost services again, and reports those that are not fleet's", async () => {
  const machine = new FakeMachine();
  const systemd = machine.open();
  await systemd.install(new Map([["web.container", web]]));
  await systemd.reloadIfNeeded();
  assert.deepEqual(await systemd.check(), new Map());

  machine.generated.clear();
  machine.calls.length = 0;
  assert.deepEqual(await systemd.check(), new Map());
  assert.deepEqual(machine.calls, ["reload"]);

  machine.foreign.set("web.service", new SystemdError("systemd uses /etc/systemd/system/web.service", nameTaken));
  assert.deepEqual(codes(await systemd.check()), [["web.container", nameTaken]]);
  const status = (await systemd.statuses(new Set(["web.container"]))).get("web.container");
  assert.deepEqual([status?.load, status?.active], ["not-found", "inactive"], "the other unit's status is not fleet's");
});

Deno.test("while podman is upgraded, its containers stay fleet's", async () => {
  const machine = new FakeMachine();
  const file = "[Container]\nServiceName=front\n";
  machine.directory.texts.set("web.container", file);
  machine.generated.add("front.service");
  machine.hasPodman = false;
  const systemd = machine.open();
  assert.deepEqual(await systemd.check(), new Map());
  assert.deepEqual([...await systemd.files()], [["web.container", file]]);
  assert.equal(await systemd.reloadIfNeeded(), false, "a reload without the generator would lose the services");
  const status = (await systemd.statuses(new Set(["web.container"]))).get("web.container");
  assert.deepEqual([status?.load, status?.active], ["loaded", "active"]);
  await systemd.stop("web.container");
  assert.deepEqual(machine.calls, ["stop front.service"]);

  // Another program has reloaded systemd.
  machine.generated.clear();
  assert.deepEqual(await systemd.check(), new Map());
  machine.hasPodman = true;
  assert.deepEqual(await systemd.check(), new Map());
  assert.deepEqual([...machine.generated], ["front.service"]);
});

Deno.test("a generator that cannot be run is an error of the files, and none stays", async () => {
  const machine = new FakeMachine();
  const systemd = machine.open();
  machine.foreignUnits = () => {
    machine.hasPodman = false;
    return Promise.resolve(machine.foreign);
  };
  const failures = await systemd.install(new Map([["web.container", web]]));
  assert.deepEqual([...failures].map(([name, { code, message }]) => [name, code, message]), [
    ["web.container", "file", 'cannot install "web.container": cannot run podman\'s generator: no such program'],
  ]);
  assert.equal(machine.directory.texts.size, 0);
});

Deno.test("a file that podman cannot parse, left by a killed daemon, takes no service from others", async () => {
  const machine = new FakeMachine();
  machine.active = "inactive";
  machine.directory.texts.set("bad.container", web).set("web.container", web);
  machine.unparsable.add("bad.container");
  machine.problems.set("bad.container", "unsupported key 'Exek' in group 'Container'");
  const systemd = machine.open();
  assert.deepEqual(codes(await systemd.check()), [], "the agent installs the file again, and reports the reason");
  assert.deepEqual([...(await systemd.files()).keys()], ["web.container"]);
  assert.deepEqual([...machine.generated], ["web.service"]);
});

Deno.test("a file whose container runs is not removed, although podman no longer accepts it", async () => {
  const machine = new FakeMachine();
  machine.directory.texts.set("old.container", web);
  machine.unparsable.add("old.container");
  machine.problems.set("old.container", "unsupported key 'Old' in group 'Container'");
  const systemd = machine.open();
  assert.deepEqual(codes(await systemd.check()), [["old.container", quadletRefused]]);
  assert.deepEqual([...(await systemd.files()).keys()], ["old.container"]);
});
