/**
 * Parses the output of journalctl's `--output=json` (systemd.journal-fields(7)), and merges several journals by time.
 *
 * @module
 */

/** One journal entry. */
export interface JournalEntry {
  /** Time at which journald received it, milliseconds since the epoch, by the clock of its machine. */
  readonly wall_ms: number;
  readonly message: string;
  /** ID of the machine that logged it; undefined if the entry does not name it. */
  readonly machine?: string;
}

/** Parses a line. Returns undefined if it is not an entry. */
export function parseJournalEntry(line: string): JournalEntry | undefined {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(line);
  } catch {
    // journalctl also writes notices, for example of lost entries.
    return undefined;
  }
  const wall_ms = Number(fields.__REALTIME_TIMESTAMP) / 1000;
  if (!Number.isFinite(wall_ms)) return undefined;
  const { MESSAGE: message, _MACHINE_ID: machine } = fields;
  return { wall_ms, message: messageText(message), ...(typeof machine === "string" ? { machine } : {}) };
}

/** Returns the text of a message. journalctl writes binary data as a list of numbers, and a very long message as null. */
function messageText(message: unknown): string {
  if (typeof message === "string") return message;
  if (Array.isArray(message)) return new TextDecoder().decode(new Uint8Array(message));
  return "(a message too long to be shown)";
}

/** Time for which an entry is held back, in case an older one of another machine arrives later. */
const hold_ms = 300;

/** Longest time that entries are held back at the beginning until every source has sent its latest entries. */
const beginning_ms = 2000;

/** An entry that is held back. */
interface HeldEntry {
  readonly source: number;
  readonly entry: JournalEntry;
  readonly came_ms: number;
}

/** Orders the entries of several sources by time. Every `now_ms` is a time of the same monotonic clock. */
export class TimeOrder {
  #held: HeldEntry[] = [];
  /** Sources that have neither ended nor sent an entry. */
  readonly #silent: Set<number>;
  readonly #open: Set<number>;
  readonly #began_ms: number;

  constructor(sources: number, now_ms: number) {
    this.#open = new Set(Array.from({ length: sources }, (_, source) => source));
    this.#silent = new Set(this.#open);
    this.#began_ms = now_ms;
  }

  /** Adds an entry. */
  add(source: number, entry: JournalEntry, now_ms: number): void {
    this.#silent.delete(source);
    this.#held.push({ source, entry, came_ms: now_ms });
  }

  /** Marks a source as ended. */
  end(source: number): void {
    this.#silent.delete(source);
    this.#open.delete(source);
  }

  /** Removes and returns the entries that were held back for long enough, with all older ones; or all, if every source has ended. */
  take(now_ms: number): readonly { readonly source: number; readonly entry: JournalEntry }[] {
    this.#held.sort((a, b) => a.entry.wall_ms - b.entry.wall_ms);
    if (this.#open.size === 0) return this.#held.splice(0);
    if (this.#silent.size > 0 && now_ms < this.#began_ms + beginning_ms) return [];
    const last = this.#held.findLastIndex(({ came_ms }) => came_ms <= now_ms - hold_ms);
    return this.#held.splice(0, last + 1);
  }
}
