/**
 * The state that a daemon keeps across its own restarts, in a directory that a reboot empties (`/run/fleet`). An adapter.
 *
 * @module
 */

import type { StoreMemory } from "../../registry/mod.ts";
import type { IntentMemory } from "../agent/command.ts";
import { openIntents } from "./command_log.ts";
import { parse, read, remove, write } from "./atomic_file.ts";

/** The files of the daemon's state. Calls reject with an error that names the path when a file cannot be written or read. */
export interface RuntimeState {
  readonly intents: IntentMemory;
  /** Returns a random text that is the same until the next boot. */
  incarnation(): Promise<string>;
  lease(): Promise<string | undefined>;
  saveLease(lease: string | undefined): Promise<void>;
  store(): Promise<StoreMemory | undefined>;
  saveStore(store: StoreMemory | undefined): Promise<void>;
}

/** Opens the state in `directory`, which is created if it is missing. */
export async function openRuntimeState(directory: string): Promise<RuntimeState> {
  const root = directory.replace(/\/+$/, "");
  await Deno.mkdir(root, { recursive: true, mode: 0o755 });
  return {
    intents: await openIntents(`${root}/intents.jsonl`),
    async incarnation() {
      const known = (await read(`${root}/incarnation`))?.trim();
      if (known) return known;
      const drawn = crypto.randomUUID();
      await write(`${root}/incarnation`, drawn);
      return drawn;
    },
    lease: async () => (await read(`${root}/lease`))?.trim(),
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

function isStoreMemory(value: unknown): value is StoreMemory {
  if (typeof value !== "object" || value === null) return false;
  const { id, revision } = value as Record<string, unknown>;
  return typeof id === "string" && typeof revision === "number";
}
