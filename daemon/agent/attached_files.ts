/**
 * Delivers the attached files of this machine's units: a {@link Systemd} that writes them before a unit is installed, and
 * removes them with the unit. The rest of the agent does not know them.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import { within } from "../../runtime/within.ts";
import { type AttachedFile, attachedFiles, type ContentName } from "../../registry/attached_files.ts";
import { decodeContent, nameContent } from "../../registry/content_hash.ts";
import type { UnitName } from "../../registry/model.ts";
import type { Registry } from "../../registry/mod.ts";
import { type Systemd, SystemdError } from "../../systemd/port.ts";
import { optionsOf } from "../../systemd/unit_file.ts";
import { generatedService } from "../../systemd/unit_quadlet.ts";

/** A file in the directory of a unit. */
export interface FileOnDisk {
  readonly bytes: Uint8Array;
  readonly mode: number;
  /** True if it has the owner of the whole directory. */
  readonly isOwned: boolean;
}

/** The directory that holds the attached files. Methods reject with an error that names the path. */
export interface AttachedDirectory {
  readonly path: string;
  /** Returns the names of the units' directories. */
  units(): Promise<string[]>;
  /** Returns a text that changes whenever the file does; undefined if it is missing or no regular file. */
  stamp(unit: string, path: string): Promise<string | undefined>;
  /** Reads a file; undefined if it is missing, unreadable, or no regular file. */
  read(unit: string, path: string): Promise<FileOnDisk | undefined>;
  /** Writes a file, whole or not at all, and creates the directories above it. Links are never followed. */
  write(unit: string, path: string, file: Omit<FileOnDisk, "isOwned">): Promise<void>;
  /** Removes everything from the directory of a unit but these files; without files the directory itself. */
  prune(unit: string, keep: ReadonlySet<string>): Promise<void>;
}

export interface AttachedFilesOptions {
  readonly systemd: Systemd;
  readonly registry: Pick<Registry, "watchMachine" | "file" | "content">;
  readonly directory: AttachedDirectory;
  readonly clock: Clock;
  readonly log: Log;
}

/** A unit's files: the name of its directory, which is `%n` in systemd, and what must be in it. */
interface Delivery {
  readonly directory: string;
  readonly files: readonly File[];
}

type File = AttachedFile & { readonly content: ContentName };

/** Longest wait for a content, milliseconds: a slow store must not delay other units for longer. */
const maxWait_ms = 5_000;

/** The time that a content is kept for a unit which is not installed yet, milliseconds. */
const kept_ms = 10 * 60_000;

/** See the module. One for each agent. */
export class AttachedFiles {
  /** The ports for the agent. */
  readonly ports: { readonly systemd: Systemd; readonly registry: Pick<Registry, "watchMachine" | "file"> };
  readonly #options: AttachedFilesOptions;
  /** Contents by hash, also of files that are not written yet. They need no store. */
  readonly #contents = new Map<string, Uint8Array>();
  /** The time at which contents were read from the store, by hash; monotonic clock. */
  readonly #read_ms = new Map<string, number>();
  /** Files whose content and mode were right when they had this stamp, by path. */
  readonly #verified = new Map<string, string>();
  /** The deliveries of the units on disk that have files. */
  #deliveries = new Map<UnitName, Delivery>();

  constructor(options: AttachedFilesOptions) {
    this.#options = options;
    const { systemd, registry } = options;
    const replaced: Partial<Systemd> = {
      files: () => this.#files(),
      install: (files) => this.#install(files),
      uninstall: (names) => this.#uninstall(names),
      start: (name) => this.#withFiles(name, () => systemd.start(name)),
      restart: (name) => this.#withFiles(name, () => systemd.restart(name)),
    };
    const withFiles = new Proxy(systemd, {
      get(target, key) {
        const own = replaced[key as keyof Systemd];
        if (own) return own;
        const value = Reflect.get(target, key);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    this.ports = {
      systemd: withFiles,
      registry: {
        watchMachine: (machine, signal) => registry.watchMachine(machine, signal),
        file: (hash) => this.#file(hash),
      },
    };
  }

  /**
   * Reads a unit file from the store, and the contents that it names: a unit is replaced only when all of them are here.
   * Rejects if one cannot be read.
   */
  async #file(hash: string): Promise<string | undefined> {
    const text = await this.#options.registry.file(hash);
    if (text !== undefined) await this.#fetch(deliveryOf("", text).files);
    return text;
  }

  /** Returns the contents of the units on this machine, for a store that has lost them. */
  async kept(): Promise<readonly { readonly name: ContentName; readonly base64: string }[]> {
    await this.#files();
    return [...this.#contents.values()].map((bytes) => ({ name: nameContent(bytes), base64: bytes.toBase64() }));
  }

  /** Reads contents that are not here yet. */
  async #fetch(files: readonly File[]): Promise<void> {
    for (const { source, content } of files) {
      if (this.#contents.has(content.hash)) continue;
      let base64: string | undefined;
      const read = async () => base64 = await this.#options.registry.content(content);
      const what = `the content of ${source} (${content.hash})`;
      if (!await within(maxWait_ms, this.#options.clock, read)) {
        throw new Error(`${what} has not come from the store yet`);
      }
      if (base64 === undefined) throw new Error(`the store does not have ${what}: put the unit again with fleetctl`);
      const bytes = decodeContent(base64);
      if (!bytes || nameContent(bytes).hash !== content.hash) throw new Error(`${what} is damaged in the store`);
      this.#contents.set(content.hash, bytes);
      this.#read_ms.set(content.hash, this.#options.clock.monotonic_ms());
    }
  }

  /** Compares the files on disk with the unit files there: restores those that were changed, and removes leftovers. */
  async #files(): Promise<ReadonlyMap<UnitName, string>> {
    const texts = await this.#options.systemd.files();
    const all = new Map([...texts].map(([name, text]) => [name, deliveryOf(name, text)] as const));
    this.#deliveries = new Map([...all].filter(([, { files }]) => files.length > 0));
    const { directory, log } = this.#options;
    // All units first: a content that one file has lost may be in another.
    const wrong = new Map<UnitName, Promise<readonly File[]>>();
    for (const [unit, delivery] of this.#deliveries) wrong.set(unit, this.#wrongFiles(delivery));
    await Promise.allSettled(wrong.values());
    for (const [unit, delivery] of this.#deliveries) {
      try {
        const restored = await wrong.get(unit)!;
        await this.#write(delivery, restored);
        if (restored.length === 0) continue;
        const paths = restored.map(({ path }) => path);
        log("warn", "restored attached files that were missing or changed", { unit, paths });
      } catch (error) {
        log("error", `cannot restore the unit's attached files: ${messageOf(error)}`, { unit });
      }
    }
    const known = new Set([...this.#deliveries.values()].map(({ directory }) => directory));
    try {
      for (const name of await directory.units()) if (!known.has(name)) await directory.prune(name, new Set());
    } catch (error) {
      log("error", messageOf(error));
    }
    this.#forgetContents();
    return texts;
  }

  /** Drops the contents that no unit on this machine has, except those that were read lately. */
  #forgetContents(): void {
    const needed = new Set(
      [...this.#deliveries.values()].flatMap(({ files }) => files.map(({ content }) => content.hash)),
    );
    const since_ms = this.#options.clock.monotonic_ms() - kept_ms;
    for (const hash of this.#contents.keys()) {
      if (needed.has(hash) || (this.#read_ms.get(hash) ?? -Infinity) > since_ms) continue;
      this.#contents.delete(hash);
      this.#read_ms.delete(hash);
    }
    const paths = new Set([...this.#deliveries.values()].flatMap(pathsOf));
    for (const path of this.#verified.keys()) if (!paths.has(path)) this.#verified.delete(path);
  }

  /** Brings the directory of a unit into the state of its unit file. */
  async #deliver(delivery: Delivery): Promise<void> {
    await this.#write(delivery, await this.#wrongFiles(delivery));
  }

  /** Returns the files that are missing or differ from what they should be. Learns the contents of the others. */
  async #wrongFiles({ directory: unit, files }: Delivery): Promise<readonly File[]> {
    const { directory } = this.#options;
    const wrong: File[] = [];
    for (const file of files) {
      const { path, mode, content: { hash } } = file;
      const asVerified = `${mode} ${hash} ${await directory.stamp(unit, path)}`;
      if (this.#contents.has(hash) && this.#verified.get(`${unit}/${path}`) === asVerified) continue;
      const found = await directory.read(unit, path);
      const isRight = found !== undefined && nameContent(found.bytes).hash === hash;
      if (isRight) this.#contents.set(hash, found.bytes);
      if (isRight && found.mode === mode && found.isOwned) this.#verified.set(`${unit}/${path}`, asVerified);
      else wrong.push(file);
    }
    return wrong;
  }

  /** Writes files of a unit, and removes whatever else is in its directory. */
  async #write({ directory: unit, files }: Delivery, wrong: readonly File[]): Promise<void> {
    const { directory } = this.#options;
    await this.#fetch(wrong);
    for (const { path, mode, content: { hash } } of wrong) {
      await directory.write(unit, path, { bytes: this.#contents.get(hash)!, mode });
      this.#verified.set(`${unit}/${path}`, `${mode} ${hash} ${await directory.stamp(unit, path)}`);
    }
    await directory.prune(unit, new Set(files.map(({ path }) => path)));
  }

  async #install(files: ReadonlyMap<UnitName, string>): Promise<ReadonlyMap<UnitName, SystemdError>> {
    const failures = new Map<UnitName, SystemdError>();
    const ready = new Map<UnitName, string>();
    for (const [name, text] of files) {
      const delivery = deliveryOf(name, text);
      try {
        if (delivery.files.length > 0) await this.#deliver(delivery);
        this.#deliveries.set(name, delivery);
        ready.set(name, text);
      } catch (cause) {
        failures.set(name, new SystemdError(`cannot install "${name}": ${messageOf(cause)}`, "file", { cause }));
      }
    }
    const refused = await this.#options.systemd.install(ready);
    return failures.size === 0 ? refused : new Map([...failures, ...refused]);
  }

  /** Restores files of a unit that were deleted or changed, so that it does not start without them. */
  async #withFiles<T>(name: UnitName, start: () => Promise<T>): Promise<T> {
    const delivery = this.#deliveries.get(name);
    if (delivery && delivery.files.length > 0) {
      try {
        await this.#deliver(delivery);
      } catch (cause) {
        throw new SystemdError(`cannot start "${name}": ${messageOf(cause)}`, "file", { cause });
      }
    }
    return await start();
  }

  async #uninstall(names: ReadonlySet<UnitName>): Promise<ReadonlyMap<UnitName, SystemdError>> {
    const failures = await this.#options.systemd.uninstall(names);
    for (const name of names) {
      const delivery = this.#deliveries.get(name);
      if (!delivery || failures.has(name)) continue;
      this.#deliveries.delete(name);
      if (delivery.files.length === 0) continue;
      try {
        await this.#options.directory.prune(delivery.directory, new Set());
      } catch (error) {
        // The next inventory removes them.
        this.#options.log("warn", messageOf(error), { unit: name });
      }
    }
    return failures;
  }
}

function pathsOf({ directory, files }: Delivery): string[] {
  return files.map(({ path }) => `${directory}/${path}`);
}

/** Returns the files of a unit. A file without a content was refused when the unit was put. */
function deliveryOf(name: UnitName, text: string): Delivery {
  if (!text.includes("\nFile=")) return { directory: name, files: [] };
  const options = optionsOf(text);
  const files = attachedFiles(options).flatMap((file) => file.content ? [{ ...file, content: file.content }] : []);
  // In a Quadlet file, %n is the name of the service that podman's generator makes.
  return { directory: generatedService(name, options), files };
}
