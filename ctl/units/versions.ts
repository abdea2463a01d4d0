/**
 * Versions of units' files, which the cluster keeps.
 *
 * @module
 */

import type { VersionEntity } from "../../daemon/api/v1/types.ts";
import { countFlag, UsageError } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";
import { ApiError } from "../api/client.ts";
import { suggestion } from "./set_state.ts";

/** `--at`: the number of a version, as `fleetctl history` shows it. */
export const versionFlag = countFlag("at", 0, "Use this version of the file (default the present one)");

/** Returns the value of {@link versionFlag}; undefined for the present version. Throws {@link UsageError}. */
export function versionOf({ flags }: Context): number | undefined {
  if (!flags.given("at")) return undefined;
  const version = flags.number("at");
  if (version > 0) return version;
  throw new UsageError("--at must be the number of a version, which fleetctl history shows");
}

/** Returns a version with the options of its file. Throws if the cluster does not have it. */
export async function storedVersion(context: Context, name: string, version: number): Promise<VersionEntity> {
  const { versions: [found] } = await versionsInCluster(context, name, version);
  if (found?.options) return found;
  throw new Error(`Unit ${name}: the store no longer has the file of version ${version}`);
}

/** Returns the versions of a unit. Throws if the unit does not exist, with a suggestion. */
export async function versionsInCluster(context: Context, name: string, version?: number) {
  try {
    return await context.client.history(name, version);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 404) throw error;
    const [, kept] = /has no version \d+: (.*?)(?: \(HTTP|$)/.exec(error.message) ?? [];
    if (kept !== undefined) throw new Error(`Unit ${name} has no version ${version}: ${kept}`, { cause: error });
    throw new Error(`Unit ${name} does not exist.${await suggestion(context, name)}`, { cause: error });
  }
}
