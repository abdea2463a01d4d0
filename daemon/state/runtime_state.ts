/**
 * The state that a daemon keeps across its own restarts, in a directory that a reboot empties (`/run/fleet`). An adapter.
 *
 * @module
 */

import type { StoreMemory } from "../../registry/mod.ts";
import type { KeptState } from "../agent/keep_units.ts";
import type { FailureMemory, SavedFailures } from "../agent/failure_memory.ts";
import { openIntents } from "./intent_log.ts";
import { readProcFile } from "../host/machine_id.ts";
import type { LeaseContact } from "../policy/disconnection.ts";
import { parse, read, remove, write } from "./atomic_file.ts";

/** The files of the daemon's state. Calls reject with an error that names the path when a file cannot be written or read. */
export interface RuntimeState extends KeptState {
  /** Returns a random text that is the same until the next boot. */
  incarnation(): Promise<string>;
  lease(): Promise<string | undefined>;
  saveLease(lease: string | undefined): Promise<void>;
  store(): Promise<StoreMemory | undefined>;
  saveStore(store: StoreMemory | undefined): Promise<void>;
  /** Returns the latest saved contact, by the monotonic clock of this process; undefined if none is known. */
  contact(): Promise<LeaseContact | undefined>;
  /** Saves when the lease was last renewed. The time counts on while no daemon runs. */
  saveContact(contact: LeaseContact): Promise<void>;
}

/** Returns the daemon's own directory among those of RuntimeDirectory=, which systemd sorts: the other one is podman's. */
export function runtimeDirectory(list: string | undefined): string | undefined {
  return list?.split(":").find((path) => !path.includes("/containers/"));
}

/** Opens the state in `directory`, which is created if it is missing. */
export async function openRuntimeState(directory: string): Promise<RuntimeState> {
  const root = directory.replace(/\/+$/, "");
  await Deno.mkdir(root, { recursive: true, mode: 0o755 });
  const start = await processStart();
  return {
    intents: { ...await openIntents(`${root}/intents.jsonl`), failures: failureMemory(`${root}/failures.json`) },
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
    keepsUnits: async () => await read(`${root}/keep-units`) !== undefined,
    saveKeepsUnits: (keeps) => keeps ? write(`${root}/keep-units`, "yes") : remove(`${root}/keep-units`),
    labels: async () => labelsOf(parse(await read(`${root}/labels.json`) ?? "{}")),
    saveLabels: (labels) => write(`${root}/labels.json`, JSON.stringify(labels)),
    async contact() {
      const text = await read(`${root}/contact.json`);
      const value = text === undefined ? undefined : parse(text);
      if (!isSavedContact(value)) return undefined;
      return { renewedAt_ms: value.sinceBoot_ms - start.latest_ms, ttl_ms: value.ttl_ms };
    },
    async saveContact({ renewedAt_ms, ttl_ms }) {
      const sinceBoot_ms = start.earliest_ms + renewedAt_ms;
      if (Number.isFinite(sinceBoot_ms)) {
        await write(`${root}/contact.json`, JSON.stringify({ sinceBoot_ms, ttl_ms }));
      }
    },
  };
}

/**
 * Returns when the monotonic clock of this process was 0, milliseconds since boot, as limits: a saved time must never be
 * read as a later one. NaN if /proc/uptime cannot be read.
 */
async function processStart(): Promise<{ readonly earliest_ms: number; readonly latest_ms: number }> {
  const before_ms = performance.now();
  const uptime_ms = 1_000 * Number.parseFloat(await readProcFile("/proc/uptime"));
  // The file has hundredths of seconds.
  return { earliest_ms: uptime_ms - performance.now(), latest_ms: uptime_ms + 10 - before_ms };
}

function isSavedContact(value: unknown): value is { readonly sinceBoot_ms: number; readonly ttl_ms: number } {
  if (typeof value !== "object" || value === null) return false;
  const { sinceBoot_ms, ttl_ms } = value as Record<string, unknown>;
  return typeof sinceBoot_ms === "number" && typeof ttl_ms === "number";
}

function labelsOf(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter(([, text]) => typeof text === "string"));
}

function isStoreMemory(value: unknown): value is StoreMemory {
  if (typeof value !== "object" || value === null) return false;
  const { id, revision } = value as Record<string, unknown>;
  return typeof id === "string" && typeof revision === "number";
}

function failureMemory(path: string): FailureMemory {
  return {
    async load() {
      const saved = Object(parse(await read(path) ?? "{}")) as Record<string, unknown>;
      return new Map(Object.entries(saved).flatMap(([unit, failures]) => isSaved(failures) ? [[unit, failures]] : []));
    },
    save: (failures) => write(path, JSON.stringify(Object.fromEntries(failures))),
  };
}

function isSaved(value: unknown): value is SavedFailures {
  const { of, at_ms, since_ms } = Object(value) as Record<string, unknown>;
  return typeof of === "string" && typeof since_ms === "number" && Array.isArray(at_ms) &&
    at_ms.every((each) => typeof each === "number");
}
