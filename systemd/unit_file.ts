/**
 * Unit files: parses text into ordered options, and writes options as text. Pure.
 *
 * The grammar is that of systemd.syntax(7), with everything else that fleet 1.0 accepted.
 *
 * @module
 */

import { expandSpecifiers, quote, words } from "./unit_name.ts";

/** One option of a unit file. */
export interface UnitOption {
  readonly section: string;
  readonly name: string;
  readonly value: string;
}

/** A unit file with the lines of its options, and the text that systemd and fleet ignore. */
export interface UnitFile {
  readonly options: UnitOption[];
  /** For each option, the line it starts on; 1 for the first line. */
  readonly lines: readonly number[];
  /** For each option, the line of its section's header. */
  readonly headerLines: readonly number[];
  readonly ignored: readonly IgnoredText[];
}

/** Text of a unit file that is not an option and is ignored. */
export interface IgnoredText {
  readonly line: number;
  readonly message: string;
}

/** The reason and the line of a text that cannot be parsed as a unit file. */
export class UnitFileError extends Error {
  override name = "UnitFileError";
  constructor(message: string, /** 1 for the first line. */ readonly line: number) {
    super(message);
  }
}

/** A line of this many bytes or more makes systemd refuse the whole file (LONG_LINE_MAX in its sources). */
export const maxLine_bytes = 1024 * 1024;

/** The maximum number of ignored lines that are reported. */
const maxIgnored = 100;

/**
 * Parses a unit file into its options, in order. Sections without options leave no trace. Takes time linear in the length
 * of `text`. Throws only {@link UnitFileError}.
 */
export function parseUnitFile(text: string): UnitOption[] {
  return readUnitFile(text).options;
}

/** Returns the options of a unit file; none if it cannot be parsed, which systemd reports when it loads the file. */
export function optionsOf(text: string): UnitOption[] {
  try {
    return parseUnitFile(text);
  } catch (error) {
    if (error instanceof UnitFileError) return [];
    throw error;
  }
}

/**
 * Parses a unit file as {@link parseUnitFile} does, with line numbers and the ignored text: text before the first section,
 * and lines without `=`, which systemd ignores with a warning as well.
 */
export function readUnitFile(text: string): UnitFile {
  refuseLongLines(text);
  const options: UnitOption[] = [];
  const lines: number[] = [];
  const headerLines: number[] = [];
  const ignored: IgnoredText[] = [];
  const cursor = new Cursor(text);
  let section = seekFirstSection(cursor);
  ignored.push(...textOutsideSections(text.slice(0, cursor.sectionsStart)));
  while (section !== undefined && skipSpace(cursor)) {
    const next = cursor.peek();
    const line = cursor.lineNumber();
    if (next === code.bracket) section = readHeader(cursor);
    else if (isComment(next)) cursor.line();
    else {
      const name = readName(cursor);
      const value = readValue(cursor);
      if (name === undefined) {
        if (ignored.length < maxIgnored) {
          ignored.push({ line, message: `line without =: ${excerpt(value)}` });
        }
        continue;
      }
      refuseMalformedText(name, line);
      refuseMalformedText(value, line);
      options.push({ section, name, value });
      lines.push(line);
      headerLines.push(cursor.headerLine);
    }
  }
  return { options, lines, headerLines, ignored };
}

/** Returns a value as systemd reads it: continued lines are joined by a space, without the comments between them. */
export function joinContinuedLines(value: string): string {
  if (!value.includes("\n")) return value;
  const parts: string[] = [];
  for (const [index, line] of value.split("\n").entries()) {
    if (index > 0 && startsWithComment(line)) continue;
    const end = trimEnd(line);
    parts.push(endsInBackslash(end) ? `${end.slice(0, -1)} ` : line);
  }
  return trim(parts.join(""));
}

/**
 * Returns the value of an option that has only one: the last in the file, as systemd reads it, without blanks around it. ""
 * if there is none, or if an empty value resets it.
 */
export function lastValue(options: readonly UnitOption[], section: string, name: string): string {
  const last = options.findLast((option) => option.section === section && option.name === name);
  return last === undefined ? "" : joinContinuedLines(last.value).trim();
}

/** Returns the unit names that a value lists, separated by blanks, in the file of the unit `name`. */
export function unitNames(value: string, name: string): string[] {
  return words(joinContinuedLines(value)).map((word) => expandSpecifiers(word, name));
}

/**
 * Returns the text that fleet stores, hashes and writes to disk: options grouped by section in order of first appearance,
 * with a blank line between sections; "" without options. Options of {@link parseUnitFile} are parsed back unchanged.
 */
export function serializeUnitFile(options: readonly UnitOption[]): string {
  const sections = Map.groupBy(options, ({ section }) => section);
  return [...sections].map(([section, inside]) => {
    const lines = inside.map(({ name, value }, index) => `${name}=${closed(value, index === inside.length - 1)}\n`);
    return `[${section}]\n${lines.join("")}`;
  }).join("\n");
}

/**
 * Adds a blank line to a value whose last line would be continued by the next option. The last value of a section needs
 * none if it ends in a comment: the blank line between sections, or the end of the file, ends the continuation.
 */
function closed(value: string, isLast: boolean): string {
  let open = false;
  let inComment = false;
  for (const [index, line] of value.split("\n").entries()) {
    inComment = index > 0 && startsWithComment(line);
    if (!inComment) open = endsInBackslash(trimEnd(line));
  }
  return open && !(inComment && isLast) ? `${value}\n` : value;
}

function startsWithComment(line: string): boolean {
  return isComment(trimStart(line).charCodeAt(0));
}

function endsInBackslash(line: string): boolean {
  return line.charCodeAt(line.length - 1) === code.backslash;
}

const code = { newline: 10, return: 13, space: 32, hash: 35, semicolon: 59, equals: 61, bracket: 91, backslash: 92 };

/** A position in a text. It only moves forward, so that parsing takes linear time. */
class Cursor {
  at = 0;
  /** The position of the first section header; the end of the text without one. */
  sectionsStart = 0;
  /** The line of the latest section header. */
  headerLine = 0;
  #counted = 0;
  #line = 1;
  constructor(readonly text: string) {}

  get done(): boolean {
    return this.at >= this.text.length;
  }

  peek(): number {
    return this.text.charCodeAt(this.at);
  }

  /** Returns the rest of the line, without its LF or CRLF, and moves to the next line. */
  line(): string {
    const start = this.at;
    const found = this.text.indexOf("\n", start);
    const end = found < 0 ? this.text.length : found;
    this.at = found < 0 ? end : end + 1;
    const hasReturn = end > start && this.text.charCodeAt(end - 1) === code.return;
    return this.text.slice(start, hasReturn ? end - 1 : end);
  }

  /** Returns the number of the line at a position, by default the current one. Positions must not decrease. */
  lineNumber(at = this.at): number {
    for (; this.#counted < at; this.#counted++) {
      if (this.text.charCodeAt(this.#counted) === code.newline) this.#line++;
    }
    return this.#line;
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

/** Skips any text before the first section header: up to the first `[` outside a comment. */
function seekFirstSection(cursor: Cursor): string | undefined {
  for (; !cursor.done; cursor.at++) {
    while (!cursor.done && isComment(cursor.peek())) cursor.line();
    cursor.sectionsStart = cursor.at;
    if (cursor.peek() === code.bracket) return readHeader(cursor);
  }
  cursor.sectionsStart = cursor.text.length;
  return undefined;
}

function textOutsideSections(text: string): IgnoredText[] {
  const lines = text.replace(/^\uFEFF/, "").split("\n").map((line, index) => ({ line: index + 1, text: trim(line) }));
  const [first, ...more] = lines.filter(({ text }) => text !== "" && !startsWithComment(text));
  if (first === undefined) return [];
  const others = more.length === 0 ? "" : ` and ${more.length} more ${more.length === 1 ? "line" : "lines"}`;
  return [{ line: first.line, message: `text outside of any section: ${excerpt(first.text)}${others}` }];
}

/** Refuses lone surrogates, which stand for bytes that are not UTF-8 and cannot be stored. */
function refuseMalformedText(text: string, line: number): void {
  if (text.isWellFormed()) return;
  throw new UnitFileError("the text is not valid UTF-8, which systemd ignores: convert the file to UTF-8", line);
}

function excerpt(text: string): string {
  const first = trim(text.slice(0, 200).split("\n", 1)[0]!).toWellFormed();
  return quote(first.length > 60 ? `${first.slice(0, 60).toWellFormed()}…` : first);
}

function readHeader(cursor: Cursor): string {
  const start = cursor.at + 1;
  const end = cursor.text.indexOf("]", start);
  if (end < 0) throw new UnitFileError("unable to find end of section: ] is missing", cursor.lineNumber());
  const line = cursor.lineNumber(end);
  cursor.at = end + 1;
  const garbage = trim(cursor.line());
  const section = cursor.text.slice(start, end);
  cursor.headerLine = line;
  refuseMalformedText(section, line);
  if (garbage !== "") {
    throw new UnitFileError(`found garbage after section name ${excerpt(section)}: ${excerpt(garbage)}`, line);
  }
  return section;
}

/** Reads the name before `=`. Returns undefined without moving the cursor if the line has no `=`. */
function readName(cursor: Cursor): string | undefined {
  const start = cursor.at;
  for (; !cursor.done; cursor.at++) {
    const char = cursor.peek();
    if (char === code.newline || char === code.return) break;
    if (char === code.equals) return trim(cursor.text.slice(start, cursor.at++));
  }
  cursor.at = start;
  return undefined;
}

/**
 * Reads a value. A line that ends in a backslash is continued in the next line; backslash and newline stay in the value,
 * so that systemd reads the same text. Blanks after the backslash are ignored. Comments between continued lines do not end
 * a value, see systemd.syntax(7). fleet 1.0 parsed the text after such a comment as another option, and so wrote the file
 * without further comments and without the indentation of the next line; the same text is produced here, for the same
 * hash. For the same reason a section header after such a comment is not part of the value.
 */
function readValue(cursor: Cursor): string {
  const parts: string[] = [];
  let afterComment = false;
  for (;;) {
    const start = cursor.at;
    const line = trimEnd(cursor.line());
    if (afterComment && /^\s*\[[^\]]*\]$/.test(line)) {
      cursor.at = start;
      parts.pop();
      return trimStart(parts.join(""));
    }
    if (parts.length > 0 && startsWithComment(line)) {
      if (!afterComment) parts.push(line, "\n");
      afterComment ||= !endsInBackslash(line);
      if (!cursor.done) continue;
      parts.pop();
      return trimStart(parts.join(""));
    }
    if (!endsInBackslash(line)) {
      // A blank line that ends a continuation is part of the value: without it, the next option would be part of the value.
      if (trim(line) !== "" || parts.length === 0) parts.push(afterComment ? trimStart(line) : line);
      else if (afterComment) parts.pop();
      return trimStart(parts.join(""));
    }
    parts.push(afterComment ? trimStart(line) : line, "\n");
    afterComment = false;
  }
}

function isComment(char: number): boolean {
  return char === code.hash || char === code.semicolon;
}

/** Skips white space. Returns false at the end of the text. */
function skipSpace(cursor: Cursor): boolean {
  while (!cursor.done && isSpace(cursor.peek())) cursor.at++;
  return !cursor.done;
}

/** True for Unicode's White_Space, as in Go's unicode.IsSpace. String.prototype.trim differs in U+0085 and U+FEFF. */
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
