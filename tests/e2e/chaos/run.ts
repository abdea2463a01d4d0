/** Runs trials on one cluster: faults begin while a client changes units, end, and the cluster must settle. */

import { type FleetCluster, withFleet } from "../../lab/fleet_cluster.ts";
import type { End, Fault, Scene } from "./faults.ts";
import { differences, lostChanges, type Running, unexplained } from "./judge.ts";
import { Load } from "./load.ts";
import { Observer, survey } from "./observer.ts";
import { Random } from "../../support/random.ts";
import { absent, changing, everywhere, possible, single, unitText, versionOf, type Want } from "./units.ts";

/** The options of a run. */
export interface Plan {
  readonly seed: number;
  readonly agent_ttl_s: number;
  /** The faults to choose from. */
  readonly faults: readonly Fault[];
  /** The faults of each trial, in turn, instead of a random choice. */
  readonly script?: readonly (readonly Fault[])[];
  /** Trials begin until then. Default: until the end of the script. */
  readonly minutes?: number;
  /** A cluster that has not settled this long after the end of a fault is a violation. */
  readonly settle_limit_ms: number;
}

/** The result of one trial. */
export interface Trial {
  readonly faults: readonly Fault[];
  /** The text of a log line: faults, victims, and how long they lasted. */
  readonly what: string;
  /** From the end of the last fault until every machine does what it should. */
  readonly settle_ms: number;
  /** Units that the client did not change, and that were on another machine afterwards. */
  readonly moved: number;
  readonly violations: readonly string[];
}

/** The result of a run. */
export interface Result {
  readonly trials: readonly Trial[];
  /** The client's requests, by outcome. */
  readonly requests: Load["counts"];
  readonly samples: number;
  /** The longest time between two samples of what runs. */
  readonly gap_ms: number;
}

/** The time for which the cluster must stay as it should be, so that a move which is only delayed is seen. */
const steady_ms = 2_500;

/** Boots a cluster and runs the trials of a plan. Keeps the journals and logs if there was a violation. */
export async function runChaos(plan: Plan, log: (line: string) => void): Promise<Result> {
  // Frequent snapshots keep the write-ahead log short. Only a member whose disk can be filled has a disk of its own.
  const ownDisk = plan.faults.some(({ name }) => name === "etcd-full");
  const etcdFlags = ["--snapshot-count=2000", "--max-wals=2", "--max-snapshots=2"];
  const conf = { agent_ttl: `${plan.agent_ttl_s}s`, engine_reconcile_interval: 1 };
  return await withFleet(
    { machines: 4, etcd: 3, etcdFlags, ...(ownDisk && { etcdDisk: "768m" }), conf },
    async (cluster) => {
      const result = await new Run(cluster, plan, log).all();
      const failed = result.trials.some(({ faults, violations }) => {
        return violations.length > 0 && !faults.some(({ mustBeFound }) => mustBeFound);
      });
      if (failed) await cluster.lab.collect();
      return result;
    },
  );
}

class Run {
  readonly #random: Random;
  readonly #load: Load;
  /** Faults that come before all others come again. */
  #deck: Fault[] = [];

  constructor(
    private readonly cluster: FleetCluster,
    private readonly plan: Plan,
    private readonly log: (line: string) => void,
  ) {
    this.#random = new Random(plan.seed);
    this.#load = new Load(cluster.lab.machines, this.#random.fork());
  }

  async all(): Promise<Result> {
    const { script, minutes = 0 } = this.plan;
    for (const name of [...everywhere, ...single]) {
      await this.cluster.put(this.#machines[0]!, name, "launched", unitText(name, 1));
    }
    await this.#load.begin();
    await using observer = new Observer(this.#machines);
    await this.#settled(120_000);
    const trials: Trial[] = [];
    const end_ms = performance.now() + minutes * 60_000;
    const goesOn = () => script ? trials.length < script.length : performance.now() < end_ms;
    while (goesOn()) {
      const random = this.#random.fork();
      const trial = await this.#trial(script?.[trials.length] ?? this.#choose(random), observer, random);
      trials.push(trial);
      const bad = trial.violations.length === 0 ? "" : `; VIOLATIONS:\n  ${trial.violations.join("\n  ")}`;
      const settled = `settled after ${(trial.settle_ms / 1000).toFixed(1)} s, ${trial.moved} units moved`;
      this.log(`${trials.length}. ${trial.what}: ${settled}${bad}`);
    }
    return { trials, requests: this.#load.counts, samples: observer.samples, gap_ms: observer.gap_ms };
  }

  get #machines() {
    return this.cluster.lab.machines;
  }

  /** Chooses the next fault, or in a third of the trials two that can be combined. Each fault comes once before one comes again. */
  #choose(random: Random): readonly Fault[] {
    if (this.#deck.length === 0) this.#deck = random.shuffle(this.plan.faults);
    const others = this.plan.faults.filter((other) => !(this.#deck[0]!.of === "etcd" && other.of === "etcd"));
    if (random.next() < 1 / 3 && others.length > 0) return [this.#deck[0]!, random.pick(others)];
    return [this.#deck.shift()!];
  }

  async #trial(chosen: readonly Fault[], observer: Observer, random: Random): Promise<Trial> {
    const scenes = await this.#scenes(chosen, random);
    const inPlay = random.shuffle(changing).slice(0, 40);
    const unchanged = new Set([...changing, ...everywhere].filter((name) => !inPlay.includes(name)));
    observer.copies.clear();
    const before = observer.running(), first = observer.transitions.length, refused = this.#load.refusals.length;

    this.#load.start(inPlay);
    await pause(random.between(500, 2_500));
    const lasted = await inject(scenes, random);
    const end_ms = performance.now();
    await this.#load.stop();

    const violations: string[] = [];
    const settle_ms = await this.#settled(this.plan.settle_limit_ms, end_ms, violations);
    violations.push(...this.#load.refusals.slice(refused).map((text) => `refused: ${text}`));
    const excused = new Set(scenes.flatMap(({ fault, victim }) => fault.isolates ? [victim.name] : []));
    violations.push(...unexplained(before, observer.transitions.slice(first), unchanged, excused));
    if (!chosen.some(({ freezes }) => freezes)) violations.push(...observer.copies);
    return {
      faults: chosen,
      what: scenes.map(({ fault, victim }, at) => {
        return `${fault.name}${fault.of === "machine" ? ` of ${victim.name}` : ""} ${lasted[at]!}`;
      }).join(" and "),
      settle_ms,
      moved: movedUnits(before, observer.running(), unchanged),
      violations: summary(violations),
    };
  }

  /** Gives each fault its victim. */
  async #scenes(chosen: readonly Fault[], random: Random): Promise<Act[]> {
    const taken = new Set<string>();
    const acts: Act[] = [];
    for (const fault of [...chosen].sort((a, b) => Number(b.first ?? false) - Number(a.first ?? false))) {
      const distinct = chosen.some(({ alone }) => alone);
      const free = this.#machines.filter(({ name }) => !distinct || !taken.has(name));
      const leader = fault.leader ? await this.cluster.leader() : undefined;
      const victim = leader !== undefined && free.includes(leader) ? leader : random.pick(free);
      taken.add(victim.name);
      const ttl_ms = this.plan.agent_ttl_s * 1000;
      acts.push({ fault, cluster: this.cluster, random: random.fork(), ttl_ms, victim });
    }
    return acts;
  }

  /**
   * Waits until each machine is a member and does what it should, and goes on doing so. Returns the time from `from_ms` until
   * it began to. Adds to `violations` what is wrong at the limit, and changes that were lost.
   */
  async #settled(limit_ms: number, from_ms = performance.now(), violations?: string[]): Promise<number> {
    let since_ms: number | undefined, wrong: string[] = [], late = false;
    for (;;) {
      wrong = await this.#wrong().catch((error) => [`cannot be checked: ${error}`]);
      const now_ms = performance.now();
      if (wrong.length > 0) since_ms = undefined;
      else since_ms ??= now_ms;
      if (since_ms !== undefined && now_ms - since_ms >= steady_ms) break;
      if (!late && now_ms - from_ms > limit_ms && since_ms === undefined) {
        if (violations === undefined) throw new Error(`the cluster does not settle:\n${wrong.join("\n")}`);
        violations.push(...wrong.map((text) => `not settled after ${limit_ms / 1000} s: ${text}`));
        late = true;
      }
      // The following trials need a cluster that has settled.
      if (now_ms - from_ms > limit_ms + 120_000) throw new Error(`the cluster never settles:\n${wrong.join("\n")}`);
      await pause(200);
    }
    this.#resolve(await this.#stored(), violations);
    return since_ms - from_ms;
  }

  /** Returns what is not as it should be at this moment. */
  async #wrong(): Promise<string[]> {
    const stored = await this.#stored();
    const lost = lostChanges(this.#load.knowledge, stored);
    if (lost.length > 0) return lost;
    const wants = new Map(changing.map((name) => [name, stored.get(name) ?? absent]));
    for (const name of single) wants.set(name, { state: "launched", version: 1 });
    const surveys = await Promise.all(this.#machines.map(survey));
    const members = await Promise.all(this.#machines.map((machine) => this.cluster.members(machine)));
    const missing = members.flatMap((ids, at) => {
      const { length } = this.#machines;
      return ids.length === length ? [] : [`${this.#machines[at]!.name} lists ${ids.length} of ${length} members`];
    });
    return [...differences(wants, surveys), ...missing];
  }

  /** Returns the desired state of each unit, which is compared with what the client knows before it is trusted. */
  async #stored(): Promise<Map<string, Want>> {
    const units = await this.cluster.units(this.#machines[0]!);
    return new Map(
      units.filter(({ name }) => changing.includes(name)).map(({ name, desiredState, options }) => {
        const text = (options ?? []).map(({ name, value }) => `${name}=${value}`).join("\n");
        return [name, { state: desiredState as Want["state"], version: versionOf(text) ?? -1 }];
      }),
    );
  }

  /** Settles changes whose outcome was open: no daemon can still have such a request. */
  #resolve(stored: ReadonlyMap<string, Want>, violations: string[] = []): void {
    violations.push(...lostChanges(this.#load.knowledge, stored));
    for (const [name, knowledge] of this.#load.knowledge) {
      if (possible(knowledge).length === 1 && violations.length === 0) continue;
      this.#load.knowledge.set(name, { known: stored.get(name) ?? absent, open: [], pending: [] });
    }
  }
}

/** A fault with its victim. */
interface Act extends Scene {
  readonly fault: Fault;
}

/** Lets the faults begin one after the other and last together, and ends them in the reverse order. Returns how long each lasted, and its effect. */
async function inject(acts: readonly Act[], random: Random): Promise<string[]> {
  const ends: End[] = [], began: number[] = [];
  const lasted: string[] = [];
  for (const [at, act] of acts.entries()) {
    if (at > 0) await pause(random.between(0, 2_000));
    ends.push(await act.fault.begin(act));
    began.push(performance.now());
  }
  for (const [at, { fault, ttl_ms }] of [...acts.entries()].reverse()) {
    const until_ms = began[at]! + random.between(...fault.lasts) * ttl_ms;
    await pause(Math.max(0, until_ms - performance.now()));
    const effect = await ends[at]!();
    lasted[at] = `for ${((performance.now() - began[at]!) / 1000).toFixed(1)} s${effect ? ` (${effect})` : ""}`;
  }
  return lasted;
}

/** Counts the units that ran on one machine before and run on another now. */
function movedUnits(before: Running, now: Running, unchanged: ReadonlySet<string>): number {
  const home = (running: Running, unit: string) => [...running].find(([, units]) => units.has(unit))?.[0];
  return [...unchanged].filter((unit) => {
    return !everywhere.includes(unit) && home(before, unit) !== undefined && home(before, unit) !== home(now, unit);
  }).length;
}

/** Shortens a long list of violations of the same trial. */
function summary(violations: readonly string[]): string[] {
  const most = 12;
  return violations.length <= most ? [...violations] : [
    ...violations.slice(0, most),
    `and ${violations.length - most} more`,
  ];
}

/** The faults and pauses of a run happen at moments in time, so here time itself is what is waited for. */
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
