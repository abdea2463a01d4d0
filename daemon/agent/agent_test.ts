import assert from "node:assert/strict";
import type { MachineRecord, MachineView, Unit, UnitName, UnitState } from "../../registry/model.ts";
import { type Membership, type Registry, StoreUnavailableError } from "../../registry/mod.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import { FakeMachine, FakeSystemd } from "../../systemd/testing/fake_systemd.ts";
import type { Job } from "../../systemd/port.ts";
import { parseUnitFile, serializeUnitFile } from "../../systemd/unit_file.ts";
import { hashUnitFile } from "../../systemd/unit_hash.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { Agent } from "./agent.ts";
import { drainAlone } from "./drain.ts";
import type { Intent, IntentMemory } from "./command.ts";

const id = "a".repeat(32);
const daemonText = "[Service]\nExecStart=/bin/sleep infinity\n";
const otherText = "[Service]\nExecStart=/bin/sleep 1000\n";
const oneshotText = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
const failingText = "[Service]\nExecStart=/bin/false\n";

/** A systemd that runs stop jobs of some units without stopping them, as when a mount is busy. */
class StubbornSystemd extends FakeSystemd {
  readonly unstoppable = new Set<UnitName>();
  /** Units that something else starts as soon as they have been stopped. */
  readonly startedBehind = new Set<UnitName>();
  stops = 0;

  override async stop(name: UnitName): Promise<Job> {
    if (!this.unstoppable.has(name)) {
      const job = await super.stop(name);
      const done = job.done.then(async (result) => {
        if (this.startedBehind.delete(name)) await (await this.start(name)).done;
        return result;
      });
      return { unit: name, done };
    }
    this.stops++;
    return { unit: name, done: Promise.resolve("failed") };
  }
}

/** One machine with everything around its agent; the agent may be ended and another begun. */
class Bench {
  readonly machine = new FakeMachine();
  readonly clock = new ManualClock();
  readonly intents = new Map<UnitName, Intent>();
  readonly said: string[] = [];
  readonly texts = new Map<string, string>();
  /** Hashes of files that the store was asked for. */
  readonly reads: string[] = [];
  /** What comes of asking the store for a file while it is away. */
  away: (() => Promise<string | undefined>) | undefined;
  /** Units whose intents cannot be written. */
  readonly unforgettable = new Set<UnitName>();
  /** Units whose intents take their time to be written. */
  readonly slow = new Set<UnitName>();
  published: ReadonlyMap<UnitName, UnitState> = new Map();
  /** Called in the midst of each look. */
  looking = () => {};
  #revision = 1;
  #view: MachineView | undefined;
  #ring = () => {};
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  agent!: Agent;
  systemd!: StubbornSystemd;

  /** Says what is assigned: unit, file, desired state, restart. */
  assign(...units: readonly (readonly [UnitName, string, "loaded" | "launched", number?])[]): void {
    const assignments = new Map(units.map(([unit, text, desiredState, restart = 0]) => {
      const hash = this.#keep(text);
      return [unit, { unit, machine: id, hash, desiredState, restart, revision: 1 }];
    }));
    this.#show({ assignments, unreadable: new Set() });
  }

  /** Asks for a start of every assigned unit where it does not run. */
  askForStart(restart: number): void {
    this.#show({
      assignments: new Map([...this.#view!.assignments].map(([name, orders]) => {
        return [name, { ...orders, restart, startOnly: true }];
      })),
    });
  }

  /** Assigns one unit more, whose file is whatever the store has under a hash. */
  assignHash(unit: UnitName, hash: string): void {
    const orders = { unit, machine: id, hash, desiredState: "launched", restart: 0, revision: 1 } as const;
    this.#show({ assignments: new Map([...this.#view!.assignments, [unit, orders]]) });
  }

  globals(...units: readonly (readonly [UnitName, string])[]): void {
    const globals = new Map(units.map(([name, text]) => {
      const fleetOptions = parseUnitFile(text);
      const requirements = parseRequirements(name, fleetOptions);
      const hash = this.#keep(text);
      const unit: Unit = {
        ...{ name, hash, fleetOptions, requirements, desiredState: "launched" },
        ...{ restart: 0, launchedAt: 1, revision: 1 },
      };
      return [name, unit];
    }));
    this.#show({ globals });
  }

  /** Of these units nothing that the store holds can be read; it is readable of all others. */
  unreadable(...names: readonly UnitName[]): void {
    this.#show({
      assignments: new Map([...this.#view!.assignments].filter(([name]) => !names.includes(name))),
      globals: new Map([...this.#view!.globals].filter(([name]) => !names.includes(name))),
      unreadable: new Set(names),
    });
  }

  #keep(text: string): string {
    const serialized = serializeUnitFile(parseUnitFile(text));
    const hash = hashUnitFile(serialized);
    this.texts.set(hash, serialized);
    return hash;
  }

  #show(change: Partial<MachineView>): void {
    const empty = { assignments: new Map(), globals: new Map(), unreadable: new Set<UnitName>(), dynamicMetadata: {} };
    const before = this.#view ?? { ...empty, id: "store", epoch: 1, machine: id };
    this.#view = { ...before, ...change, revision: ++this.#revision };
    this.#ring();
  }

  async *#watch(signal: AbortSignal): AsyncIterable<MachineView> {
    let seen: MachineView | undefined;
    while (!signal.aborted) {
      if (this.#view && this.#view !== seen) yield seen = this.#view;
      else {
        await new Promise<void>((resolve) => {
          this.#ring = resolve;
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    }
  }

  get memory(): IntentMemory {
    return {
      load: () => Promise.resolve(new Map(this.intents)),
      save: async (unit, intent) => {
        if (this.unforgettable.has(unit)) throw new Error(`cannot write the intent of ${unit}`);
        if (this.slow.has(unit)) await new Promise((resolve) => setTimeout(resolve, 0));
        this.intents.set(unit, intent);
      },
      forget: (unit) => Promise.resolve(void this.intents.delete(unit)),
    };
  }

  begin(): void {
    const { memory } = this;
    const record: MachineRecord = {
      ...{ id, ip: "", incarnation: "1", staticMetadata: { role: "web" }, version: "2" },
      capabilities: { disableEngine: false },
    };
    this.#stop = new AbortController();
    this.agent = new Agent({
      registry: {
        watchMachine: (_id: string, signal: AbortSignal) => this.#watch(signal),
        file: (hash: string) => {
          this.reads.push(hash);
          return this.away ? this.away() : Promise.resolve(this.texts.get(hash));
        },
      } as unknown as Registry,
      systemd: this.systemd = new StubbornSystemd(this.machine),
      memory,
      membership: {
        publish: (states: ReadonlyMap<UnitName, UnitState>) => Promise.resolve(void (this.published = states)),
      } as unknown as Membership,
      machine: () => record,
      clock: this.clock,
      log: (level, message, fields) => this.said.push(`${level}: ${fields?.unit ?? ""} ${message}`),
      safetyNet_ms: 60_000,
      seen: () => this.looking(),
    });
    this.#running = this.agent.run(this.#stop.signal);
  }

  /** The daemon is killed: the machine goes on. */
  async end(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  state(unit: UnitName): string {
    const state = this.published.get(unit);
    return state ? `${state.commanded} ${state.active} ${state.sub}` : "absent";
  }

  calls(member: string): number {
    return this.machine.calls.filter((call) => call.startsWith(member)).length;
  }
}

async function withBench(story: (bench: Bench) => Promise<void>): Promise<void> {
  const bench = new Bench();
  bench.begin();
  await ManualClock.settle();
  try {
    await story(bench);
  } finally {
    await bench.end();
  }
}

Deno.test("an agent does nothing before it has seen the store", () =>
  withBench(async (bench) => {
    bench.machine.files.set("old.service", daemonText);
    await ManualClock.settle();
    assert.deepEqual([...bench.machine.files.keys()], ["old.service"]);
    assert.deepEqual(bench.machine.calls.filter((call) => /Start|Stop|Disable/.test(call)), []);
  }));

Deno.test("the life of a unit: launched, stopped, launched again, gone", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "launched active running");
    bench.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "loaded inactive dead");
    bench.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "launched active running");
    bench.assign();
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "absent");
    assert.equal(bench.machine.files.size, 0);
    assert.equal(bench.intents.size, 0);
  }));

Deno.test("a changed file stops the unit, replaces the file and starts it, with at most one reload", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    const reloads = bench.machine.reloads;
    bench.assign(["a.service", otherText, "launched"]);
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "launched active running");
    assert.equal(bench.machine.files.get("a.service"), otherText);
    assert.ok(bench.machine.reloads - reloads <= 1);
    assert.equal(bench.calls("StartUnit"), 2);
  }));

Deno.test("of a unit that is not active it is told what its start came to, until there is another job", () =>
  withBench(async (bench) => {
    const job = (unit: UnitName) => bench.published.get(unit)?.job;
    bench.assign(["a.service", daemonText, "launched"], ["once.service", oneshotText, "launched"]);
    await ManualClock.settle();
    assert.deepEqual([bench.state("a.service"), job("a.service")], ["launched active running", undefined]);
    assert.deepEqual([bench.state("once.service"), job("once.service")], ["launched inactive dead", "done"]);
    bench.assign(["once.service", oneshotText, "loaded"]);
    await ManualClock.settle();
    assert.deepEqual([bench.state("once.service"), job("once.service")], ["loaded inactive dead", undefined]);
    bench.assign(["once.service", oneshotText, "launched"]);
    await ManualClock.settle();
    assert.equal(job("once.service"), "done");
    bench.assign(["once.service", `${oneshotText}# new\nExecStart=/bin/false\n`, "loaded"]);
    await ManualClock.settle();
    assert.deepEqual([bench.state("once.service"), job("once.service")], ["loaded inactive dead", undefined]);
  }));

Deno.test("a daemon that is killed and begins again repeats nothing", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"], ["once.service", oneshotText, "launched"]);
    await ManualClock.settle();
    assert.equal(bench.state("once.service"), "launched inactive dead");
    await bench.end();
    const before = bench.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call));
    bench.begin();
    await ManualClock.settle();
    assert.deepEqual(bench.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call)), before);
    assert.equal(bench.state("once.service"), "launched inactive dead");
  }));

Deno.test("what was decided while the daemon was away is done when it begins again", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "launched"]);
    await ManualClock.settle();
    await bench.end();
    bench.assign(["a.service", daemonText, "loaded"]);
    bench.begin();
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "loaded inactive dead");
    assert.equal(bench.state("b.service"), "absent");
  }));

Deno.test("a restart is done once, also across the daemon's own", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    bench.assign(["a.service", daemonText, "launched", 9]);
    await ManualClock.settle();
    assert.equal(bench.calls("RestartUnit"), 1);
    assert.equal(bench.published.get("a.service")?.restart, 9);
    await bench.end();
    bench.begin();
    await ManualClock.settle();
    assert.equal(bench.calls("RestartUnit"), 1);
  }));

/** What was done to units so far. */
const commandsOf = (bench: Bench) => bench.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call));

Deno.test("what cannot be read is left as it is, whatever it was in, until it can be read", () =>
  withBench(async (bench) => {
    const before = [
      ["runs.service", daemonText, "launched", 5],
      ["loaded.service", daemonText, "loaded"],
      ["once.service", oneshotText, "launched"],
    ] as const;
    const names = before.map(([name]) => name);
    const every = ["every.service", `${daemonText}[X-Fleet]\nGlobal=true\n`] as const;
    bench.globals(every);
    bench.assign(...before);
    await ManualClock.settle();
    const [commands, files] = [commandsOf(bench), [...bench.machine.files.keys()]];
    bench.unreadable(...names, "every.service", "absent.service");
    await ManualClock.settle();
    await bench.end();
    bench.begin();
    await ManualClock.settle();
    assert.deepEqual([commandsOf(bench), [...bench.machine.files.keys()]], [commands, files]);
    for (const name of ["runs.service", "every.service"]) assert.equal(bench.state(name), "launched active running");
    bench.globals(every);
    bench.assign(...before);
    await ManualClock.settle();
    assert.deepEqual(commandsOf(bench), commands);
    bench.assign(...before.slice(1));
    await ManualClock.settle();
    assert.equal(bench.state("runs.service"), "absent");
  }));

Deno.test("an agent that has lost its memory restarts nothing that it could not read when it began", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched", 5]);
    await ManualClock.settle();
    await bench.end();
    bench.intents.clear();
    bench.unreadable("a.service");
    const commands = commandsOf(bench);
    bench.begin();
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "launched active running");
    bench.assign(["a.service", daemonText, "launched", 5]);
    await ManualClock.settle();
    assert.deepEqual(commandsOf(bench), commands);
    assert.equal(bench.published.get("a.service")?.restart, 5);
  }));

Deno.test("a unit that is here and cannot be read keeps out the globals that it or they are against", () =>
  withBench(async (bench) => {
    const against = (text: string, names: string) => `${text}[X-Fleet]\nGlobal=true\nConflicts=${names}\n`;
    bench.globals(["every.service", against(daemonText, "")]);
    bench.assign(["job.service", `${daemonText}[X-Fleet]\nConflicts=late.service\n`, "launched"]);
    await ManualClock.settle();
    const commands = commandsOf(bench);
    bench.unreadable("job.service", "every.service", "elsewhere.service");
    bench.globals(["late.service", against(otherText, "")], ["against.service", against(otherText, "every.service")]);
    await ManualClock.settle();
    assert.deepEqual(commandsOf(bench), commands);
    // One that is not here is against nobody.
    bench.globals(["here.service", against(otherText, "elsewhere.service")]);
    await ManualClock.settle();
    assert.equal(bench.state("here.service"), "launched active running");
  }));

Deno.test("a machine that is given up is cleared of what cannot be read, too", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    bench.unreadable("a.service");
    await ManualClock.settle();
    assert.equal(await bench.agent.drain(), true);
    assert.equal(bench.machine.files.size, 0);
  }));

Deno.test("an agent that has lost its memory leaves alone what runs: no restart, and no start when it ends", () =>
  withBench(async (bench) => {
    const units = ["a.service", "b.service", "c.service"];
    bench.assign(...units.map((unit) => [unit, daemonText, "launched", 5] as const));
    await ManualClock.settle();
    await bench.end();
    bench.intents.clear();
    const before = bench.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call));
    bench.begin();
    await ManualClock.settle();
    for (const unit of units) assert.equal(bench.published.get(unit)?.restart, 5);
    bench.machine.exit("b.service", 0);
    await ManualClock.settle();
    assert.equal(bench.state("b.service"), "launched inactive dead");
    assert.deepEqual(bench.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call)), before);
    // A new desired state is carried out as ever.
    bench.assign(
      ["a.service", daemonText, "launched", 9],
      ["b.service", daemonText, "launched", 5],
      ["c.service", daemonText, "loaded", 5],
    );
    await ManualClock.settle();
    assert.equal(bench.calls("RestartUnit a.service"), 1);
    assert.equal(bench.published.get("a.service")?.restart, 9);
    assert.equal(bench.state("c.service"), "loaded inactive dead");
    await bench.end();
    bench.begin();
    await ManualClock.settle();
    assert.equal(bench.calls("RestartUnit"), 1);
    assert.equal(bench.calls("StartUnit b.service"), 1);
  }));

Deno.test("a restart is told of when systemd is through with it", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched", 5]);
    await ManualClock.settle();
    assert.equal(bench.published.get("a.service")?.restart, 5);
    bench.machine.holdJobs();
    bench.assign(["a.service", daemonText, "launched", 9]);
    await ManualClock.settle();
    assert.equal(bench.calls("RestartUnit"), 1);
    assert.equal(bench.published.get("a.service")?.restart, 5);
    bench.machine.releaseJobs();
    await ManualClock.settle();
    assert.equal(bench.calls("RestartUnit"), 1);
    assert.equal(bench.published.get("a.service")?.restart, 9);
  }));

Deno.test("one unit's failure holds up no other, is told, and is tried again later", () =>
  withBench(async (bench) => {
    bench.machine.failNext("start", "a.service");
    bench.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "launched"]);
    await ManualClock.settle();
    assert.equal(bench.state("b.service"), "launched active running");
    assert.equal(bench.state("a.service"), "loaded inactive dead");
    assert.match(bench.published.get("a.service")?.error ?? "", /a\.service/);
    bench.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "launched active running");
    assert.equal(bench.published.get("a.service")?.error, undefined);
  }));

Deno.test("a unit whose file cannot be put in place is told of", () =>
  withBench(async (bench) => {
    bench.machine.failNext("link", "a.service");
    bench.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "inactive inactive dead");
    assert.match(bench.published.get("a.service")?.error ?? "", /a\.service/);
  }));

Deno.test("a unit that fails to run stays launched: starting it again is systemd's business", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", failingText, "launched"]);
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "launched failed failed");
    assert.equal(bench.published.get("a.service")?.result, "exit-code");
    bench.clock.advance(120_000);
    await ManualClock.settle();
    assert.equal(bench.calls("StartUnit"), 1);
  }));

Deno.test("a global runs where metadata and the units here allow it", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"]);
    bench.globals(
      ["yes.service", `${daemonText}[X-Fleet]\nGlobal=true\nMachineMetadata=role=web\n`],
      ["elsewhere.service", `${daemonText}[X-Fleet]\nGlobal=true\nMachineMetadata=role=db\n`],
      ["rival.service", `${daemonText}[X-Fleet]\nGlobal=true\nConflicts=a.service\n`],
    );
    await ManualClock.settle();
    assert.equal(bench.state("yes.service"), "launched active running");
    assert.equal(bench.state("elsewhere.service"), "absent");
    assert.equal(bench.state("rival.service"), "absent");
    bench.assign();
    await ManualClock.settle();
    assert.equal(bench.state("rival.service"), "launched active running");
  }));

Deno.test("draining takes everything off the machine", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    const drained = bench.agent.drain();
    await ManualClock.settle();
    assert.equal(await drained, true);
    assert.equal(bench.machine.files.size, 0);
    assert.equal(bench.intents.size, 0);
  }));

Deno.test("whoever waits for a machine to be empty hears that its agent has ended before", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    bench.systemd.unstoppable.add("a.service");
    const heard: boolean[] = [];
    void bench.agent.drain().then((isEmpty) => heard.push(isEmpty));
    await ManualClock.settle();
    assert.equal(heard.length, 0);
    await bench.end();
    void bench.agent.drain().then((isEmpty) => heard.push(isEmpty));
    await ManualClock.settle();
    assert.deepEqual(heard, [false, false]);
    assert.ok(bench.machine.files.has("a.service"));
  }));

Deno.test("a daemon that is stopped before it has joined takes off what an earlier one has left", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    await bench.end();
    const drained = drainAlone({
      systemd: new FakeSystemd(bench.machine),
      memory: bench.memory,
      clock: bench.clock,
      log: (_level, message) => bench.said.push(message),
      safetyNet_ms: 60_000,
    });
    await ManualClock.settle();
    await drained;
    assert.equal(bench.machine.files.size, 0);
    assert.equal(bench.intents.size, 0);
    assert.equal(bench.calls("StopUnit a.service"), 1);
    assert.equal(bench.state("a.service"), "launched active running", "nobody is told");
  }));

Deno.test("what must be first is started first and stopped last, whatever its name", () =>
  withBench(async (bench) => {
    const needy = `[Unit]\nAfter=z.service\n${daemonText}`;
    bench.assign(
      ["a.service", needy, "launched"],
      ["b.service", daemonText, "launched"],
      ["b.socket", "[Socket]\nListenStream=/run/b.sock\n", "launched"],
      ["z.service", daemonText, "launched"],
    );
    // However long each takes to be remembered.
    bench.slow.add("b.socket").add("z.service");
    await ManualClock.settle();
    const order = (member: string) => bench.machine.calls.filter((call) => call.startsWith(member)).join(", ");
    assert.equal(
      order("StartUnit"),
      "StartUnit b.socket replace, StartUnit z.service replace, StartUnit a.service replace, StartUnit b.service replace",
    );
    for (const unit of ["a.service", "b.service", "z.service"]) bench.slow.add(unit);
    bench.assign();
    await ManualClock.settle();
    assert.equal(
      order("StopUnit"),
      "StopUnit b.service replace, StopUnit a.service replace, StopUnit z.service replace, StopUnit b.socket replace",
    );
  }));

Deno.test("files are in place and read before anything is stopped or started", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    const before = bench.machine.calls.length;
    const enabled = `${otherText}[Install]\nWantedBy=multi-user.target\n`;
    bench.assign(["a.service", daemonText, "loaded"], ["b.service", enabled, "launched"]);
    await ManualClock.settle();
    const told = /^(LinkUnitFiles|Reload|StopUnit|StartUnit)( [^ ]*)?/;
    assert.deepEqual(bench.machine.calls.slice(before).flatMap((call) => told.exec(call)?.[0] ?? []), [
      "LinkUnitFiles b.service", // Before the old file is removed: only a link of fleet's is removed with it.
      "LinkUnitFiles b.service",
      "Reload",
      "StopUnit a.service",
      "StartUnit b.service",
    ]);
  }));

Deno.test("a reload that fails holds up no stop; what it is needed for waits, and is not started from an old file", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    bench.machine.failNext("reload", "");
    const enabled = `${daemonText}[Install]\nWantedBy=multi-user.target\n`;
    bench.assign(["a.service", daemonText, "loaded"], ["b.service", enabled, "launched"]);
    await ManualClock.settle();
    assert.equal(bench.calls("StopUnit a.service"), 1);
    assert.equal(bench.calls("StartUnit b.service"), 0);
    const reloads = bench.machine.reloads;
    bench.clock.advance(1_000);
    await ManualClock.settle();
    bench.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(bench.machine.reloads - reloads, 1);
    assert.equal(bench.state("a.service"), "loaded inactive dead");
    assert.equal(bench.state("b.service"), "launched active running");
  }));

Deno.test("a command that cannot be remembered is not given, and holds up no other", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    bench.unforgettable.add("a.service").add("new.service");
    bench.assign(
      ["a.service", daemonText, "launched"],
      ["b.service", daemonText, "launched"],
      ["new.service", daemonText, "launched"],
    );
    await ManualClock.settle();
    assert.equal(bench.state("b.service"), "launched active running");
    assert.equal(bench.state("a.service"), "loaded inactive dead");
    assert.equal(bench.state("new.service"), "inactive inactive dead");
    for (const unit of ["a.service", "new.service"]) assert.match(bench.published.get(unit)!.error!, /cannot write/);
    bench.unforgettable.clear();
    bench.clock.advance(1_000);
    await ManualClock.settle();
    for (const unit of ["a.service", "new.service"]) assert.equal(bench.state(unit), "launched active running");
  }));

Deno.test("a restart that systemd refuses is told, is not taken for done, and is tried again", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched", 5]);
    await ManualClock.settle();
    bench.machine.failNext("restart", "a.service");
    bench.assign(["a.service", daemonText, "launched", 9]);
    await ManualClock.settle();
    assert.match(bench.published.get("a.service")!.error!, /cannot restart "a.service"/);
    assert.equal(bench.published.get("a.service")!.restart, 5);
    assert.equal(bench.state("a.service"), "launched active running");
    bench.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(bench.published.get("a.service")!.restart, 9);
    assert.equal(bench.published.get("a.service")!.error, undefined);
  }));

Deno.test("a service that systemd could not start says so, and is not started again", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n", "launched"]);
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "launched failed failed");
    assert.match(bench.published.get("a.service")!.error!, /start job ended with "failed"/);
    bench.clock.advance(120_000);
    await ManualClock.settle();
    assert.equal(bench.calls("StartUnit"), 1);
  }));

Deno.test("while a stop is under way nothing else is done to its unit, whatever is wanted meanwhile", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    bench.machine.holdJobs();
    bench.assign();
    await ManualClock.settle();
    bench.assign(["a.service", otherText, "launched"]);
    await ManualClock.settle();
    bench.assign(["a.service", daemonText, "launched", 9]);
    await ManualClock.settle();
    assert.deepEqual([bench.calls("StopUnit"), bench.calls("StartUnit"), bench.calls("RestartUnit")], [1, 1, 0]);
    bench.machine.releaseJobs();
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "launched active running");
    assert.deepEqual([bench.calls("StopUnit"), bench.calls("StartUnit"), bench.calls("RestartUnit")], [1, 2, 0]);
    assert.equal(bench.published.get("a.service")!.restart, 9, "its start is its restart");
  }));

Deno.test("a file that cannot be taken away is not written over", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    bench.machine.failNext("disable", "a.service");
    bench.assign(["a.service", otherText, "launched"]);
    await ManualClock.settle();
    assert.equal(bench.machine.files.get("a.service"), daemonText);
    assert.equal(bench.calls("StartUnit"), 0);
    assert.match(bench.published.get("a.service")!.error!, /cannot disable "a.service"/);
    bench.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(bench.machine.files.get("a.service"), otherText);
    assert.equal(bench.state("a.service"), "launched active running");
    assert.equal(bench.published.get("a.service")!.error, undefined);
  }));

Deno.test("files that somebody else has taken away or changed are put right when the directory is looked at again", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    bench.machine.files.delete("a.service");
    bench.machine.files.set("b.service", otherText);
    bench.clock.advance(60_000);
    await ManualClock.settle();
    assert.deepEqual([...bench.machine.files].sort(), [["a.service", daemonText], ["b.service", daemonText]]);
    assert.equal(bench.state("a.service"), "launched active running");
    assert.equal(bench.calls("StopUnit a.service") + bench.calls("RestartUnit a.service"), 0);
  }));

Deno.test("a stop that does not stop is told, and is given again later, not at once", () =>
  withBench(async (bench) => {
    bench.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "launched"]);
    await ManualClock.settle();
    bench.systemd.unstoppable.add("mnt.mount");
    bench.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "loaded"]);
    await ManualClock.settle();
    assert.match(
      bench.published.get("mnt.mount")!.error!,
      /active \(mounted\) after a stop job that ended with "failed"/,
    );
    assert.equal(bench.systemd.stops, 1);
    bench.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(bench.systemd.stops, 2);
    bench.systemd.unstoppable.clear();
    bench.clock.advance(2_000);
    await ManualClock.settle();
    assert.equal(bench.state("mnt.mount"), "loaded inactive dead");
    assert.equal(bench.published.get("mnt.mount")!.error, undefined);
  }));

Deno.test("a try that falls due while the agent looks is not put off", () =>
  withBench(async (bench) => {
    bench.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "launched"]);
    await ManualClock.settle();
    bench.systemd.unstoppable.add("mnt.mount");
    bench.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "loaded"]);
    await ManualClock.settle();
    bench.clock.advance(999);
    bench.looking = () => {
      bench.looking = () => {};
      bench.clock.advance(2);
    };
    bench.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "loaded"]);
    await ManualClock.settle();
    assert.equal(bench.systemd.stops, 1);
    bench.clock.advance(1);
    await ManualClock.settle();
    assert.equal(bench.systemd.stops, 2);
  }));

Deno.test("a unit that is wanted loaded and that its socket starts again is left alone, and has no error", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    bench.machine.holdJobs();
    bench.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    bench.systemd.startedBehind.add("a.service");
    bench.machine.releaseJobs();
    await ManualClock.settle();
    bench.clock.advance(60_000);
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "loaded active running");
    assert.equal(bench.published.get("a.service")!.error, undefined);
    assert.equal(bench.calls("StopUnit"), 1);
    // It goes all the same when it is to go.
    bench.assign();
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "absent");
  }));

Deno.test("what an earlier daemon has left undone: a reload, and memories of units that are gone", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    await bench.end();
    bench.machine.files.set("a.service", otherText);
    bench.intents.set("gone.service", { did: "start", done: true, invocation: "", restart: 0 });
    const reloads = bench.machine.reloads;
    bench.assign(["a.service", otherText, "launched"]);
    bench.begin();
    await ManualClock.settle();
    assert.equal(bench.machine.reloads - reloads, 1);
    assert.deepEqual([...bench.intents.keys()], ["a.service"]);
  }));

Deno.test("a unit that systemd will not stop says so while it runs", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    bench.machine.failNext("stop", "a.service");
    bench.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "launched active running");
    assert.match(bench.published.get("a.service")!.error!, /cannot stop "a.service"/);
  }));

Deno.test("a stored file that cannot be read is its own unit's trouble", () =>
  withBench(async (bench) => {
    bench.texts.set("f".repeat(40), "[Service\nExecStart=/bin/sleep infinity\n");
    bench.globals(["g.service", `${daemonText}[X-Fleet]\nGlobal=true\n`]);
    bench.assign(["b.service", daemonText, "launched"]);
    bench.assignHash("broken.service", "f".repeat(40));
    await ManualClock.settle();
    for (const unit of ["b.service", "g.service"]) assert.equal(bench.state(unit), "launched active running");
  }));

const refused = () => Promise.reject(new StoreUnavailableError("http://e:2379 did not answer"));

Deno.test("while the store is away, failed units are tried again and units are removed", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"], ["b.service", otherText, "launched"]);
    await ManualClock.settle();
    bench.away = refused;
    bench.machine.failNext("start", "b.service");
    bench.machine.failNext("stop", "a.service");
    bench.assign(["b.service", otherText, "launched", 2]);
    await ManualClock.settle();
    bench.clock.advance(60_000);
    await ManualClock.settle();
    assert.equal(bench.state("a.service"), "absent");
    assert.equal(bench.state("b.service"), "launched active running");
    assert.deepEqual(bench.said.filter((line) => /trying again|did not answer/.test(line)), []);
  }));

for (
  const [how, away] of [["refuses", refused], ["does not answer", () => new Promise<undefined>(() => {})]] as const
) {
  Deno.test(`a unit whose file is missing because the store ${how} fails alone, and starts when the file comes`, () =>
    withBench(async (bench) => {
      bench.assign(["a.service", daemonText, "launched"]);
      await ManualClock.settle();
      bench.away = away;
      bench.assign(["a.service", oneshotText, "launched"], ["b.service", daemonText, "launched"], [
        "c.service",
        otherText,
        "launched",
      ]);
      await ManualClock.settle();
      bench.clock.advance(250);
      await ManualClock.settle();
      assert.equal(bench.state("b.service"), "launched active running", "its file was known");
      assert.equal(bench.state("c.service"), "inactive inactive dead");
      assert.match(
        bench.published.get("c.service")!.error!,
        /unit file [0-9a-f]{40} (from|has not come from) the store/,
      );
      assert.equal(bench.state("a.service"), "launched active running", "the old version runs on");
      assert.equal(bench.machine.files.get("a.service"), daemonText);
      if (how === "does not answer") return;
      for (let second = 0; second < 20; second++) {
        bench.clock.advance(1_000);
        await ManualClock.settle();
      }
      assert.equal(bench.said.filter((line) => line.includes("c.service")).length, 1, bench.said.join("\n"));
      bench.away = undefined;
      bench.clock.advance(1_000);
      await ManualClock.settle();
      assert.equal(bench.state("c.service"), "launched active running");
      assert.equal(bench.machine.files.get("a.service"), oneshotText);
    }));
}

Deno.test("files that are on the machine already are not read from the store, and none is read twice", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    bench.assign(["a.service", daemonText, "launched"], ["b.service", otherText, "launched"]);
    await ManualClock.settle();
    assert.equal(bench.reads.length, 2);
    await bench.end();
    bench.begin();
    await ManualClock.settle();
    assert.equal(bench.state("b.service"), "launched active running");
    assert.equal(bench.reads.length, 2);
  }));

Deno.test("a socket that could not be started is tried again: later, or together with what it has lacked", () =>
  withBench(async (bench) => {
    bench.assign(["b.socket", "[Socket]\nListenStream=/run/b.sock\n", "launched"]);
    await ManualClock.settle();
    assert.equal(bench.state("b.socket"), "loaded inactive dead");
    assert.match(bench.published.get("b.socket")!.error!, /start job ended with "failed"/);
    bench.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(bench.calls("StartUnit b.socket"), 2);
    bench.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(bench.calls("StartUnit b.socket"), 2, "each time later");
    const before = bench.machine.calls.length;
    bench.assign(
      ["b.socket", "[Socket]\nListenStream=/run/b.sock\n", "launched"],
      ["b.service", daemonText, "launched"],
    );
    await ManualClock.settle();
    const starts = bench.machine.calls.slice(before).filter((call) => call.startsWith("StartUnit"));
    assert.deepEqual(starts, ["StartUnit b.socket replace", "StartUnit b.service replace"]);
    assert.equal(bench.state("b.socket"), "launched active listening");
    assert.equal(bench.published.get("b.socket")!.error, undefined);
  }));

const sidekickText = `[Unit]\nBindsTo=web@%i.service\n${daemonText}`;

Deno.test("a unit that systemd stops together with a replaced one is started again when that is active", () =>
  withBench(async (bench) => {
    bench.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", daemonText, "launched"]);
    await ManualClock.settle();
    bench.machine.holdJobs();
    bench.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", otherText, "launched"]);
    await ManualClock.settle();
    // What systemd does to the bound unit.
    bench.machine.exit("side@1.service", 0);
    await ManualClock.settle();
    assert.equal(bench.state("side@1.service"), "loaded inactive dead");
    assert.equal(
      bench.published.get("side@1.service")?.error,
      "systemd stopped it together with Unit(web@1.service); it is started again when that unit is active",
    );
    // The one who waits is known to the next daemon as well.
    await bench.end();
    bench.begin();
    await ManualClock.settle();
    const before = commandsOf(bench).length;
    bench.machine.releaseJobs();
    await ManualClock.settle();
    for (const unit of ["web@1.service", "side@1.service"]) assert.equal(bench.state(unit), "launched active running");
    assert.equal(bench.published.get("side@1.service")?.error, undefined);
    const starts = commandsOf(bench).slice(before).filter((call) => call.startsWith("Start"));
    assert.deepEqual(starts, ["StartUnit web@1.service replace", "StartUnit side@1.service replace"]);
  }));

Deno.test("a unit that systemd stopped together with another waits while that is to be stopped, unless it is asked for", () =>
  withBench(async (bench) => {
    bench.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", daemonText, "launched"]);
    await ManualClock.settle();
    bench.machine.holdJobs();
    bench.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", daemonText, "loaded"]);
    await ManualClock.settle();
    bench.machine.exit("side@1.service", 0);
    bench.machine.releaseJobs();
    await ManualClock.settle();
    assert.equal(bench.state("side@1.service"), "loaded inactive dead");
    bench.assign(["side@1.service", sidekickText, "launched", 7], ["web@1.service", daemonText, "loaded"]);
    await ManualClock.settle();
    assert.equal(bench.state("side@1.service"), "launched active running");
  }));

Deno.test("a unit that a failed restart has brought down is started again when the other unit is active", () =>
  withBench(async (bench) => {
    const webText = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep infinity\n";
    const units = (restart: number) =>
      [["side@1.service", sidekickText, "launched"], ["web@1.service", webText, "launched", restart]] as const;
    bench.assign(...units(0));
    await ManualClock.settle();
    bench.machine.exit("web@1.service", 0);
    await ManualClock.settle();
    bench.assign(...units(5));
    await ManualClock.settle();
    // The restarted unit fails, and systemd takes its sidekick down.
    bench.machine.exit("web@1.service", 1);
    bench.machine.exit("side@1.service", 0);
    await ManualClock.settle();
    assert.equal(bench.state("side@1.service"), "loaded inactive dead");
    bench.assign(...units(6));
    await ManualClock.settle();
    bench.machine.exit("web@1.service", 0);
    await ManualClock.settle();
    assert.equal(bench.state("side@1.service"), "launched active running");
  }));

Deno.test("a loaded unit that something else has started is stopped once when that is asked for", () =>
  withBench(async (bench) => {
    const wanting = `[Unit]\nWants=b.service\n${daemonText}`;
    bench.assign(["a.service", wanting, "loaded"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    bench.assign(["a.service", wanting, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    assert.equal(bench.state("b.service"), "loaded active running");
    bench.assign(["a.service", wanting, "launched"], ["b.service", daemonText, "loaded", 8]);
    await ManualClock.settle();
    assert.equal(bench.state("b.service"), "loaded inactive dead");
    assert.equal(bench.published.get("b.service")?.restart, 8);
    await (await bench.systemd.start("b.service")).done;
    await ManualClock.settle();
    assert.equal(bench.state("b.service"), "loaded active running", "it is asked for once");
  }));

Deno.test("what is only loaded has nothing to stop for requests that are older", () =>
  withBench(async (bench) => {
    bench.assign(["b.service", daemonText, "loaded", 8]);
    await ManualClock.settle();
    assert.equal(bench.published.get("b.service")?.restart, 8);
    assert.equal(bench.calls("StopUnit"), 0);
  }));

Deno.test("a start that is asked for starts what does not run, and leaves alone what runs", () =>
  withBench(async (bench) => {
    bench.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "launched"]);
    await ManualClock.settle();
    bench.machine.exit("b.service", 1);
    await ManualClock.settle();
    assert.equal(bench.state("b.service"), "launched failed failed");
    bench.askForStart(9);
    await ManualClock.settle();
    for (const unit of ["a.service", "b.service"]) {
      assert.equal(bench.state(unit), "launched active running");
      assert.equal(bench.published.get(unit)?.restart, 9);
    }
    assert.equal(bench.calls("RestartUnit"), 0);
    assert.equal(bench.calls("StopUnit"), 0);
  }));
