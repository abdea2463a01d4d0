/**
 * The version of fleet, and what a program was built from.
 *
 * @module
 */

import manifest from "../deno.json" with { type: "json" };

/** fleet's version, from deno.json. */
export const version: string = manifest.version;

/** The origin of a program. */
export interface Build {
  /** The first 12 digits of the commit, followed by `-modified` if files differed from it; or `unknown`. */
  readonly commit: string;
  /** The date of the commit or of the build, YYYY-MM-DD. */
  readonly date: string;
}

/** The build of this program; undefined if the source is run without a build. `compile.sh` replaces this argument. */
export const build: Build | undefined = buildOf("@FLEET_BUILD@");

/** The version and the build, for people. Scripts for fleet 1.0 expect the version as the third word of a line. */
export const versionText: string = textOf(version, build);

/** Reads a commit and a date. Returns undefined if there is no date. */
export function buildOf(stamp: string): Build | undefined {
  const [commit = "", date] = stamp.split(" ");
  return date === undefined ? undefined : { commit, date };
}

/** Returns a version with its build. */
export function textOf(version: string, build: Build | undefined): string {
  return build === undefined ? version : `${version} (commit ${build.commit}, built ${build.date})`;
}
