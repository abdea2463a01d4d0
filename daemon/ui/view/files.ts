/**
 * Reads the files that a user drops, pastes or chooses.
 *
 * @module
 */

import { attachmentLimits, tooLarge } from "../../../registry/attached_files.ts";
import { decodeText, type Draft, isUnitFile, sizeProblem, unusedProblem } from "../model/files.ts";
import { unusedFiles } from "../model/folder.ts";

/** The unit files among them, and why the others are ignored. */
export interface ReadFiles {
  readonly files: readonly Draft[];
  readonly problems: readonly string[];
  /** The name of the folder that was dropped, if it was one. */
  readonly folder?: string;
}

/** The most files of one folder that are read. */
const maxFiles = 500;

/** Reads files that are in one folder. */
export const chosenFiles = (files: readonly File[]): Promise<ReadFiles> =>
  readFolder(files.map((file) => [file.name, file]));

/** Reads the files of a drop or paste, and those in its folders. */
export async function transferredFiles(transfer: DataTransfer): Promise<ReadFiles> {
  // The items are empty after the event, so nothing is awaited before they are read.
  const items = [...transfer.items].filter(({ kind }) => kind === "file");
  const folders = items.map((item) => item.webkitGetAsEntry())
    .filter((entry): entry is FileSystemDirectoryEntry => entry?.isDirectory === true);
  const names = new Set(folders.map(({ name }) => name));
  const files = items.flatMap((item) => item.getAsFile() ?? []).filter(({ name }) => !names.has(name));
  // A folder `files` beside unit files belongs to them.
  const isBeside = ({ name }: FileSystemEntry) => name === "files" && files.length > 0;
  const beside = await Promise.all(folders.filter(isBeside).map((folder) => filesIn(folder, "files/")));
  const loose = await readFolder([...files.map((file) => [file.name, file] as const), ...beside.flat()]);
  const others = folders.filter((folder) => !isBeside(folder));
  const inside = await Promise.all(others.map(async (folder) => await readFolder(await filesIn(folder))));
  const all = [loose, ...inside];
  const [folder, second] = others;
  return {
    files: all.flatMap(({ files }) => files),
    problems: all.flatMap(({ problems }) => problems),
    ...folder && !second && files.length === 0 && { folder: folder.name },
  };
}

/** Reads the files of one folder, by their paths in it. */
async function readFolder(found: readonly (readonly [path: string, file: File])[]): Promise<ReadFiles> {
  const read: Draft[] = [];
  const problems: string[] = [];
  const folder = new Map<string, Uint8Array | string>();
  for (const [path, file] of found.slice(0, maxFiles)) {
    try {
      if (!isUnitFile(path)) folder.set(path, await bytesOf(file));
      else {
        const problem = sizeProblem(path, file.size);
        if (problem !== undefined) problems.push(problem);
        else read.push({ name: path, text: decodeText(path, new Uint8Array(await file.arrayBuffer())) });
      }
    } catch (error) {
      const { message } = error as Error;
      problems.push(error instanceof DOMException ? `${path} cannot be read: ${message}` : message);
    }
  }
  if (found.length > maxFiles) problems.push(`Only the first ${maxFiles} files are read: use fleetctl apply for more.`);
  problems.push(...(await unusedFiles(read, folder)).map(unusedProblem));
  return { files: folder.size === 0 ? read : read.map((draft) => ({ ...draft, folder })), problems };
}

/** Returns the bytes of a file that a unit may attach, or why it may not. */
async function bytesOf(file: File): Promise<Uint8Array | string> {
  if (file.size > attachmentLimits.file_bytes) return tooLarge(file.name, file.size);
  return new Uint8Array(await file.arrayBuffer());
}

/** Returns the files below a folder with their paths in it; unit files are those in the folder itself. */
async function filesIn(
  folder: FileSystemDirectoryEntry,
  path = "",
  depth = 0,
): Promise<readonly (readonly [path: string, file: File])[]> {
  const reader = folder.createReader();
  const found: (readonly [string, File])[] = [];
  for (;;) {
    // A reader returns a part of the entries at a time.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0 || found.length > maxFiles) return found;
    for (const entry of entries.filter(({ name }) => !name.startsWith("."))) {
      if (entry.isDirectory) {
        const below = depth < 8 && filesIn(entry as FileSystemDirectoryEntry, `${path}${entry.name}/`, depth + 1);
        found.push(...await below || []);
      } else {
        const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
        found.push([path + entry.name, file]);
      }
    }
  }
}
