import assert from "node:assert/strict";
import { Notifier } from "../../runtime/notifier.ts";
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
import type { Intent, IntentMemory } from "./intent.ts";

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

/** An agent on a fake machine, with a fake store. The agent may be ended, and another started. */
class AgentFixture {
  readonly machine = new FakeMachine();
  readonly clock = new ManualClock();
  readonly intents = new Map<UnitName, Intent>();
  readonly logged: string[] = [];
  readonly texts = new Map<string, string>();
  /** Hashes of files that the store was asked for. */
  readonly reads: string[] = [];
  /** The answer to reads of a file while the store is away. */
  readAway: (() => Promise<string | undefined>) | undefined;
  /** Units whose intents cannot be written. */
  readonly unrecordable = new Set<UnitName>();
  /** Units whose intents are written asynchronously, in a later task. */
  readonly slow = new Set<UnitName>();
  published: ReadonlyMap<UnitName, UnitState> = new Map();
  /** Called during each look. */
  looking = () => {};
  #revision = 1;
  #view: MachineView | undefined;
  #wake = () => {};
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  agent!: Agent;
  systemd!: StubbornSystemd;

  /** Assigns exactly these units: name, file, desired state, restart. */
  assign(...units: readonly (readonly [UnitName, string, "loaded" | "launched", number?])[]): void {
    const assignments = new Map(units.map(([unit, text, desiredState, restart = 0]) => {
      const hash = this.#keep(text);
      return [unit, { unit, machine: id, hash, desiredState, restart, revision: 1 }];
    }));
    this.#show({ assignments, unreadable: new Set() });
  }

  /** Requests a start of every assigned unit. */
  requestStart(restart: number): void {
    this.#show({
      assignments: new Map([...this.#view!.assignments].map(([name, assignment]) => {
        return [name, { ...assignment, restart, startOnly: true }];
      })),
    });
  }

  /** Assigns one more unit, whose file is the store's text for a hash. */
  assignHash(unit: UnitName, hash: string): void {
    const assignment = { unit, machine: id, hash, desiredState: "launched", restart: 0, revision: 1 } as const;
    this.#show({ assignments: new Map([...this.#view!.assignments, [unit, assignment]]) });
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

  /** Makes the records of exactly these units unreadable. */
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
    const before = this.#view ?? { ...empty, id: "store", machine: id };
    this.#view = { ...before, ...change, revision: ++this.#revision };
    this.#wake();
  }

  async *#watch(signal: AbortSignal): AsyncIterable<MachineView> {
    let seen: MachineView | undefined;
    while (!signal.aborted) {
      if (this.#view && this.#view !== seen) yield seen = this.#view;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    }
  }

  get memory(): IntentMemory {
    return {
      load: () => Promise.resolve(new Map(this.intents)),
      save: async (unit, intent) => {
        if (this.unrecordable.has(unit)) throw new Error(`cannot write the intent of ${unit}`);
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
          return this.readAway ? this.readAway() : Promise.resolve(this.texts.get(hash));
        },
      } as unknown as Registry,
      systemd: this.systemd = new StubbornSystemd(this.machine),
      memory,
      membership: {
        publish: (states: ReadonlyMap<UnitName, UnitState>) => Promise.resolve(void (this.published = states)),
        ttl_ms: 30_000,
        renewedAt_ms: Infinity,
        renewals: new Notifier(),
        renewEvery: () => {},
        locks: { held: () => Promise.resolve([]) },
      } as unknown as Membership,
      machine: () => record,
      clock: this.clock,
      log: (level, message, fields) => this.logged.push(`${level}: ${fields?.unit ?? ""} ${message}`),
      safetyNet_ms: 60_000,
      seen: () => this.looking(),
    });
    this.#running = this.agent.run(this.#stop.signal);
  }

  /** Ends the agent; the machine goes on. */
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

async function withAgent(run: (fixture: AgentFixture) => Promise<void>): Promise<void> {
  const fixture = new AgentFixture();
  fixture.begin();
  await ManualClock.settle();
  try {
    await run(fixture);
  } finally {
    await fixture.end();
  }
}

Deno.test("an agent does nothing before it has a view of the store", () =>
  withAgent(async (fixture) => {
    fixture.machine.files.set("old.service", daemonText);
    await ManualClock.settle();
    assert.deepEqual([...fixture.machine.files.keys()], ["old.service"]);
    assert.deepEqual(fixture.machine.calls.filter((call) => /Start|Stop|Disable/.test(call)), []);
  }));

Deno.test("a unit is launched, stopped, launched again and removed", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    fixture.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "loaded inactive dead");
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    fixture.assign();
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "absent");
    assert.equal(fixture.machine.files.size, 0);
    assert.equal(fixture.intents.size, 0);
  }));

Deno.test("a changed file stops the unit, replaces the file and starts it, with at most one reload", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    const reloads = fixture.machine.reloads;
    fixture.assign(["a.service", otherText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    assert.equal(fixture.machine.files.get("a.service"), otherText);
    assert.ok(fixture.machine.reloads - reloads <= 1);
    assert.equal(fixture.calls("StartUnit"), 2);
  }));

Deno.test("the state of an inactive unit has the result of its start job, until there is another job", () =>
  withAgent(async (fixture) => {
    const job = (unit: UnitName) => fixture.published.get(unit)?.job;
    fixture.assign(["a.service", daemonText, "launched"], ["once.service", oneshotText, "launched"]);
    await ManualClock.settle();
    assert.deepEqual([fixture.state("a.service"), job("a.service")], ["launched active running", undefined]);
    assert.deepEqual([fixture.state("once.service"), job("once.service")], ["launched inactive dead", "done"]);
    fixture.assign(["once.service", oneshotText, "loaded"]);
    await ManualClock.settle();
    assert.deepEqual([fixture.state("once.service"), job("once.service")], ["loaded inactive dead", undefined]);
    fixture.assign(["once.service", oneshotText, "launched"]);
    await ManualClock.settle();
    assert.equal(job("once.service"), "done");
    fixture.assign(["once.service", `${oneshotText}# new\nExecStart=/bin/false\n`, "loaded"]);
    await ManualClock.settle();
    assert.deepEqual([fixture.state("once.service"), job("once.service")], ["loaded inactive dead", undefined]);
  }));

Deno.test("a daemon that is killed and started again repeats no command", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["once.service", oneshotText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("once.service"), "launched inactive dead");
    await fixture.end();
    const before = fixture.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call));
    fixture.begin();
    await ManualClock.settle();
    assert.deepEqual(fixture.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call)), before);
    assert.equal(fixture.state("once.service"), "launched inactive dead");
  }));

Deno.test("changes made while the daemon was down are carried out when it starts again", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "launched"]);
    await ManualClock.settle();
    await fixture.end();
    fixture.assign(["a.service", daemonText, "loaded"]);
    fixture.begin();
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "loaded inactive dead");
    assert.equal(fixture.state("b.service"), "absent");
  }));

Deno.test("a restart is done once, even if the daemon restarts as well", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.assign(["a.service", daemonText, "launched", 9]);
    await ManualClock.settle();
    assert.equal(fixture.calls("RestartUnit"), 1);
    assert.equal(fixture.published.get("a.service")?.restart, 9);
    await fixture.end();
    fixture.begin();
    await ManualClock.settle();
    assert.equal(fixture.calls("RestartUnit"), 1);
  }));

/** The start, stop and restart commands so far. */
const commandsOf = (fixture: AgentFixture) =>
  fixture.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call));

Deno.test("a unit whose assignment cannot be read is left alone in any state, until it can be read", () =>
  withAgent(async (fixture) => {
    const before = [
      ["runs.service", daemonText, "launched", 5],
      ["loaded.service", daemonText, "loaded"],
      ["once.service", oneshotText, "launched"],
    ] as const;
    const names = before.map(([name]) => name);
    const every = ["every.service", `${daemonText}[X-Fleet]\nGlobal=true\n`] as const;
    fixture.globals(every);
    fixture.assign(...before);
    await ManualClock.settle();
    const [commands, files] = [commandsOf(fixture), [...fixture.machine.files.keys()]];
    fixture.unreadable(...names, "every.service", "absent.service");
    await ManualClock.settle();
    await fixture.end();
    fixture.begin();
    await ManualClock.settle();
    assert.deepEqual([commandsOf(fixture), [...fixture.machine.files.keys()]], [commands, files]);
    for (const name of ["runs.service", "every.service"]) assert.equal(fixture.state(name), "launched active running");
    fixture.globals(every);
    fixture.assign(...before);
    await ManualClock.settle();
    assert.deepEqual(commandsOf(fixture), commands);
    fixture.assign(...before.slice(1));
    await ManualClock.settle();
    assert.equal(fixture.state("runs.service"), "absent");
  }));

Deno.test("an agent without a record of commands does not restart units that it could not read at its start", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched", 5]);
    await ManualClock.settle();
    await fixture.end();
    fixture.intents.clear();
    fixture.unreadable("a.service");
    const commands = commandsOf(fixture);
    fixture.begin();
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    fixture.assign(["a.service", daemonText, "launched", 5]);
    await ManualClock.settle();
    assert.deepEqual(commandsOf(fixture), commands);
    assert.equal(fixture.published.get("a.service")?.restart, 5);
  }));

Deno.test("a unit on the machine that cannot be read rules out globals that conflict with it", () =>
  withAgent(async (fixture) => {
    const globalAgainst = (text: string, names: string) => `${text}[X-Fleet]\nGlobal=true\nConflicts=${names}\n`;
    fixture.globals(["every.service", globalAgainst(daemonText, "")]);
    fixture.assign(["job.service", `${daemonText}[X-Fleet]\nConflicts=late.service\n`, "launched"]);
    await ManualClock.settle();
    const commands = commandsOf(fixture);
    fixture.unreadable("job.service", "every.service", "elsewhere.service");
    fixture.globals(["late.service", globalAgainst(otherText, "")], [
      "against.service",
      globalAgainst(otherText, "every.service"),
    ]);
    await ManualClock.settle();
    assert.deepEqual(commandsOf(fixture), commands);
    // A unit that is not on the machine conflicts with no other.
    fixture.globals(["here.service", globalAgainst(otherText, "elsewhere.service")]);
    await ManualClock.settle();
    assert.equal(fixture.state("here.service"), "launched active running");
  }));

Deno.test("draining removes units that cannot be read as well", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.unreadable("a.service");
    await ManualClock.settle();
    assert.equal(await fixture.agent.drain(), true);
    assert.equal(fixture.machine.files.size, 0);
  }));

Deno.test("an agent without a record of commands neither restarts a running unit nor starts it again when it ends", () =>
  withAgent(async (fixture) => {
    const units = ["a.service", "b.service", "c.service"];
    fixture.assign(...units.map((unit) => [unit, daemonText, "launched", 5] as const));
    await ManualClock.settle();
    await fixture.end();
    fixture.intents.clear();
    const before = fixture.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call));
    fixture.begin();
    await ManualClock.settle();
    for (const unit of units) assert.equal(fixture.published.get(unit)?.restart, 5);
    fixture.machine.exit("b.service", 0);
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "launched inactive dead");
    assert.deepEqual(fixture.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call)), before);
    // A new desired state is carried out as ever.
    fixture.assign(
      ["a.service", daemonText, "launched", 9],
      ["b.service", daemonText, "launched", 5],
      ["c.service", daemonText, "loaded", 5],
    );
    await ManualClock.settle();
    assert.equal(fixture.calls("RestartUnit a.service"), 1);
    assert.equal(fixture.published.get("a.service")?.restart, 9);
    assert.equal(fixture.state("c.service"), "loaded inactive dead");
    await fixture.end();
    fixture.begin();
    await ManualClock.settle();
    assert.equal(fixture.calls("RestartUnit"), 1);
    assert.equal(fixture.calls("StartUnit b.service"), 1);
  }));

Deno.test("a restart is reported when systemd's job has ended", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched", 5]);
    await ManualClock.settle();
    assert.equal(fixture.published.get("a.service")?.restart, 5);
    fixture.machine.holdJobs();
    fixture.assign(["a.service", daemonText, "launched", 9]);
    await ManualClock.settle();
    assert.equal(fixture.calls("RestartUnit"), 1);
    assert.equal(fixture.published.get("a.service")?.restart, 5);
    fixture.machine.releaseJobs();
    await ManualClock.settle();
    assert.equal(fixture.calls("RestartUnit"), 1);
    assert.equal(fixture.published.get("a.service")?.restart, 9);
  }));

Deno.test("one unit's failure is reported, is retried later, and delays no other unit", () =>
  withAgent(async (fixture) => {
    fixture.machine.failNext("start", "a.service");
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "launched active running");
    assert.equal(fixture.state("a.service"), "loaded inactive dead");
    assert.match(fixture.published.get("a.service")?.error ?? "", /a\.service/);
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    assert.equal(fixture.published.get("a.service")?.error, undefined);
  }));

Deno.test("a unit whose file cannot be installed is reported", () =>
  withAgent(async (fixture) => {
    fixture.machine.failNext("link", "a.service");
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "inactive inactive dead");
    assert.match(fixture.published.get("a.service")?.error ?? "", /a\.service/);
  }));

Deno.test("a unit that fails stays launched: systemd restarts it, not the agent", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", failingText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched failed failed");
    assert.equal(fixture.published.get("a.service")?.result, "exit-code");
    fixture.clock.advance(120_000);
    await ManualClock.settle();
    assert.equal(fixture.calls("StartUnit"), 1);
  }));

Deno.test("a global runs if the machine's metadata and units allow it", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    fixture.globals(
      ["yes.service", `${daemonText}[X-Fleet]\nGlobal=true\nMachineMetadata=role=web\n`],
      ["elsewhere.service", `${daemonText}[X-Fleet]\nGlobal=true\nMachineMetadata=role=db\n`],
      ["rival.service", `${daemonText}[X-Fleet]\nGlobal=true\nConflicts=a.service\n`],
    );
    await ManualClock.settle();
    assert.equal(fixture.state("yes.service"), "launched active running");
    assert.equal(fixture.state("elsewhere.service"), "absent");
    assert.equal(fixture.state("rival.service"), "absent");
    fixture.assign();
    await ManualClock.settle();
    assert.equal(fixture.state("rival.service"), "launched active running");
  }));

Deno.test("draining removes every unit from the machine", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    const drained = fixture.agent.drain();
    await ManualClock.settle();
    assert.equal(await drained, true);
    assert.equal(fixture.machine.files.size, 0);
    assert.equal(fixture.intents.size, 0);
  }));

Deno.test("a drain resolves to false if the agent ends first", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.systemd.unstoppable.add("a.service");
    const heard: boolean[] = [];
    void fixture.agent.drain().then((isEmpty) => heard.push(isEmpty));
    await ManualClock.settle();
    assert.equal(heard.length, 0);
    await fixture.end();
    void fixture.agent.drain().then((isEmpty) => heard.push(isEmpty));
    await ManualClock.settle();
    assert.deepEqual(heard, [false, false]);
    assert.ok(fixture.machine.files.has("a.service"));
  }));

Deno.test("a daemon that is stopped before it has joined removes the units that an earlier one has left", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    await fixture.end();
    const drained = drainAlone({
      systemd: new FakeSystemd(fixture.machine),
      memory: fixture.memory,
      clock: fixture.clock,
      log: (_level, message) => fixture.logged.push(message),
      safetyNet_ms: 60_000,
    });
    await ManualClock.settle();
    await drained;
    assert.equal(fixture.machine.files.size, 0);
    assert.equal(fixture.intents.size, 0);
    assert.equal(fixture.calls("StopUnit a.service"), 1);
    assert.equal(fixture.state("a.service"), "launched active running", "a state was published");
  }));

Deno.test("a unit that others are ordered after is started first and stopped last, whatever its name", () =>
  withAgent(async (fixture) => {
    const needy = `[Unit]\nAfter=z.service\n${daemonText}`;
    fixture.assign(
      ["a.service", needy, "launched"],
      ["b.service", daemonText, "launched"],
      ["b.socket", "[Socket]\nListenStream=/run/b.sock\n", "launched"],
      ["z.service", daemonText, "launched"],
    );
    // However long each takes to be recorded.
    fixture.slow.add("b.socket").add("z.service");
    await ManualClock.settle();
    const order = (member: string) => fixture.machine.calls.filter((call) => call.startsWith(member)).join(", ");
    assert.equal(
      order("StartUnit"),
      "StartUnit b.socket replace, StartUnit z.service replace, StartUnit a.service replace, StartUnit b.service replace",
    );
    for (const unit of ["a.service", "b.service", "z.service"]) fixture.slow.add(unit);
    fixture.assign();
    await ManualClock.settle();
    assert.equal(
      order("StopUnit"),
      "StopUnit b.service replace, StopUnit a.service replace, StopUnit z.service replace, StopUnit b.socket replace",
    );
  }));

Deno.test("files are installed and loaded before any unit is stopped or started", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    const before = fixture.machine.calls.length;
    const enabled = `${otherText}[Install]\nWantedBy=multi-user.target\n`;
    fixture.assign(["a.service", daemonText, "loaded"], ["b.service", enabled, "launched"]);
    await ManualClock.settle();
    const pattern = /^(LinkUnitFiles|Reload|StopUnit|StartUnit)( [^ ]*)?/;
    assert.deepEqual(fixture.machine.calls.slice(before).flatMap((call) => pattern.exec(call)?.[0] ?? []), [
      "LinkUnitFiles b.service", // Before the old file is removed: only a link of fleet's is removed with it.
      "LinkUnitFiles b.service",
      "Reload",
      "StopUnit a.service",
      "StartUnit b.service",
    ]);
  }));

Deno.test("a failed reload delays no stop; units that need it wait, and do not start from an old file", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.failNext("reload", "");
    const enabled = `${daemonText}[Install]\nWantedBy=multi-user.target\n`;
    fixture.assign(["a.service", daemonText, "loaded"], ["b.service", enabled, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.calls("StopUnit a.service"), 1);
    assert.equal(fixture.calls("StartUnit b.service"), 0);
    const reloads = fixture.machine.reloads;
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.machine.reloads - reloads, 1);
    assert.equal(fixture.state("a.service"), "loaded inactive dead");
    assert.equal(fixture.state("b.service"), "launched active running");
  }));

Deno.test("a command that cannot be recorded is not given, and delays no other", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.unrecordable.add("a.service").add("new.service");
    fixture.assign(
      ["a.service", daemonText, "launched"],
      ["b.service", daemonText, "launched"],
      ["new.service", daemonText, "launched"],
    );
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "launched active running");
    assert.equal(fixture.state("a.service"), "loaded inactive dead");
    assert.equal(fixture.state("new.service"), "inactive inactive dead");
    for (const unit of ["a.service", "new.service"]) assert.match(fixture.published.get(unit)!.error!, /cannot write/);
    fixture.unrecordable.clear();
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    for (const unit of ["a.service", "new.service"]) assert.equal(fixture.state(unit), "launched active running");
  }));

Deno.test("a restart that systemd refuses is reported, does not count as done, and is retried", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched", 5]);
    await ManualClock.settle();
    fixture.machine.failNext("restart", "a.service");
    fixture.assign(["a.service", daemonText, "launched", 9]);
    await ManualClock.settle();
    assert.match(fixture.published.get("a.service")!.error!, /cannot restart "a.service"/);
    assert.equal(fixture.published.get("a.service")!.restart, 5);
    assert.equal(fixture.state("a.service"), "launched active running");
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.published.get("a.service")!.restart, 9);
    assert.equal(fixture.published.get("a.service")!.error, undefined);
  }));

Deno.test("a service that systemd could not start has an error, and is not started again", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n", "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched failed failed");
    assert.match(fixture.published.get("a.service")!.error!, /start job ended with "failed"/);
    fixture.clock.advance(120_000);
    await ManualClock.settle();
    assert.equal(fixture.calls("StartUnit"), 1);
  }));

Deno.test("during a stop job no other command is given for its unit, whatever its desired state", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.holdJobs();
    fixture.assign();
    await ManualClock.settle();
    fixture.assign(["a.service", otherText, "launched"]);
    await ManualClock.settle();
    fixture.assign(["a.service", daemonText, "launched", 9]);
    await ManualClock.settle();
    assert.deepEqual([fixture.calls("StopUnit"), fixture.calls("StartUnit"), fixture.calls("RestartUnit")], [1, 1, 0]);
    fixture.machine.releaseJobs();
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    assert.deepEqual([fixture.calls("StopUnit"), fixture.calls("StartUnit"), fixture.calls("RestartUnit")], [1, 2, 0]);
    assert.equal(fixture.published.get("a.service")!.restart, 9, "its start is its restart");
  }));

Deno.test("a file that cannot be removed is not overwritten", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.machine.failNext("disable", "a.service");
    fixture.assign(["a.service", otherText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.machine.files.get("a.service"), daemonText);
    assert.equal(fixture.calls("StartUnit"), 0);
    assert.match(fixture.published.get("a.service")!.error!, /cannot disable "a.service"/);
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.machine.files.get("a.service"), otherText);
    assert.equal(fixture.state("a.service"), "launched active running");
    assert.equal(fixture.published.get("a.service")!.error, undefined);
  }));

Deno.test("files that something else has removed or changed are mended at the next inventory", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.machine.files.delete("a.service");
    fixture.machine.files.set("b.service", otherText);
    fixture.clock.advance(60_000);
    await ManualClock.settle();
    assert.deepEqual([...fixture.machine.files].sort(), [["a.service", daemonText], ["b.service", daemonText]]);
    assert.equal(fixture.state("a.service"), "launched active running");
    assert.equal(fixture.calls("StopUnit a.service") + fixture.calls("RestartUnit a.service"), 0);
  }));

Deno.test("after a reload by an administrator, a unit with a foreign file in the place of its link is compared again", () =>
  withAgent(async (fixture) => {
    const error = () => fixture.published.get("a.service")?.error;
    fixture.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.machine.links.delete("a.service");
    fixture.machine.blocked.add("a.service");
    fixture.clock.advance(60_000);
    await ManualClock.settle();
    assert.match(error()!, /cannot link "a\.service": .*already exists: remove that/);
    fixture.machine.blocked.delete("a.service");
    fixture.machine.systemctl("Reload");
    await ManualClock.settle();
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(error(), undefined);
    assert.ok(fixture.machine.links.has("a.service"));
  }));

Deno.test("a stop without effect is reported, and repeated with backoff", () =>
  withAgent(async (fixture) => {
    fixture.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "launched"]);
    await ManualClock.settle();
    fixture.systemd.unstoppable.add("mnt.mount");
    fixture.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "loaded"]);
    await ManualClock.settle();
    assert.match(
      fixture.published.get("mnt.mount")!.error!,
      /active \(mounted\) after a stop job that ended with "failed"/,
    );
    assert.equal(fixture.systemd.stops, 1);
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.systemd.stops, 2);
    fixture.systemd.unstoppable.clear();
    fixture.clock.advance(2_000);
    await ManualClock.settle();
    assert.equal(fixture.state("mnt.mount"), "loaded inactive dead");
    assert.equal(fixture.published.get("mnt.mount")!.error, undefined);
  }));

Deno.test("a retry that becomes due during a look is not delayed", () =>
  withAgent(async (fixture) => {
    fixture.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "launched"]);
    await ManualClock.settle();
    fixture.systemd.unstoppable.add("mnt.mount");
    fixture.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "loaded"]);
    await ManualClock.settle();
    fixture.clock.advance(999);
    fixture.looking = () => {
      fixture.looking = () => {};
      fixture.clock.advance(2);
    };
    fixture.assign(["mnt.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt\n", "loaded"]);
    await ManualClock.settle();
    assert.equal(fixture.systemd.stops, 1);
    fixture.clock.advance(1);
    await ManualClock.settle();
    assert.equal(fixture.systemd.stops, 2);
  }));

Deno.test("a loaded unit that its socket starts again is left running, and has no error", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.holdJobs();
    fixture.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.systemd.startedBehind.add("a.service");
    fixture.machine.releaseJobs();
    await ManualClock.settle();
    fixture.clock.advance(60_000);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "loaded active running");
    assert.equal(fixture.published.get("a.service")!.error, undefined);
    assert.equal(fixture.calls("StopUnit"), 1);
    // It goes all the same when it is to go.
    fixture.assign();
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "absent");
  }));

Deno.test("a new daemon makes up for a missing reload, and drops records of units that are gone", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    await fixture.end();
    fixture.machine.files.set("a.service", otherText);
    fixture.intents.set("gone.service", { did: "start", done: true, invocation: "", restart: 0 });
    const reloads = fixture.machine.reloads;
    fixture.assign(["a.service", otherText, "launched"]);
    fixture.begin();
    await ManualClock.settle();
    assert.equal(fixture.machine.reloads - reloads, 1);
    assert.deepEqual([...fixture.intents.keys()], ["a.service"]);
  }));

Deno.test("a unit that systemd does not stop has an error while it runs", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.failNext("stop", "a.service");
    fixture.assign(["a.service", daemonText, "loaded"]);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "launched active running");
    assert.match(fixture.published.get("a.service")!.error!, /cannot stop "a.service"/);
  }));

Deno.test("a stored file that cannot be read is a failure of its own unit", () =>
  withAgent(async (fixture) => {
    fixture.texts.set("f".repeat(40), "[Service\nExecStart=/bin/sleep infinity\n");
    fixture.globals(["g.service", `${daemonText}[X-Fleet]\nGlobal=true\n`]);
    fixture.assign(["b.service", daemonText, "launched"]);
    fixture.assignHash("broken.service", "f".repeat(40));
    await ManualClock.settle();
    for (const unit of ["b.service", "g.service"]) assert.equal(fixture.state(unit), "launched active running");
  }));

const refused = () => Promise.reject(new StoreUnavailableError("http://e:2379 did not answer"));

Deno.test("while the store is away, failed units are tried again and units are removed", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", otherText, "launched"]);
    await ManualClock.settle();
    fixture.readAway = refused;
    fixture.machine.failNext("start", "b.service");
    fixture.machine.failNext("stop", "a.service");
    fixture.assign(["b.service", otherText, "launched", 2]);
    await ManualClock.settle();
    fixture.clock.advance(60_000);
    await ManualClock.settle();
    assert.equal(fixture.state("a.service"), "absent");
    assert.equal(fixture.state("b.service"), "launched active running");
    assert.deepEqual(fixture.logged.filter((line) => /trying again|did not answer/.test(line)), []);
  }));

for (
  const [how, away] of [["refuses", refused], ["does not answer", () => new Promise<undefined>(() => {})]] as const
) {
  Deno.test(`a unit whose file is missing because the store ${how} fails alone, and starts when the file comes`, () =>
    withAgent(async (fixture) => {
      fixture.assign(["a.service", daemonText, "launched"]);
      await ManualClock.settle();
      fixture.readAway = away;
      fixture.assign(["a.service", oneshotText, "launched"], ["b.service", daemonText, "launched"], [
        "c.service",
        otherText,
        "launched",
      ]);
      await ManualClock.settle();
      fixture.clock.advance(250);
      await ManualClock.settle();
      assert.equal(fixture.state("b.service"), "launched active running", "its file was known");
      assert.equal(fixture.state("c.service"), "inactive inactive dead");
      assert.match(
        fixture.published.get("c.service")!.error!,
        /unit file [0-9a-f]{40} (from|has not come from) the store/,
      );
      assert.equal(fixture.state("a.service"), "launched active running", "the old version runs on");
      assert.equal(fixture.machine.files.get("a.service"), daemonText);
      if (how === "does not answer") return;
      for (let second = 0; second < 20; second++) {
        fixture.clock.advance(1_000);
        await ManualClock.settle();
      }
      assert.equal(fixture.logged.filter((line) => line.includes("c.service")).length, 1, fixture.logged.join("\n"));
      fixture.readAway = undefined;
      fixture.clock.advance(1_000);
      await ManualClock.settle();
      assert.equal(fixture.state("c.service"), "launched active running");
      assert.equal(fixture.machine.files.get("a.service"), oneshotText);
    }));
}

Deno.test("files that are on the machine are not read from the store, and none is read twice", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", otherText, "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.reads.length, 2);
    await fixture.end();
    fixture.begin();
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "launched active running");
    assert.equal(fixture.reads.length, 2);
  }));

Deno.test("a socket that could not be started is retried later, or together with its service", () =>
  withAgent(async (fixture) => {
    fixture.assign(["b.socket", "[Socket]\nListenStream=/run/b.sock\n", "launched"]);
    await ManualClock.settle();
    assert.equal(fixture.state("b.socket"), "loaded inactive dead");
    assert.match(fixture.published.get("b.socket")!.error!, /start job ended with "failed"/);
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.calls("StartUnit b.socket"), 2);
    fixture.clock.advance(1_000);
    await ManualClock.settle();
    assert.equal(fixture.calls("StartUnit b.socket"), 2, "each time later");
    const before = fixture.machine.calls.length;
    fixture.assign(
      ["b.socket", "[Socket]\nListenStream=/run/b.sock\n", "launched"],
      ["b.service", daemonText, "launched"],
    );
    await ManualClock.settle();
    const starts = fixture.machine.calls.slice(before).filter((call) => call.startsWith("StartUnit"));
    assert.deepEqual(starts, ["StartUnit b.socket replace", "StartUnit b.service replace"]);
    assert.equal(fixture.state("b.socket"), "launched active listening");
    assert.equal(fixture.published.get("b.socket")!.error, undefined);
  }));

const sidekickText = `[Unit]\nBindsTo=web@%i.service\n${daemonText}`;

Deno.test("a unit that systemd stops together with a replaced one is started again when that is active", () =>
  withAgent(async (fixture) => {
    fixture.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.holdJobs();
    fixture.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", otherText, "launched"]);
    await ManualClock.settle();
    // What systemd does to the bound unit.
    fixture.machine.exit("side@1.service", 0);
    await ManualClock.settle();
    assert.equal(fixture.state("side@1.service"), "loaded inactive dead");
    assert.equal(
      fixture.published.get("side@1.service")?.error,
      "systemd stopped it together with Unit(web@1.service); it is started again when that unit is active",
    );
    // The next daemon knows the waiting unit as well.
    await fixture.end();
    fixture.begin();
    await ManualClock.settle();
    const before = commandsOf(fixture).length;
    fixture.machine.releaseJobs();
    await ManualClock.settle();
    for (const unit of ["web@1.service", "side@1.service"]) {
      assert.equal(fixture.state(unit), "launched active running");
    }
    assert.equal(fixture.published.get("side@1.service")?.error, undefined);
    const starts = commandsOf(fixture).slice(before).filter((call) => call.startsWith("Start"));
    assert.deepEqual(starts, ["StartUnit web@1.service replace", "StartUnit side@1.service replace"]);
  }));

Deno.test("a unit that systemd stopped together with another waits while that should be stopped, unless a start is requested", () =>
  withAgent(async (fixture) => {
    fixture.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.holdJobs();
    fixture.assign(["side@1.service", sidekickText, "launched"], ["web@1.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.machine.exit("side@1.service", 0);
    fixture.machine.releaseJobs();
    await ManualClock.settle();
    assert.equal(fixture.state("side@1.service"), "loaded inactive dead");
    fixture.assign(["side@1.service", sidekickText, "launched", 7], ["web@1.service", daemonText, "loaded"]);
    await ManualClock.settle();
    assert.equal(fixture.state("side@1.service"), "launched active running");
  }));

Deno.test("a unit that a failed restart has brought down is started again when the other unit is active", () =>
  withAgent(async (fixture) => {
    const webText = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep infinity\n";
    const units = (restart: number) =>
      [["side@1.service", sidekickText, "launched"], ["web@1.service", webText, "launched", restart]] as const;
    fixture.assign(...units(0));
    await ManualClock.settle();
    fixture.machine.exit("web@1.service", 0);
    await ManualClock.settle();
    fixture.assign(...units(5));
    await ManualClock.settle();
    // The restarted unit fails, and systemd stops the unit bound to it.
    fixture.machine.exit("web@1.service", 1);
    fixture.machine.exit("side@1.service", 0);
    await ManualClock.settle();
    assert.equal(fixture.state("side@1.service"), "loaded inactive dead");
    fixture.assign(...units(6));
    await ManualClock.settle();
    fixture.machine.exit("web@1.service", 0);
    await ManualClock.settle();
    assert.equal(fixture.state("side@1.service"), "launched active running");
  }));

Deno.test("a loaded unit that something else has started is stopped once on request", () =>
  withAgent(async (fixture) => {
    const wanting = `[Unit]\nWants=b.service\n${daemonText}`;
    fixture.assign(["a.service", wanting, "loaded"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    fixture.assign(["a.service", wanting, "launched"], ["b.service", daemonText, "loaded"]);
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "loaded active running");
    fixture.assign(["a.service", wanting, "launched"], ["b.service", daemonText, "loaded", 8]);
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "loaded inactive dead");
    assert.equal(fixture.published.get("b.service")?.restart, 8);
    await (await fixture.systemd.start("b.service")).done;
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "loaded active running", "it is asked for once");
  }));

Deno.test("a loaded unit is not stopped for older requests", () =>
  withAgent(async (fixture) => {
    fixture.assign(["b.service", daemonText, "loaded", 8]);
    await ManualClock.settle();
    assert.equal(fixture.published.get("b.service")?.restart, 8);
    assert.equal(fixture.calls("StopUnit"), 0);
  }));

Deno.test("a requested start starts a unit that does not run, and leaves a running unit alone", () =>
  withAgent(async (fixture) => {
    fixture.assign(["a.service", daemonText, "launched"], ["b.service", daemonText, "launched"]);
    await ManualClock.settle();
    fixture.machine.exit("b.service", 1);
    await ManualClock.settle();
    assert.equal(fixture.state("b.service"), "launched failed failed");
    fixture.requestStart(9);
    await ManualClock.settle();
    for (const unit of ["a.service", "b.service"]) {
      assert.equal(fixture.state(unit), "launched active running");
      assert.equal(fixture.published.get(unit)?.restart, 9);
    }
    assert.equal(fixture.calls("RestartUnit"), 0);
    assert.equal(fixture.calls("StopUnit"), 0);
  }));
