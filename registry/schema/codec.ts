/**
 * Encodes and decodes values: JSON objects, except for `file/` (the text), `cluster` (the ID) and `metadata/` (the value).
 *
 * Each object names its {@link format}. A decoder refuses a newer format, and ignores fields that it does not know. Where
 * a writer replaces a value that another daemon has written (units, targets), it keeps these fields, because a newer daemon
 * may have added them. All other values are written whole by their owner, or derived from the unit (assignments).
 *
 * The revision of a transaction is unknown when its values are encoded. It is written as {@link now}, and decoded as the
 * mod-revision of the key. A later write that keeps it writes the number.
 *
 * @module
 */

import type { UnitOption } from "../../systemd/unit_file.ts";
import {
  type AppName,
  type Assignment,
  type Authorship,
  type DesiredState,
  desiredStates,
  type Leader,
  type MachineId,
  type MassLoss,
  type NextVersion,
  type Revision,
  type Target,
  type Unit,
  type UnitName,
  type UnitState,
  type UnitVersion,
  type UnknownFields,
} from "../model.ts";
import { pastIn, type Placed } from "../past.ts";
import { failedOnIn } from "../failed_on.ts";
import { parseRequirements } from "../requirements.ts";
import type { KeyValue } from "../store/port.ts";
import { encodeNext, nextIn } from "./next_version.ts";

/**
 * The format of values: the number that a daemon must know to understand them. It is raised only by a change that an older
 * daemon must not misread; a new field that it may ignore needs no new format. A value without a number has format 1.
 */
export const format = 1;

/** Stands for the revision of the transaction that writes it. */
export const now = "now";

/** A revision, or that of the transaction that writes it. */
export type WrittenRevision = Revision | typeof now;

/** The values of `unit/` and `global/` keys. */
export interface UnitValue {
  readonly hash: string;
  readonly fleetOptions: readonly UnitOption[];
  readonly desiredState: DesiredState;
  readonly restart: WrittenRevision;
  readonly startOnly?: true;
  readonly launchedAt: WrittenRevision;
  readonly changed?: Authorship;
  readonly versions?: readonly UnitVersion[];
  readonly app?: AppName;
  readonly past?: readonly Placed[];
  readonly next?: NextVersion;
  readonly unknownFields?: UnknownFields;
}

/** The values of `assign/` keys. */
export interface AssignmentValue {
  readonly hash: string;
  readonly desiredState: DesiredState;
  readonly restart: WrittenRevision;
  readonly startOnly?: true;
}

/** The fields of {@link UnitValue}s. */
const unitFields = [
  ...["hash", "options", "desiredState", "restart", "startOnly", "launchedAt", "changed", "versions"],
  ...["app", "past", "next"],
];

export function encodeUnit(unit: UnitValue): string {
  return encode({
    ...unit.unknownFields,
    hash: unit.hash,
    options: unit.fleetOptions.map((option) => [option.section, option.name, option.value]),
    desiredState: unit.desiredState,
    restart: unit.restart,
    startOnly: unit.startOnly,
    launchedAt: unit.launchedAt,
    changed: unit.changed,
    versions: unit.versions,
    app: unit.app,
    past: unit.past,
    next: encodeNext(unit, unit.next),
  });
}

/** Decoders throw a {@link TypeError} that names the key and the field that cannot be decoded. */
export function decodeUnit(name: UnitName, kv: KeyValue): Unit {
  const fields = new Fields(kv);
  const fleetOptions = fields.options("options");
  const changed = fields.authorship();
  const versions = fields.versions("versions");
  const app = fields.optionalText("app");
  const past = pastIn(fields.value("past"));
  const hash = fields.text("hash");
  return {
    name,
    hash,
    fleetOptions,
    requirements: parseRequirements(name, fleetOptions),
    desiredState: fields.oneOf("desiredState", desiredStates),
    restart: fields.revision("restart"),
    ...(fields.flag("startOnly") ? { startOnly: true } : {}),
    launchedAt: fields.revision("launchedAt"),
    revision: kv.modRevision,
    ...(changed ? { changed } : {}),
    ...(versions.length > 0 ? { versions } : {}),
    ...(app === undefined ? {} : { app }),
    ...past.length > 0 && { past },
    ...nextIn(name, { hash, versions }, fields.optionalObject("next")),
    ...fields.unknown(unitFields),
  };
}

export function encodeAssignment(assignment: AssignmentValue): string {
  const { hash, desiredState, restart, startOnly } = assignment;
  return encode({ hash, desiredState, restart, startOnly });
}

export function decodeAssignment(machine: MachineId, unit: UnitName, kv: KeyValue): Assignment {
  const fields = new Fields(kv);
  return {
    unit,
    machine,
    hash: fields.text("hash"),
    desiredState: fields.oneOf("desiredState", desiredStates),
    restart: fields.revision("restart"),
    ...(fields.flag("startOnly") ? { startOnly: true } : {}),
    revision: kv.modRevision,
  };
}

export function encodeTarget(target: Omit<Target, "unit" | "revision" | "unreadable">): string {
  const { machine, why, since_ms, failedOn, past, successor, failedMove, unknownFields } = target;
  return encode({ ...unknownFields, machine, why, since_ms, failedOn, past, successor, failedMove });
}

export function decodeTarget(unit: UnitName, kv: KeyValue): Target {
  const fields = new Fields(kv);
  const failedOn = failedOnIn(fields.value("failedOn"));
  const [successor, failedMove] = [fields.optionalText("successor"), fields.optionalText("failedMove")];
  const past = pastIn(fields.value("past"));
  return {
    unit,
    machine: fields.text("machine"),
    why: fields.text("why"),
    since_ms: fields.number("since_ms"),
    ...failedOn && { failedOn },
    ...past.length > 0 && { past },
    ...successor !== undefined && { successor },
    ...failedMove !== undefined && { failedMove },
    revision: kv.modRevision,
    ...fields.unknown(["machine", "why", "since_ms", "failedOn", "past", "successor", "failedMove"]),
  };
}

export function encodeState(state: UnitState): string {
  const { hash, commanded, restart, error, permanent, tries, retryAt_ms, result, job, restarts } = state;
  const { failures, settled, load, active, sub, since_ms, health, healthReason, healthSince_ms } = state;
  const command = { hash, commanded, restart, error, permanent, tries, retryAt_ms };
  const checked = { health, healthReason, healthSince_ms };
  return encode({ ...command, result, job, restarts, failures, settled, ...checked, load, active, sub, since_ms });
}

export function decodeState(machine: MachineId, unit: UnitName, kv: KeyValue): UnitState {
  const fields = new Fields(kv);
  const error = fields.optionalText("error");
  const result = fields.optionalText("result");
  const job = fields.optionalText("job");
  const restarts = fields.optionalNumber("restarts");
  const failures = fields.optionalNumber("failures");
  const settled = fields.optionalNumber("settled");
  const [tries, retryAt_ms] = [fields.optionalNumber("tries"), fields.optionalNumber("retryAt_ms")];
  return {
    unit,
    machine,
    hash: fields.text("hash"),
    commanded: fields.oneOf("commanded", desiredStates),
    restart: fields.revision("restart"),
    ...(error === undefined ? {} : { error }),
    ...(fields.flag("permanent") ? { permanent: true } : {}),
    ...(tries === undefined ? {} : { tries }),
    ...(retryAt_ms === undefined ? {} : { retryAt_ms }),
    ...(result === undefined ? {} : { result }),
    ...(job === undefined ? {} : { job }),
    ...(restarts === undefined ? {} : { restarts }),
    ...(failures === undefined ? {} : { failures }),
    ...(settled === undefined ? {} : { settled }),
    ...healthOf(fields),
    load: fields.text("load"),
    active: fields.text("active"),
    sub: fields.text("sub"),
    since_ms: fields.number("since_ms"),
  };
}

function healthOf(fields: Fields): Pick<UnitState, "health" | "healthReason" | "healthSince_ms"> {
  const health = fields.optionalText("health");
  if (health !== "passing" && health !== "failing") return {};
  const reason = fields.optionalText("healthReason");
  const since_ms = fields.optionalNumber("healthSince_ms");
  return {
    health,
    ...(reason === undefined ? {} : { healthReason: reason }),
    ...(since_ms === undefined ? {} : { healthSince_ms: since_ms }),
  };
}

export function encodeLeader(leader: Leader): string {
  const { machine, version } = leader;
  return encode({ machine, version });
}

export function decodeLeader(kv: KeyValue): Leader {
  const fields = new Fields(kv);
  return { machine: fields.text("machine"), version: fields.text("version") };
}

/** Encodes fields with the {@link format}. Used by other codecs only. */
export function encode(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ ...fields, format });
}

export function encodeLoss({ machines, since_ms, until_ms }: Omit<MassLoss, "isOver" | "revision">): string {
  return encode({ machines, since_ms, until_ms });
}

/** Decodes a mass loss as if its wait were over: another key says whether it is not. */
export function decodeLoss(kv: KeyValue): MassLoss {
  const fields = new Fields(kv);
  return {
    machines: fields.list("machines"),
    since_ms: fields.number("since_ms"),
    until_ms: fields.number("until_ms"),
    isOver: true,
    revision: kv.modRevision,
  };
}

/** Reads the fields of a stored JSON object. Used by other codecs only. */
export class Fields {
  readonly #fields: Readonly<Record<string, unknown>>;

  /** `inner`: an object inside of the value of `kv`. */
  constructor(readonly kv: KeyValue, inner?: Readonly<Record<string, unknown>>) {
    let value: unknown;
    try {
      value = inner ?? JSON.parse(kv.value);
    } catch (cause) {
      throw new TypeError(`cannot read key ${kv.key}: it is not JSON`, { cause });
    }
    if (!isObject(value)) throw new TypeError(`cannot read key ${kv.key}: it is not a JSON object`);
    this.#fields = value;
    const { format: found = 1 } = value;
    if (typeof found === "number" && found <= format) return;
    throw new TypeError(
      `cannot read key ${kv.key}: its format ${
        JSON.stringify(found)
      } is of a newer version of fleet, and this one reads ` +
        `up to ${format}: upgrade fleet on this machine`,
    );
  }

  /** Returns the fields that are not among `known`. */
  unknown(known: readonly string[]): { readonly unknownFields?: UnknownFields } {
    const { format: _format, ...unknownFields } = this.#fields;
    const names = Object.keys(unknownFields).filter((name) => !known.includes(name));
    if (names.length === 0) return {};
    return { unknownFields: Object.fromEntries(names.map((name) => [name, unknownFields[name]])) };
  }

  text(name: string): string {
    const value = this.#fields[name];
    return typeof value === "string" ? value : this.#fail(name, "text");
  }

  optionalText(name: string): string | undefined {
    return this.#fields[name] === undefined ? undefined : this.text(name);
  }

  number(name: string): number {
    const value = this.#fields[name];
    return typeof value === "number" && Number.isFinite(value) ? value : this.#fail(name, "a number");
  }

  optionalNumber(name: string): number | undefined {
    return this.#fields[name] === undefined ? undefined : this.number(name);
  }

  /** Returns true if a field is true. Any other value, or a missing field, is false. */
  flag(name: string): boolean {
    return this.#fields[name] === true;
  }

  revision(name: string): Revision {
    return this.#fields[name] === now ? this.kv.modRevision : this.number(name);
  }

  /** Returns the author of the change; undefined if it is missing or malformed, because no decision depends on it. */
  authorship(): Authorship | undefined {
    return authorshipIn(this.#fields["changed"]);
  }

  /** Returns versions; those that are malformed are left out, because no decision depends on them. */
  versions(name: string): readonly UnitVersion[] {
    const list = this.#fields[name];
    if (!Array.isArray(list)) return [];
    return list.flatMap((item: unknown) => {
      if (!isObject(item) || typeof item["number"] !== "number" || typeof item["hash"] !== "string") return [];
      const changed = authorshipIn(item["changed"]);
      const requested: unknown = item["restarts"];
      const restarts = Array.isArray(requested) ? requested.flatMap((each) => authorshipIn(each) ?? []) : [];
      const more = { ...changed && { changed }, ...restarts.length > 0 && { restarts } };
      return [{ number: item["number"], hash: item["hash"], ...more }];
    });
  }

  /** Returns a field as it is. */
  value(name: string): unknown {
    return this.#fields[name];
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const value = this.#fields[name];
    return values.find((each) => each === value) ?? this.#fail(name, `one of ${values.join(", ")}`);
  }

  object(name: string): Readonly<Record<string, unknown>> {
    const value = this.#fields[name];
    return isObject(value) ? value : this.#fail(name, "an object");
  }

  optionalObject(name: string): Fields | undefined {
    return this.#fields[name] === undefined ? undefined : new Fields(this.kv, this.object(name));
  }

  array(name: string): readonly unknown[] {
    const list = this.#fields[name];
    return Array.isArray(list) ? list : this.#fail(name, "a list");
  }

  objects(name: string): readonly Fields[] {
    return this.array(name).map((item) =>
      isObject(item) ? new Fields(this.kv, item) : this.#fail(name, "a list of objects")
    );
  }

  texts(name: string): Readonly<Record<string, string>> {
    const texts = Object.entries(this.object(name)).map(([key, value]): [string, string] =>
      typeof value === "string" ? [key, value] : this.#fail(`${name}.${key}`, "text")
    );
    return Object.fromEntries(texts);
  }

  list(name: string): readonly string[] {
    const list = this.#fields[name];
    if (!Array.isArray(list) || list.some((item) => typeof item !== "string")) {
      return this.#fail(name, "a list of texts");
    }
    return list;
  }

  options(name: string): readonly UnitOption[] {
    return this.array(name).map((item): UnitOption => {
      if (!Array.isArray(item) || item.length !== 3 || item.some((part) => typeof part !== "string")) {
        return this.#fail(name, "a list of [section, name, value]");
      }
      const [section, option, value] = item as [string, string, string];
      return { section, name: option, value };
    });
  }

  #fail(name: string, wanted: string): never {
    throw new TypeError(
      `cannot read key ${this.kv.key}: ${name} must be ${wanted}, found ${JSON.stringify(this.#fields[name])}`,
    );
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function authorshipIn(value: unknown): Authorship | undefined {
  if (!isObject(value)) return undefined;
  const { by, at_ms, what } = value;
  if (typeof by !== "string" || typeof at_ms !== "number") return undefined;
  return { by, at_ms, ...typeof what === "string" && { what } };
}
