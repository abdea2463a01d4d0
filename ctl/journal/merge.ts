/**
 * The journal as journalctl's `--output=json` writes it (systemd.journal-fields(7)), and several of them as one.
 *
 * @module
 */

/** One entry. */
export interface JournalEntry {
  /** When it was received, milliseconds since the epoch, by the clock of its machine. */
  readonly wall_ms: number;
  readonly message: string;
}

/** Reads a line. Undefined if it is no entry. */
export function parseJournalEntry(line: string): JournalEntry | undefined {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(line);
  } catch {
    // journalctl has more to say than entries, for example that it lost some.
    return undefined;
  }
  const wall_ms = Number(fields.__REALTIME_TIMESTAMP) / 1000;
  if (!Number.isFinite(wall_ms)) return undefined;
  return { wall_ms, message: messageText(fields.MESSAGE) };
}

/** A message with bytes that are no text comes as a list of numbers, a very long one as null. */
function messageText(message: unknown): string {
  if (typeof message === "string") return message;
  if (Array.isArray(message)) return new TextDecoder().decode(new Uint8Array(message));
  return "(a message too long to be shown)";
}

/** An entry stays back for so long, in case that another machine's, which is older, comes behind it. */
const patience_ms = 300;

/** At first the latest entries of all come, from some machines sooner: they are waited for, but no longer than this. */
const beginning_ms = 2000;

interface Waiting {
  readonly source: number;
  readonly entry: JournalEntry;
  readonly came_ms: number;
}

/** Puts entries of several sources into the order of time. Times are those of one clock that only goes forward. */
export class TimeOrder {
  #waiting: Waiting[] = [];
  /** Sources that have neither ended nor said anything. */
  readonly #silent: Set<number>;
  readonly #open: Set<number>;
  readonly #began_ms: number;

  constructor(sources: number, now_ms: number) {
    this.#open = new Set(Array.from({ length: sources }, (_, source) => source));
    this.#silent = new Set(this.#open);
    this.#began_ms = now_ms;
  }

  /** Takes an entry in. */
  add(source: number, entry: JournalEntry, now_ms: number): void {
    this.#silent.delete(source);
    this.#waiting.push({ source, entry, came_ms: now_ms });
  }

  /** Nothing more comes from a source. */
  end(source: number): void {
    this.#silent.delete(source);
    this.#open.delete(source);
  }

  /** Hands out what can be printed now: what has waited long enough with all before it, or all once every source has ended. */
  take(now_ms: number): readonly { readonly source: number; readonly entry: JournalEntry }[] {
    this.#waiting.sort((a, b) => a.entry.wall_ms - b.entry.wall_ms);
    if (this.#open.size === 0) return this.#waiting.splice(0);
    if (this.#silent.size > 0 && now_ms < this.#began_ms + beginning_ms) return [];
    const last = this.#waiting.findLastIndex(({ came_ms }) => came_ms <= now_ms - patience_ms);
    return this.#waiting.splice(0, last + 1);
  }
}
