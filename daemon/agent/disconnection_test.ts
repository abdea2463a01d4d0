import assert from "node:assert/strict";
import fc from "fast-check";
import "../../tests/support/property_seed.ts";
import type { MachineRecord, MachineView, Revision, Unit, UnitName, UnitState } from "../../registry/model.ts";
import { type LockOutcome, StoreUnavailableError } from "../../registry/mod.ts";
import { parseRequirements } from "../../registry/requirements.ts";
import { FakeMachine, FakeSystemd } from "../../systemd/testing/fake_systemd.ts";
import { parseUnitFile, serializeUnitFile } from "../../systemd/unit_file.ts";
import { hashUnitFile } from "../../systemd/unit_hash.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { Notifier } from "../../runtime/notifier.ts";
import { Agent } from "./agent.ts";
import type { Intent, IntentMemory } from "./intent.ts";
import { guardAlone } from "./disconnection_guard.ts";

const ttl_ms = 30_000;
const ordinary = "[Service]\nExecStart=/bin/sleep infinity\n";
const single = `${ordinary}[X-Fleet]\nStopWhenDisconnected=10s\n`;
const everywhere = `${single}Global=true\n`;

/** A store with the assignments, the locks and the leases of several machines. */
class SharedStore {
  readonly clock = new ManualClock();
  readonly texts = new Map<string, string>();
  readonly assigned = new Map<
    UnitName,
    { readonly machine: string; readonly hash: string; readonly revision: Revision }
  >();
  readonly #locks = new Map<UnitName, { readonly host: Host; readonly lease: string }>();
  #revision = 0;

  keep(text: string): string {
    const serialized = serializeUnitFile(parseUnitFile(text));
    const hash = hashUnitFile(serialized);
    this.texts.set(hash, serialized);
    return hash;
  }

  assign(unit: UnitName, text: string, machine: string): void {
    this.assigned.set(unit, { machine, hash: this.keep(text), revision: ++this.#revision });
  }

  /** The machine that has a lock, unless the lease it is bound to has expired. */
  holder(unit: UnitName): Host | undefined {
    const lock = this.#locks.get(unit);
    return lock && lock.lease === lock.host.lease && !lock.host.hasExpired() ? lock.host : undefined;
  }

  lock(unit: UnitName, host: Host, lease: string): void {
    this.#locks.set(unit, { host, lease });
  }

  unlock(unit: UnitName, host: Host): void {
    if (this.holder(unit) === host) this.#locks.delete(unit);
  }
}

/** A machine with an agent. The daemon may be ended and started again, and the machine may be cut off from the store. */
class Host {
  readonly machine = new FakeMachine();
  readonly intents = new Map<UnitName, Intent>();
  readonly logged: string[] = [];
  readonly renewals = new Notifier();
  published: ReadonlyMap<UnitName, UnitState> = new Map();
  renewedAt_ms = 0;
  renewEvery_ms = Infinity;
  lease = "1";
  isCut = false;
  /** Answers to requests for locks; undefined: those of the store. */
  answer: LockOutcome | undefined;
  #view: MachineView | undefined;
  readonly #changed = new Notifier();
  #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  agent: Agent | undefined;

  constructor(readonly store: SharedStore, readonly id: string) {
    this.renewedAt_ms = store.clock.monotonic_ms();
  }

  hasExpired(): boolean {
    return this.store.clock.monotonic_ms() >= this.renewedAt_ms + ttl_ms;
  }

  /** Has the agent see what the store assigns to this machine. */
  show(globals: readonly string[] = []): void {
    const { assigned } = this.store;
    const mine = [...assigned].filter(([, { machine }]) => machine === this.id);
    this.#view = {
      ...{ id: "store", machine: this.id, revision: 1, unreadable: new Set(), dynamicMetadata: {} },
      assignments: new Map(mine.map(([unit, { hash, revision }]) => {
        return [unit, { unit, machine: this.id, hash, desiredState: "launched", restart: 0, revision }];
      })),
      globals: new Map(globals.map((text, index) => {
        const name = `global${index}.service`;
        const fleetOptions = parseUnitFile(text);
        const unit: Unit = {
          ...{ name, hash: this.store.keep(text), fleetOptions, requirements: parseRequirements(name, fleetOptions) },
          ...{ desiredState: "launched", restart: 0, launchedAt: 1, revision: 1 },
        };
        return [name, unit];
      })),
    };
    this.#changed.notify();
  }

  /** Renews the lease, if the store can be reached. */
  renew(): void {
    if (this.isCut) return;
    if (this.hasExpired()) this.lease = String(Number(this.lease) + 1);
    this.renewedAt_ms = this.store.clock.monotonic_ms();
    this.renewals.notify();
  }

  #memory(): IntentMemory {
    return {
      load: () => Promise.resolve(new Map(this.intents)),
      save: (unit, intent) => Promise.resolve(void this.intents.set(unit, intent)),
      forget: (unit) => Promise.resolve(void this.intents.delete(unit)),
    };
  }

  #reach(): void {
    if (this.isCut) throw new StoreUnavailableError("the store is away");
  }

  async #take(unit: UnitName, revision: Revision, lease: string): Promise<LockOutcome> {
    await Promise.resolve();
    this.#reach();
    if (lease !== this.lease || this.hasExpired()) throw new StoreUnavailableError("the lease has expired");
    if (this.answer) return this.answer;
    const assigned = this.store.assigned.get(unit);
    if (assigned?.machine !== this.id || assigned.revision !== revision) return { kind: "outdated" };
    const holder = this.store.holder(unit);
    if (holder && holder !== this) return { kind: "held", machine: holder.id };
    this.store.lock(unit, this, lease);
    return { kind: "locked" };
  }

  begin(): void {
    const { store: { clock, texts } } = this;
    const log = (level: string, message: string) => this.logged.push(`${level}: ${message}`);
    const record: MachineRecord = {
      ...{ id: this.id, ip: "", incarnation: "1", staticMetadata: {}, version: "2" },
      ...{ leaseTtl_ms: ttl_ms, capabilities: { disableEngine: false } },
    };
    this.#stop = new AbortController();
    // deno-lint-ignore no-this-alias
    const host = this;
    this.agent = new Agent({
      registry: {
        async *watchMachine(_: string, signal: AbortSignal) {
          for (let seen = -1; !signal.aborted;) {
            seen = host.#changed.count;
            if (host.#view) yield host.#view;
            await host.#changed.waitPast(seen, signal);
          }
        },
        file: (hash: string) => Promise.resolve(texts.get(hash)),
      },
      systemd: new FakeSystemd(this.machine),
      memory: this.#memory(),
      membership: {
        ttl_ms,
        renewals: host.renewals,
        get lease() {
          return host.lease;
        },
        get renewedAt_ms() {
          return host.renewedAt_ms;
        },
        publish: (states) => Promise.resolve(void (this.published = states)),
        renewEvery: (interval_ms) => this.renewEvery_ms = interval_ms,
        locks: {
          take: (unit, revision, lease) => this.#take(unit, revision, lease),
          release: async (unit) => {
            await Promise.resolve();
            this.#reach();
            this.store.unlock(unit, this);
          },
          held: () => Promise.resolve([]),
        },
      },
      ...{ machine: () => record, clock, log, safetyNet_ms: 60_000, seen: () => {} },
    });
    this.#running = this.agent.run(this.#stop.signal);
  }

  /** Begins the guard of a daemon that is not a member of the cluster. */
  beginAlone(): void {
    const { store: { clock } } = this;
    const { renewedAt_ms } = this;
    this.#stop = new AbortController();
    const systemd = new FakeSystemd(this.machine);
    const log = (level: string, message: string) => this.logged.push(`${level}: ${message}`);
    const options = { systemd, memory: this.#memory(), clock, log, contact: () => ({ renewedAt_ms, ttl_ms }) };
    this.#running = guardAlone(options, this.#stop.signal);
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.agent = undefined;
  }

  state(unit: UnitName): string {
    const state = this.published.get(unit);
    return state
      ? `${state.commanded} ${state.active}${state.error === undefined ? "" : `: ${state.error}`}`
      : "absent";
  }

  calls(call: string): number {
    return this.machine.calls.filter((each) => each.startsWith(call)).length;
  }
}

/** Advances the time in steps that are shorter than the guard's interval. All work between two steps is microtasks. */
async function pass(clock: ManualClock, duration_ms: number): Promise<void> {
  await ManualClock.settle();
  for (let left_ms = duration_ms; left_ms > 0; left_ms -= 100) {
    clock.advance(Math.min(100, left_ms));
    await settleMicrotasks();
  }
  await ManualClock.settle();
}

async function settleMicrotasks(): Promise<void> {
  for (let turn = 0; turn < 500; turn++) await undefined;
}

async function withHost(run: (host: Host, store: SharedStore) => Promise<void>): Promise<void> {
  const store = new SharedStore();
  const host = new Host(store, "a".repeat(32));
  store.assign("single.service", single, host.id);
  store.assign("ordinary.service", ordinary, host.id);
  host.begin();
  host.show();
  await ManualClock.settle();
  try {
    await run(host, store);
  } finally {
    await host.end();
  }
}

const reason = "stopped because the store has not been reached for 10s (StopWhenDisconnected=10s)";

Deno.test("a unit is stopped when the store has not been reached for its StopWhenDisconnected=, and started again", () =>
  withHost(async (host, { clock }) => {
    assert.equal(host.state("single.service"), "launched active");
    assert.equal(host.renewEvery_ms, 10_000 / 3);
    await pass(clock, 9_900);
    assert.ok(host.machine.isActive("single.service"));
    await pass(clock, 100);
    assert.equal(host.state("single.service"), `loaded inactive: ${reason}`);
    assert.ok(host.logged.includes(`warn: ${reason}`));
    assert.equal(host.intents.get("single.service")?.did, "load");
    await pass(clock, 60_000);
    assert.equal(host.state("ordinary.service"), "launched active");
    assert.deepEqual([host.calls("StopUnit"), host.calls("StartUnit")], [1, 2]);
    host.renew();
    await pass(clock, 300);
    assert.equal(host.state("single.service"), "launched active");
    assert.deepEqual([host.calls("StopUnit"), host.calls("StartUnit"), host.calls("KillUnit")], [1, 3, 0]);
  }));

Deno.test("each renewal of the lease puts the stop off", () =>
  withHost(async (host, { clock }) => {
    await pass(clock, 9_000);
    host.renew();
    await pass(clock, 9_900);
    assert.ok(host.machine.isActive("single.service"));
    await pass(clock, 100);
    assert.ok(!host.machine.isActive("single.service"));
  }));

Deno.test("a unit that does not stop is killed two seconds before the lease expires, and not earlier", () =>
  withHost(async (host, { clock }) => {
    host.machine.holdJobs();
    await pass(clock, 27_900);
    assert.deepEqual([host.calls("StopUnit single.service"), host.calls("KillUnit")], [1, 0]);
    assert.ok(host.machine.isActive("single.service"));
    await pass(clock, 100);
    assert.equal(host.calls("KillUnit single.service all"), 1);
    assert.ok(!host.machine.isActive("single.service"));
    assert.ok(host.logged.some((line) => line.startsWith("warn: it has not stopped in time and is killed")));
  }));

Deno.test("a stop that systemd refuses is repeated, and ends with a kill", () =>
  withHost(async (host, { clock }) => {
    for (let refusals = 0; refusals < 100; refusals++) host.machine.failNext("stop", "single.service");
    await pass(clock, 11_000);
    assert.ok(host.calls("StopUnit single.service") > 1);
    await pass(clock, 17_000);
    assert.ok(!host.machine.isActive("single.service"));
  }));

Deno.test("a unit that something else starts during the disconnection is stopped again", () =>
  withHost(async (host, { clock }) => {
    await pass(clock, 12_000);
    host.machine.systemctl("StartUnit", "single.service");
    await pass(clock, 300);
    assert.ok(!host.machine.isActive("single.service"));
    host.renew();
    await pass(clock, 300);
    assert.ok(host.machine.isActive("single.service"));
  }));

Deno.test("a unit that is no longer assigned is not started by an outdated view when the store is reached again", () =>
  withHost(async (host, store) => {
    await pass(store.clock, 12_000);
    store.assign("single.service", single, "b".repeat(32));
    host.renew();
    await pass(store.clock, 2_000);
    assert.equal(host.calls("StartUnit single.service"), 1);
    host.show();
    await pass(store.clock, 200);
    assert.equal(host.state("single.service"), "absent");
    assert.equal(host.calls("StartUnit single.service"), 1);
  }));

Deno.test("a daemon that is started again during the disconnection leaves the unit stopped until the store is reached", () =>
  withHost(async (host, { clock }) => {
    await pass(clock, 12_000);
    await host.end();
    host.begin();
    await pass(clock, 1_000);
    assert.ok(!host.machine.isActive("single.service"));
    host.renew();
    await pass(clock, 300);
    assert.equal(host.state("single.service"), "launched active");
  }));

Deno.test("a daemon that cannot join stops the unit by the last contact of the daemon before it", () =>
  withHost(async (host, { clock }) => {
    await pass(clock, 3_000);
    await host.end();
    await pass(clock, 3_000);
    host.beginAlone();
    await pass(clock, 3_900);
    assert.ok(host.machine.isActive("single.service"));
    await pass(clock, 100);
    assert.ok(!host.machine.isActive("single.service"));
    assert.ok(host.machine.isActive("ordinary.service"));
    assert.equal(host.intents.get("single.service")?.did, "load");
    await host.end();
    host.renew();
    host.begin();
    await pass(clock, 300);
    assert.equal(host.state("single.service"), "launched active");
  }));

Deno.test("an agent without a view of the store stops the unit in time", () =>
  withHost(async (host, { clock }) => {
    await host.end();
    const other = new Host(host.store, host.id);
    other.renewedAt_ms = host.renewedAt_ms;
    Object.assign(other, { machine: host.machine, intents: host.intents });
    other.begin();
    await pass(clock, 10_000);
    assert.ok(!host.machine.isActive("single.service"));
    assert.ok(host.machine.isActive("ordinary.service"));
    await other.end();
  }));

Deno.test("a global unit is stopped and started again without a lock", () =>
  withHost(async (host, { clock }) => {
    host.answer = { kind: "held", machine: "b".repeat(32) };
    host.show([everywhere]);
    await pass(clock, 10_000);
    assert.equal(host.state("global0.service"), `loaded inactive: ${reason}`);
    host.renew();
    await pass(clock, 300);
    assert.equal(host.state("global0.service"), "launched active");
  }));

Deno.test("a unit is not started while another machine has its lock, and its state names that machine", () =>
  withHost(async (host, store) => {
    host.answer = { kind: "held", machine: "b".repeat(32) };
    store.assign("next.service", single, host.id);
    host.show();
    await pass(store.clock, 2_000);
    assert.match(host.state("next.service"), /^loaded inactive: waiting until machine bbbbbbbb\.\.\. has stopped it/);
    host.answer = undefined;
    host.renew();
    await pass(store.clock, 600);
    assert.equal(host.state("next.service"), "launched active");
  }));

Deno.test("an ordinary unit needs no lock", () =>
  withHost(async (host, store) => {
    host.answer = { kind: "held", machine: "b".repeat(32) };
    store.assign("next.service", ordinary, host.id);
    host.show();
    await pass(store.clock, 100);
    assert.equal(host.state("next.service"), "launched active");
  }));

for (const option of ["StopWhenDisconnected=10s", "Unique=true"]) {
  Deno.test(`a unit with ${option} is started on its new machine when it has stopped on the old one`, async () => {
    const text = `${ordinary}[X-Fleet]\n${option}\n`;
    const store = new SharedStore();
    const [a, b] = ["a", "b"].map((letter) => new Host(store, letter.repeat(32))) as [Host, Host];
    store.assign("single.service", text, a.id);
    for (const host of [a, b]) {
      host.begin();
      host.show();
    }
    await ManualClock.settle();
    a.machine.holdJobs();
    store.assign("single.service", text, b.id);
    a.show();
    b.show();
    await pass(store.clock, 2_000);
    assert.deepEqual([a, b].map(({ machine }) => machine.isActive("single.service")), [true, false]);
    a.machine.releaseJobs();
    await pass(store.clock, 1_000);
    assert.deepEqual([a, b].map(({ machine }) => machine.isActive("single.service")), [false, true]);
    for (const host of [a, b]) await host.end();
  });
}

/** The events on one of two machines, each with the tenths of a second after it. */
const events = ["cut", "heal", "move", "blind", "restart", "alone", "hold", "release", "start"] as const;
interface Happening {
  readonly event: typeof events[number];
  readonly at: 0 | 1;
  readonly tenths: number;
}

const happening = fc.record<Happening>({
  event: fc.constantFrom(...events),
  at: fc.constantFrom(0, 1),
  tenths: fc.integer({ min: 0, max: 150 }),
});

/** Carries out events on two machines. Returns how often the unit was active on each, and on how many at most. */
async function play(happenings: readonly Happening[]): Promise<{ readonly active: number[]; readonly most: number }> {
  const store = new SharedStore();
  const { clock } = store;
  const hosts = ["a", "b"].map((letter) => new Host(store, letter.repeat(32))) as [Host, Host];
  const unit = "single.service";
  store.assign(unit, single, hosts[0].id);
  for (const host of hosts) host.begin();
  const active = [0, 0];
  let most = 0;
  /** A machine whose watch of the store delivers nothing. */
  let blind: Host | undefined;
  for (const { event, at, tenths } of happenings) {
    const host = hosts[at];
    const other = hosts[1 - at]!;
    if (event === "cut") host.isCut = true;
    else if (event === "heal") host.isCut = false;
    else if (event === "blind") blind = blind ? undefined : host;
    else if (event === "hold") host.machine.holdJobs();
    else if (event === "release") host.machine.releaseJobs();
    else if (event === "move" && !host.hasExpired()) store.assign(unit, single, host.id);
    else if (event === "start" && host.machine.files.has(unit) && host.machine.isActive(unit) && host.isCut) {
      host.machine.systemctl("StartUnit", unit);
    } else if (event === "restart" || event === "alone") {
      await host.end();
      if (event === "restart") host.begin();
      else host.beginAlone();
    }
    for (let step = 0; step <= tenths; step++) {
      clock.advance(100);
      for (const each of hosts) {
        const isDue = clock.monotonic_ms() - each.renewedAt_ms >= Math.min(each.renewEvery_ms, ttl_ms / 3);
        if (isDue && each.agent) each.renew();
        // The engine places the units of a machine whose lease has expired elsewhere.
        const assigned = store.assigned.get(unit)!;
        if (assigned.machine === each.id && each.hasExpired()) {
          store.assign(unit, single, (each === host ? other : host).id);
        }
        if (!each.isCut && each !== blind && step % 5 === 0) each.show();
      }
      await settleMicrotasks();
      const copies = hosts.map(({ machine }) => machine.isActive(unit) ? 1 : 0);
      for (const at of [0, 1] as const) active[at]! += copies[at]!;
      most = Math.max(most, copies[0]! + copies[1]!);
    }
  }
  for (const host of hosts) await host.end();
  return { active, most };
}

Deno.test("whatever happens to two machines, the unit never runs on both", async () => {
  const active = [0, 0];
  const sequences = fc.array(happening, { minLength: 10, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(sequences, async (happenings) => {
      const result = await play(happenings);
      for (const at of [0, 1] as const) active[at]! += result.active[at]!;
      assert.ok(result.most <= 1);
    }),
    { numRuns: 60 },
  );
  assert.ok(active.every((steps) => steps > 100), `the unit ran for ${active} steps`);
});
