/**
 * Scripts with golden output: lines of commands, indented lines that belong to the command above, and lines of output
 * that begin with `>`. Empty lines and lines that begin with `#` are kept.
 *
 * @module
 */

/**
 * Runs a script. Returns it with the actual output in place of the expected one. `runLine` carries out one command, given
 * its words and the lines below it, and returns its output.
 */
export function runLines(
  script: string,
  runLine: (words: string[], below: readonly string[]) => readonly string[],
): string {
  const out: string[] = [];
  const lines = script.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    if (line.startsWith(">")) continue;
    out.push(line);
    if (line.trim() === "" || line.startsWith("#")) continue;
    const below: string[] = [];
    while (lines[at + 1]?.startsWith(" ")) {
      out.push(lines[++at]!);
      below.push(lines[at]!.trim());
    }
    out.push(...runLine(line.trim().split(/\s+/), below).map((result) => `> ${result}`.trimEnd()));
  }
  return out.join("\n");
}
