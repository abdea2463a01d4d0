/**
 * Completes the flags of a command line by those of a context.
 *
 * @module
 */

import { ClientSetupError } from "../api/endpoint.ts";
import type { Flags, FlagValue } from "../cli/argv.ts";
import type { Io } from "../terminal/port.ts";
import type { Contexts } from "./contexts.ts";
import type { ContextFile } from "./port.ts";

/** Flags that name a cluster: with one of them, the current context is not used. */
const clusterFlags = ["endpoint", "tunnel", "driver"];

/** Reads the contexts; undefined if there is no file. Throws {@link ContextFileError}. */
export async function readContexts(
  file: ContextFile,
): Promise<(Contexts & { readonly isPrivate: boolean }) | undefined> {
  const found = await file.read();
  if (!found) return undefined;
  const { parseContexts } = await import("./contexts.ts");
  return { ...parseContexts(found.text, file.path ?? ""), isPrivate: found.isPrivate };
}

/**
 * Returns the name of the context that flags select; undefined if they select none. Throws {@link ClientSetupError} if it
 * does not exist.
 */
export async function selectedContext(
  flags: Flags,
  contexts: Contexts | undefined,
  file: ContextFile,
): Promise<string | undefined> {
  const name = flags.text("context");
  if (name === "") {
    const isGiven = clusterFlags.some((flag) => flags.given(flag));
    return isGiven ? undefined : contexts?.current;
  }
  if (contexts?.contexts.has(name)) return name;
  const where = file.path ?? "the file of contexts";
  if (!contexts) throw new ClientSetupError(`there is no context ${JSON.stringify(name)}: ${where} does not exist`);
  const { similar } = await import("./contexts.ts");
  const question = similar(name, [...contexts.contexts.keys()]);
  throw new ClientSetupError(`there is no context ${JSON.stringify(name)} in ${where}${question}`);
}

/**
 * Returns flags with the settings of the selected context in the place of those that are not given. Warns if other users
 * can read a token. Throws {@link ClientSetupError}.
 */
export async function withContext(flags: Flags, file: ContextFile, io: Io): Promise<Flags> {
  if (flags.text("context") === "" && clusterFlags.some((flag) => flags.given(flag))) return flags;
  const contexts = await readContexts(file);
  const name = await selectedContext(flags, contexts, file);
  if (name === undefined || !contexts) return flags;
  const { isPathFlag } = await import("./contexts.ts");
  const settings = contexts.contexts.get(name)!;
  if (settings.has("token") && !contexts.isPrivate) {
    io.log("WARN", `other users can read the token in ${file.path}: chmod 600 ${file.path}`);
  }
  const values = [...settings].filter(([name]) => !flags.given(name)).map((
    [name, value],
  ): [string, FlagValue] => [name, isPathFlag(name) ? file.besideFile(String(value)) : value]);
  return flags.with(new Map(values));
}
