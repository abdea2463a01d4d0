/**
 * The port to the file of contexts, and its error.
 *
 * @module
 */

/** The file of contexts is wrong. The message names file and line. */
export class ContextFileError extends Error {
  override name = "ContextFileError";
}

/** The file in which a user keeps the clusters that fleetctl can reach by name. */
export interface ContextFile {
  /** The path of the file, for messages; undefined if the user has no home directory. */
  readonly path: string | undefined;
  /** Returns the text of the file, and whether only its owner may read it; undefined if there is none. */
  read(): Promise<{ readonly text: string; readonly isPrivate: boolean } | undefined>;
  /** Replaces the file as a whole by one that only its owner may read, and creates its directory. */
  write(text: string): Promise<void>;
  /** Returns the absolute form of a path in the file: `~` is the home directory, other paths begin beside the file. */
  besideFile(path: string): string;
  /** Returns the absolute form of a path on the command line. */
  onCommandLine(path: string): string;
}
