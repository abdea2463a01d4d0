/**
 * Builds {@link MachineView} values: the part of the store that concerns one machine.
 *
 * @module
 */

import { SharedMap } from "./shared_map.ts";
import { decodeAssignment, decodeUnit } from "../schema/codec.ts";
import { decodeDrain } from "../schema/maintenance.ts";
import { stopsGlobals } from "./maintenance_view.ts";
import { KeyWarnings } from "./key_warnings.ts";
import { assignPrefix, drainKey, globalPrefix, metadataPrefix, parseKey, successorPrefix } from "../schema/keys.ts";
import type { Log } from "../../runtime/log.ts";
import type { Assignment, MachineId, MachineView, Revision, Unit, UnitName } from "../model.ts";
import type { KeyValue, Range, WatchBatch } from "../store/port.ts";

/** Returns the ranges of keys that a machine's agent watches. */
export function machineRanges(machine: MachineId): readonly Range[] {
  return [
    { prefix: assignPrefix(machine) },
    { prefix: successorPrefix(machine) },
    { prefix: globalPrefix },
    { prefix: metadataPrefix(machine) },
    { key: drainKey(machine) },
  ];
}

/** Builds one {@link MachineView} after the other. A returned view never changes. */
export class MachineViewBuilder {
  readonly #assignments = new SharedMap<UnitName, Assignment>();
  /** Copies of units that are about to move here. */
  readonly #successors = new SharedMap<UnitName, Assignment>();
  readonly #globals = new SharedMap<UnitName, Unit>();
  #stopsGlobals = false;
  /** Units whose assignment or global record cannot be read, by key. */
  readonly #unreadable = new Map<string, UnitName>();
  #metadata: Readonly<Record<string, string>> = {};
  #revision: Revision = 0;
  #deletions = 0;
  readonly #withdrawn = new Set<UnitName>();

  readonly #warnings: KeyWarnings;

  constructor(private readonly machine: MachineId, log: Log) {
    this.#warnings = new KeyWarnings(log);
  }

  /** The number of deleted keys so far. Deletions are accepted only after the store's identity was checked. */
  get deletions(): number {
    return this.#deletions;
  }

  /** Units whose assignment was deleted and has not been written again. */
  get withdrawn(): ReadonlySet<UnitName> {
    return this.#withdrawn;
  }

  /** Clears {@link withdrawn}, after the deletions were accepted. */
  forgetWithdrawn(): void {
    this.#withdrawn.clear();
  }

  /**
   * Adds those of the units that have no assignment to {@link withdrawn}, as if their assignments had been deleted now.
   * `units` are units that should have one.
   */
  withdrawMissing(units: Iterable<UnitName>): void {
    const unreadable = new Set(this.#unreadable.values());
    for (const name of units) {
      if (this.#isAssigned(name) || unreadable.has(name)) continue;
      this.#withdrawn.add(name);
      this.#deletions++;
    }
  }

  /** Replaces all data by the result of a full read of {@link machineRanges}. */
  reset(kvs: readonly KeyValue[], revision: Revision): void {
    const assigned = new Set([
      ...[...this.#assignments.share().keys(), ...this.#successors.share().keys()],
      ...[...this.#unreadable.values(), ...this.#withdrawn],
    ]);
    this.#assignments.clear();
    this.#successors.clear();
    this.#stopsGlobals = false;
    this.#globals.clear();
    this.#metadata = {};
    this.#withdrawn.clear();
    this.#unreadable.clear();
    for (const kv of kvs) this.#put(kv);
    this.withdrawMissing(assigned);
    this.#revision = revision;
  }

  apply(batch: WatchBatch): void {
    for (const event of batch.events) {
      if (event.kind === "put") this.#put(event.kv);
      else {
        this.#delete(event.key);
        this.#deletions++;
        const key = parseKey(event.key);
        if (key?.kind === "assign" || key?.kind === "successor" && !this.#assignments.has(key.name)) {
          this.#withdrawn.add(key.name);
        }
      }
    }
    this.#revision = Math.max(this.#revision, batch.revision);
  }

  /** `kept`: units without an assignment that are left alone all the same. */
  view(id: string, kept: Iterable<UnitName> = []): MachineView {
    const copies = this.#copies();
    return {
      id,
      revision: this.#revision,
      machine: this.machine,
      assignments: copies.size === 0 ? this.#assignments.share() : new Map([...copies, ...this.#assignments.share()]),
      ...copies.size > 0 && { copies },
      ...this.#stopsGlobals && { stopsGlobals: true },
      globals: this.#globals.share(),
      unreadable: new Set(
        [...this.#unreadable.values(), ...kept].filter((name) => !this.#isAssigned(name) && !this.#globals.has(name)),
      ),
      dynamicMetadata: this.#metadata,
    };
  }

  /** Returns the second copies. A unit that has moved here has an assignment in place of its copy. */
  #copies(): ReadonlyMap<UnitName, Assignment> {
    const all = this.#successors.share();
    return all.size === 0 ? all : new Map([...all].filter(([name]) => !this.#assignments.has(name)));
  }

  #isAssigned(name: UnitName): boolean {
    return this.#assignments.has(name) || this.#successors.has(name);
  }

  #put(kv: KeyValue): void {
    const key = parseKey(kv.key);
    try {
      if (key?.kind === "assign") {
        this.#withdrawn.delete(key.name);
        this.#assignments.set(key.name, decodeAssignment(key.machine, key.name, kv));
      } else if (key?.kind === "successor") {
        this.#withdrawn.delete(key.name);
        this.#successors.set(key.name, decodeAssignment(key.machine, key.name, kv));
      } else if (key?.kind === "drain") this.#stopsGlobals = stopsGlobals(decodeDrain(key.machine, kv));
      else if (key?.kind === "global") this.#globals.set(key.name, decodeUnit(key.name, kv));
      else if (key?.kind === "metadata") this.#metadata = { ...this.#metadata, [key.key]: kv.value };
      else this.#warnings.foreign(kv.key);
      this.#unreadable.delete(kv.key);
    } catch (error) {
      this.#warnings.unreadable(kv, error);
      this.#delete(kv.key);
      if (key && "name" in key) this.#unreadable.set(kv.key, key.name);
    }
  }

  #delete(text: string): void {
    const key = parseKey(text);
    this.#unreadable.delete(text);
    if (key?.kind === "assign") this.#assignments.delete(key.name);
    else if (key?.kind === "successor") this.#successors.delete(key.name);
    else if (key?.kind === "drain") this.#stopsGlobals = false;
    else if (key?.kind === "global") this.#globals.delete(key.name);
    else if (key?.kind === "metadata") {
      const { [key.key]: _gone, ...rest } = this.#metadata;
      this.#metadata = rest;
    }
  }
}
