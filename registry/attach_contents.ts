/**
 * The files that a unit file names by `File=`, and those in a folder `files/UNIT` beside it: names their contents in the
 * options of the unit. Pure, but for the source of the files.
 *
 * @module
 */

import type { UnitOption } from "../systemd/unit_file.ts";
import {
  type AttachedFile,
  attachmentLimits,
  type ContentName,
  fileOption,
  isFileOption,
  parseFileOption,
  tooLarge,
} from "./attached_files.ts";

/** A place from which files are read. */
export interface FileSource {
  /** Returns the bytes of a file, or undefined if there is no such file. Throws if it cannot be read. */
  readBytes(path: string): Promise<{ readonly bytes: Uint8Array; readonly isExecutable: boolean } | undefined>;
  /** Returns the names in a directory, or undefined if there is no such directory. Throws if it cannot be read. */
  filesIn(directory: string): Promise<string[] | undefined>;
}

/** The bytes of contents, by hash. */
export type Contents = ReadonlyMap<string, Uint8Array>;

/** The options of a unit with the contents that they name; `index` is that of the option that `problem` concerns. */
export interface Attached {
  readonly options: readonly UnitOption[];
  readonly contents: Contents;
  readonly problem?: { readonly message: string; readonly index?: number };
}

/** The folder of an application that has a folder with files for each unit. */
const folder = "files";

/**
 * Completes the options of a unit file in `directory` ("" or with a slash at its end). An option that names a content
 * already is left as it is: it is that of a unit from the cluster.
 */
export async function attachContents(
  source: FileSource,
  directory: string,
  unit: string,
  options: readonly UnitOption[],
): Promise<Attached> {
  const contents = new Map<string, Uint8Array>();
  const completed: UnitOption[] = [];
  const add = async (file: Omit<AttachedFile, "mode">, mode: number | undefined) => {
    const found = await source.readBytes(directory + file.source);
    if (!found) throw new Error(`there is no file ${directory + file.source}`);
    if (found.bytes.length > attachmentLimits.file_bytes) throw new Error(tooLarge(file.source, found.bytes.length));
    const content = await nameContent(found.bytes);
    contents.set(content.hash, found.bytes);
    return fileOption({ ...file, mode: mode ?? (found.isExecutable ? 0o755 : 0o644), content });
  };
  for (const [index, option] of options.entries()) {
    const file = isFileOption(option) ? parseFileOption(option.value) : undefined;
    try {
      const isOpen = typeof file === "object" && file.content === undefined;
      completed.push(isOpen ? await add(file, file.mode) : option);
    } catch (error) {
      return { options, contents, problem: { message: `File=${option.value}: ${(error as Error).message}`, index } };
    }
  }
  try {
    for (const path of await pathsBelow(source, `${directory}${folder}/${unit}`) ?? []) {
      completed.push(await add({ source: `${folder}/${unit}/${path}`, path }, undefined));
    }
  } catch (error) {
    return {
      options,
      contents,
      problem: { message: `folder ${directory}${folder}/${unit}: ${(error as Error).message}` },
    };
  }
  return { options: completed, contents };
}

/**
 * Returns the paths of all files below a folder, without those that begin with a dot; undefined if it is no folder. Throws
 * if a folder cannot be read.
 */
async function pathsBelow(
  source: Pick<FileSource, "filesIn">,
  directory: string,
  depth = 0,
): Promise<string[] | undefined> {
  const names = (await source.filesIn(directory))?.filter((name) => !name.startsWith(".")).sort();
  if (!names) return undefined;
  if (depth > 8) throw new Error("the folders are nested too deeply");
  const found = await Promise.all(names.map(async (name) => {
    const below = await pathsBelow(source, `${directory}/${name}`, depth + 1);
    return below?.map((path) => `${name}/${path}`) ?? [name];
  }));
  const paths = found.flat();
  if (paths.length > attachmentLimits.files) throw new Error(`it has more than ${attachmentLimits.files} files`);
  return paths;
}

/** Names a content as `registry/content_hash.ts` does, without loading node:crypto. */
async function nameContent(bytes: Uint8Array): Promise<ContentName> {
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(bytes));
  return { hash: new Uint8Array(digest).toHex(), size_bytes: bytes.length };
}

/** Returns the names in the folder with the files of units. */
export async function unitsWithFiles(
  source: Pick<FileSource, "filesIn">,
  directory: string,
): Promise<readonly string[]> {
  return (await source.filesIn(directory + folder) ?? []).filter((name) => !name.startsWith("."));
}

/** True for the entry of a directory that holds the files of units. */
export function isFilesFolder(name: string): boolean {
  return name === folder;
}
