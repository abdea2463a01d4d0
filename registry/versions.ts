/**
 * The versions of a unit: the files that it has had, newest last. Pure.
 *
 * @module
 */

import type { Authorship, Unit, UnitVersion } from "./model.ts";

/**
 * The number of versions that a unit keeps. Ten thousand units with as many versions of a kilobyte each take a twentieth of
 * etcd's default quota of 2 GiB.
 */
export const maxVersions = 10;

/**
 * Returns the versions of a unit, also of one that was last written by a daemon that does not record versions: its present
 * file is the newest version in any case.
 */
export function versionsOf(
  { hash, changed, versions = [] }: Pick<Unit, "hash" | "changed" | "versions">,
): readonly UnitVersion[] {
  return withVersion(versions, hash, changed);
}

/** Returns the versions after a file was put. A file that is the newest version already is no new version. */
export function withVersion(
  versions: readonly UnitVersion[],
  hash: string,
  changed: Authorship | undefined,
): readonly UnitVersion[] {
  const last = versions.at(-1);
  if (last?.hash === hash) return versions;
  return [...versions, { number: (last?.number ?? 0) + 1, hash, ...changed && { changed } }].slice(-maxVersions);
}

/** The number of restarts that a version keeps. */
const maxRestarts = 5;

/** Returns the versions after a restart of the unit was requested. */
export function withRestart(versions: readonly UnitVersion[], by: Authorship): readonly UnitVersion[] {
  const last = versions.at(-1);
  if (!last) return versions;
  return [...versions.slice(0, -1), { ...last, restarts: [...last.restarts ?? [], by].slice(-maxRestarts) }];
}
