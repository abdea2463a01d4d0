/**
 * The files that unit files came with: those beside them in their folder, which they may attach. Pure.
 *
 * @module
 */

import { type FileSource, isFilesFolder, unitsWithFiles } from "../../../registry/attach_contents.ts";
import { attachedFiles } from "../../../registry/attached_files.ts";
import { readUnitFile, UnitFileError } from "../../../systemd/unit_file.ts";

/** The files of a folder by their paths in it: the bytes of each, or why it cannot be read. */
export type Folder = ReadonlyMap<string, Uint8Array | string>;

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
      return Promise.resolve(names.size === 0 ? undefined : [...names]);
    },
  };
}

/** Returns the paths of the files in `files/UNIT`, without that folder. */
export function filesOf(unit: string, folder: Folder): readonly string[] {
  const start = `files/${unit}/`;
  return [...folder.keys()].filter((path) => path.startsWith(start)).map((path) => path.slice(start.length)).sort();
}

/** Returns the files beside unit files that none of these attaches, and folders of files for units that are not here. */
export async function unusedFiles(
  units: readonly { readonly name: string; readonly text: string }[],
  folder: Folder,
): Promise<readonly string[]> {
  const attached = new Set(units.flatMap(({ text }) => sourcesIn(text)));
  const names = new Set(units.map(({ name }) => name));
  const folders = await unitsWithFiles(sourceOf(folder), "");
  return [
    ...[...folder.keys()].filter((path) => !path.includes("/") && !isFilesFolder(path) && !attached.has(path)),
    ...folders.filter((name) => !names.has(name)).map((name) => `folder files/${name}`),
  ];
}

/** Mistakes in the text are shown when the form is submitted. */
function sourcesIn(text: string): readonly string[] {
  try {
    return attachedFiles(readUnitFile(text).options).map(({ source }) => source);
  } catch (error) {
    if (error instanceof UnitFileError) return [];
    throw error;
  }
}
