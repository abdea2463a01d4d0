/**
 * Warns of a client that is older than the daemons of the cluster. It matters for a client that uses the store directly:
 * such a client must understand the values that newer daemons have written.
 *
 * @module
 */

/** Returns a warning for standard error if one of the daemons' versions is newer than ours; undefined otherwise. */
export function olderThanCluster(ours: string, daemons: Iterable<string>): string | undefined {
  const latest = [...daemons].filter((version) => parse(version) !== undefined).sort(compareVersions).at(-1);
  if (latest === undefined || compareVersions(ours, latest) >= 0) return undefined;
  const bar = "#".repeat(68);
  return `${bar}\n` +
    `WARNING: fleetctl (${ours}) is older than the latest registered version of fleet found in the cluster (${latest}).\n` +
    `You are strongly recommended to upgrade fleetctl to prevent incompatibility issues.\n` +
    `${bar}\n`;
}

interface Version {
  readonly numbers: readonly number[];
  /** Text after the hyphen; "" for a release. */
  readonly preRelease: string;
}

function parse(text: string): Version | undefined {
  const [, numbers, preRelease = ""] = /^v?(\d+(?:\.\d+)*)(?:-([^+]*))?(?:\+.*)?$/.exec(text) ?? [];
  return numbers === undefined ? undefined : { numbers: numbers.split(".").map(Number), preRelease };
}

/** Compares versions as https://semver.org does. Text that is not a version comes first. */
export function compareVersions(a: string, b: string): number {
  const [one, other] = [parse(a), parse(b)];
  if (!one || !other) return Number(one !== undefined) - Number(other !== undefined);
  for (let i = 0; i < Math.max(one.numbers.length, other.numbers.length); i++) {
    const difference = (one.numbers[i] ?? 0) - (other.numbers[i] ?? 0);
    if (difference !== 0) return difference;
  }
  if (one.preRelease === other.preRelease) return 0;
  // A release comes after its pre-releases.
  if (one.preRelease === "" || other.preRelease === "") return one.preRelease === "" ? 1 : -1;
  return one.preRelease < other.preRelease ? -1 : 1;
}
