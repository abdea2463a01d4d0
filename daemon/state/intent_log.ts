/**
 * Keeps the agent's intents in one file, to which each change is appended. An adapter.
 *
 * A record is a line of JSON, and the last record of a unit counts. Each record also begins with a line feed, so that a
 * record that a crash or a full disk has truncated does not damage the next one. A truncated record is ignored: the agent
 * acts only after a complete one.
 *
 * @module
 */

import { replaceFile } from "../../runtime/replace_file.ts";
import { serial } from "../../runtime/serial.ts";
import type { UnitName } from "../../registry/model.ts";
import type { Intent, IntentMemory } from "../agent/intent.ts";
import { failure, parse, read } from "./atomic_file.ts";

/** The file is compacted when it has more than this many records, and more than this many for each unit. */
const slack = { records: 1_000, times: 4 } as const;

/** Opens the log in a file, which the first change creates. Rejects if the file exists and cannot be read. */
export async function openIntents(path: string): Promise<IntentMemory> {
  const load = async () => fold(await read(path) ?? "");
  let { intents, records } = await load();
  let compactAt = slack.records;
  const inOrder = serial();
  let batch: { readonly entries: [UnitName, Intent | undefined][]; readonly written: Promise<void> } | undefined;
  /** Appends a record. Records that come while others are being written are written together. */
  const append = (unit: UnitName, intent: Intent | undefined): Promise<void> => {
    if (!batch) {
      const entries: [UnitName, Intent | undefined][] = [];
      const written = inOrder(() => {
        batch = undefined;
        return write(entries);
      });
      batch = { entries, written };
    }
    batch.entries.push([unit, intent]);
    return batch.written;
  };
  const write = async (entries: readonly [UnitName, Intent | undefined][]) => {
    try {
      const text = entries.map((entry) => `\n${recordOf(...entry)}\n`).join("");
      await Deno.writeTextFile(path, text, { append: true, mode: 0o600 });
    } catch (error) {
      throw failure("write", path, error);
    }
    records += entries.length;
    for (const [unit, intent] of entries) {
      if (intent) intents.set(unit, intent);
      else intents.delete(unit);
    }
    if (records > compactAt && records > slack.times * intents.size) await compact();
  };
  const compact = async () => {
    try {
      const text = [...intents].map((entry) => `${recordOf(...entry)}\n`).join("");
      await replaceFile(path, `${path}.new`, text, 0o600);
      records = intents.size;
      compactAt = slack.records;
    } catch {
      // A disk without space for both files, for example. The long file has the same intents: it is kept until it is twice
      // as long.
      compactAt = 2 * records;
    }
  };
  return {
    async load() {
      ({ intents, records } = await load());
      return new Map(intents);
    },
    save: append,
    forget: (unit) => append(unit, undefined),
  };
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
