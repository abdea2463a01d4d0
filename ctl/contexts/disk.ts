/**
 * The adapter to the file of contexts: `$XDG_CONFIG_HOME/fleet/config.toml`, by default `~/.config/fleet/config.toml`.
 *
 * @module
 */

import { dirname, resolve } from "node:path/posix";
import type { ContextFile } from "./port.ts";

/** Returns the user's own file. */
export function userContextFile(): ContextFile {
  const home = Deno.env.get("HOME") || undefined;
  const configured = Deno.env.get("XDG_CONFIG_HOME") ?? "";
  // The XDG base directory specification: a relative path is invalid and ignored.
  const directory = configured.startsWith("/") ? configured : home && `${home}/.config`;
  return contextFile(directory && `${directory}/fleet/config.toml`, home);
}

/** Returns the file at a path. */
export function contextFile(path: string | undefined, home: string | undefined): ContextFile {
  return {
    path,
    async read() {
      const info = path === undefined ? undefined : await infoOf(path);
      if (info === undefined) return undefined;
      return { text: await Deno.readTextFile(path!), isPrivate: ((info.mode ?? 0) & 0o077) === 0 };
    },
    async write(text) {
      if (path === undefined) throw new Error("there is no home directory for the file of contexts: set HOME");
      await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
      // A link, for example into a repository of such files, stays one.
      const real = await Deno.realPath(path).catch(() => path);
      const temporary = await Deno.makeTempFile({ dir: dirname(real), prefix: ".config.toml." });
      try {
        await Deno.writeTextFile(temporary, text);
        await Deno.rename(temporary, real);
      } catch (error) {
        await Deno.remove(temporary);
        throw error;
      }
    },
    besideFile: (name) => resolve(dirname(path ?? "/"), name.replace(/^~(?=\/|$)/, home ?? "~")),
    onCommandLine: (name) => resolve(Deno.cwd(), name),
  };
}

/** Returns the status of a file; undefined if there is none, or if this user may not look. */
async function infoOf(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    // Of a program that sudo or setpriv runs, HOME may be the directory of another user, which has no file of this one.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}
