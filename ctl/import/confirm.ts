import type { Context } from "../cli/command.ts";
import { nothingDone, yesFlag } from "../units/set_state.ts";

/** Asks before a change. Throws if the answer is not yes, or cannot be asked for. */
export async function confirm({ io, flags }: Context, question: string): Promise<void> {
  if (flags.on(yesFlag.name)) return;
  const answer = await io.confirm(question);
  if (answer === undefined) {
    throw new Error(`Without a terminal, --${yesFlag.name} is required. Nothing was changed.`);
  }
  if (!answer) throw new Error(nothingDone);
}
