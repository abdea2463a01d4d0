/**
 * Command lines that are printed for a person to copy into a shell.
 *
 * @module
 */

/**
 * Returns a command line, quoted for a POSIX shell. `operands` follow its other words; `--` keeps one that begins with `-`,
 * as `-.mount`, from being read as a flag.
 */
export function commandLine(words: readonly string[], operands: readonly string[] = []): string {
  const separator = operands.some((operand) => operand.startsWith("-")) ? ["--"] : [];
  return [...words, ...separator, ...operands].map(quotedWord).join(" ");
}

/** Quotes a word for a POSIX shell if it needs that. */
export function quotedWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
