/**
 * A file of contexts in memory.
 *
 * @module
 */

import type { ContextFile } from "../contexts/port.ts";
// Loaded before the clock of a test runs: a lazy import would take time that the clock does not know of.
import "../contexts/contexts.ts";

/** The fake. A test may set every public field. */
export class FakeContextFile implements ContextFile {
  readonly path = "/home/anna/.config/fleet/config.toml";
  /** The text of the file; undefined if there is none. */
  text: string | undefined;
  /** False if other users can read the file. */
  isPrivate = true;

  read(): Promise<{ readonly text: string; readonly isPrivate: boolean } | undefined> {
    return Promise.resolve(this.text === undefined ? undefined : { text: this.text, isPrivate: this.isPrivate });
  }

  write(text: string): Promise<void> {
    this.text = text;
    this.isPrivate = true;
    return Promise.resolve();
  }

  besideFile(path: string): string {
    if (path.startsWith("/")) return path;
    return path.startsWith("~/") ? `/home/anna${path.slice(1)}` : `/home/anna/.config/fleet/${path}`;
  }

  onCommandLine(path: string): string {
    return path.startsWith("/") ? path : `/work/${path}`;
  }
}
