/**
 * The embedded store for one machine without etcd: one SQLite file. An adapter: it accesses the disk and sets timers.
 *
 * Its revisions, leases and watches behave as those of etcd v3. A transaction is on disk when its promise resolves.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { concerns, History, type HistoryLimits } from "./history.ts";
import { messageOf } from "../../runtime/log.ts";
import { StoreUnavailableError } from "../mod.ts";
import type { Revision } from "../model.ts";
import {
  type Compare,
  type KeyValue,
  maxTransactionOps,
  type Op,
  type Range,
  type Snapshot,
  type Store,
  type TransactionResult,
  type WatchBatch,
  type WatchEvent,
  WatchLostError,
} from "./port.ts";
import { Notifier } from "../../runtime/notifier.ts";

export interface SqliteOptions {
  /** A file in an existing directory, created if missing; or `:memory:`. */
  readonly path: string;
  /** The changes that are kept for watches. */
  readonly history?: HistoryLimits;
}

/** Enough for every reader that keeps up; a reader that falls behind reads the store again. */
const defaultHistory: HistoryLimits = { revisions: 1_000, characters: 16 * 1024 * 1024 };

/** Version of the file's layout. A file of another version is refused. */
const layout = 1;

// Keys and values are BLOBs, which compare by byte as etcd's keys do, and may hold U+0000.
const schema = `
  CREATE TABLE store (revision INTEGER NOT NULL) STRICT;
  INSERT INTO store VALUES (1);
  CREATE TABLE lease (id INTEGER PRIMARY KEY AUTOINCREMENT, ttl_s INTEGER NOT NULL) STRICT;
  CREATE TABLE kv (
    key BLOB PRIMARY KEY,
    value BLOB NOT NULL,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    lease INTEGER REFERENCES lease
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX kv_lease ON kv (lease) WHERE lease IS NOT NULL;
  PRAGMA user_version = ${layout};
`;

/** Longest lease, so that its milliseconds fit a timer's 31 bits. */
const maxLease_s = 2_000_000;

/** SQLite's message of SQLITE_FULL; Deno's `exec` gives no error number. */
const fullMessage = "database or disk is full";

/** Pause before an expiry that could not be written is tried again. */
const expiryRetry_ms = 1_000;

/**
 * Opens a store in a file or in memory. Leases of an earlier run start again with their full TTL. Throws
 * {@link StoreUnavailableError} if the file cannot be used, or another process uses it.
 */
export function openSqliteStore({ path, history = defaultHistory }: SqliteOptions): Store {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    // The lock is taken here and held until the end. FULL: a commit waits for the disk.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    database.exec("BEGIN IMMEDIATE");
    const found = Number(database.prepare("PRAGMA user_version").get()!["user_version"]);
    if (found === 0) database.exec(schema);
    else if (found !== layout) throw new Error(`its layout is version ${found}, this fleet knows version ${layout}`);
    database.exec("COMMIT");
    return new SqliteStore(database, path, history);
  } catch (cause) {
    database?.close();
    const reason = messageOf(cause) === "database is locked" ? "another process is using it" : messageOf(cause);
    throw new StoreUnavailableError(`cannot open the store ${path}: ${reason}`, { cause });
  }
}

/** A row of `kv`, as SQLite returns it. */
interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly created: number;
  readonly modified: number;
  readonly lease: number | null;
}

class SqliteStore implements Store {
  readonly #statements: Statements;
  readonly #history: History;
  readonly #changed = new Notifier();
  readonly #expiries = new Map<string, ReturnType<typeof setTimeout>>();
  #closed = false;

  constructor(private readonly database: DatabaseSync, readonly endpoints: string, limits: HistoryLimits) {
    this.#statements = prepareStatements(database);
    this.#history = new History(Number(this.#statements.revision.get()!["revision"]), limits);
    for (const { id, ttl_s } of this.#statements.leases.all()) this.#expireLater(String(id), Number(ttl_s) * 1000);
  }

  read(ranges: readonly Range[]): Promise<Snapshot> {
    return this.#use("read", () => {
      refuseTooMany("ranges", ranges.length);
      return { revision: this.#history.newest, ranges: ranges.map((range) => this.#range(range)) };
    });
  }

  transact(compares: readonly Compare[], ops: readonly Op[]): Promise<TransactionResult> {
    return this.#use("write to", () => {
      refuseTooMany("conditions", compares.length);
      refuseTooMany("operations", ops.length);
      refuseRepeatedKeys(ops);
      const succeeded = compares.every((compare) => this.#holds(compare));
      if (succeeded) this.#commit((revision) => ops.flatMap((op) => this.#apply(op, revision)));
      return { succeeded, revision: this.#history.newest };
    });
  }

  async *watch(ranges: readonly Range[], after: Revision, signal: AbortSignal): AsyncIterable<WatchBatch> {
    for (let seen = after; !signal.aborted;) {
      const turn = this.#changed.count;
      if (this.#closed) throw new WatchLostError(`the store ${this.endpoints} was closed`);
      const batch = this.#history.next(seen);
      if (batch === undefined) {
        await this.#changed.waitPast(turn, signal);
        continue;
      }
      seen = batch.revision;
      const events = batch.events.filter((event) => concerns(event, ranges));
      if (events.length > 0) yield { revision: batch.revision, events };
    }
  }

  grant(ttl_s: number): Promise<string> {
    return this.#use("write to", () => {
      const granted_s = Math.min(maxLease_s, Math.max(1, Math.ceil(ttl_s)));
      const lease = String(this.#statements.grant.run(granted_s).lastInsertRowid);
      this.#expireLater(lease, granted_s * 1000);
      return lease;
    });
  }

  renew(lease: string): Promise<number> {
    return this.#use("read", () => {
      const found = this.#statements.lease.get(lease);
      if (found === undefined) return 0;
      const ttl_s = Number(found["ttl_s"]);
      this.#expireLater(lease, ttl_s * 1000);
      return ttl_s;
    });
  }

  revoke(lease: string): Promise<void> {
    return this.#use("write to", () => this.#end(lease));
  }

  // deno-lint-ignore require-await -- other stores take their time
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#expiries.values()) clearTimeout(timer);
    this.#changed.notify();
    this.database.close();
  }

  /** Runs `work` on the database; an error of SQLite is thrown with the path of the store. */
  // deno-lint-ignore require-await -- async, so that an exception becomes a rejection
  async #use<T>(what: string, work: () => T): Promise<T> {
    if (this.#closed) throw new StoreUnavailableError(`the store ${this.endpoints} was closed`);
    try {
      return work();
    } catch (cause) {
      if ((cause as { code?: unknown }).code !== "ERR_SQLITE_ERROR") throw cause;
      const reason = messageOf(cause);
      const isFull = reason === fullMessage;
      throw new StoreUnavailableError(`cannot ${what} the store ${this.endpoints}: ${reason}`, { cause, isFull });
    }
  }

  /** Runs `work` as one transaction at the next revision; without changes the revision stays as it is. */
  #commit(work: (revision: Revision) => readonly WatchEvent[]): void {
    this.database.exec("BEGIN IMMEDIATE");
    let events: readonly WatchEvent[];
    try {
      events = work(this.#history.newest + 1);
      if (events.length > 0) this.#statements.setRevision.run(this.#history.newest + 1);
      this.database.exec("COMMIT");
    } catch (error) {
      // A full disk makes SQLite roll back by itself.
      if (this.database.isTransaction) this.database.exec("ROLLBACK");
      throw error;
    }
    if (events.length === 0) return;
    this.#history.push(events);
    this.#changed.notify();
  }

  #apply(op: Op, revision: Revision): WatchEvent[] {
    if ("delete" in op) {
      const { changes } = this.#statements.delete.run(Buffer.from(op.delete));
      return changes ? [{ kind: "delete", key: op.delete, modRevision: revision }] : [];
    }
    const lease = op.lease || null;
    if (lease !== null && !this.#statements.lease.get(lease)) throw new Error(`lease ${lease} does not exist any more`);
    const put = this.#statements.put.get(Buffer.from(op.put), Buffer.from(op.value), revision, revision, lease);
    return [{ kind: "put", kv: keyValue(put as unknown as Row) }];
  }

  #holds(compare: Compare): boolean {
    const found = this.#range(compare)[0];
    if ("mod" in compare) return (found?.modRevision ?? 0) === compare.mod;
    if ("create" in compare) return (found?.createRevision ?? 0) === compare.create;
    return found?.value === compare.value;
  }

  #range(range: Range): KeyValue[] {
    const { one, from, between } = this.#statements;
    if ("key" in range) return rows(one, Buffer.from(range.key));
    const start = Buffer.from("prefix" in range ? range.prefix : range.from);
    const end = "from" in range ? Buffer.from(range.to) : start.length === 0 ? start : rangeEnd(start);
    const found = end.length === 0 ? rows(from, start) : rows(between, start, end);
    return "prefix" in range && range.keysOnly ? found.map((kv) => ({ ...kv, value: "" })) : found;
  }

  /** Ends a lease and deletes the keys bound to it, all at one revision. */
  #end(lease: string): void {
    this.#commit((revision) => {
      const bound = rows(this.#statements.bound, lease);
      const events = bound.flatMap(({ key }) => this.#apply({ delete: key }, revision));
      this.#statements.forget.run(lease);
      return events;
    });
    clearTimeout(this.#expiries.get(lease));
    this.#expiries.delete(lease);
  }

  #expireLater(lease: string, after_ms: number): void {
    clearTimeout(this.#expiries.get(lease));
    const expire = () => {
      try {
        this.#end(lease);
      } catch {
        // No caller waits for the expiry; calls that use the store in the meantime reject with the error of the disk.
        this.#expireLater(lease, expiryRetry_ms);
      }
    };
    this.#expiries.set(lease, setTimeout(expire, after_ms));
  }
}

type Statements = ReturnType<typeof prepareStatements>;

function prepareStatements(database: DatabaseSync) {
  return {
    revision: database.prepare("SELECT revision FROM store"),
    setRevision: database.prepare("UPDATE store SET revision = ?"),
    one: database.prepare("SELECT * FROM kv WHERE key = ?"),
    from: database.prepare("SELECT * FROM kv WHERE key >= ? ORDER BY key"),
    between: database.prepare("SELECT * FROM kv WHERE key >= ? AND key < ? ORDER BY key"),
    bound: database.prepare("SELECT * FROM kv WHERE lease = ? ORDER BY key"),
    put: database.prepare(
      `INSERT INTO kv VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified = excluded.modified, lease = excluded.lease
       RETURNING *`,
    ),
    delete: database.prepare("DELETE FROM kv WHERE key = ?"),
    leases: database.prepare("SELECT id, ttl_s FROM lease"),
    lease: database.prepare("SELECT ttl_s FROM lease WHERE id = ?"),
    grant: database.prepare("INSERT INTO lease (ttl_s) VALUES (?)"),
    forget: database.prepare("DELETE FROM lease WHERE id = ?"),
  };
}

function rows(statement: StatementSync, ...parameters: (Uint8Array | string)[]): KeyValue[] {
  return statement.all(...parameters).map((row) => keyValue(row as unknown as Row));
}

function keyValue(row: Row): KeyValue {
  return {
    key: Buffer.from(row.key).toString(),
    value: Buffer.from(row.value).toString(),
    createRevision: row.created,
    modRevision: row.modified,
    lease: row.lease === null ? "" : String(row.lease),
  };
}

/** Returns the first key after all that start with `prefix`. UTF-8 has no byte 0xff, so the last byte can be incremented. */
function rangeEnd(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1]!++;
  return end;
}

function refuseTooMany(what: string, count: number): void {
  if (count > maxTransactionOps) {
    throw new RangeError(`a transaction of ${count} ${what} was refused: at most ${maxTransactionOps} are taken`);
  }
}

/** Refuses, like etcd, a transaction that puts a key twice, or puts and deletes it. */
function refuseRepeatedKeys(ops: readonly Op[]): void {
  const deleted = new Set(ops.flatMap((op) => "delete" in op ? [op.delete] : []));
  const put = new Set<string>();
  for (const op of ops) {
    if (!("put" in op)) continue;
    if (put.has(op.put) || deleted.has(op.put)) {
      throw new RangeError(`a transaction that writes ${op.put} twice was refused`);
    }
    put.add(op.put);
  }
}
