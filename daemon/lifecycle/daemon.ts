/**
 * The daemon over all of its configurations: it lives by one of them, and a reload replaces it by the next while the API
 * goes on answering.
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
import { type EffectiveConfig, renewal } from "../config/diff.ts";
import { closeAll } from "./shutdown.ts";
import { within } from "../../runtime/within.ts";

/** What one configuration gives rise to. */
export interface Generation<Api> extends EffectiveConfig {
  readonly store: Store;
  readonly registry: Registry;
  readonly api: Api;
  /** Aborted when another registry has taken its place: streams over it have to end. */
  readonly retired: AbortController;
}

/** How a daemon does what it does. `Api` answers requests. */
export interface DaemonPorts<Api> {
  /** Reads the configuration anew. Throws when it cannot be used. */
  readonly configure: () => Promise<EffectiveConfig>;
  readonly openStore: (effective: EffectiveConfig) => Promise<Store>;
  /** `doubts` are the same for all of them: what one leaves in doubt, the next must settle before it writes. */
  readonly openRegistry: (config: Config, store: Store, unsettledWrites: UnsettledWrites) => Registry;
  readonly openApi: (parts: Omit<Generation<Api>, "api" | "store">) => Api;
  /** Lives until `signal` aborts, telling its status. */
  readonly live: (generation: Generation<Api>, status: (status: Status) => void, signal: AbortSignal) => Promise<void>;
  /** Makes the rest of the process go by a configuration, before anything lives by it. Throws when that cannot be. */
  readonly putInForce: (config: Config) => Promise<void>;
  /**
   * Called at the beginning of each reload. Returns what to call with its outcome: why the configuration was refused, or
   * undefined.
   */
  readonly reloadRequest?: () => Promise<(refusal: string | undefined) => Promise<void>>;
  readonly tell: Notify;
  readonly clock: Clock;
  readonly log: Log;
}

/** Answers of a registry that has been replaced may take so long. */
const retirement_ms = 5_000;

/** A life that has been told to end may wait so long for a store that is away. */
const ending_ms = 1_000;

/** One daemon. {@link start} comes first, {@link end} last. */
export class Daemon<Api> {
  readonly #ports: DaemonPorts<Api>;
  #generation: Generation<Api> | undefined;
  #session: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;
  #status: Status = { ready: false, reason: "fleetd is starting", starting: true };
  readonly #started = Promise.withResolvers<void>();
  /** Why the configuration as it now is was refused; undefined if it is in force. */
  #refusal: string | undefined;
  #ending = false;
  #reloading: Promise<void> | undefined;
  #reloadAgain = false;
  readonly #unsettledWrites: UnsettledWrites = new Map();
  readonly #retiring = new Map<Registry, Promise<void>>();
  readonly #hurry = new AbortController();

  constructor(ports: DaemonPorts<Api>) {
    this.#ports = ports;
  }

  /** What is in force. Throws before {@link start} has succeeded. */
  get generation(): Generation<Api> {
    if (!this.#generation) throw new Error("fleetd has not opened its store yet");
    return this.#generation;
  }

  get status(): Status {
    return this.#status;
  }

  /** Resolves when {@link status} first says whether the machine has joined the cluster, or why it has not. */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  /** Opens everything that `config` names; {@link live} is to follow once the API is served. */
  async start(effective: EffectiveConfig): Promise<void> {
    this.#generation = await this.#open(effective, undefined, { store: true, registry: true });
  }

  /** Begins to live. */
  live(): void {
    this.#begin(this.generation);
  }

  /**
   * Takes on the configuration as it now is. One that is bad, or cannot be opened, is logged, and the old one stays in
   * force. Resolves when it is done; calls made meanwhile are one more round. Never rejects.
   */
  reload(): Promise<void> {
    this.#reloadAgain = true;
    return this.#reloading ??= this.#reloadAll().finally(() => this.#reloading = undefined);
  }

  /**
   * Ends the life. `well` comes before that, when no reload is under way any more, unless it calls `halt`, which ends the
   * life there and then.
   */
  async end(well: (halt: () => Promise<void>) => Promise<void>): Promise<void> {
    const { clock, log, tell } = this.#ports;
    this.#ending = true;
    await tell("STOPPING=1\nSTATUS=ending");
    const reloading = this.#reloading;
    if (reloading) await within(retirement_ms, clock, () => reloading);
    const halt = async () => {
      this.#session?.stop.abort();
      // Whatever still waits for a store that is away need not be waited for.
      await within(ending_ms, clock, () => this.#session?.ended ?? Promise.resolve()).catch((error) =>
        log("error", `the daemon's work failed while it was ending: ${messageOf(error)}`)
      );
    };
    await well(halt);
    await halt();
  }

  /**
   * Closes stores, also after a start that failed; to be called when the API is served no more. Failures are logged.
   */
  async close(): Promise<void> {
    const { clock } = this.#ports;
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
    const { configure, log, tell, clock } = this.#ports;
    await tell("RELOADING=1");
    const answer = await this.#ports.reloadRequest?.();
    const started_ms = clock.monotonic_ms();
    try {
      const next = await configure();
      const what = renewal(this.generation, next);
      if ("refusal" in what) throw new Error(what.refusal);
      await this.#renew(next, what);
      this.#refusal = undefined;
      log("info", `configuration reloaded in ${Math.round(clock.monotonic_ms() - started_ms)} ms`);
    } catch (error) {
      this.#refusal = messageOf(error);
      log("error", `configuration not reloaded, the old one stays in force: ${this.#refusal}`);
    }
    await tell(`READY=1\nSTATUS=${statusText(this.#status, this.#refusal)}`);
    await answer?.(this.#refusal);
  }

  async #renew(next: EffectiveConfig, what: Exclude<ReturnType<typeof renewal>, { refusal: string }>): Promise<void> {
    const old = this.generation;
    const generation = await this.#open(next, old, what);
    let inForce = false;
    try {
      if (this.#ending) return;
      await this.#ports.putInForce(next.config);
      if (what.membership) {
        this.#session?.stop.abort();
        await this.#session?.ended;
        // The API stays with the old registry until the new life knows how it stands.
        await this.#begin(generation);
      }
      this.#generation = generation;
      inForce = true;
    } finally {
      if (!inForce) await this.#discard(generation, what);
    }
    if (what.registry) this.#retire(old, what.store);
  }

  async #open(
    { config, etcdTls }: EffectiveConfig,
    old: Generation<Api> | undefined,
    what: { readonly store: boolean; readonly registry: boolean; readonly api?: boolean },
  ): Promise<Generation<Api>> {
    const { openStore, openRegistry, openApi } = this.#ports;
    const store = old && !what.store ? old.store : await openStore({ config, ...(etcdTls && { etcdTls }) });
    let registry = old?.registry;
    try {
      if (!registry || what.registry) registry = openRegistry(config, store, this.#unsettledWrites);
      const retired = old && !what.registry ? old.retired : new AbortController();
      const api = old && !what.api ? old.api : openApi({ config, registry, retired });
      return { config, ...(etcdTls && { etcdTls }), store, registry, retired, api };
    } catch (error) {
      const opened = { store: store !== old?.store, registry: registry !== old?.registry };
      await this.#discard({ store, ...(registry && { registry }) }, opened);
      throw error;
    }
  }

  /** Closes what was opened and is not in use: only the parts that `opened` says. Failures are logged. */
  async #discard(
    { store, registry }: { readonly store: Store; readonly registry?: Registry },
    opened: { readonly store: boolean; readonly registry: boolean },
  ): Promise<void> {
    await closeAll([
      ...(opened.registry && registry ? [{ what: "the registry", close: () => registry.close() }] : []),
      ...(opened.store ? [{ what: `the store at ${store.endpoints}`, close: () => store.close() }] : []),
    ], this.#ports.log);
  }

  /** Resolves when the new life has first told its status, or has ended. */
  #begin(generation: Generation<Api>): Promise<void> {
    const stop = new AbortController();
    const told = Promise.withResolvers<void>();
    const status = (next: Status) => {
      if (stop.signal.aborted) return;
      this.#status = next;
      this.#started.resolve();
      this.#ports.tell(`STATUS=${statusText(next, this.#refusal)}`);
      told.resolve();
    };
    const ended = this.#ports.live(generation, status, stop.signal).finally(told.resolve);
    this.#session = { stop, ended };
    return told.promise;
  }

  /** Closes a registry when its last answers should have been given, and its store if nobody else has it. */
  #retire({ registry, store, retired }: Generation<Api>, withStore: boolean): void {
    const closed = (async () => {
      retired.abort();
      await this.#ports.clock.sleep(retirement_ms, this.#hurry.signal);
      await this.#discard({ store, registry }, { store: withStore, registry: true });
    })();
    this.#retiring.set(registry, closed.finally(() => this.#retiring.delete(registry)));
  }
}

/** One line, as sd_notify(3) wants it. */
function statusText({ ready, reason }: Status, refusal: string | undefined): string {
  const status = ready ? "member of the cluster" : reason ?? "not a member of the cluster";
  const refused = refusal === undefined ? "" : `; configuration not reloaded: ${refusal}`;
  return `${status}${refused}`.replace(/\s*\n\s*/g, " ");
}
