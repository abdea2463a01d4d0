/**
 * Replaces files atomically. An adapter.
 *
 * @module
 */

/**
 * Writes a file with these permission bits, whole or not at all: a crash or a full disk leaves the old text. `draft`: a path
 * in the same directory, which only this process uses. Links are replaced and never followed: neither another file that
 * one of the paths links to, nor the other name of a hard link is changed. Synchronous: on tmpfs that takes microseconds, a
 * tenth of the asynchronous calls.
 */
export function replaceFile(path: string, draft: string, text: string, mode: number): void {
  try {
    createFile(draft, text, mode);
    Deno.chmodSync(draft, mode); // The mode of a new file is subject to the umask.
    Deno.renameSync(draft, path);
  } catch (error) {
    remove(draft);
    throw error;
  }
}

function createFile(path: string, text: string, mode: number): void {
  try {
    Deno.writeTextFileSync(path, text, { createNew: true, mode });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    Deno.removeSync(path);
    Deno.writeTextFileSync(path, text, { createNew: true, mode });
  }
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // The file did not exist, or cannot be removed. The caller throws why the write failed.
  }
}
