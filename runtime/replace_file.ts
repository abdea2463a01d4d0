/**
 * Replaces files atomically. An adapter.
 *
 * @module
 */

/**
 * Writes a file with these permission bits, whole or not at all: a crash or a full disk leaves the old text. `draft`: a path
 * in the same directory, which only this process uses. Links are replaced and never followed: neither another file that
 * one of the paths links to, nor the other name of a hard link is changed. Not synchronous: a disk that stalls must not
 * stop the process, which renews a lease.
 */
export async function replaceFile(path: string, draft: string, text: string, mode: number): Promise<void> {
  try {
    await createFile(draft, text, mode);
    await Deno.chmod(draft, mode); // The mode of a new file is subject to the umask.
    await Deno.rename(draft, path);
  } catch (error) {
    await remove(draft);
    throw error;
  }
}

async function createFile(path: string, text: string, mode: number): Promise<void> {
  try {
    await Deno.writeTextFile(path, text, { createNew: true, mode });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    await Deno.remove(path);
    await Deno.writeTextFile(path, text, { createNew: true, mode });
  }
}

async function remove(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch {
    // The file did not exist, or cannot be removed. The caller throws why the write failed.
  }
}
