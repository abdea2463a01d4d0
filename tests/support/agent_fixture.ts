/**
 * An agent with a fake machine, store and clock, for its tests.
 *
 * @module
 */

import { Notifier } from "../../runtime/notifier.ts";
import type { MachineRecord, MachineView, Unit, UnitName, UnitState } from "../../registry/model.ts";
import type { Membership, Registry } from "../../registry/mod.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import { FakeMachine, FakeSystemd } from "../../systemd/testing/fake_systemd.ts";
import type { Job } from "../../systemd/port.ts";
import { parseUnitFile, serializeUnitFile } from "../../systemd/unit_file.ts";
import { hashUnitFile } from "../../systemd/unit_hash.ts";
import { ManualClock } from "./manual_clock.ts";
import { Agent } from "../../daemon/agent/agent.ts";
import { FakeHealthProbe } from "../../daemon/agent/fake_health_probe.ts";
import type { Intent, IntentMemory } from "../../daemon/agent/intent.ts";

const id = "a".repeat(32);
export const daemonText = "[Service]\nExecStart=/bin/sleep infinity\n";
export const otherText = "[Service]\nExecStart=/bin/sleep 1000\n";
export const oneshotText = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
export const failingText = "[Service]\nExecStart=/bin/false\n";

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
  readonly health = new FakeHealthProbe();
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
      probe: this.health.probe,
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

export async function withAgent(run: (fixture: AgentFixture) => Promise<void>): Promise<void> {
  const fixture = new AgentFixture();
  fixture.begin();
  await ManualClock.settle();
  try {
    await run(fixture);
  } finally {
    await fixture.end();
  }
}

/** The start, stop and restart commands so far. */
export const commandsOf = (fixture: AgentFixture) =>
  fixture.machine.calls.filter((call) => /^(Start|Stop|Restart)Unit/.test(call));
