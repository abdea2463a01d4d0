/**
 * Unit files on this machine.
 *
 * @module
 */

import type { Finding } from "../../registry/unit_check.ts";
import { readUnitFile, type UnitFile, UnitFileError } from "../../systemd/unit_file.ts";
import { mangleUnitName, recognizedTypes, storableTypes, templateOf } from "../../systemd/unit_name.ts";
import { type Io, reasonOf } from "../terminal/port.ts";

/** A unit named on the command line. */
export interface NamedUnit {
  readonly name: string;
  /** The argument with a unit type at its end: where its file would be. */
  readonly file: string;
  /** The argument itself. */
  readonly argument: string;
}

/** A unit file that was read. */
export interface LocalFile extends UnitFile {
  readonly path: string;
}

/** A unit file that cannot be read or is none. */
export class LocalFileError extends Error {
  override name = "LocalFileError";
  constructor(message: string, readonly path: string, readonly line: number | undefined, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Reads an argument: the last part of its path is the name, and `.service` is meant where no unit type is given. */
export function namedUnit(argument: string): NamedUnit {
  const name = mangleUnitName(argument);
  const directory = argument.slice(0, argument.lastIndexOf("/") + 1);
  return { name, file: directory + name, argument };
}

/** Where the file of a unit's template would be; undefined if the unit is no instance. */
export function templateFile(unit: NamedUnit): string | undefined {
  const template = templateOf(unit.name);
  return template && beside(unit.file, template);
}

/** The path of a file in the directory of another. */
export function beside(file: string, name: string): string {
  return file.slice(0, file.lastIndexOf("/") + 1) + name;
}

/** Reads and parses a unit file; undefined if there is none. Throws {@link LocalFileError}. */
export async function readLocalFile(path: string, io: Io): Promise<LocalFile | undefined> {
  let file: UnitFile | undefined;
  try {
    const text = await io.readFile(path);
    file = text === undefined ? undefined : readUnitFile(text);
  } catch (cause) {
    throw new LocalFileError(reasonOf(cause), path, cause instanceof UnitFileError ? cause.line : undefined, { cause });
  }
  if (file?.options.length === 0) {
    const [first] = file.ignored;
    const why = first === undefined ? "" : `: line ${first.line}: ${first.message}`;
    throw new LocalFileError(`the file has no options, so that there is nothing to store${why}`, path, undefined);
  }
  return file && { ...file, path };
}

/** The line of a file that a finding concerns; undefined if it concerns the unit as a whole. */
export function lineOf(file: LocalFile, { option, inHeader }: Finding): number | undefined {
  return option === undefined ? undefined : (inHeader === true ? file.headerLines : file.lines)[option];
}

/** Files of Podman's Quadlet, see podman-systemd.unit(5). */
const quadletTypes = ["container", "volume", "network", "kube", "pod", "image", "build"];

/** Why an argument that names a file of another type than that of a unit is none. */
export async function unsupportedType(argument: string, io: Io): Promise<string | undefined> {
  const type = /\.([a-z]+)$/.exec(argument)?.[1];
  if (type === undefined || recognizedTypes.includes(type)) return undefined;
  const isQuadlet = quadletTypes.includes(type);
  if (!isQuadlet && await io.readFile(argument).catch(() => undefined) === undefined) return undefined;
  const instead = isQuadlet ? `: Quadlet files are not supported; write a .service that runs podman` : "";
  return `${argument} is no unit file: ${JSON.stringify(`.${type}`)} is no type of unit that fleet takes ` +
    `(${storableTypes.join(", ")})${instead}`;
}
