/**
 * What a PUT of a unit asks for, and what is to be done about it. Pure.
 *
 * @module
 */

import type { Change, UnitRecord } from "../../../registry/mod.ts";
import { type DesiredState, desiredStates, type UnitName } from "../../../registry/model.ts";
import { fleetSection, validateFleetOptions } from "../../../registry/requirements.ts";
import { checkUnit, type Finding } from "../../../registry/unit_check.ts";
import {
  parseUnitFile,
  readUnitFile,
  serializeUnitFile,
  UnitFileError,
  type UnitOption,
} from "../../../systemd/unit_file.ts";
import { hashUnitFile } from "../../../systemd/unit_hash.ts";
import { isTemplate, unrunnableName, unrunnableType } from "../../../systemd/unit_name.ts";
import type { Complete } from "../v1/decode.ts";
import type { UnitRequest } from "../v1/types.ts";

/** Longest unit file that is stored: with all that is written beside it, it fits the request limit of etcd (1.5 MiB). */
export const maxUnitFile_bytes = 256 * 1024;

/** The decoded body of a PUT; a missing field is "" or empty. */
export type PutRequest = Complete<UnitRequest>;

type File = NonNullable<Extract<Change, { kind: "put" }>["file"]>;

/** What to do about a PUT. */
export type Decision =
  | { readonly kind: "refuse"; readonly code: 400 | 409; readonly message: string }
  /** The unit is as asked for already. */
  | { readonly kind: "nothing" }
  /** A new unit or a new version of one, or a new desired state only. */
  | {
    readonly kind: "store" | "update";
    readonly desiredState: DesiredState;
    readonly file?: File;
    /** What is probably not meant as it is: misspelled sections and options of [X-Fleet], doubtful values. */
    readonly findings: readonly Finding[];
  };

const refuse = (code: 400 | 409, message: string): Decision => ({ kind: "refuse", code, message });

/** Decides on a request for a unit of valid name, given what the store has of it. */
export function decideUpdate(was: UnitRecord, request: PutRequest): Decision {
  const hasOptions = request.options.length > 0;
  if (!was.unit && !hasOptions) return refuse(409, "unit does not exist and options field empty");
  const unreadable = was.unit?.unreadable;
  if (unreadable !== undefined && !hasOptions) {
    return refuse(409, `${unreadable}: put the unit again with its options, or destroy it`);
  }
  const file = hasOptions ? readFile(request.options) : undefined;
  if (typeof file === "string") return refuse(400, file);
  if (file && (unreadable !== undefined || file.hash !== was.unit?.hash)) return decideStore(was.name, request, file);
  return decideState(was, request, file);
}

/** A new unit, or another version of one. Without a state in the request it is inactive, even if the old one is not. */
function decideStore(name: UnitName, request: PutRequest, file: File): Decision {
  const invalid = unrunnableType(name) ?? validateFleetOptions(name, file.fleetOptions);
  if (invalid !== undefined) return refuse(400, invalid);
  const desiredState = request.desiredState || "inactive";
  if (!isDesiredState(desiredState)) return unknownState(desiredState);
  const inert = desiredState === "inactive" ? undefined : whyInert(name);
  if (inert !== undefined) return refuse(400, inert);
  return { kind: "store", desiredState, file, findings: checkUnit(name, parseUnitFile(file.text)) };
}

function decideState(was: UnitRecord, { desiredState }: PutRequest, file: File | undefined): Decision {
  if (desiredState === "") return refuse(409, "must provide DesiredState to update existing unit");
  const inert = desiredState === "inactive" ? undefined : whyInert(was.name);
  if (inert !== undefined) return refuse(400, inert);
  if (!isDesiredState(desiredState)) return unknownState(desiredState);
  // A text that the store has lost is put again by whoever still has it.
  const restores = file !== undefined && was.text === undefined;
  if (was.unit?.desiredState === desiredState && !restores) return { kind: "nothing" };
  return { kind: "update", desiredState, ...(file ? { file } : {}), findings: [] };
}

/** Why a unit may be stored but never be wanted anywhere; undefined if it may. */
function whyInert(name: UnitName): string | undefined {
  return isTemplate(name) ? `cannot activate template ${JSON.stringify(name)}` : unrunnableName(name);
}

function unknownState(text: string): Decision {
  return refuse(400, `unknown desiredState ${JSON.stringify(text)}: expect ${desiredStates.join(", ")}`);
}

function isDesiredState(text: string): text is DesiredState {
  return (desiredStates as readonly string[]).includes(text);
}

/**
 * The options as a file, or why they cannot be one. What counts is the file as any reader will read it, not the options as
 * they came: a value with a line break in it may be two options.
 */
function readFile(options: readonly UnitOption[]): File | string {
  const draft = serializeUnitFile(options);
  if (new TextEncoder().encode(draft).length > maxUnitFile_bytes) {
    return `unit file exceeds maximum length (${maxUnitFile_bytes})`;
  }
  try {
    const { options: read, ignored: [ignored] } = readUnitFile(draft);
    if (ignored !== undefined) return ignored.message;
    if (read.length === 0) return "options are none that a unit file can hold";
    const text = serializeUnitFile(read);
    return { hash: hashUnitFile(text), text, fleetOptions: read.filter(({ section }) => section === fleetSection) };
  } catch (error) {
    if (error instanceof UnitFileError) return error.message;
    throw error;
  }
}
