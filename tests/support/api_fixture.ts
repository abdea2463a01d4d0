/**
 * The handler of API v1 over a registry in memory, without sockets, for tests of its routes.
 *
 * @module
 */

import type { Capacity } from "../../registry/reservation.ts";
import assert from "node:assert/strict";
import { createHandler, type Handler, type HandlerOptions, type Peer } from "../../daemon/api/handler.ts";
import { Relocator } from "../../daemon/engine/drain/relocator.ts";
import { schedule } from "../../daemon/engine/schedule.ts";
import { systemClock } from "../../daemon/host/system_clock.ts";
import { ClusterRegistry } from "../../registry/cluster_registry.ts";
import type {
  AppName,
  Cluster,
  MachineId,
  Rollout,
  RolloutStatus,
  RolloutStep,
  StepState,
  UnitName,
  UnitState,
} from "../../registry/model.ts";
import type { EngineStep, Leadership, Membership, Registry, UnitChange } from "../../registry/mod.ts";
import { fleetOptionsOf, parseRequirements } from "../../registry/requirements.ts";
import { SharedState } from "../../daemon/api/shared_state.ts";
import { openSqliteStore } from "../../registry/store/sqlite.ts";
import type { Store } from "../../registry/store/port.ts";
import { parseUnitFile } from "../../systemd/unit_file.ts";

/** A response with its whole body. */
export interface Answer {
  readonly code: number;
  readonly headers: Headers;
  readonly text: string;
}

/** The parts of a request besides method and path. */
export interface Extras {
  /** Text and bytes are sent unchanged, other values as JSON. */
  readonly body?: unknown;
  /** Default: application/json if there is a body. `null`: no Content-Type. */
  readonly contentType?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly peer?: Peer;
}

/** Longest time until a view of the cluster is as expected, also on a busy host. */
const deadline_ms = 20_000;

export class ApiFixture implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #members = new Map<MachineId, Membership>();
  readonly #states = new Map<MachineId, Map<UnitName, UnitState>>();
  readonly #sharedState = new SharedState();
  #leadership: Promise<Leadership> | undefined;
  readonly #relocator = new Relocator();
  /** All messages that were logged above `debug`. */
  readonly logged: string[] = [];
  readonly registry: Registry;
  /** The handler that `send` calls; over `registry` unless a test replaces it. */
  handler: Handler;

  private constructor(readonly store: Store, readonly options: Partial<HandlerOptions>) {
    const log: HandlerOptions["log"] = (level, message) => level === "debug" || this.logged.push(message);
    const writer = () => Promise.resolve("api");
    this.registry = new ClusterRegistry({ store, clock: systemClock, log, writer, agentTtl_s: 30, leaderTtl_s: 10 });
    this.handler = this.handlerOver(this.registry);
  }

  static async open(options: Partial<HandlerOptions> = {}): Promise<ApiFixture> {
    const fixture = new ApiFixture(await openSqliteStore({ path: ":memory:" }), options);
    await fixture.registry.open(undefined);
    return fixture;
  }

  /** Creates a handler over another registry, with other options. */
  handlerOver(registry: Registry, options: Partial<HandlerOptions> = {}): Handler {
    return createHandler({
      status: () => ({ ready: true }),
      log: (level, message) => level === "debug" || this.logged.push(message),
      clock: systemClock,
      pageSize: 100,
      version: "1.2.3",
      sharedState: this.#sharedState,
      ...this.options,
      ...options,
      registry,
    });
  }

  /** Sends a request and reads the response. `path` is not normalized. */
  async send(method: string, path: string, extras: Extras = {}): Promise<Answer> {
    const { body, peer } = extras;
    const raw = body === undefined || typeof body === "string" || body instanceof Uint8Array;
    const type = extras.contentType === undefined && body !== undefined ? "application/json" : extras.contentType;
    const request = new Request("http://localhost/", {
      method,
      headers: { ...extras.headers, ...type ? { "Content-Type": type } : {} },
      ...(body === undefined ? {} : { body: (raw ? body : JSON.stringify(body)) as BodyInit }),
    });
    // Request adds a Content-Type to a text body.
    if (!type) request.headers.delete("Content-Type");
    const answer = await this.handler(request, { target: path, ...peer });
    return { code: answer.status, headers: answer.headers, text: await answer.text() };
  }

  /** Creates or changes a unit. Throws if the API refuses it. */
  async put(name: UnitName, desiredState = "inactive", file = "[Service]\nExecStart=/bin/true"): Promise<void> {
    const answer = await this.send("PUT", `/fleet/v1/units/${encodeURIComponent(name)}`, {
      body: { name, desiredState, options: optionsOf(file) },
    });
    assert.ok(answer.code < 300, answer.text);
  }

  /** Adds a machine to the cluster. `isOlder`: its engine does not know roll-outs, or only changes global units everywhere. */
  async join(
    id: MachineId,
    ip = "",
    staticMetadata: Record<string, string> = {},
    apiAddress?: string,
    isOlder: boolean | "globals" = false,
    capacity?: Capacity,
  ): Promise<void> {
    const record = {
      id,
      ip,
      ...(apiAddress === undefined ? {} : { apiAddress }),
      incarnation: `boot-of-${id}`,
      staticMetadata,
      capabilities: {
        ...{ disableEngine: false, quadlet: true as const },
        ...isOlder !== true && { rollouts: true as const },
        ...!isOlder && { stagedGlobals: true as const, successors: true as const },
      },
      ...capacity && { capacity },
      version: "1.2.3",
    };
    this.#members.set(id, await this.registry.join(record, undefined, this.#stop.signal));
  }

  /** Removes a machine from the cluster. */
  async leave(id: MachineId): Promise<void> {
    await this.#members.get(id)?.leave();
    this.#members.delete(id);
  }

  /** Places a unit, as an engine does, and waits until a view shows it. */
  async place(name: UnitName, machine: MachineId): Promise<void> {
    this.#leadership ??= this.#lead();
    const { unit, target } = await this.registry.unit(name);
    assert.ok(unit, `unit ${name} exists`);
    await this.#apply([{ kind: "place", unit, machine, why: "a test said so", ...(target ? { from: target } : {}) }]);
  }

  /** Plans and carries out all placements, as the engine does, and waits until a view shows them. */
  async schedule(): Promise<void> {
    this.#leadership ??= this.#lead();
    await this.#apply(schedule(await this.registry.read()).placements);
  }

  /** Plans and carries out one round of the moves that are requested, as {@link schedule} does. Returns the kinds of the steps. */
  async move(): Promise<readonly string[]> {
    this.#leadership ??= this.#lead();
    const times = { wall_ms: Date.now(), monotonic_ms: performance.now() };
    const { steps } = this.#relocator.plan(await this.registry.read(), { absentAreGone: true }, times);
    await this.#apply(steps);
    return steps.map(({ kind }) => kind);
  }

  /** The engine's writes are not those that `registry.read` waits for. */
  async #apply(steps: readonly EngineStep[]): Promise<void> {
    const { revision, refused } = await (await this.#leadership!).apply(steps);
    assert.deepEqual(refused, []);
    await this.until((cluster) => cluster.revision >= revision);
  }

  /** Records that these machines were lost at once, as the engine does, and waits until a view shows it. */
  async lose(...machines: readonly MachineId[]): Promise<void> {
    this.#leadership ??= this.#lead();
    await (await this.#leadership).recordLoss({
      kind: "await",
      machines,
      since_ms: 1000,
      until_ms: 301_000,
      grace_s: 300,
    });
    await this.until(({ massLoss }) => massLoss?.isOver === false);
  }

  /**
   * Carries out the roll-out of an app as the engine does, without waiting for health: writes the units of `states`, and
   * records these states and the status, and waits until a view shows them. `states` holds states by the names of units.
   * `machines`: those to which a unit in the state `staging` brings its file, the last of which is waited for.
   */
  async advance(
    app: AppName,
    status: RolloutStatus,
    states: Readonly<Record<UnitName, StepState>> = {},
    reason?: string,
    machines: readonly MachineId[] = [],
  ): Promise<void> {
    this.#leadership ??= this.#lead();
    const cluster = await this.registry.read();
    const was = cluster.rollouts?.get(app);
    assert.ok(was, `app ${app} has a roll-out`);
    const indexes = Object.entries(states).map(([name, state]) => {
      return [was.steps.findIndex(({ unit }) => unit === name), state] as const;
    });
    const units = await Promise.all(indexes.map(async ([index, state]) => {
      const change = await this.#changeOf(was, was.steps[index]!, cluster);
      return state === "staging" ? staged(change, machines) : change;
    }));
    const record = cluster.apps?.get(app);
    const update = {
      was,
      status,
      states: new Map(indexes),
      units,
      ...reason && { reason },
      ...record && { app: record },
    };
    const revision = await (await this.#leadership).updateRollout(update);
    assert.ok(revision !== undefined, "the store accepts the progress");
    await this.until((cluster) => cluster.revision >= revision);
  }

  async #changeOf({ app }: Rollout, { unit, after }: RolloutStep, { files }: Cluster): Promise<UnitChange> {
    const was = await this.registry.unit(unit);
    if (!after) return { kind: "delete", was };
    const { hash, desiredState } = after;
    const { text, revision } = files.get(hash)!;
    const file = { hash, revision, fleetOptions: fleetOptionsOf(unit, parseUnitFile(text)) };
    return { kind: "put", was, desiredState, app, ...hash !== was.unit?.hash && { file } };
  }

  /** Publishes a unit's state as a machine's agent would (`undefined`: the unit is gone), and waits until a view shows it. */
  async report(machine: MachineId, unit: UnitName, state: Partial<UnitState> | undefined): Promise<void> {
    const states = this.#states.get(machine) ?? new Map<UnitName, UnitState>();
    this.#states.set(machine, states);
    if (state === undefined) states.delete(unit);
    else {
      states.set(unit, {
        unit,
        machine,
        hash: "0123456789012345678901234567890123456789",
        commanded: "launched",
        restart: 0,
        load: "loaded",
        active: "active",
        sub: "running",
        since_ms: 1000,
        ...state,
      });
    }
    const member = this.#members.get(machine);
    assert.ok(member, `machine ${machine} has joined`);
    await member.publish(states);
    await this.until((cluster) => (cluster.states.get(unit)?.has(machine) ?? false) === (state !== undefined));
  }

  /** Waits for a view of the cluster for which `isReached` returns true. */
  async until(isReached: (cluster: Cluster) => boolean): Promise<void> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), deadline_ms);
    try {
      for await (const cluster of this.registry.watch(late.signal)) if (isReached(cluster)) return;
      throw new Error(`the cluster did not reach the expected state within ${deadline_ms} ms`);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Becomes the leader until the fixture is disposed of. The iterator stays open, because closing it would resign. */
  async #lead(): Promise<Leadership> {
    const campaign = this.registry.campaign("engine", "1.2.3", this.#stop.signal)[Symbol.asyncIterator]();
    const { value, done } = await campaign.next();
    assert.ok(!done);
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#sharedState[Symbol.dispose]();
    await this.registry.close();
    await this.store.close();
  }
}

/** Returns a change in which only some machines get the new file. */
function staged(change: UnitChange, machines: readonly MachineId[]): UnitChange {
  assert.ok(change.kind === "put" && change.file);
  const { file: { hash, fleetOptions }, ...rest } = change;
  const requirements = parseRequirements(change.was.name, fleetOptions);
  return { ...rest, next: { hash, fleetOptions, requirements, machines, unproven: machines.slice(-1) } };
}

/** Returns the options of a simple unit file in the format of the API. */
export function optionsOf(file: string): { section: string; name: string; value: string }[] {
  let section = "";
  return file.split("\n").flatMap((line) => {
    if (line.startsWith("[")) section = line.slice(1, -1);
    const [, name, value] = /^([^=]+)=(.*)$/.exec(line) ?? [];
    return name === undefined || value === undefined ? [] : [{ section, name, value }];
  });
}

/** Returns the body of an error response. */
export function errorText(code: number, message: string): string {
  const escape = (one: string) => `\\u00${one.charCodeAt(0).toString(16)}`;
  return JSON.stringify({ error: { code, message } }).replace(/[<>&]/g, escape);
}
