/**
 * The files that a unit file names by `File=`, and those in a folder `files/UNIT` beside it: names their contents in the
 * options of the unit. Pure, but for the source of the files.
 *
 * @module
 */

import type { UnitOption } from "../systemd/unit_file.ts";
import { nearest } from "../runtime/spelling.ts";
import { templateOf } from "../systemd/unit_name.ts";
import {
  type AttachedFile,
  attachedFiles,
  attachmentLimits,
  type ContentName,
  fileOption,
  isFileOption,
  parseFileOption,
  pathProblem,
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
export const attachedFolder = "files";

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
    for (const path of await pathsBelow(source, `${directory}${attachedFolder}/${unit}`) ?? []) {
      // A colon would separate the fields of the option.
      const problem = pathProblem(path);
      if (problem !== undefined) throw new Error(problem);
      completed.push(await add({ source: `${attachedFolder}/${unit}/${path}`, path }, undefined));
    }
  } catch (error) {
    return {
      options,
      contents,
      problem: { message: `folder ${directory}${attachedFolder}/${unit}: ${(error as Error).message}` },
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
  const names = (await source.filesIn(directory))?.filter((name) => !isHidden(name)).sort();
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

/** A file of a directory with unit files that no unit gets, and why. */
export interface UnusedFile {
  readonly path: string;
  /** The predicate of a sentence about the path. */
  readonly why: string;
  /** True if the file is probably meant for a unit. */
  readonly isMistake: boolean;
}

/** A unit file of a directory, whose files may be in the folder of its name. */
export interface UnitWithFiles {
  readonly name: string;
  readonly options: readonly UnitOption[];
}

/**
 * Returns the files of a directory that no unit gets. `directory` is "" or ends with a slash; `names` are those in it that
 * are no unit files.
 */
export async function unusedFiles(
  source: Pick<FileSource, "filesIn">,
  directory: string,
  names: readonly string[],
  units: readonly UnitWithFiles[],
): Promise<readonly UnusedFile[]> {
  const sources = units.flatMap(({ options }) => attachedFiles(options)).map((file) => file.source);
  const isUsed = (path: string) => sources.some((used) => used === path || used.startsWith(`${path}/`));
  const found: UnusedFile[] = [];
  for (const name of [...names].sort()) {
    const inside = name === attachedFolder ? await source.filesIn(directory + name) : undefined;
    if (inside) found.push(...await unusedInFolder(source, directory, inside, units.map(({ name }) => name), isUsed));
    else if (!isUsed(name)) {
      found.push({ path: directory + name, why: "is not a unit file and is ignored", isMistake: false });
    }
  }
  return found;
}

/** Returns the files of the folder with those of units that no unit gets. `names`: those in the folder. */
async function unusedInFolder(
  source: Pick<FileSource, "filesIn">,
  directory: string,
  names: readonly string[],
  units: readonly string[],
  isUsed: (path: string) => boolean,
): Promise<readonly UnusedFile[]> {
  if (names.length === 0) {
    const why = "is empty: put the files of a unit in a folder of its name, such as files/web.service";
    return [{ path: directory + attachedFolder, why, isMistake: true }];
  }
  const found = await Promise.all(
    [...names].sort().map(async (name): Promise<readonly UnusedFile[]> => {
      const path = `${attachedFolder}/${name}`;
      if (units.includes(name)) {
        return (await unusedBelow(source, directory + path)).filter((file) =>
          !isUsed(file.path.slice(directory.length))
        );
      }
      if (isUsed(path)) return [];
      if (isHidden(name)) return [hiddenFile(directory + path)];
      const meant = meantFolder(name, units, names);
      const hint = meant === undefined
        ? "name it by File=, or remove it"
        : `did you mean ${directory}${attachedFolder}/${meant}?`;
      return [{
        path: directory + path,
        why: `belongs to no unit of the directory and is ignored: ${hint}`,
        isMistake: true,
      }];
    }),
  );
  return found.flat();
}

/** Returns the files in the folder of one unit that it does not get. `directory` is "" or ends with a slash. */
export async function unusedOfUnit(
  source: Pick<FileSource, "filesIn">,
  directory: string,
  unit: UnitWithFiles,
): Promise<readonly UnusedFile[]> {
  const names = await source.filesIn(directory + attachedFolder);
  if (!names?.includes(unit.name)) return [];
  const sources = attachedFiles(unit.options).map((file) => directory + file.source);
  return (await unusedBelow(source, `${directory}${attachedFolder}/${unit.name}`)).filter(({ path }) =>
    !sources.includes(path)
  );
}

/** Returns the files that the unit of a folder does not get, unless by `File=`. */
async function unusedBelow(source: Pick<FileSource, "filesIn">, path: string): Promise<readonly UnusedFile[]> {
  let paths: readonly string[] | undefined;
  try {
    paths = await pathsBelow(source, path);
  } catch {
    // The unit is refused because of it.
    return [];
  }
  if (!paths) {
    const why = "is a file and is ignored: put it in a folder of that name, or name it by File=";
    return [{ path, why, isMistake: true }];
  }
  const empty = { path, why: "has no files: put those of the unit in it, or remove it", isMistake: true };
  return [...paths.length === 0 ? [empty] : [], ...(await hiddenBelow(source, path)).map(hiddenFile)];
}

const hiddenFile = (path: string): UnusedFile => ({
  path,
  why: "begins with a dot and is ignored: name it by File= if a unit needs it",
  isMistake: false,
});

/** Returns the unit whose folder is probably meant by a name; undefined if none is similar. `names`: those of all folders. */
function meantFolder(name: string, units: readonly string[], names: readonly string[]): string | undefined {
  const template = templateOf(name);
  if (template !== undefined && units.includes(template)) return template;
  return units.find((unit) => unit.startsWith(`${name}.`)) ??
    nearest(name, units.filter((unit) => !names.includes(unit)));
}

/** Returns the paths of the files and folders below a folder whose names begin with a dot. */
async function hiddenBelow(source: Pick<FileSource, "filesIn">, directory: string): Promise<readonly string[]> {
  const names = [...await source.filesIn(directory) ?? []].sort();
  const below = await Promise.all(
    names.filter((name) => !isHidden(name)).map((name) => hiddenBelow(source, `${directory}/${name}`)),
  );
  return [...names.filter(isHidden).map((name) => `${directory}/${name}`), ...below.flat()];
}

const isHidden = (name: string) => name.startsWith(".");
