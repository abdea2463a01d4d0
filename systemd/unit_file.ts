/**
 * Unit files: text ↔ ordered options, and the hash that tells two versions apart. Pure.
 *
 * The grammar is that of fleet 1.0, which is systemd.syntax(7) with a few freedoms; see the unit reference.
 *
 * @module
 */

/** One option of a unit file. */
export interface UnitOption {
  readonly section: string;
  readonly name: string;
  readonly value: string;
}

/** Where a text stops being a unit file. The message is that of fleet 1.0, which clients know; the line is separate. */
export class UnitFileError extends Error {
  override name = "UnitFileError";
  constructor(message: string, /** 1 for the first line. */ readonly line: number) {
    super(message);
  }
}

/** The longest line systemd is sure to read whole (LINE_MAX of sysconf(3)), its end included. */
export const maxLine_bytes = 2048;

/**
 * Parses a unit file into its options, in order; sections without options are not seen. Throws {@link UnitFileError},
 * and nothing else, in time linear in the length of `text`.
 */
export function parseUnitFile(text: string): UnitOption[] {
  refuseLongLines(text);
  const options: UnitOption[] = [];
  const cursor = new Cursor(text);
  let section = seekFirstSection(cursor);
  while (section !== undefined && skipSpace(cursor)) {
    const next = cursor.peek();
    if (next === code.bracket) section = readHeader(cursor);
    else if (isComment(next)) skipComment(cursor);
    else options.push({ section, name: readName(cursor), value: readValue(cursor) });
  }
  return options;
}

/**
 * The text fleet stores, hashes and writes to disk: options grouped by section in order of first appearance, one blank
 * line between sections. No options make an empty text. What {@link parseUnitFile} has read is read back the same.
 */
export function serializeUnitFile(options: readonly UnitOption[]): string {
  const sections = new Map<string, string[]>();
  for (const { section, name, value } of options) {
    const lines = sections.get(section) ?? [`[${section}]\n`];
    lines.push(`${name}=${closed(value)}\n`);
    sections.set(section, lines);
  }
  return [...sections.values()].map((lines) => lines.join("")).join("\n");
}

/** A value that ends in a backslash, which no file reads back so, ends in a blank line: it must not swallow what follows. */
function closed(value: string): string {
  const last = trimEnd(value.slice(value.lastIndexOf("\n") + 1));
  return last.charCodeAt(last.length - 1) === code.backslash ? `${value}\n` : value;
}

const code = { newline: 10, return: 13, space: 32, hash: 35, semicolon: 59, equals: 61, bracket: 91, backslash: 92 };

/** A place in a text. Moves forward only, which is why parsing takes linear time. */
class Cursor {
  at = 0;
  constructor(readonly text: string) {}

  get done(): boolean {
    return this.at >= this.text.length;
  }

  peek(): number {
    return this.text.charCodeAt(this.at);
  }

  /** The rest of the line, without its LF or CRLF; moves to the next line. */
  line(): string {
    const start = this.at;
    const found = this.text.indexOf("\n", start);
    const end = found < 0 ? this.text.length : found;
    this.at = found < 0 ? end : end + 1;
    const hasReturn = end > start && this.text.charCodeAt(end - 1) === code.return;
    return this.text.slice(start, hasReturn ? end - 1 : end);
  }

  /** An error at a place, by default this one. */
  error(message: string, at = this.at): UnitFileError {
    let line = 1;
    for (let i = this.text.indexOf("\n"); i >= 0 && i < at; i = this.text.indexOf("\n", i + 1)) line++;
    return new UnitFileError(message, line);
  }
}

function refuseLongLines(text: string): void {
  let line = 1;
  let start = 0;
  for (let at = 0; at <= text.length; at++) {
    const char = text.charCodeAt(at);
    if (at < text.length && char !== code.newline && char !== code.return) continue;
    // No UTF-16 unit takes more than three bytes of UTF-8: most lines need no counting.
    if ((at - start) * 3 >= maxLine_bytes && bytesOf(text.slice(start, at)).length >= maxLine_bytes) {
      throw new UnitFileError(`line too long (max ${maxLine_bytes} bytes)`, line);
    }
    start = at + 1;
    if (char === code.newline) line++;
  }
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Before the first header anything goes: it is skipped up to a `[`, wherever that stands outside a comment. */
function seekFirstSection(cursor: Cursor): string | undefined {
  for (; !cursor.done; cursor.at++) {
    while (!cursor.done && isComment(cursor.peek())) skipComment(cursor);
    if (cursor.peek() === code.bracket) return readHeader(cursor);
  }
  return undefined;
}

function readHeader(cursor: Cursor): string {
  const start = cursor.at + 1;
  const end = cursor.text.indexOf("]", start);
  if (end < 0) throw cursor.error("unable to find end of section");
  cursor.at = end + 1;
  const garbage = trim(cursor.line());
  if (garbage !== "") {
    // The missing name and the bytes in decimal are what fleet 1.0 says.
    throw cursor.error(`found garbage after section name : [${bytesOf(garbage).join(" ")}]`, end);
  }
  return cursor.text.slice(start, end);
}

function skipComment(cursor: Cursor): void {
  let last: number;
  do {
    const line = cursor.line();
    last = line.length - 1;
    if (line.charCodeAt(last) === code.space) last--;
    if (line.charCodeAt(last) !== code.backslash) return;
  } while (!cursor.done);
}

function readName(cursor: Cursor): string {
  const start = cursor.at;
  for (; !cursor.done; cursor.at++) {
    const char = cursor.peek();
    if (char === code.newline || char === code.return) {
      throw cursor.error("unexpected newline encountered while parsing option name");
    }
    if (char === code.equals) return trim(cursor.text.slice(start, cursor.at++));
  }
  throw cursor.error("EOF");
}

/**
 * A line that ends in a backslash goes on in the next; backslash and newline stay in the value, which is how they reach
 * systemd. Blanks behind the backslash cannot be seen, so they do not count.
 */
function readValue(cursor: Cursor): string {
  const parts: string[] = [];
  for (;;) {
    const line = trimEnd(cursor.line());
    if (line.charCodeAt(line.length - 1) !== code.backslash) {
      // A blank line that ends a continuation is part of the value: without it, the next option would be swallowed.
      if (trim(line) !== "" || parts.length === 0) parts.push(line);
      return trimStart(parts.join(""));
    }
    parts.push(line, "\n");
  }
}

function isComment(char: number): boolean {
  return char === code.hash || char === code.semicolon;
}

/** False at the end of the text. */
function skipSpace(cursor: Cursor): boolean {
  while (!cursor.done && isSpace(cursor.peek())) cursor.at++;
  return !cursor.done;
}

/** Unicode's White_Space, as Go's unicode.IsSpace has it and String.prototype.trim has not (U+0085, U+FEFF). */
function isSpace(char: number): boolean {
  if (char < 0x85) return char === 32 || (char >= 9 && char <= 13);
  return char === 0x85 || char === 0xa0 || char === 0x1680 || (char >= 0x2000 && char <= 0x200a) || char === 0x2028 ||
    char === 0x2029 || char === 0x202f || char === 0x205f || char === 0x3000;
}

function trimStart(text: string): string {
  let start = 0;
  while (start < text.length && isSpace(text.charCodeAt(start))) start++;
  return text.slice(start);
}

function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(0, end);
}

function trim(text: string): string {
  return trimStart(trimEnd(text));
}
