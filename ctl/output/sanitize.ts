/**
 * Escapes text for a terminal. Units, journals, metadata and error messages may contain control sequences that move the
 * cursor, rename the window or send replies as if typed by the user (ECMA-48), and characters that reorder a line (UAX #9).
 *
 * @module
 */

/** Links to files, as systemctl prints them (OSC 8). */
// deno-lint-ignore no-control-regex -- control characters are what is looked for
const link = /\x1b\]8;[^\x07\x1b]{0,2000}(?:\x07|\x1b\\)/g;

/** Control characters (C0 but tab and line feed, DEL, C1), line separators, and bidirectional formatting (UAX #9). */
const unsafe =
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  /\x1b\[[0-9;]*m|\r\n|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** The last color of a line that is not reset, and the text behind it: black on black would hide the next lines. */
const openColor =
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  /\x1b\[(?!0?m)[0-9;]*m[^\x1b\r\n]*(?=\r?\n)/g;

/**
 * Shows control characters as escapes, `\x1b` or `\u202e`. Colors (SGR), tabs, line feeds and carriage returns before a
 * line feed stay, but a color ends with its line; links lose their target.
 */
export function printable(text: string): string {
  return escaped(text).replace(openColor, "$&\x1b[0m");
}

function escaped(text: string): string {
  return text.replace(link, "").replace(unsafe, (found) => {
    if (found.length > 1) return found;
    const code = found.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** Escapes a single line: line feeds and carriage returns in it are shown as escapes too. */
export function printableLine(line: string): string {
  return printable(escaped(line).replaceAll("\r", "\\x0d").replaceAll("\n", "\\n") + "\n").slice(0, -1);
}

/** Escapes a stream of bytes, piece by piece; a character may be cut by the end of a piece. */
export class PrintableStream {
  readonly #decoder = new TextDecoder();
  readonly #encoder = new TextEncoder();
  #rest = "";

  /** Returns the bytes that can be shown after another piece. */
  take(piece: Uint8Array): Uint8Array {
    return this.#encode(this.#decoder.decode(piece, { stream: true }), false);
  }

  /** Returns the remaining bytes at the end of the stream. */
  end(): Uint8Array {
    return this.#encode(this.#decoder.decode(), true);
  }

  /** Keeps a carriage return, or the beginning of a color or a link, at the end of a piece until the next piece. */
  #encode(text: string, isLast: boolean): Uint8Array {
    const all = this.#rest + text;
    // deno-lint-ignore no-control-regex -- control characters are what is looked for
    const open = isLast ? null : /(?:\r|\x1b(?:\[[0-9;]{0,30}|\](?:8(?:;[^\x07\x1b]{0,2000}\x1b?)?)?)?)$/.exec(all);
    this.#rest = open?.[0] ?? "";
    return this.#encoder.encode(printable(all.slice(0, all.length - this.#rest.length)));
  }
}
