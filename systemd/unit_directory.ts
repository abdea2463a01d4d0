/**
 * The adapter to the directory that holds fleet's unit files.
 *
 * @module
 */

import { replaceFile } from "../runtime/replace_file.ts";
import { isQuadlet, validateUnitName } from "./unit_name.ts";

/** A directory of unit files. Methods reject with errors that name the path. */
export interface UnitDirectory {
  readonly path: string;
  /** True if the directory is there. The other methods create it. */
  exists(): Promise<boolean>;
  /** Returns the names of all unit files. Other files are ignored, and each is reported once. */
  names(): Promise<string[]>;
  /** Returns the text of every unit file, by name. An unreadable one is left out: {@link write} reports why. */
  list(): Promise<Map<string, string>>;
  /** Writes a file atomically, with mode 0644. False if it held this text already and was not written. */
  write(name: string, text: string): Promise<boolean>;
  /** Removes a file. Succeeds if it does not exist. */
  remove(name: string): Promise<void>;
}

/**
 * Opens a directory. It is created with mode 0755 at first use. `unrecognized` is called for files that are no units, or
 * not of those that `holds` accepts by their names.
 */
export function openUnitDirectory(
  path: string,
  unrecognized: (name: string) => void,
  holds: (name: string) => boolean = (name) => !isQuadlet(name),
): UnitDirectory {
  return new Directory(path.replace(/(.)\/+$/, "$1"), unrecognized, holds);
}

class Directory implements UnitDirectory {
  readonly #reported = new Set<string>();
  #created: Promise<void> | undefined;

  constructor(
    readonly path: string,
    private readonly unrecognized: (name: string) => void,
    private readonly holds: (name: string) => boolean,
  ) {}

  async exists(): Promise<boolean> {
    try {
      return (await Deno.stat(this.path)).isDirectory;
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return false;
      throw new Error(`cannot look for ${this.path}: ${(cause as Error).message}`, { cause });
    }
  }

  async names(): Promise<string[]> {
    await this.#create();
    const names: string[] = [];
    try {
      for await (const entry of Deno.readDir(this.path)) {
        if (this.#isUnitFile(entry.name) && (entry.isFile || entry.isSymlink)) names.push(entry.name);
        else if (!entry.name.startsWith(".")) this.#report(entry.name);
      }
    } catch (cause) {
      throw new Error(`cannot list ${this.path}: ${(cause as Error).message}`, { cause });
    }
    return names.sort();
  }

  #isUnitFile(name: string): boolean {
    return !name.startsWith(".") && validateUnitName(name) === undefined && this.holds(name);
  }

  #report(name: string): void {
    if (this.#reported.has(name)) return;
    this.#reported.add(name);
    this.unrecognized(name);
  }

  async list(): Promise<Map<string, string>> {
    const texts = new Map<string, string>();
    for (const name of await this.names()) {
      try {
        const text = await this.#read(name);
        if (text !== undefined) texts.set(name, text);
      } catch {
        this.#report(name);
      }
    }
    return texts;
  }

  async write(name: string, text: string): Promise<boolean> {
    if (!this.#isUnitFile(name)) throw new Error(`cannot write "${name}" to ${this.path}: not the name of a unit file`);
    await this.#create();
    if (await this.#read(name) === text) return false;
    const file = `${this.path}/${name}`;
    // Hidden, and in the same directory, so that it can be renamed. There is only one writer.
    const draft = `${this.path}/.${name.slice(0, 200)}.new`;
    try {
      await replaceFile(file, draft, text, 0o644);
    } catch (cause) {
      throw new Error(`cannot write ${file}: ${(cause as Error).message}`, { cause });
    }
    return true;
  }

  async remove(name: string): Promise<void> {
    if (!this.#isUnitFile(name)) return;
    const file = `${this.path}/${name}`;
    try {
      // Deno removes an empty directory as well.
      if ((await Deno.lstat(file)).isDirectory) throw new Error("it is a directory");
      await Deno.remove(file);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return;
      throw new Error(`cannot remove ${file}: ${(cause as Error).message}`, { cause });
    }
  }

  async #read(name: string): Promise<string | undefined> {
    const file = `${this.path}/${name}`;
    try {
      // Reading from a pipe would block the process, and a link may point to a file that changes without fleetd.
      if (!(await Deno.lstat(file)).isFile) throw new Error("it is not a file: remove it");
      return await Deno.readTextFile(file);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return undefined;
      throw new Error(`cannot read ${file}: ${(cause as Error).message}`, { cause });
    }
  }

  #create(): Promise<void> {
    this.#created ??= Deno.mkdir(this.path, { recursive: true, mode: 0o755 }).catch((cause) => {
      this.#created = undefined;
      throw new Error(`cannot create ${this.path}: ${(cause as Error).message}`, { cause });
    });
    return this.#created;
  }
}
