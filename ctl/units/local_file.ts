/**
 * Unit files on this machine.
 *
 * @module
 */

import {
  attachContents,
  attachedFolder,
  type Contents,
  type UnusedFile,
  unusedOfUnit,
} from "../../registry/attach_contents.ts";
import { instanceOptions } from "../../registry/deployment.ts";
import type { Finding } from "../../registry/unit_check.ts";
import { readUnitFile, type UnitFile, UnitFileError } from "../../systemd/unit_file.ts";
import { mangleUnitName, recognizedTypes, storableTypes, templateOf } from "../../systemd/unit_name.ts";
import { type Io, reasonOf } from "../terminal/port.ts";

/** A unit named on the command line. */
export interface NamedUnit {
  readonly name: string;
  /** The path of its file: the argument with a unit type at its end. */
  readonly file: string;
  /** The argument itself. */
  readonly argument: string;
}

/** A unit file that was read. */
export interface LocalFile extends UnitFile {
  readonly path: string;
  /** The contents of its attached files, which its options name. */
  readonly contents: Contents;
}

/** A unit file cannot be read, or its text is not a unit file. */
export class LocalFileError extends Error {
  override name = "LocalFileError";
  constructor(message: string, readonly path: string, readonly line: number | undefined, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Reads an argument: the last component of its path is the name, to which `.service` is added if it has no unit type. */
export function namedUnit(argument: string): NamedUnit {
  const name = mangleUnitName(argument);
  const directory = argument.slice(0, argument.lastIndexOf("/") + 1);
  return { name, file: directory + name, argument };
}

/** Returns the path of the template of a unit; undefined if the unit is no instance. */
export function templateFile(unit: NamedUnit): string | undefined {
  const template = templateOf(unit.name);
  return template && beside(unit.file, template);
}

/** Returns the path of a file in the directory of another. */
export function beside(file: string, name: string): string {
  return file.slice(0, file.lastIndexOf("/") + 1) + name;
}

/** Returns the file of an instance, made of its template's: see {@link instanceOptions}. */
export function instanceFile(template: LocalFile): LocalFile {
  const kept = new Set(instanceOptions(template.options));
  const keep = <T>(parts: readonly T[]) => parts.filter((_, index) => kept.has(template.options[index]!));
  const { options, lines, headerLines } = template;
  return { ...template, options: keep(options), lines: keep(lines), headerLines: keep(headerLines) };
}

/** Reads and parses a unit file, and its attached files; undefined if there is none. Throws {@link LocalFileError}. */
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
    const why = first === undefined
      ? "give it one, such as Description= in [Unit]"
      : `line ${first.line}: ${first.message}`;
    throw new LocalFileError(`the file has no options: ${why}`, path, undefined);
  }
  if (file === undefined) return undefined;
  const { options, contents, problem } = await attachContents(io, beside(path, ""), namedUnit(path).name, file.options);
  if (problem) {
    throw new LocalFileError(
      problem.message,
      path,
      problem.index === undefined ? undefined : file.lines[problem.index],
    );
  }
  return { ...file, options: [...options], path, contents };
}

/** Returns the files in the folder of a unit file that the unit does not get. */
export async function unusedBeside({ path, options }: LocalFile, io: Io): Promise<readonly UnusedFile[]> {
  return await unusedOfUnit(io, beside(path, ""), { name: namedUnit(path).name, options });
}

/** Returns the line of a file that a finding concerns; undefined if it concerns the unit as a whole. */
export function lineOf(file: LocalFile, { option, inHeader }: Finding): number | undefined {
  return option === undefined ? undefined : (inHeader === true ? file.headerLines : file.lines)[option];
}

/** Says that an argument names a file whose type is no unit type; undefined if it does not. */
export async function unsupportedType(argument: string, io: Io): Promise<string | undefined> {
  const type = /\.([a-z]+)$/.exec(argument)?.[1];
  if (type === undefined || recognizedTypes.includes(type)) return undefined;
  if (await io.readFile(argument).catch(() => undefined) === undefined) return undefined;
  return `${argument} is not a unit file: fleet does not support the type ${JSON.stringify(`.${type}`)} ` +
    `(supported: ${storableTypes.join(", ")})`;
}

/** Returns the same terminal with a text as the file at `path`. */
export function withFile(io: Io, path: string, text: string): Io {
  return replacing(io, { readFile: (other) => other === path ? Promise.resolve(text) : io.readFile(other) });
}

/** Does the same for the file of a unit of the cluster, to which files of this machine do not belong. */
export function withStoredFile(io: Io, path: string, text: string): Io {
  const nothing = { readBytes: () => Promise.resolve(undefined), filesIn: () => Promise.resolve([]) };
  return replacing(withFile(io, path, text), nothing);
}

/** Does the same without the folder of attached files of a directory that is known to have none. */
export function withoutFolder(io: Io, directory: string): Io {
  const isIn = (path: string) => path.startsWith(`${directory}${attachedFolder}/`);
  return replacing(io, { filesIn: (path) => isIn(path) ? Promise.resolve(undefined) : io.filesIn(path) });
}

function replacing(io: Io, replaced: Partial<Io>): Io {
  return new Proxy(io, {
    get(_, key) {
      const own = replaced[key as keyof Io];
      if (own !== undefined) return own;
      const value = Reflect.get(io, key);
      return typeof value === "function" ? value.bind(io) : value;
    },
  });
}
