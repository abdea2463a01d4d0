/**
 * The directory with the attached files of units, such as `/run/fleet/files`: a directory for each unit. An adapter.
 *
 * @module
 */

import { replaceFile } from "../../runtime/replace_file.ts";
import { serial } from "../../runtime/serial.ts";
import type { AttachedDirectory, FileOnDisk } from "../agent/attached_files.ts";
import { failure } from "./atomic_file.ts";

/** Opens a directory, which the first file creates. Links in it are replaced and never followed. */
export function openAttachedDirectory(root: string): AttachedDirectory {
  const inOrder = serial();
  const draft = `${root}/.new`;
  return {
    path: root,
    units: async () => (await entriesOf(root)).map(({ name }) => name).filter((name) => !name.startsWith(".")),
    stamp: (unit, path) => stampOf(`${root}/${unit}/${path}`),
    read: (unit, path) => readFile(root, `${root}/${unit}/${path}`),
    write: (unit, path, { bytes, mode }) =>
      inOrder(async () => {
        const file = `${root}/${unit}/${path}`;
        try {
          await makeDirectories(root, `${unit}/${path}`);
          // A directory in the way of the file.
          if (await kindOf(file) === "directory") await Deno.remove(file, { recursive: true });
          await replaceFile(file, draft, bytes, mode);
        } catch (error) {
          throw failure("write", file, error);
        }
      }),
    prune: (unit, keep) =>
      inOrder(async () => {
        const directory = `${root}/${unit}`;
        try {
          if (keep.size > 0) await prune(directory, "", keep);
          // The unit's directory itself may be a link.
          else if (await kindOf(directory) !== undefined) await Deno.remove(directory, { recursive: true });
        } catch (error) {
          throw failure("remove", directory, error);
        }
      }),
  };
}

/** Creates the directories above a file. Something else that has their name is removed. */
async function makeDirectories(root: string, path: string): Promise<void> {
  await Deno.mkdir(root, { recursive: true, mode: 0o755 });
  const parts = path.split("/").slice(0, -1);
  for (let depth = 1; depth <= parts.length; depth++) {
    const directory = `${root}/${parts.slice(0, depth).join("/")}`;
    const kind = await kindOf(directory);
    if (kind === "other") await Deno.remove(directory);
    if (kind !== "directory") await Deno.mkdir(directory, { mode: 0o755 });
    // The mode of a new directory is subject to the umask.
    await Deno.chmod(directory, 0o755);
  }
}

/** Removes everything below a directory but the files to keep. */
async function prune(directory: string, below: string, keep: ReadonlySet<string>): Promise<void> {
  for (const { name, isDirectory } of await entriesOf(directory)) {
    const path = below + name;
    const isAbove = [...keep].some((kept) => kept.startsWith(`${path}/`));
    if (isDirectory && isAbove) await prune(`${directory}/${name}`, `${path}/`, keep);
    else if (!keep.has(path)) await Deno.remove(`${directory}/${name}`, { recursive: true });
  }
}

async function entriesOf(directory: string): Promise<Deno.DirEntry[]> {
  try {
    return await Array.fromAsync(Deno.readDir(directory));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw failure("read", directory, error);
  }
}

async function kindOf(path: string): Promise<"directory" | "other" | undefined> {
  try {
    return (await Deno.lstat(path)).isDirectory ? "directory" : "other";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Returns a text that changes with the content, the owner and the mode of a file; undefined if it is no regular file. */
async function stampOf(file: string): Promise<string | undefined> {
  try {
    const { isFile, ino, size, mode, uid, ctime, mtime } = await Deno.lstat(file);
    return isFile ? [ino, size, mode, uid, ctime?.getTime(), mtime?.getTime()].join(" ") : undefined;
  } catch (error) {
    // A file in the place of a directory above it.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw failure("read", file, error);
  }
}

async function readFile(root: string, file: string): Promise<FileOnDisk | undefined> {
  if (await stampOf(file) === undefined) return undefined;
  try {
    const { mode, uid } = await Deno.lstat(file);
    const isOwned = uid === (await Deno.lstat(root)).uid;
    return { bytes: await Deno.readFile(file), mode: (mode ?? 0) & 0o7777, isOwned };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return undefined;
    throw failure("read", file, error);
  }
}
