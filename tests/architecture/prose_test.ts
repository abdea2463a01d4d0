/**
 * A short list of words and forms that this repository does not use, because a reader had to read them twice: in
 * comments, messages, names and docs. Each rule is tried on bad and on good examples first.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path/posix";
import { fileURLToPath } from "node:url";
import { filesOf } from "./source.ts";

interface Rule {
  /** Matches one line of text, in which names are split into words (`onWish` becomes `on Wish`). */
  readonly pattern: RegExp;
  /** The reason why the form is hard to read, and the words to write instead. */
  readonly instead: string;
  readonly bad: readonly string[];
  readonly good: readonly string[];
}

/** This file quotes what it forbids. */
const exempt: readonly string[] = ["tests/architecture/prose_test.ts"];

const rules: readonly Rule[] = [
  {
    pattern: /\b(tell|tells|told|telling)\b/i,
    instead: "it hides what is done and by which part: write reports, returns, notifies, logs, shows or distinguishes",
    bad: ["// Tells the engine", "  #told = false;", "const toldAll = 1;"],
    good: ["// Notifies the engine", "const teller = 1;"],
  },
  {
    pattern: /\b(nobody|no one|somebody|someone|whoever|everybody)\b(?!["'`:])(?! (user|account)\b)/i,
    instead: "a sentence needs a subject: name the client, the reader, the daemon, the caller",
    bad: ["// Nobody waits for it", "whoever reads it"],
    good: ["// No reader waits for it", "User=nobody:nogroup", 'user: "nobody"', "runs as the nobody user"],
  },
  {
    pattern: /(\/\/|\*|[.;:]) Who(se)? (?!.*\?)/,
    instead: 'a sentence needs a noun as its subject: write "a client that …"',
    bad: ["/** Who ends early gets nothing. */", "  // Who asks twice", "is kept. Who asks gets it."],
    good: ["/** The user who asked. */", "// Who owns the lease?"],
  },
  {
    pattern: /\/\*\* (What|Where|Whether|Why|How|When|That|As|If)\b/,
    instead:
      'a doc comment starts with a noun or a verb: "Returns …", "The revision of …", "Whether" becomes "True if"',
    bad: ["/** What the engine decides. */", "/** Whether it is open. */", "/** How many there are. */"],
    good: ["/** The engine's decision. */", "/** True if it is open. */", "/** The number of units. */"],
  },
  {
    pattern: /(Deno\.test|\.step)\(\s*["'`](who|what|how|why|where|whether|nothing|no one)\b/i,
    instead: "the name of a test is a statement about a subject",
    bad: ['Deno.test("what is written twice", () => {});', 't.step("who asks first", run);'],
    good: ['Deno.test("a second write changes nothing", () => {});'],
  },
  {
    pattern:
      /\b(wish|wishes|wished|strangers?|friends?|seats?|troubles?|vouchers?|turnstiles?|regimes?|homeless|houses?|news)\b/i,
    instead: "the field has a word for it: desired state, foreign, peer, assignment, failure, token, notifier, event",
    bad: ["  onWish(): void;", "// news of the cluster", "const strangers = [];"],
    good: ["// the desired state", "newsreader", "docs/guides/troubleshoot.md"],
  },
  {
    pattern: /(?<!\bin[ -])\bdoubts?\b/i,
    instead: "write uncertain, unverified or possible, and say of what",
    bad: ["// doubts about the store", "keepDoubt()"],
    good: ["// a transaction in doubt", "doubtful values are warned of"],
  },
  {
    pattern: /\b(anew|amid|ought|whilst|hither|thereof|in vain|lest)\b/i,
    instead: "old words: write again, during, should, while, without result",
    bad: ["// reads everything anew", "SIGTERM amid a reload"],
    good: ["// reads everything again", "renewal"],
  },
  {
    pattern: /\b(he|his|him)\b(?!,\w)/,
    instead: "the user is they; a client, a daemon or a process is it",
    bad: ["// the client ends his side"],
    good: ["// the client ends its side", "this", "he,llo.service"],
  },
  {
    pattern:
      /\b(behaviours?|colou?rs? the|colours?|neighbours?|honours?|favours?|recognised?|organised?|initialised?|serialised?|licences?|centres?|cancelled|labelled|modelled)\b/,
    instead: "American spelling: behavior, color, neighbor, honor, favor, recognize, license, center, canceled",
    bad: ["// the behaviour of", "was cancelled"],
    good: ["// the behavior of", "CANCELLED", "was canceled"],
  },
];

/** Sentences of other programs that fleet prints word for word. */
const quotations = [
  "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!",
  "Someone could be eavesdropping on you right now",
];

/** Splits names into words, so that a rule finds a word in `onWish`, `TOLD_ONCE` and `#told`. */
const splitNames = (line: string) => line.replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2").replaceAll("_", " ");

function findings(path: string, text: string): string[] {
  return text.split("\n").flatMap((line, index) => {
    const words = splitNames(quotations.reduce((text, quotation) => text.replace(quotation, ""), line));
    return rules.filter(({ pattern }) => pattern.test(words)).map(({ pattern, instead }) =>
      `${path}:${index + 1}: "${pattern.exec(words)![0].trim()}": ${instead}`
    );
  });
}

for (const { pattern, bad, good } of rules) {
  Deno.test(`prose: ${pattern.source.slice(0, 60)}`, () => {
    for (const line of bad) assert.match(splitNames(line), pattern);
    for (const line of good) assert.doesNotMatch(splitNames(line), pattern);
  });
}

Deno.test("prose: names are split into words", () => {
  assert.equal(splitNames("this.#onWish(TOLD_ONCE, told2Go)"), "this.#on Wish(TOLD ONCE, told2 Go)");
});

Deno.test("prose: the text of the repository follows the rules", async () => {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const found: string[] = [];
  for (const suffix of [".ts", ".tsx", ".css", ".html", ".md", ".sh", ".service", ".socket", ".conf", ".txt"]) {
    for (const path of await filesOf(root, suffix)) {
      if (exempt.includes(path)) continue;
      found.push(...findings(path, await Deno.readTextFile(join(root, path))));
    }
  }
  if (found.length > 0) assert.fail(`\n${found.join("\n")}\n`);
});
