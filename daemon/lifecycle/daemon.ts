/**
 * The daemon over all of its configurations. One configuration is in force at a time; a reload replaces it by the next while
 * the API keeps answering.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import type { UnsettledWrites } from "../../registry/writes/fence.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import type { Registry } from "../../registry/mod.ts";
import type { Store } from "../../registry/store/port.ts";
import type { Config } from "../config/options.ts";
import type { Status } from "./join_loop.ts";
import type { Notify } from "../host/sd_notify.ts";
import { type EffectiveConfig, type Renewal, renewal } from "../config/diff.ts";
import { closeAll } from "./shutdown.ts";
import { visible } from "../../runtime/visible.ts";
import { within } from "../../runtime/within.ts";

/** Everything that is opened for one configuration. */
export interface Generation<Api> extends EffectiveConfig {
  readonly store: Store;
  readonly registry: Registry;
  readonly api: Api;
  /** Aborted when another registry has replaced this one: streams over it have to end. */
  readonly retired: AbortController;
}

/** The effects of a daemon. `Api` answers requests. */
export interface DaemonPorts<Api> {
  /** Reads the configuration again. Throws when it cannot be used. */
  readonly configure: () => Promise<EffectiveConfig>;
  readonly openStore: (effective: EffectiveConfig) => Promise<Store>;
  /** `unsettledWrites` is the same map for every registry: the next one settles what the one before left, before it writes. */
  readonly openRegistry: (config: Config, store: Store, unsettledWrites: UnsettledWrites) => Registry;
  readonly openApi: (parts: Omit<Generation<Api>, "api" | "store">) => Api;
  /** Joins the cluster and works there until `signal` aborts, reporting its status. */
  readonly runSession: (
    generation: Generation<Api>,
    report: (status: Status) => void,
    signal: AbortSignal,
  ) => Promise<void>;
  /** Applies a configuration to the rest of the process, before a session uses it. Throws when that is not possible. */
  readonly putInForce: (config: Config) => void;
  /**
   * Called at the beginning of each reload. Returns a function that takes its outcome: the reason why the configuration was
   * refused, or undefined.
   */
  readonly reloadRequest?: () => Promise<(refusal: string | undefined) => Promise<void>>;
  readonly notify: Notify;
  readonly clock: Clock;
  readonly log: Log;
}

/** The time that requests in progress have to finish on a registry that has been replaced. */
const retirement_ms = 5_000;

/** The time that a session has to end while the store cannot be reached. */
const ending_ms = 1_000;

const endingMessage = "fleetd is ending";

/** One daemon. {@link start} comes first, {@link end} last. */
export class Daemon<Api> {
  #generation: Generation<Api> | undefined;
  #session: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;
  #status: Status = { ready: false, reason: "fleetd is starting", starting: true };
  readonly #started = Promise.withResolvers<void>();
  /** The reason why the latest configuration was refused; undefined if it is in force. */
  #refusal: string | undefined;
  #ending = false;
  #reloading: Promise<void> | undefined;
  #reloadAgain = false;
  readonly #unsettledWrites: UnsettledWrites = new Map();
  readonly #retiring = new Map<Registry, Promise<void>>();
  readonly #hurry = new AbortController();

  constructor(private readonly ports: DaemonPorts<Api>) {}

  /** The generation in force. Throws before {@link start} has succeeded. */
  get generation(): Generation<Api> {
    if (!this.#generation) throw new Error("fleetd has not opened its store yet");
    return this.#generation;
  }

  get status(): Status {
    return this.#status;
  }

  /** Resolves when {@link status} is known: the machine has joined the cluster, or cannot join for a reason. */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  /** Opens everything that `config` names. {@link beginSession} follows once the API is served. */
  async start(effective: EffectiveConfig): Promise<void> {
    this.#generation = await this.#open(effective, undefined, { store: true, registry: true });
  }

  /** Begins to join the cluster. */
  beginSession(): void {
    this.#begin(this.generation);
  }

  /**
   * Replaces the configuration by the one that the files and variables now have. A configuration that is invalid, or cannot
   * be opened, is logged, and the old one stays in force. Calls during a reload cause one more reload. Never rejects.
   */
  reload(): Promise<void> {
    this.#reloadAgain = true;
    return this.#reloading ??= this.#reloadAll().finally(() => this.#reloading = undefined);
  }

  /**
   * Ends the session. `shutDown` runs before that, after a reload in progress has ended; it may call `halt`, which ends the
   * session at once.
   */
  async end(shutDown: (halt: () => Promise<void>) => Promise<void>): Promise<void> {
    const { clock, notify } = this.ports;
    this.#ending = true;
    await notify("STOPPING=1\nSTATUS=ending");
    const reloading = this.#reloading;
    if (reloading) await within(retirement_ms, clock, () => reloading);
    // Calls to a store that cannot be reached are not waited for.
    const halt = async () => void await within(ending_ms, clock, () => this.#endSession());
    await shutDown(halt);
    await halt();
  }

  /** Closes stores, also after a start that failed. To be called when the API is no longer served. Failures are logged. */
  async close(): Promise<void> {
    const { clock } = this.ports;
    this.#hurry.abort();
    await within(ending_ms, clock, async () => {
      await Promise.all(this.#retiring.values());
      if (this.#generation) await this.#discard(this.#generation, { store: true, registry: true });
    });
  }

  async #reloadAll(): Promise<void> {
    while (this.#reloadAgain && !this.#ending) {
      this.#reloadAgain = false;
      await this.#reloadOnce();
    }
  }

  async #reloadOnce(): Promise<void> {
    const { configure, log, notify, clock } = this.ports;
    await notify("RELOADING=1");
    const reportOutcome = await this.ports.reloadRequest?.();
    const started_ms = clock.monotonic_ms();
    try {
      const next = await configure();
      const changes = renewal(this.generation, next);
      if ("refusal" in changes) throw new Error(changes.refusal);
      await this.#renew(next, changes);
      this.#refusal = undefined;
      log("info", `configuration reloaded in ${Math.round(clock.monotonic_ms() - started_ms)} ms`);
    } catch (error) {
      this.#refusal = this.#ending ? endingMessage : messageOf(error);
      if (this.#ending) log("info", `configuration not reloaded: ${endingMessage}`);
      else log("error", `configuration not reloaded, the old one stays in force: ${this.#refusal}`);
    }
    if (!this.#ending) await notify(`READY=1\nSTATUS=${statusText(this.#status, this.#refusal)}`);
    await reportOutcome?.(this.#refusal);
  }

  async #renew(next: EffectiveConfig, changes: Renewal): Promise<void> {
    const old = this.generation;
    const generation = await this.#open(next, old, changes);
    let inForce = false;
    try {
      this.#refuseWhileEnding();
      this.ports.putInForce(next.config);
      if (changes.membership) {
        await this.#endSession();
        this.#refuseWhileEnding();
        // The API stays with the old registry until the new session has a status.
        await this.#begin(generation);
      }
      this.#generation = generation;
      inForce = true;
    } finally {
      if (!inForce) await this.#discard(generation, changes);
    }
    if (changes.registry) this.#retire(old, changes.store);
  }

  #refuseWhileEnding(): void {
    if (this.#ending) throw new Error(endingMessage);
  }

  async #open(
    { config, etcdTls }: EffectiveConfig,
    old: Generation<Api> | undefined,
    changes: Pick<Renewal, "store" | "registry"> & Partial<Renewal>,
  ): Promise<Generation<Api>> {
    const { openStore, openRegistry, openApi } = this.ports;
    const store = old && !changes.store ? old.store : await openStore({ config, ...(etcdTls && { etcdTls }) });
    let registry = old?.registry;
    try {
      if (!registry || changes.registry) registry = openRegistry(config, store, this.#unsettledWrites);
      const retired = old && !changes.registry ? old.retired : new AbortController();
      const api = old && !changes.api ? old.api : openApi({ config, registry, retired });
      return { config, ...(etcdTls && { etcdTls }), store, registry, retired, api };
    } catch (error) {
      const opened = { store: store !== old?.store, registry: registry !== old?.registry };
      await this.#discard({ store, ...(registry && { registry }) }, opened);
      throw error;
    }
  }

  /** Closes parts that are not in use: those that `opened` names. Failures are logged. */
  async #discard(
    { store, registry }: { readonly store: Store; readonly registry?: Registry },
    opened: { readonly store: boolean; readonly registry: boolean },
  ): Promise<void> {
    await closeAll([
      ...(opened.registry && registry ? [{ what: "the registry", close: () => registry.close() }] : []),
      ...(opened.store ? [{ what: `the store at ${store.endpoints}`, close: () => store.close() }] : []),
    ], this.ports.log);
  }

  /** Begins a session. Resolves when it has reported its first status, or has ended. */
  #begin(generation: Generation<Api>): Promise<void> {
    const stop = new AbortController();
    return new Promise((resolve) => {
      const report = (status: Status) => {
        if (stop.signal.aborted) return;
        this.#status = status;
        this.#started.resolve();
        this.ports.notify(`STATUS=${statusText(status, this.#refusal)}`);
        resolve();
      };
      const ended = this.ports.runSession(generation, report, stop.signal).finally(resolve);
      this.#session = { stop, ended };
    });
  }

  /** Ends the session. Its failure is logged: the next one begins all the same. */
  async #endSession(): Promise<void> {
    this.#session?.stop.abort();
    try {
      await this.#session?.ended;
    } catch (error) {
      this.ports.log("error", `the daemon's work failed while it was ending: ${messageOf(error)}`);
    }
  }

  /** Closes a registry once its last requests have had time to finish, and its store unless the next one uses it too. */
  #retire({ registry, store, retired }: Generation<Api>, withStore: boolean): void {
    const closed = (async () => {
      retired.abort();
      await this.ports.clock.sleep(retirement_ms, this.#hurry.signal);
      await this.#discard({ store, registry }, { store: withStore, registry: true });
    })();
    this.#retiring.set(registry, closed.finally(() => this.#retiring.delete(registry)));
  }
}

/** Returns the status as one line for sd_notify(3). systemctl(1) prints it unchanged. */
function statusText({ ready, reason, missing }: Status, refusal: string | undefined): string {
  const status = missing ?? (ready ? "member of the cluster" : reason ?? "not a member of the cluster");
  const refused = refusal === undefined ? "" : `; configuration not reloaded: ${refusal}`;
  return visible(`${status}${refused}`.replace(/\s*\n\s*/g, " "));
}
