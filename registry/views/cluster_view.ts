/**
 * Builds {@link Cluster} values from a full read of the store and the batches of changes that follow.
 *
 * @module
 */

import { decodeAssignment, decodeLeader, decodeLoss, decodeState, decodeTarget, decodeUnit } from "../schema/codec.ts";
import { decodeMachine } from "../schema/machine.ts";
import { AppsView } from "./apps_view.ts";
import type { KeyKind } from "./key_kind.ts";
import { KeyWarnings } from "./key_warnings.ts";
import { MaintenanceView } from "./maintenance_view.ts";
import { type ParsedKey, parseKey } from "../schema/keys.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import {
  type Assignment,
  type Cluster,
  type Departure,
  effectiveMetadata,
  type Leader,
  type Machine,
  type MachineId,
  type MassLoss,
  type Revision,
  type StoredContent,
  type Target,
  type Unit,
  type UnitFileText,
  type UnitName,
  type UnitState,
} from "../model.ts";
import type { UnitRecord } from "../mod.ts";
import { SharedMap } from "./shared_map.ts";
import type { KeyValue, WatchBatch } from "../store/port.ts";
import {
  type LastKnown,
  type Unreadable,
  unreadableAssignment,
  unreadableMachine,
  unreadableTarget,
  unreadableUnit,
} from "../schema/unreadable.ts";

type States = ReadonlyMap<MachineId, UnitState>;

/**
 * Builds one {@link Cluster} after the other. A returned cluster never changes: a map is copied before its first change
 * after that, so that a burst of changes costs one copy, and unchanged maps are shared.
 */
export class ClusterView {
  readonly #units = new SharedMap<UnitName, Unit>();
  readonly #files = new SharedMap<string, UnitFileText>();
  readonly #contents = new SharedMap<string, StoredContent>();
  readonly #targets = new SharedMap<UnitName, Target>();
  readonly #assignments = new SharedMap<UnitName, Assignment>();
  readonly #machines = new SharedMap<MachineId, Machine>();
  readonly #metadata = new SharedMap<MachineId, Readonly<Record<string, string>>>();
  readonly #states = new SharedMap<UnitName, States>();
  /** Inner maps of {@link #states} that were copied since the last {@link cluster}, so that they are copied once. */
  readonly #unshared = new Map<UnitName, Map<MachineId, UnitState>>();
  readonly #apps = new AppsView((kv, error) => this.#warnings.unreadable(kv, error));
  readonly #maintenance = new MaintenanceView((machine) => this.#refreshMachine(machine));
  readonly #records = new Map<MachineId, Omit<Machine, "metadata">>();
  /** Values that cannot be read, by key; each has a stand-in. */
  readonly #unreadable = new Map<string, Unreadable & { readonly key: ParsedKey }>();
  #departed: ReadonlyMap<MachineId, Departure> = new Map();
  #loss: MassLoss | undefined;
  /** True if the store says that the engine waits for the machines of {@link #loss}. */
  #isWaiting = false;
  #id = "";
  #leader: Leader | undefined;
  #revision: Revision = 0;
  #made: Cluster | undefined;

  readonly #warnings: KeyWarnings;

  readonly #kinds: { readonly [Kind in ParsedKey["kind"]]: KeyKind<ParsedKey & { kind: Kind }> } = {
    cluster: { put: (_, { value }) => this.#id = value, delete: () => this.#id = "" },
    leader: {
      put: (_, kv) => this.#leader = decodeLeader(kv),
      delete: () => this.#leader = undefined,
      standIn: (_, { why }) => this.#leader = { machine: "", version: "", unreadable: why },
    },
    loss: {
      put: (_, kv) => this.#loss = { ...decodeLoss(kv), isOver: !this.#isWaiting },
      delete: () => this.#loss = undefined,
    },
    "loss-wait": { put: () => this.#setWaiting(true), delete: () => this.#setWaiting(false) },
    written: { put() {}, delete() {} },
    fence: { put() {}, delete() {} },
    lock: { put() {}, delete() {} },
    ...this.#maintenance.kinds,
    file: {
      put: ({ hash }, { value, modRevision }) => this.#files.set(hash, { hash, text: value, revision: modRevision }),
      delete: ({ hash }) => this.#files.delete(hash),
    },
    content: {
      put: ({ hash, size_bytes }, { modRevision }) =>
        this.#contents.set(hash, { hash, size_bytes, revision: modRevision }),
      delete: ({ hash }) => this.#contents.delete(hash),
    },
    unit: this.#unitsBelow(false),
    global: this.#unitsBelow(true),
    target: {
      put: ({ name }, kv) => this.#targets.set(name, decodeTarget(name, kv)),
      delete: ({ name }) => this.#targets.delete(name),
      standIn: ({ name }, unreadable) => {
        const machine = this.#assignments.get(name)?.machine ?? "";
        this.#targets.set(name, unreadableTarget(name, machine, unreadable));
      },
    },
    assign: {
      put: ({ machine, name }, kv) => this.#assignments.set(name, decodeAssignment(machine, name, kv)),
      delete: ({ machine, name }) => {
        // A move deletes the assignment of the old machine and puts that of the new one.
        if (this.#assignments.get(name)?.machine === machine) this.#assignments.delete(name);
      },
      standIn: ({ machine, name }, unreadable) => {
        const other = this.#assignments.get(name);
        if (other && other.unreadable === undefined && other.machine !== machine) return;
        this.#assignments.set(name, unreadableAssignment(name, machine, unreadable));
      },
    },
    machine: {
      put: ({ machine }, kv) => this.#setRecord(machine, decodeMachine(machine, kv)),
      delete: ({ machine }) => {
        this.#records.delete(machine);
        this.#machines.delete(machine);
      },
      standIn: ({ machine }, unreadable) => this.#setRecord(machine, unreadableMachine(machine, unreadable)),
    },
    departed: {
      put: ({ machine }, { value }) =>
        this.#departed = new Map([...this.#departed, [machine, value === "lost" ? "lost" : "stopped"]]),
      delete: ({ machine }) => this.#departed = new Map([...this.#departed].filter(([each]) => each !== machine)),
    },
    metadata: {
      put: ({ machine, key }, { value }) =>
        this.#setMetadata(machine, { ...this.#metadata.get(machine), [key]: value }),
      delete: ({ machine, key }) => {
        const { [key]: _gone, ...rest } = this.#metadata.get(machine) ?? {};
        this.#setMetadata(machine, rest);
      },
    },
    app: this.#apps.kind("app"),
    rollout: this.#apps.kind("rollout"),
    progress: this.#apps.kind("progress"),
    state: {
      put: ({ machine, name }, kv) => this.#setState(name, machine, decodeState(machine, name, kv)),
      delete: ({ machine, name }) => this.#setState(name, machine, undefined),
      standIn: ({ machine, name }) => {
        if (this.#states.get(name)?.has(machine)) this.#setState(name, machine, undefined);
      },
    },
  };

  constructor(log: Log) {
    this.#warnings = new KeyWarnings(log);
  }

  get revision(): Revision {
    return this.#revision;
  }

  /** The ID in the store; "" if it has none. */
  get id(): string {
    return this.#id;
  }

  fileText(hash: string): string | undefined {
    return this.#files.get(hash)?.text;
  }

  /** Returns the current record of one unit, without sharing a map. */
  unit(name: UnitName): UnitRecord {
    const unit = this.#units.get(name);
    return unitRecord(name, unit, this.#targets.get(name), unit && this.fileText(unit.hash));
  }

  /** Replaces all data by the result of a full read. */
  reset(kvs: readonly KeyValue[], revision: Revision): void {
    for (const map of [this.#units, this.#targets, this.#assignments, this.#states, this.#apps]) map.clear();
    for (const map of [this.#files, this.#contents, this.#machines, this.#metadata, this.#maintenance]) map.clear();
    this.#records.clear();
    this.#unshared.clear();
    this.#departed = new Map();
    this.#loss = undefined;
    this.#isWaiting = false;
    this.#id = "";
    this.#leader = undefined;
    this.#unreadable.clear();
    for (const kv of kvs) this.#put(kv);
    this.#standInFor([...this.#unreadable.keys()]);
    for (const name of this.#assignments.share().keys()) this.#replaceMissingTarget(name);
    this.#revision = revision;
    this.#made = undefined;
  }

  /** Applies the changes of one revision. */
  apply(batch: WatchBatch): void {
    // Deletions first: a unit that becomes global is deleted under one prefix and put under another, both in `units`.
    const keys: (ParsedKey | undefined)[] = [];
    for (const event of batch.events) if (event.kind === "delete") keys.push(this.#delete(event.key));
    for (const event of batch.events) if (event.kind === "put") keys.push(this.#put(event.kv));
    this.#refreshStandIns(batch);
    for (const key of keys) {
      if (key?.kind === "assign" || key?.kind === "target") this.#replaceMissingTarget(key.name);
    }
    this.#revision = Math.max(this.#revision, batch.revision);
    this.#made = undefined;
  }

  /** Returns the current cluster; the same object until a change. */
  cluster(): Cluster {
    if (this.#made !== undefined) return this.#made;
    this.#unshared.clear();
    return this.#made = {
      id: this.#id,
      revision: this.#revision,
      units: this.#units.share(),
      files: this.#files.share(),
      ...(this.#contents.size === 0 ? {} : { contents: this.#contents.share() }),
      targets: this.#targets.share(),
      assignments: this.#assignments.share(),
      machines: this.#machines.share(),
      ...(this.#departed.size === 0 ? {} : { departed: this.#departed }),
      ...(this.#loss && { massLoss: this.#loss }),
      ...this.#maintenance.fields(),
      dynamicMetadata: this.#metadata.share(),
      states: this.#states.share(),
      ...(this.#leader === undefined ? {} : { leader: this.#leader }),
      ...this.#apps.share(),
    };
  }

  #put(kv: KeyValue): ParsedKey | undefined {
    const key = parseKey(kv.key);
    if (key === undefined) {
      this.#warnings.foreign(kv.key);
      return undefined;
    }
    try {
      this.#kindOf(key).put(key as never, kv);
      this.#unreadable.delete(kv.key);
    } catch (error) {
      this.#warnings.unreadable(kv, error);
      this.#unreadable.set(kv.key, { key, revision: kv.modRevision, why: messageOf(error) });
    }
    return key;
  }

  /** Updates the stand-ins of changed units, after all other keys, because stand-ins depend on these. */
  #refreshStandIns({ events }: WatchBatch): void {
    if (this.#unreadable.size === 0) return;
    const touched = new Set(events.map((event) => event.kind === "put" ? event.kv.key : event.key));
    const units = new Set([...touched].map((text) => nameIn(parseKey(text))));
    this.#standInFor([...this.#unreadable].flatMap(([text, { key }]) => {
      const name = nameIn(key);
      return touched.has(text) || name !== undefined && units.has(name) ? [text] : [];
    }));
  }

  /**
   * Gives a unit that has an assignment but no target a stand-in of revision 0: only something other than fleet deletes
   * a target alone. The unit is where its assignment says, and the engine writes the target again.
   */
  #replaceMissingTarget(name: UnitName): void {
    const target = this.#targets.get(name);
    if (target !== undefined && target.revision !== 0) return;
    const machine = this.#assignments.get(name)?.machine;
    if (machine === target?.machine) return;
    const missing = { revision: 0, why: `key target/${name} is missing` };
    if (machine === undefined) this.#targets.delete(name);
    else this.#targets.set(name, unreadableTarget(name, machine, missing));
  }

  #standInFor(texts: readonly string[]): void {
    const isAssignment = (text: string) => this.#unreadable.get(text)?.key.kind === "assign";
    // Assignments first: other stand-ins take the machine from them.
    for (const text of texts.filter(isAssignment)) this.#standIn(text);
    for (const text of texts) if (!isAssignment(text)) this.#standIn(text);
  }

  #standIn(text: string): void {
    const { key, ...unreadable } = this.#unreadable.get(text)!;
    this.#kindOf(key).standIn?.(key as never, unreadable);
  }

  /** Returns the last known state of a unit: from its assignment, or from a published state of a global unit. */
  #lastKnownOf(name: UnitName, isGlobal: boolean): LastKnown | undefined {
    if (!isGlobal) return this.#assignments.get(name);
    const states = [...this.#states.get(name)?.values() ?? []].sort((a, b) => a.machine < b.machine ? -1 : 1);
    return states[0] && { ...states[0], desiredState: states[0].commanded };
  }

  #delete(text: string): ParsedKey | undefined {
    const key = parseKey(text);
    const wasUnreadable = this.#unreadable.delete(text);
    if (key) this.#kindOf(key).delete(key as never, wasUnreadable);
    return key;
  }

  #kindOf(key: ParsedKey): KeyKind<never> {
    return this.#kinds[key.kind];
  }

  #unitsBelow(isGlobal: boolean): KeyKind<ParsedKey & { kind: "unit" | "global" }> {
    return {
      put: ({ name }, kv) => this.#units.set(name, decodeUnit(name, kv)),
      delete: ({ name }, wasUnreadable) => {
        // If this record was unreadable, the unit may have a readable one under the other prefix.
        if (!wasUnreadable || this.#units.get(name)?.unreadable !== undefined) this.#units.delete(name);
      },
      standIn: ({ name }, unreadable) => {
        const other = this.#units.get(name);
        // The unit has a readable record under the other prefix.
        if (other && other.unreadable === undefined && other.requirements.global !== isGlobal) return;
        const lastKnown = this.#lastKnownOf(name, isGlobal);
        const text = lastKnown && this.fileText(lastKnown.hash);
        this.#units.set(name, unreadableUnit(name, isGlobal, unreadable, lastKnown, text));
      },
    };
  }

  #setWaiting(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
    if (this.#loss) this.#loss = { ...this.#loss, isOver: !isWaiting };
  }

  #setRecord(id: MachineId, record: Omit<Machine, "metadata">): void {
    this.#records.set(id, record);
    this.#refreshMachine(id);
  }

  #setMetadata(id: MachineId, metadata: Readonly<Record<string, string>>): void {
    if (Object.keys(metadata).length > 0) this.#metadata.set(id, metadata);
    else this.#metadata.delete(id);
    this.#refreshMachine(id);
  }

  #refreshMachine(id: MachineId): void {
    const record = this.#records.get(id);
    if (record === undefined) return;
    const metadata = effectiveMetadata(record.staticMetadata, this.#metadata.get(id) ?? {});
    this.#machines.set(id, { ...record, metadata, ...this.#maintenance.of(id) });
  }

  #setState(name: UnitName, machine: MachineId, state: UnitState | undefined): void {
    const states = this.#unshared.getOrInsertComputed(name, () => new Map(this.#states.get(name)));
    if (state === undefined) states.delete(machine);
    else states.set(machine, state);
    if (states.size > 0) this.#states.set(name, states);
    else this.#states.delete(name);
  }
}

function nameIn(key: ParsedKey | undefined): UnitName | undefined {
  return key && "name" in key ? key.name : undefined;
}

/** Returns a unit's record without undefined fields. */
export function unitRecord(name: UnitName, unit?: Unit, target?: Target, text?: string): UnitRecord {
  return { name, ...(unit ? { unit } : {}), ...(target ? { target } : {}), ...(text === undefined ? {} : { text }) };
}
