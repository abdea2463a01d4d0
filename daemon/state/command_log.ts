/**
 * The agent's intents in one file, to which each change is appended. An adapter.
 *
 * A record is a line of JSON; the last of a unit counts. Every record begins with a line break as well, so that one which
 * was torn, by a crash or a full disk, spoils no other; a torn one is ignored, since nobody acted on it.
 *
 * @module
 */

import type { UnitName } from "../../registry/model.ts";
import type { Intent, IntentMemory } from "../agent/command.ts";
import { failure, parse, read } from "./atomic_file.ts";

/** The file is written anew when it has so many records, and so many times more than units. */
const slack = { records: 1_000, times: 4 } as const;

/** Opens the memory in a file, which is created at the first change. Rejects if there is one that cannot be read. */
export async function openIntents(path: string): Promise<IntentMemory> {
  const load = async () => fold(await read(path) ?? "");
  let { intents, records } = await load();
  let crowded = slack.records;
  // Synchronous: such a write takes microseconds in a directory of memory, an asynchronous one ten times as much.
  const append = (unit: UnitName, intent: Intent | undefined) => {
    try {
      Deno.writeTextFileSync(path, `\n${recordOf(unit, intent)}\n`, { append: true, mode: 0o600 });
      records++;
      if (intent) intents.set(unit, intent);
      else intents.delete(unit);
    } catch (error) {
      throw failure("write", path, error);
    }
    if (records > crowded && records > slack.times * intents.size) rewrite();
  };
  const rewrite = () => {
    const draft = `${path}.new`;
    try {
      Deno.writeTextFileSync(draft, [...intents].map((entry) => `${recordOf(...entry)}\n`).join(""), { mode: 0o600 });
      Deno.renameSync(draft, path);
      records = intents.size;
      crowded = slack.records;
    } catch {
      // No room for two of them, for example. The long one says the same: it is kept until it is twice as long, and has
      // what room there is to itself.
      crowded = 2 * records;
      remove(draft);
    }
  };
  return {
    async load() {
      ({ intents, records } = await load());
      return new Map(intents);
    },
    // deno-lint-ignore require-await -- async: what it throws is to be a rejection.
    save: async (unit, intent) => append(unit, intent),
    // deno-lint-ignore require-await
    forget: async (unit) => append(unit, undefined),
  };
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It was not there, or nothing can be done about it: what counts is written.
  }
}

function recordOf(unit: UnitName, intent: Intent | undefined): string {
  return JSON.stringify({ unit, ...intent });
}

function fold(text: string): { intents: Map<UnitName, Intent>; records: number } {
  const intents = new Map<UnitName, Intent>();
  const lines = text.split("\n").filter((line) => line !== "");
  for (const line of lines) {
    const { unit, ...intent } = Object(parse(line)) as Record<string, unknown>;
    if (typeof unit !== "string") continue;
    if (Object.keys(intent).length === 0) intents.delete(unit as UnitName);
    else if (isIntent(intent)) intents.set(unit as UnitName, intent);
  }
  return { intents, records: lines.length };
}

function isIntent(value: object): value is Intent {
  const { did, done, invocation, restart } = value as Record<string, unknown>;
  return ["load", "start", "stop", "restart"].includes(did as string) &&
    typeof done === "boolean" && typeof invocation === "string" && typeof restart === "number";
}
