/**
 * Names of applications on the command line.
 *
 * @module
 */

import { textFlag, UsageError } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { type Io, rethrowAs } from "../terminal/port.ts";
import { isPattern } from "../units/select.ts";

/** `--app`. */
export const appFlag = textFlag(
  "app",
  "NAME",
  "Name the application (default the name of the directory; empty for none)",
);

/**
 * Returns the name of the application that files belong to: that of `--app`, else of their directory; undefined if it is
 * empty, or the files are in several directories or come from standard input.
 */
export async function appOf({ io, flags, args }: Context): Promise<string | undefined> {
  if (flags.given(appFlag.name)) return flags.text(appFlag.name) || undefined;
  if (args.includes("-")) return undefined;
  const names = new Set(await Promise.all(args.map((path) => directoryName(io, path))));
  const [name] = names;
  return names.size === 1 && name !== "" ? name : undefined;
}

/**
 * Returns the name of a directory, or of the directory of a file; "" for a file in the working directory, whose name says
 * nothing about the file.
 */
async function directoryName(io: Io, path: string): Promise<string> {
  const segments = io.fullPath(path).split("/");
  if (await io.filesIn(path)) return segments.at(-1) ?? "";
  return path.includes("/") ? segments.at(-2) ?? "" : "";
}

/**
 * Returns the name of the application that the arguments of a command for units or applications mean: that of `--app`, or
 * the only argument if there is no such unit; undefined if they are units.
 */
export async function appAmong({ client, flags, args }: Context): Promise<string | undefined> {
  if (flags.given(appFlag.name)) {
    if (args.length > 0) throw new UsageError("expected either --app or units");
    return flags.text(appFlag.name);
  }
  const [name, more] = args;
  if (name === undefined || more !== undefined || isPattern(name) || mangleUnitName(name) === name) return undefined;
  if (await client.unit(mangleUnitName(name)).catch(rethrowAs(`Error retrieving unit ${mangleUnitName(name)}`))) {
    return undefined;
  }
  return await client.app(name) ? name : undefined;
}

/** Returns the one name among the arguments. Throws {@link UsageError} if there is not exactly one. */
export function oneApp(args: readonly string[]): string {
  const [name, more] = args;
  if (name !== undefined && more === undefined) return name;
  throw new UsageError("expected the name of one application");
}

/** Returns the message about an application that does not exist. */
export function appMissing(name: string): string {
  return `Application ${name} does not exist. See: fleetctl apps`;
}
