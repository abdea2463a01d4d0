/**
 * Reads and writes small files of the daemon. An adapter.
 *
 * @module
 */

import { replaceFile } from "../../runtime/replace_file.ts";
import { serial } from "../../runtime/serial.ts";

/** All changes of files, so that the last one of a file counts. */
const inOrder = serial();

/** Returns a file's text; undefined if there is no file. Rejects with an error that names the path. */
export async function read(path: string): Promise<string | undefined> {
  try {
    // A link may point to a file that another program writes, and that the command log must not be appended to.
    if (!(await Deno.lstat(path)).isFile) throw new Error("it is not a file: remove it");
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw failure("read", path, error);
  }
}

/** Writes a line, whole or not at all: a crash leaves the old text. Rejects with an error that names the path. */
export async function write(path: string, text: string): Promise<void> {
  try {
    await inOrder(() => replaceFile(path, `${path}.new`, `${text}\n`, 0o600));
  } catch (error) {
    throw failure("write", path, error);
  }
}

/** Removes a file, if it exists. Rejects with an error that names the path. */
export async function remove(path: string): Promise<void> {
  try {
    await inOrder(() => Deno.remove(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw failure("remove", path, error);
  }
}

/** An error that names the file. Deno's messages end with the system call and its paths, which may be a draft's. */
export function failure(action: "read" | "write" | "remove", path: string, cause: unknown): Error {
  const reason = (cause as Error).message.replace(/: \w+ '.*$/s, "");
  return new Error(`cannot ${action} ${path}: ${reason}`, {
    cause: Object.assign(cause as Error, { message: reason }),
  });
}

/** The value of a JSON text; undefined if the text is damaged. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
