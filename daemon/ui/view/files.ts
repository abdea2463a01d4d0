/**
 * Reads the files that a user drops, pastes or chooses.
 *
 * @module
 */

import { attachmentLimits, tooLarge } from "../../../registry/attached_files.ts";
import { isUnitFileName } from "../../../systemd/unit_name.ts";
import { decodeText, type Draft, sizeProblem } from "../model/files.ts";
import { sourcesIn, unusedProblems } from "../model/folder.ts";

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
  readFolder(new Listing(files.map((file) => [file.name, file])));

/** Reads the files of a drop or paste, and those in its folders. */
export async function transferredFiles(transfer: DataTransfer): Promise<ReadFiles> {
  // The items are empty after the event, so nothing is awaited before they are read.
  const items = [...transfer.items].filter(({ kind }) => kind === "file");
  const folders = items.map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null).filter(isFolder);
  const names = new Set(folders.map(({ name }) => name));
  const files = items.flatMap((item) => item.getAsFile() ?? []).filter(({ name }) => !names.has(name));
  // A folder beside unit files belongs to them if it is `files`, or if they name files in it.
  const named = await namedFolders(files);
  const isBeside = ({ name }: FileSystemEntry) => files.length > 0 && named.has(name);
  const loose = new Listing(files.map((file) => [file.name, file]));
  for (const folder of folders.filter(isBeside)) await loose.add(folder);
  const others = folders.filter((folder) => !isBeside(folder));
  const all = [{ name: "", ...await readFolder(loose) }];
  for (const folder of others) {
    const { name } = folder;
    const { files, problems } = await readFolder(await filesIn(folder));
    all.push({ name, files, problems: files.length > 0 ? problems : ["the folder has no unit files.", ...problems] });
  }
  const [folder, second] = others;
  const isOnly = folder !== undefined && !second && files.length === 0;
  return {
    ...withoutRepeated(all.map((read) => isOnly && read.files.length > 0 ? { ...read, name: "" } : read)),
    ...isOnly && { folder: folder.name },
  };
}

/**
 * Returns the files of folders. Of files with one name, the first counts; each other is a problem. A problem begins with the
 * name of its folder, if it has one.
 */
function withoutRepeated(folders: readonly (ReadFiles & { readonly name: string })[]): ReadFiles {
  const first = new Map<string, Draft>();
  const problems: string[] = [];
  for (const folder of folders) {
    const start = folder.name === "" ? "" : `${folder.name}: `;
    problems.push(...folder.problems.map((problem) => start + problem));
    for (const draft of folder.files) {
      if (!first.has(draft.name)) first.set(draft.name, draft);
      else problems.push(`${start}${draft.name} is ignored: the unit was dropped twice.`);
    }
  }
  return { files: [...first.values()], problems };
}

/** Reads the files of one folder, by their paths in it. */
async function readFolder({ found, isCut }: Pick<Listing, "found" | "isCut">): Promise<ReadFiles> {
  const read: Draft[] = [];
  const problems: string[] = [];
  const folder = new Map<string, Uint8Array | string | undefined>();
  for (const [path, file] of found) {
    try {
      if (!file || !isUnitFileName(path)) folder.set(path, file && await bytesOf(file));
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
  if (isCut) problems.push(`Only the first ${maxFiles} files are read: use fleetctl apply for more.`);
  problems.push(...await unusedProblems(read, folder));
  return { files: folder.size === 0 ? read : read.map((draft) => ({ ...draft, folder })), problems };
}

/** Returns the bytes of a file that a unit may attach, or why it may not. */
async function bytesOf(file: File): Promise<Uint8Array | string> {
  if (file.size > attachmentLimits.file_bytes) return tooLarge(file.name, file.size);
  return new Uint8Array(await file.arrayBuffer());
}

/** A file by its path in a folder; without a file, it is a folder. */
type Found = readonly [path: string, file?: File];

/** The deepest folder that is read: one below those that a unit may have in its folder of files. */
const maxDepth = 12;

/** The files and folders of one folder, up to {@link maxFiles}. */
class Listing {
  /** True if files were left out that may belong to units. */
  isCut = false;

  constructor(readonly found: Found[] = []) {}

  /** Adds a file or a folder, with what is in it. */
  async add(entry: FileSystemEntry, path = entry.name, depth = 0): Promise<void> {
    if (this.found.length >= maxFiles) this.isCut = true;
    else if (!isFolder(entry)) this.found.push([path, await fileOf(entry as FileSystemFileEntry)]);
    else {
      this.found.push([path]);
      if (depth === maxDepth) return;
      for (const each of await entriesOf(entry)) await this.add(each, `${path}/${each.name}`, depth + 1);
    }
  }
}

/** Returns the files of a folder: first those in it, then those in the folders that units name, then others. */
async function filesIn(folder: FileSystemDirectoryEntry): Promise<Pick<Listing, "found" | "isCut">> {
  const listing = new Listing();
  const entries = await entriesOf(folder);
  for (const entry of entries.filter((entry) => !isFolder(entry))) await listing.add(entry);
  const named = await namedFolders(listing.found.flatMap(([, file]) => file ?? []));
  const folders = entries.filter(isFolder);
  for (const entry of folders.filter(({ name }) => named.has(name))) await listing.add(entry);
  const { isCut } = listing;
  // A unit may be changed in the form so that it names a file in one of them.
  const others = folders.filter(({ name }) => !named.has(name));
  for (const entry of others) {
    if (entry.name.startsWith(".")) listing.found.push([entry.name]);
    else await listing.add(entry);
  }
  const left = others.filter(({ name }) => !listing.found.some(([path]) => path === name));
  return { found: [...listing.found, ...left.map(({ name }) => [name] as const)], isCut };
}

/** Returns the folders in which unit files may have files: `files`, and those that they name. */
async function namedFolders(files: readonly File[]): Promise<ReadonlySet<string>> {
  const units = files.filter(({ name, size }) => isUnitFileName(name) && sizeProblem(name, size) === undefined);
  // A file that cannot be read is named when its text is.
  const texts = await Promise.all(units.map((file) => file.text().catch(() => "")));
  return new Set(["files", ...texts.flatMap(sourcesIn).map((source) => source.split("/")[0]!)]);
}

const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory;

const fileOf = (entry: FileSystemFileEntry) => new Promise<File>((resolve, reject) => entry.file(resolve, reject));

async function entriesOf(folder: FileSystemDirectoryEntry): Promise<readonly FileSystemEntry[]> {
  const reader = folder.createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    // A reader returns a part of the entries at a time.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0 || found.length > maxFiles) return found;
    found.push(...entries);
  }
}
