/**
 * The option `File=` of [X-Fleet]: files that a unit finds on its machine, below fleet's own directory.
 *
 * A stored unit file names the content of each of its files by hash and size. So another content is another unit file: the
 * versions, roll-outs and backups of units hold for their files, too. Pure.
 *
 * @module
 */

import { joinContinuedLines, type UnitOption } from "../systemd/unit_file.ts";
import { firstRepeated } from "../runtime/first_repeated.ts";
import { quote } from "../systemd/unit_name.ts";

/** The name of a content, which the store holds once. */
export interface ContentName {
  /** SHA-256 of the bytes, 64 lower-case hexadecimal digits. */
  readonly hash: string;
  readonly size_bytes: number;
}

/** One `File=`. */
export interface AttachedFile {
  /** The path of the file beside the unit file, for people to read. */
  readonly source: string;
  /** The path below the directory of the unit's files. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  /** Absent in a unit file that no fleetctl has uploaded. */
  readonly content?: ContentName;
}

/**
 * Limits of attached files: of one, of all of a unit, and of all that are applied together. A file with its encoding is far
 * below etcd's limit on requests (1.5 MiB).
 */
export const attachmentLimits = {
  ...{ file_bytes: 64 * 1024, unit_bytes: 1024 * 1024, application_bytes: 1024 * 1024 },
  files: 64,
} as const;

const defaultMode = 0o644;
const section = "X-Fleet";
const optionName = "File";

/** True for the options that this module parses. */
export function isFileOption(option: UnitOption): boolean {
  return option.section === section && option.name === optionName;
}

/** Returns the attached files of a unit; values that {@link attachmentProblem} refuses are left out. */
export function attachedFiles(options: readonly UnitOption[]): readonly AttachedFile[] {
  return options.filter(isFileOption).map(({ value }) => parseFileOption(value)).filter((file) =>
    typeof file === "object"
  );
}

/** Returns the option of an attached file with all of its fields. */
export function fileOption({ source, path, mode, content }: AttachedFile): UnitOption {
  const named = content ? `:${content.hash}:${content.size_bytes}` : "";
  const value = `${source}:${path}:${mode.toString(8).padStart(4, "0")}${named}`;
  return { section, name: optionName, value };
}

/** Parses `SOURCE[:PATH[:MODE[:HASH:SIZE]]]`. Undefined for an empty value; a text says what is wrong with it. */
export function parseFileOption(value: string): AttachedFile | string | undefined {
  const text = joinContinuedLines(value).trim();
  if (text === "") return undefined;
  const [source = "", path = "", mode = "", hash, size, more] = text.split(":");
  const wrong = (why: string) => `malformed File=${quote(text)}: ${why}`;
  const source_problem = pathProblem(source);
  if (source.startsWith("/") || source_problem !== undefined) {
    return wrong(`expect a path below the directory of the unit file, not ${quote(source)}`);
  }
  const target = path === "" ? source.slice(source.lastIndexOf("/") + 1) : path.replace(/^\/+/, "");
  const problem = pathProblem(target);
  if (problem !== undefined) return wrong(problem);
  if (!/^$|^0?[4-7][0-7]{2}$/.test(mode)) return wrong(`expect permissions such as 0644, not ${quote(mode)}`);
  const file = { source, path: target, mode: mode === "" ? defaultMode : Number.parseInt(mode, 8) };
  if (hash === undefined) return file;
  if (more !== undefined || !isContentHash(hash) || !/^\d{1,9}$/.test(size ?? "")) {
    return wrong("expect SOURCE:PATH:MODE; fleetctl adds the hash and the size of the content");
  }
  return { ...file, content: { hash, size_bytes: Number(size) } };
}

/** True for the SHA-256 of a content. */
export function isContentHash(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** Returns why a path must not be used below a directory; undefined if it may. */
export function pathProblem(path: string): string | undefined {
  if (path.length > 1024) return "the path is too long (max 1024 characters)";
  const part = path.split("/").find((part) => part === "" || part === "." || part === ".." || part.length > 200);
  if (part !== undefined) return `${quote(path)} is not a path below a directory`;
  const odd = /[^A-Za-z0-9._@+~,=/-]/u.exec(path)?.[0];
  return odd === undefined ? undefined : `${quote(path)} contains ${quote(odd)}: rename the file`;
}

/** Returns why the `File=` options of a unit must not be stored; undefined if they may. Contents may be absent. */
export function attachmentProblem(options: readonly UnitOption[]): string | undefined {
  const malformed = options.filter(isFileOption).map(({ value }) => parseFileOption(value))
    .find((file) => typeof file === "string");
  if (malformed !== undefined) return malformed;
  const files = attachedFiles(options);
  if (files.length > attachmentLimits.files) {
    return `too many files in [X-Fleet] section (max ${attachmentLimits.files})`;
  }
  const paths = files.map(({ path }) => path);
  const twice = firstRepeated(paths);
  if (twice !== undefined) return `two files have the path ${quote(twice)}`;
  const above = paths.find((path) => paths.some((other) => other.startsWith(`${path}/`)));
  if (above !== undefined) return `the path ${quote(above)} is a file and a directory`;
  const large = files.find(({ content }) => (content?.size_bytes ?? 0) > attachmentLimits.file_bytes);
  if (large?.content) return tooLarge(large.source, large.content.size_bytes);
  const total = files.reduce((sum, { content }) => sum + (content?.size_bytes ?? 0), 0);
  if (total <= attachmentLimits.unit_bytes) return undefined;
  return `the files of the unit have ${total} bytes together (max ${attachmentLimits.unit_bytes})`;
}

/** Says that a file is too large. */
export function tooLarge(source: string, size_bytes: number): string {
  return `file ${quote(source)} has ${size_bytes} bytes (max ${attachmentLimits.file_bytes})`;
}

/**
 * Returns the hashes of all contents that a unit file may refer to. Whatever looks like one counts, so that a content is
 * kept also if an older or newer version of fleet would read the text in another way.
 */
export function contentHashesIn(text: string): readonly string[] {
  return text.includes("\nFile=") ? text.match(/\b[0-9a-f]{64}\b/g) ?? [] : [];
}
