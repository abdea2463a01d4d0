/**
 * The format of transcript files: directives that set the scene, command lines, and below each what it did.
 *
 * @module
 */

/** One command line or directive of a transcript, with the comments and blank lines above it. */
export interface Step {
  /** Comments and blank lines, as they stand in the file. */
  readonly above: readonly string[];
  /** The command line behind `$ `, or the directive. */
  readonly line: string;
  readonly isCommand: boolean;
  /** The indented lines below a directive, without their two spaces. */
  readonly body: readonly string[];
  /** Number of the line in its file. */
  readonly number: number;
}

/** Matches a line of results: standard output, standard error, a change of the cluster, a remote command, the exit status. */
const resultLine = /^(1> |1>$|2> |2>$|api |ran |with |exit )/;

const compatibility = "compatibility: fleet 1.0";

/** False for a scenario that proves compatibility with fleet 1.0: only a person may change that. */
export function mayRewrite(text: string): boolean {
  return !text.split("\n").includes(compatibility);
}

/** Takes a transcript apart. The results of commands are left out: they are what the test compares as a whole. */
export function parseTranscript(text: string): Step[] {
  const steps: Step[] = [];
  let above: string[] = [];
  for (const [index, line] of text.replace(/\n$/, "").split("\n").entries()) {
    const last = steps.at(-1);
    if (last && above.length === 0 && !last.isCommand && line.startsWith("  ")) {
      (last.body as string[]).push(line.slice(2));
    } else if (last?.isCommand && above.length === 0 && resultLine.test(line)) continue;
    else if (line === "" || line.startsWith("#") || line === compatibility) above.push(line);
    else {
      const isCommand = line.startsWith("$ ");
      steps.push({ above, line: isCommand ? line.slice(2) : line, isCommand, body: [], number: index + 1 });
      above = [];
    }
  }
  if (above.length > 0) throw new Error("a transcript ends with a command");
  return steps;
}

/** Puts a transcript together: `results` are the lines below each step, none below a directive. */
export function formatTranscript(steps: readonly Step[], results: ReadonlyMap<Step, readonly string[]>): string {
  const lines = steps.flatMap((step) => [
    ...step.above,
    step.isCommand ? `$ ${step.line}` : step.line,
    ...step.body.map((line) => `  ${line}`.trimEnd()),
    ...results.get(step) ?? [],
  ]);
  return lines.join("\n") + "\n";
}

/** Splits a line into words as a shell does, with single and double quotes and no expansion. */
export function shellWords(line: string): string[] {
  const words: string[] = [];
  const word = /((?:"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'])+)/g;
  for (const [found] of line.matchAll(word)) {
    words.push(
      found.replace(/"((?:\\.|[^"\\])*)"|'([^']*)'/g, (_all, double?: string, single?: string) => {
        return single ?? (double ?? "").replace(/\\(["\\$`])/g, "$1").replaceAll("\\n", "\n");
      }),
    );
  }
  return words;
}
