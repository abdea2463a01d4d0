/**
 * Replaces files atomically. An adapter.
 *
 * @module
 */

import { dirname } from "node:path/posix";

/**
 * Writes a file with these permission bits, whole or not at all: a crash or a full disk leaves the old text. `draft`: a path
 * in the same directory, which only this process uses. Links are replaced and never followed: neither another file that
 * one of the paths links to, nor the other name of a hard link is changed. Not synchronous: a disk that stalls must not
 * stop the process, which renews a lease.
 */
export function replaceFile(path: string, draft: string, text: string | Uint8Array, mode: number): Promise<void> {
  return replace(path, draft, text, mode, () => Promise.resolve());
}

/** Does the same, and returns only when the new text survives a loss of power. */
export async function replaceFileDurably(path: string, draft: string, text: string, mode: number): Promise<void> {
  await replace(path, draft, text, mode, () => sync(draft));
  await sync(dirname(path));
}

async function replace(
  path: string,
  draft: string,
  text: string | Uint8Array,
  mode: number,
  written: () => Promise<void>,
): Promise<void> {
  try {
    await createFile(draft, text, mode);
    await Deno.chmod(draft, mode); // The mode of a new file is subject to the umask.
    await written();
    await Deno.rename(draft, path);
  } catch (error) {
    await remove(draft);
    throw error;
  }
}

async function createFile(path: string, text: string | Uint8Array, mode: number): Promise<void> {
  try {
    await write(path, text, { createNew: true, mode });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    await Deno.remove(path);
    await write(path, text, { createNew: true, mode });
  }
}

function write(path: string, text: string | Uint8Array, options: Deno.WriteFileOptions): Promise<void> {
  return typeof text === "string" ? Deno.writeTextFile(path, text, options) : Deno.writeFile(path, text, options);
}

/** Writes the content of a file or a directory to its disk (fsync(2)). */
async function sync(path: string): Promise<void> {
  using file = await Deno.open(path, { read: true });
  await file.sync();
}

async function remove(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch {
    // The file did not exist, or cannot be removed. The caller throws why the write failed.
  }
}
