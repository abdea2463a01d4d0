/** Each command line of fleetctl in the docs names a command and flags that exist. */

import assert from "node:assert/strict";
import { splitWords, UsageError } from "../../ctl/cli/argv.ts";
import { globalFlags } from "../../ctl/cli/global_flags.ts";
import { commands } from "../../ctl/commands/index.ts";
import { filesOf } from "../architecture/source.ts";

const root = new URL("../../", import.meta.url).pathname;
const allFlags = [...globalFlags, ...commands.flatMap(({ flags }) => flags ?? [])];

/** Returns the words of a shell command, up to its end: a pipe, a redirection, a comment, a closing parenthesis. */
function shellWords(text: string): string[] {
  const words: string[] = [];
  for (const [, word] of text.matchAll(/((?:\$\{[^}]*\}|"[^"]*"|'[^']*'|\\.|[^\s"'\\])+)/g)) {
    if (/^(#|\||[0-9]?[<>]|&&|;|&)/.test(word!)) break;
    words.push(word!.replace(/[;)`]+$/, "").replaceAll(/["'\\]/g, ""));
    if (/[;)]$/.test(word!)) break;
  }
  return words;
}

/** Returns the command lines of a page, without `fleetctl`: of its blocks of code, and of code in its text. */
function commandLines(page: string): string[][] {
  const blocks = [...page.matchAll(/^```(?:sh|console|text)?\n([^]*?)^```$/gm)].map(([, text]) => text!);
  const inline = [...page.replaceAll(/^```[^]*?^```$/gm, "").matchAll(/`(?:sudo )?(fleetctl [^`]+)`/g)]
    .map(([, code]) => code!);
  const lines = blocks.flatMap((text) => text.replaceAll("\\\n", " ").split("\n"))
    // A prompt, or the beginning of a command; the output of a command may contain the name too.
    .flatMap((line) =>
      /(?:^\s*|^\$ |[;&|(] *|\b(?:do|then|exec|xargs -r|sudo|root@\S+) '?)((?:dist\/)?fleetctl .*)$/.exec(line)?.[1] ??
        []
    );
  return [...lines, ...inline.map((code) => code.replaceAll("\n", " "))].map((line) => shellWords(line).slice(1));
}

/** Returns what is wrong with a command line; undefined if nothing is. */
function faultOf(words: readonly string[]): string | undefined {
  try {
    const isVerbatim = ({ positionals: [name] }: { readonly positionals: readonly string[] }) => name === "ssh";
    const { positionals: [name], flags } = splitWords(words, allFlags, isVerbatim);
    if (name === undefined) return words.some((word) => word.startsWith("-")) ? undefined : "no command";
    // An abbreviation will do.
    const candidates = commands.filter((command) => command.name.startsWith(name));
    const command = candidates.find((command) => command.name === name) ?? candidates[0];
    if (!command) return `no command "${name}"`;
    const known = [...globalFlags, ...command.flags ?? []];
    const unknown = flags.find(({ spec }) => !known.some(({ name }) => name === spec.name));
    return unknown && `${name} has no flag ${unknown.as}`;
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}

Deno.test("each command line of fleetctl in the docs has a command and flags that exist", async () => {
  const paths = (await filesOf(root, ".md")).filter((path) => /^(docs\/|examples\/|[A-Z]+\.md)/.test(path))
    .filter((path) => !path.startsWith("docs/internals/adr/"));
  let count = 0;
  const faults: string[] = [];
  for (const path of paths) {
    for (const words of commandLines(await Deno.readTextFile(root + path))) {
      count++;
      const fault = faultOf(words);
      if (fault !== undefined) faults.push(`${path}: fleetctl ${words.join(" ")}: ${fault}`);
    }
  }
  assert.deepEqual(faults, []);
  assert.ok(count > 300, `${count} command lines`);
});

Deno.test("a command or a flag that does not exist is found", () => {
  const page = "`fleetctl strt a` and\n\n```sh\nfleetctl start --replcae a | cat\nx=$(fleetctl cat --replace a)\n```\n";
  assert.deepEqual(commandLines(page).map(faultOf), [
    "unknown flag --replcae",
    "cat has no flag --replace",
    'no command "strt"',
  ]);
});
