/**
 * The files that unit files came with: those beside them in their folder, which they may attach. Pure.
 *
 * @module
 */

import { type FileSource, unusedFiles } from "../../../registry/attach_contents.ts";
import { attachedFiles } from "../../../registry/attached_files.ts";
import { readUnitFile, UnitFileError, type UnitOption } from "../../../systemd/unit_file.ts";
import { misspelledType } from "../../../systemd/unit_name.ts";

/** The files of a folder by their paths in it: the bytes of each, or why it cannot be read; undefined for a folder. */
export type Folder = ReadonlyMap<string, Uint8Array | string | undefined>;

/** True for a program that its first line names: a browser does not say whether a file is executable. */
const isScript = ([first, second]: Uint8Array) => first === "#".charCodeAt(0) && second === "!".charCodeAt(0);

/** Browsers offer hashes to pages by https, and to those of their own machine. */
const canHash = () => (crypto.subtle as SubtleCrypto | undefined) !== undefined;
const cannotHash =
  "the browser names contents only for a page by https, or by fleetctl ui: open the page in one of these ways";

/** Returns the files of a folder, as those of a directory are read. */
export function sourceOf(folder: Folder): FileSource {
  return {
    readBytes(path) {
      const bytes = folder.get(path);
      if (typeof bytes === "string") return Promise.reject(new Error(bytes));
      if (bytes && !canHash()) return Promise.reject(new Error(cannotHash));
      return Promise.resolve(bytes && { bytes, isExecutable: isScript(bytes) });
    },
    filesIn(directory) {
      const below = [...folder.keys()].filter((path) => path.startsWith(`${directory}/`));
      const names = new Set(below.map((path) => path.slice(directory.length + 1).split("/")[0]!));
      const isFolder = names.size > 0 || folder.has(directory) && folder.get(directory) === undefined;
      return Promise.resolve(isFolder ? [...names] : undefined);
    },
  };
}

/** Returns the paths of the files in `files/UNIT`, without that folder. */
export function filesOf(unit: string, folder: Folder): readonly string[] {
  const start = `files/${unit}/`;
  return [...folder].filter(([path, bytes]) => path.startsWith(start) && bytes !== undefined)
    .map(([path]) => path.slice(start.length)).filter((path) => !/^\.|\/\./.test(path)).sort();
}

/** Returns a sentence about each file of a folder that no unit gets, as `fleetctl apply` names them. */
export async function unusedProblems(
  units: readonly { readonly name: string; readonly text: string }[],
  folder: Folder,
): Promise<readonly string[]> {
  const names = [...new Set([...folder.keys()].map((path) => path.split("/")[0]!))];
  const read = units.map(({ name, text }) => ({ name, options: optionsIn(text) }));
  const mistakes = names.flatMap((name) => {
    const mistake = misspelledType(name);
    return mistake === undefined ? [] : [`${name}: ${mistake}`];
  });
  const others = names.filter((name) => misspelledType(name) === undefined);
  const unused = await unusedFiles(sourceOf(folder), "", others, read);
  return [...mistakes, ...unused.map(({ path, why }) => `${path} ${/[.?]$/.test(why) ? why : `${why}.`}`)];
}

/** Returns the paths of the files that a unit file names by `File=`. */
export function sourcesIn(text: string): readonly string[] {
  return attachedFiles(optionsIn(text)).map(({ source }) => source);
}

/** Mistakes in the text are shown when the form is submitted. */
function optionsIn(text: string): readonly UnitOption[] {
  try {
    return readUnitFile(text).options;
  } catch (error) {
    if (error instanceof UnitFileError) return [];
    throw error;
  }
}
