/**
 * The {@link Registry} over any {@link Store}.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import type { ContentName } from "./attached_files.ts";
import { ClusterView, unitRecord } from "./views/cluster_view.ts";
import { fileTransactions, newRollout, updateTransaction } from "./writes/rollouts.ts";
import { changeTransaction, type Transaction } from "./writes/transactions.ts";
import { campaign } from "./presence/election.ts";
import type { UnsettledWrites } from "./writes/fence.ts";
import { FileCache } from "./file_cache.ts";
import { contentKey, fileKey, globalKey, targetKey, unitKey } from "./schema/keys.ts";
import { Batcher } from "./writes/batcher.ts";
import { GroupCommit } from "./writes/group_commit.ts";
import type { Log } from "../runtime/log.ts";
import { watchMachine } from "./views/machine_watch.ts";
import { joinCluster } from "./presence/membership.ts";
import { ClusterCache } from "./views/cluster_cache.ts";
import {
  type Change,
  ConflictError,
  type Leadership,
  type Membership,
  type Registry,
  RolloutEndedError,
  type RolloutStart,
  type RolloutUpdate,
  type StoreMemory,
  type UnitRecord,
} from "./mod.ts";
import type { AppName, Cluster, MachineId, MachineRecord, MachineView, Revision, Rollout, UnitName } from "./model.ts";
import { hasEnded } from "./rollouts.ts";
import { StoreSession } from "./writes/session.ts";
import { type KeyValue, maxTransactionOps, type Store } from "./store/port.ts";

export interface ClusterRegistryOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** Returns the name of this writer, a machine ID. Called by `open`; may reject. Each name may leave a key in the store. */
  readonly writer: () => Promise<string>;
  /** Writes whose outcome is unknown, from the registry that this one replaces in the process. */
  readonly unsettledWrites?: UnsettledWrites;
  /** The time after which the lease of a silent daemon expires. */
  readonly agentTtl_s: number;
  /** The time after which the lease of a silent leader expires. */
  readonly leaderTtl_s: number;
  /** The time that the cluster cache stays open after its last use. Default 60 000. */
  readonly cacheIdle_ms?: number;
}

/** Characters of unit files kept in memory: enough for every unit of a machine. */
const maxCachedCharacters = 8 * 1024 * 1024;

/** The keys that make a unit's record. */
const recordKeys = [unitKey, globalKey, targetKey] as const;

export class ClusterRegistry implements Registry {
  readonly #session: StoreSession;
  readonly #clusterCache: ClusterCache;
  readonly #files = new FileCache(maxCachedCharacters);
  readonly #commits: GroupCommit;
  readonly #records = new Batcher<UnitName, readonly (KeyValue | undefined)[]>({
    fits: (batch) => (batch.length + 1) * recordKeys.length < maxTransactionOps,
    send: (names) => this.#readRecords(names),
  });

  constructor(private readonly options: ClusterRegistryOptions) {
    const { store, clock, log } = options;
    this.#session = new StoreSession(store, clock, options.writer, options.unsettledWrites);
    this.#commits = new GroupCommit(this.#session);
    this.#clusterCache = new ClusterCache({
      session: this.#session,
      clock,
      log,
      idle_ms: options.cacheIdle_ms ?? 60_000,
    });
  }

  get memory(): StoreMemory | undefined {
    return this.#session.memory;
  }

  get awayUntil_ms(): number {
    return this.#session.awayUntil_ms;
  }

  open(remembered: StoreMemory | undefined): Promise<StoreMemory> {
    return this.#session.open(remembered);
  }

  watch(signal: AbortSignal): AsyncIterable<Cluster> {
    return this.#clusterCache.watch(signal);
  }

  watchMachine(machine: MachineId, signal: AbortSignal): AsyncIterable<MachineView> {
    const { clock, log } = this.options;
    return watchMachine({ session: this.#session, clock, log }, machine, signal);
  }

  read(): Promise<Cluster> {
    return this.#clusterCache.read();
  }

  /** Reads the values of {@link recordKeys} for each name. */
  async #readRecords(names: readonly UnitName[]): Promise<readonly (readonly (KeyValue | undefined)[])[]> {
    const { ranges } = await this.#session.read(names.flatMap((name) => recordKeys.map((key) => ({ key: key(name) }))));
    return names.map((_, at) => recordKeys.map((_, key) => ranges[at * recordKeys.length + key]?.[0]));
  }

  async unit(name: UnitName): Promise<UnitRecord> {
    const view = new ClusterView(() => {});
    view.reset((await this.#records.request(name)).filter((kv) => kv !== undefined), 0);
    const { unit, target } = view.unit(name);
    const text = unit && unit.hash !== "" ? await this.file(unit.hash) : undefined;
    return unitRecord(name, unit, target, text);
  }

  peek(name: UnitName): UnitRecord | undefined {
    return this.#clusterCache.peek(name);
  }

  async file(hash: string): Promise<string | undefined> {
    const known = this.#files.get(hash) ?? this.#clusterCache.peekFile(hash);
    if (known !== undefined) return known;
    const { ranges: [file] } = await this.#session.read([{ key: fileKey(hash) }]);
    const text = file?.[0]?.value;
    if (text !== undefined) this.#files.set(hash, text);
    return text;
  }

  async content(name: ContentName): Promise<string | undefined> {
    const { ranges: [found] } = await this.#session.read([{ key: contentKey(name) }]);
    return found?.[0]?.value;
  }

  async commit(change: Change): Promise<Revision> {
    const revision = await this.#commits.commit(changeTransaction(change));
    if (revision !== undefined) return revision;
    throw new ConflictError(`${subjectOf(change)} was changed by another writer in the meantime`);
  }

  async startRollout(start: RolloutStart): Promise<Pick<Rollout, "id" | "revision">> {
    if (start.was && !hasEnded(start.was)) {
      throw new ConflictError(`app ${start.app} has another roll-out, which is ${start.was.status}`);
    }
    const { rollout, ...creation } = newRollout(start, this.#session.randomId());
    const revision = await this.#commitRollout(start.app, creation);
    const was = { ...rollout, revision };
    try {
      for (const files of fileTransactions(start, revision)) await this.#commitRollout(start.app, files);
      return { id: rollout.id, revision: await this.updateRollout({ was, status: "running" }) };
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      const reason = "a content of an attached file was removed before its unit file was stored";
      await this.updateRollout({ was, status: "failed", reason }).catch((error) => {
        if (!(error instanceof ConflictError)) throw error;
        throw new RolloutEndedError(`the roll-out of app ${start.app} was ended by another client before it began`);
      });
      throw new ConflictError(`cannot begin the roll-out of app ${start.app}: ${reason}`);
    }
  }

  updateRollout(update: RolloutUpdate): Promise<Revision> {
    return this.#commitRollout(update.was.app, updateTransaction(update));
  }

  async #commitRollout(app: AppName, transaction: Transaction): Promise<Revision> {
    const revision = await this.#commits.commit(transaction);
    if (revision !== undefined) return revision;
    throw new ConflictError(`the roll-out of app ${app} was changed by another writer in the meantime`);
  }

  join(machine: MachineRecord, lease: string | undefined, signal: AbortSignal): Promise<Membership> {
    const { clock, log, agentTtl_s } = this.options;
    return joinCluster({ session: this.#session, clock, log, ttl_s: agentTtl_s }, machine, lease, signal);
  }

  campaign(machine: MachineId, version: string, signal: AbortSignal): AsyncIterable<Leadership> {
    const { clock, log, leaderTtl_s } = this.options;
    return campaign({ session: this.#session, clock, log, ttl_s: leaderTtl_s }, { machine, version }, signal);
  }

  async close(): Promise<void> {
    await this.#clusterCache.close();
    this.#session.close();
  }
}

/** Returns the name of what a change is about, for messages. */
function subjectOf(change: Change): string {
  switch (change.kind) {
    case "put":
    case "delete":
      return `unit ${change.was.name}`;
    case "content":
      return `content ${change.name.hash}`;
    case "metadata":
      return `metadata ${change.key} of machine ${change.machine}`;
    case "cordon":
      return `the cordon of machine ${change.machine}`;
    case "drain":
      return "a drain of these machines";
    case "undrain":
      return `the drain of machine ${change.was.machine}`;
    case "rebalance":
      return "the requested moves";
    case "accept loss":
      return "the list of missing machines";
  }
}
