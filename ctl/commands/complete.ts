import { flagsByName, type FlagSpec } from "../args.ts";
import type { Command, Context } from "../command.ts";
import { globalFlags } from "../global_flags.ts";

/** What the words of a command can be. */
const argumentsOf: Readonly<Record<string, readonly ("unit" | "machine")[]>> = {
  ...Object.fromEntries(
    ["cat", "destroy", "events", "explain", "journal", "load", "logs", "restart", "start", "status", "stop", "unload"]
      .map((name) => [name, ["unit"] as const]),
  ),
  ssh: ["machine", "unit"],
  machine: ["machine"],
};

/** `fleetctl complete`, which completion scripts call: prints what the last word may become, one a line. */
export function complete(commands: () => readonly Command[]): Command {
  return {
    name: "complete",
    isNew: true,
    isHidden: true,
    summary: "Print what a command line may be completed to",
    usage: "complete -- WORD...",
    flags: [],
    async run(context) {
      const words = context.args;
      const typed = words.at(-1) ?? "";
      const earlier = withoutFlags(words.slice(0, -1), [...globalFlags, ...commands().flatMap(({ flags }) => flags)]);
      const command = commands().find(({ name }) => name === earlier[0]);
      const candidates = typed.startsWith("-")
        ? [...globalFlags, ...command?.flags ?? []].map(({ name }) => `--${name}`)
        : earlier.length === 0
        ? commands().filter(({ deprecated, isHidden }) => !deprecated && !isHidden).map(({ name }) => name)
        : await argumentsFor(context, earlier);
      for (const candidate of candidates.filter((text) => text.startsWith(typed)).sort()) {
        context.io.out(candidate + "\n");
      }
      return 0;
    },
  };
}

/** Leaves out flags, and the values that are words of their own. */
function withoutFlags(words: readonly string[], specs: readonly FlagSpec[]): string[] {
  const known = flagsByName(specs);
  const takesNext = (word: string) => {
    const kind = known.get(word.replace(/^--?/, ""))?.kind;
    return word.startsWith("-") && kind !== undefined && kind !== "switch";
  };
  return words.filter((word, index) => !word.startsWith("-") && !takesNext(words[index - 1] ?? ""));
}

async function argumentsFor({ client }: Context, [name = "", ...rest]: readonly string[]): Promise<string[]> {
  if (name === "completion") return ["bash", "fish", "zsh"];
  if (name === "machine" && rest.length === 0) return ["label"];
  // A machine's labels are the user's own.
  if (name === "machine" && rest.length > 1) return [];
  const kinds = argumentsOf[name] ?? [];
  const units = kinds.includes("unit") ? (await client.units()).map((unit) => unit.name) : [];
  const machines = kinds.includes("machine") ? (await client.machines()).map(({ id }) => id) : [];
  return [...units, ...machines];
}
