/**
 * What a daemon remembers across its own restarts, in a directory that a reboot empties (`/run/fleet`). 🚪
 *
 * @module
 */

import type { StoreMemory } from "../registry/mod.ts";
import type { IntentMemory } from "./agent/intent.ts";
import { openIntents } from "./intents.ts";

/** The daemon's memory. Rejects with an error that names the path when a file cannot be written or read. */
export interface Memory {
  readonly intents: IntentMemory;
  /** A random text, drawn once a boot. */
  incarnation(): Promise<string>;
  lease(): Promise<string | undefined>;
  saveLease(lease: string | undefined): Promise<void>;
  store(): Promise<StoreMemory | undefined>;
  saveStore(store: StoreMemory | undefined): Promise<void>;
}

/** Opens the memory in `directory`, which is created if need be. */
export async function openMemory(directory: string): Promise<Memory> {
  const root = directory.replace(/\/+$/, "");
  await Deno.mkdir(root, { recursive: true, mode: 0o755 });
  return {
    intents: await openIntents(`${root}/intents.jsonl`),
    async incarnation() {
      const known = await read(`${root}/incarnation`);
      if (known) return known;
      const drawn = crypto.randomUUID();
      await write(`${root}/incarnation`, drawn);
      return drawn;
    },
    lease: () => read(`${root}/lease`),
    saveLease: (lease) => lease === undefined ? remove(`${root}/lease`) : write(`${root}/lease`, lease),
    async store() {
      const text = await read(`${root}/store.json`);
      const value = text === undefined ? undefined : parse(text);
      return isStoreMemory(value) ? value : undefined;
    },
    saveStore: (store) =>
      store === undefined ? remove(`${root}/store.json`) : write(`${root}/store.json`, JSON.stringify(store)),
  };
}

async function read(path: string): Promise<string | undefined> {
  try {
    return (await Deno.readTextFile(path)).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new Error(`cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Tells writes of the same file apart that are under way at once. */
let writes = 0;

/** Whole or not at all: a crash leaves the old file. */
async function write(path: string, text: string): Promise<void> {
  const draft = `${path}.${++writes % 16}.new`;
  try {
    await Deno.writeTextFile(draft, `${text}\n`, { mode: 0o600 });
    await Deno.rename(draft, path);
  } catch (error) {
    throw new Error(`cannot write ${path}: ${(error as Error).message}`, { cause: error });
  }
}

async function remove(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw new Error(`cannot remove ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** A file that was damaged says nothing. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isStoreMemory(value: unknown): value is StoreMemory {
  if (typeof value !== "object" || value === null) return false;
  const { id, revision } = value as Record<string, unknown>;
  return typeof id === "string" && typeof revision === "number";
}
