/**
 * Unit files that a user pastes, drops or chooses: whether they can be unit files, and the units that they deploy. Pure.
 *
 * @module
 */

import { type DeployedUnit, deployedUnits, deploymentProblem } from "../../../registry/deployment.ts";
import { attachContents, type Contents } from "../../../registry/attach_contents.ts";
import { attachmentLimits } from "../../../registry/attached_files.ts";
import { readUnitFile, type UnitFile, UnitFileError, type UnitOption } from "../../../systemd/unit_file.ts";
import { type Folder, sourceOf } from "./folder.ts";

/** A file as it is in the form. */
export interface Draft {
  readonly name: string;
  readonly text: string;
  /** The files that it came with. */
  readonly folder?: Folder;
}

/** The units and contents that files deploy. */
export interface Deployed {
  readonly units: readonly DeployedUnit[];
  /** The contents of attached files, which the options of the units name. */
  readonly contents: Contents;
}

/** The largest unit file that a cluster stores. */
const maxFile_KiB = 256;

/** The most files in the form. */
export const maxDrafts = 200;

/** Returns why a unit file is too large, as a sentence; undefined if it is not. */
export function sizeProblem(name: string, size_bytes: number): string | undefined {
  if (size_bytes <= maxFile_KiB * 1024) return undefined;
  return `${name} is ignored: it has ${
    Math.ceil(size_bytes / 1024)
  } KiB, and a unit file has at most ${maxFile_KiB} KiB.`;
}

/** True if a text can be that of a unit file: it has the header of a section. */
export function looksLikeUnitFile(text: string): boolean {
  return /^\s*\[[^\]]+\]\s*$/m.test(text);
}

/** Returns the text of a file. Throws Error if the file is not text. */
export function decodeText(name: string, bytes: Uint8Array): string {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (!text.includes("\0")) return text;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  throw new Error(`${name} is ignored: it is no text in UTF-8.`);
}

const isEmpty = ({ name, text }: Draft) => name === "" && text === "";

/**
 * Returns the drafts with others, each of which takes the place of the one with its name; one without a name replaces none.
 * Throws if there are too many.
 */
export function withDrafts(drafts: readonly Draft[], added: readonly Draft[]): readonly Draft[] {
  const named = new Map(added.filter(({ name }) => name !== "").map((draft) => [draft.name, draft]));
  const known = new Set(drafts.map(({ name }) => name));
  const all = [
    ...drafts.filter((draft) => !isEmpty(draft)).map((draft) => named.get(draft.name) ?? draft),
    ...[...named.values()].filter(({ name }) => !known.has(name)),
    ...added.filter(({ name }) => name === ""),
  ];
  if (all.length > maxDrafts) {
    throw new Error(`These are more than ${maxDrafts} files: use fleetctl apply for them.`);
  }
  return all;
}

/**
 * Returns the units that files deploy: their own, and the instances that `Instances=` of a template names, unless these have
 * files. Files that the units attach are those that they came with, as in a directory of `fleetctl apply`. `state`: the
 * desired state of units whose file has no `Desired=`. Rejects with an Error that names the file.
 */
export async function unitsOf(drafts: readonly Draft[], state: DeployedUnit["desiredState"]): Promise<Deployed> {
  const units = new Map<string, DeployedUnit>();
  const instances: DeployedUnit[] = [];
  const contents = new Map<string, Uint8Array>();
  for (const { name: typed, text, folder } of drafts) {
    const name = typed.trim();
    if (units.has(name)) throw new Error(`${name} is here twice.`);
    const options = optionsIn(name, text);
    const attached = await attachContents(sourceOf(folder ?? new Map()), "", name, options);
    if (attached.problem) throw new Error(`${name}: ${attached.problem.message}.`);
    for (const [hash, bytes] of attached.contents) contents.set(hash, bytes);
    const deployed = deployedUnits(name, attached.options, state);
    units.set(name, deployed.own);
    instances.push(...deployed.instances);
  }
  for (const instance of instances) if (!units.has(instance.name)) units.set(instance.name, instance);
  const total_bytes = contents.values().reduce((sum, { length }) => sum + length, 0);
  if (total_bytes > attachmentLimits.application_bytes) {
    throw new Error(`The files have ${total_bytes} bytes together (max ${attachmentLimits.application_bytes}).`);
  }
  return { units: [...units.values()], contents };
}

function optionsIn(name: string, text: string): readonly UnitOption[] {
  const { options, ignored: [ignored] } = read(name, text);
  if (ignored) throw new Error(`${name}, line ${ignored.line}: ${ignored.message}.`);
  const problem = options.length === 0 ? "the file has no options" : deploymentProblem(name, options);
  if (problem !== undefined) throw new Error(`${name}: ${problem}.`);
  return options;
}

function read(name: string, text: string): UnitFile {
  try {
    return readUnitFile(text);
  } catch (error) {
    if (!(error instanceof UnitFileError)) throw error;
    throw new Error(`${name}, line ${error.line}: ${error.message}.`);
  }
}
