/**
 * Decides what a PUT of a unit changes. Pure.
 *
 * @module
 */

import { attachedFiles } from "../../../registry/attached_files.ts";
import type { NewFile, UnitRecord } from "../../../registry/mod.ts";
import { type DesiredState, desiredStates, type UnitName } from "../../../registry/model.ts";
import { validateAppName } from "../../../registry/apps.ts";
import { fleetOptionsOf } from "../../../registry/requirements.ts";
import { checkUnit, type Finding, whyInvalid } from "../../../registry/unit_check.ts";
import {
  parseUnitFile,
  readUnitFile,
  serializeUnitFile,
  UnitFileError,
  type UnitOption,
} from "../../../systemd/unit_file.ts";
import { hashUnitFile } from "../../../systemd/unit_hash.ts";
import { isTemplate, unrunnableName } from "../../../systemd/unit_name.ts";
import type { Complete } from "../v1/decode.ts";
import type { UnitRequest } from "../v1/types.ts";

/** Longest unit file that is stored. Its transaction fits the request limit of etcd (1.5 MiB). */
export const maxUnitFile_bytes = 256 * 1024;

/** The decoded body of a PUT; a missing field is "" or empty. */
export type PutRequest = Omit<Complete<UnitRequest>, "app"> & Partial<Pick<Complete<UnitRequest>, "app">>;

/** The decision on a PUT. */
export type PutDecision =
  | { readonly kind: "refuse"; readonly code: 400 | 409; readonly message: string }
  /** The unit already is as requested. */
  | { readonly kind: "nothing" }
  /** `store`: a new unit or a new version of one. `update`: a new desired state or owner only. */
  | {
    readonly kind: "store" | "update";
    readonly desiredState: DesiredState;
    readonly file?: NewFile;
    /** Probable mistakes: misspelled sections and options of [X-Fleet], suspicious values. */
    readonly findings: readonly Finding[];
  };

const refuse = (code: 400 | 409, message: string): PutDecision => ({ kind: "refuse", code, message });

/** Decides on a request for a unit with a valid name, given the store's record of it. */
export function decidePut(was: UnitRecord, request: PutRequest): PutDecision {
  const wrongApp = request.app ? validateAppName(request.app) : undefined;
  if (wrongApp !== undefined) return refuse(400, wrongApp);
  const hasOptions = request.options.length > 0;
  if (!was.unit && !hasOptions) return refuse(409, "unit does not exist and options field empty");
  const unreadable = was.unit?.unreadable;
  if (unreadable !== undefined && !hasOptions) {
    return refuse(409, `${unreadable}: put the unit again with its options, or destroy it`);
  }
  const file = hasOptions ? toFile(was.name, request.options) : undefined;
  if (typeof file === "string") return refuse(400, file);
  if (file && (unreadable !== undefined || file.hash !== was.unit?.hash)) return decideStore(was.name, request, file);
  return decideState(was, request, file);
}

/** Decides on a new unit or version. Without a state in the request it is inactive, even if the old version is not. */
function decideStore(name: UnitName, request: PutRequest, file: NewFile): PutDecision {
  const invalid = whyInvalid(name, file.fleetOptions) ?? contentless(file.fleetOptions);
  if (invalid !== undefined) return refuse(400, invalid);
  const desiredState = readState(name, request.desiredState || "inactive");
  if (typeof desiredState === "object") return desiredState;
  return { kind: "store", desiredState, file, findings: checkUnit(name, parseUnitFile(file.text)) };
}

/** Returns why a unit cannot have its files; undefined if each names its content. */
function contentless(options: readonly UnitOption[]): string | undefined {
  const file = attachedFiles(options).find(({ content }) => content === undefined);
  if (!file) return undefined;
  return `File=${file.source} names no content: put the unit with a fleetctl that supports File=, which uploads the file`;
}

function decideState(was: UnitRecord, request: PutRequest, file: NewFile | undefined): PutDecision {
  if (request.desiredState === "") return refuse(409, "must provide DesiredState to update existing unit");
  const desiredState = readState(was.name, request.desiredState);
  if (typeof desiredState === "object") return desiredState;
  // The store has lost the unit file, and the client still has it.
  const restores = file !== undefined && was.text === undefined;
  const changesOwner = request.app ? request.app !== was.unit?.app : false;
  // Some machines have another file, which a roll-out has given to them.
  const replaces = file !== undefined && was.unit?.next !== undefined;
  if (was.unit?.desiredState === desiredState && !restores && !changesOwner && !replaces) return { kind: "nothing" };
  return { kind: "update", desiredState, ...(file ? { file } : {}), findings: [] };
}

/** Returns the desired state that a unit of this name is to have, or why it cannot have that. */
function readState(name: UnitName, text: string): DesiredState | PutDecision {
  const why = text === "inactive"
    ? undefined
    : isTemplate(name)
    ? `cannot activate template ${JSON.stringify(name)}`
    : unrunnableName(name);
  if (why !== undefined) return refuse(400, why);
  return desiredStates.find((state) => state === text) ??
    refuse(400, `unknown desiredState ${JSON.stringify(text)}: expect ${desiredStates.join(", ")}`);
}

/**
 * Returns the unit file that the options make, or the reason why they make none. The file is parsed again as every
 * reader will parse it: a value with a line break may turn out to be two options.
 */
function toFile(name: UnitName, options: readonly UnitOption[]): NewFile | string {
  const draft = serializeUnitFile(options);
  if (new TextEncoder().encode(draft).length > maxUnitFile_bytes) {
    return `unit file exceeds maximum length (${maxUnitFile_bytes})`;
  }
  try {
    const { options: read, ignored: [ignored] } = readUnitFile(draft);
    if (ignored !== undefined) return ignored.message;
    if (read.length === 0) return "the options make an empty unit file";
    const text = serializeUnitFile(read);
    return { hash: hashUnitFile(text), text, fleetOptions: fleetOptionsOf(name, read) };
  } catch (error) {
    if (error instanceof UnitFileError) return error.message;
    throw error;
  }
}
