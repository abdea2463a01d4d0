/**
 * Text ↔ ordered options, and their hash. Pure. The grammar is that of fleet 1.0, which is systemd.syntax(7) without
 * its conveniences: what counts is that a file means the same here as it does to systemd.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** One option of a unit file. */
export interface UnitOption {
  readonly section: string;
  readonly name: string;
  readonly value: string;
}

/** Longest line of a unit file, in bytes without its end (systemd's old LINE_MAX, as in fleet 1.0). */
export const maxLineBytes = 2047;

/** A unit file that cannot be understood. */
export class UnitFileError extends Error {
  override name = "UnitFileError";
  /** @param line counted from 1 */
  constructor(message: string, readonly line: number) {
    super(`line ${line}: ${message}`);
  }
}

/**
 * Parses a unit file into its options, order kept. Text before the first section, comments and blank lines are passed
 * over. Takes linear time. Throws {@link UnitFileError} and nothing else.
 */
export function parseUnitFile(text: string): UnitOption[] {
  const lines = text.split(/\r\n|\n|\r/);
  const options: UnitOption[] = [];
  let section: string | undefined;
  for (let at = 0; at < lines.length; at++) {
    checkLength(lines[at]!, at);
    const line = lines[at]!.trim();
    if (line === "") continue;
    if (line.startsWith("#") || line.startsWith(";")) {
      // A comment that ends in a backslash goes on, as any line does.
      while (continues(lines[at]!) && at + 1 < lines.length) checkLength(lines[++at]!, at);
    } else if (line.startsWith("[")) {
      section = parseHeader(line, at);
    } else if (section !== undefined) {
      const start = at;
      const value = [lines[at]!.trimStart()];
      while (continues(lines[at]!) && at + 1 < lines.length) {
        checkLength(lines[++at]!, at);
        value.push(lines[at]!);
      }
      options.push(parseOption(section, value, start));
    }
  }
  return options;
}

function checkLength(line: string, at: number): void {
  // A character takes three bytes at most, or four for two units: short lines need no count.
  if (line.length * 3 <= maxLineBytes) return;
  if (new TextEncoder().encode(line).length > maxLineBytes) {
    throw new UnitFileError(`line too long (max ${maxLineBytes + 1} bytes)`, at + 1);
  }
}

/** Whether a line ends in a backslash. White space behind it is an editor's accident and does not count. */
function continues(line: string): boolean {
  return line.trimEnd().endsWith("\\");
}

function parseHeader(line: string, at: number): string {
  const end = line.indexOf("]");
  if (end < 0) throw new UnitFileError("unable to find end of section", at + 1);
  const rest = line.slice(end + 1).trim();
  if (rest !== "") throw new UnitFileError(`found garbage after section name: "${rest}"`, at + 1);
  return line.slice(1, end);
}

function parseOption(section: string, lines: readonly string[], at: number): UnitOption {
  const equals = lines[0]!.indexOf("=");
  if (equals < 0) {
    throw new UnitFileError(`expected NAME=VALUE, found "${lines[0]!.trim().slice(0, 80)}"`, at + 1);
  }
  const name = lines[0]!.slice(0, equals).trim();
  const parts = [lines[0]!.slice(equals + 1), ...lines.slice(1)];
  // Each continued line ends in its backslash, so that the text read back means the same; the last one must not.
  const value = parts.map((part, index) => index < parts.length - 1 ? part.trimEnd() : part.replace(/[\\\s]+$/, ""))
    .join("\n").trim().replace(/[\\\s]+$/, "");
  return { section, name, value };
}

/**
 * Writes options in fleet's canonical form: sections in order of first appearance, one blank line between, comments
 * gone. This is what is hashed, stored, printed by `fleetctl cat` and written to disk.
 */
export function serializeUnitFile(options: readonly UnitOption[]): string {
  const sections = new Map<string, string[]>();
  for (const { section, name, value } of options) {
    const lines = sections.get(section) ?? [];
    lines.push(`${name}=${value}\n`);
    sections.set(section, lines);
  }
  return [...sections].map(([section, lines]) => `[${section}]\n${lines.join("")}`).join("\n");
}

/** SHA-1 of a serialised unit file, 40 lower-case hexadecimal digits: two units are the same version iff these match. */
export function hashUnitFile(serialized: string): string {
  return createHash("sha1").update(serialized, "utf8").digest("hex");
}
