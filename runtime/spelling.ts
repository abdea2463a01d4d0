/**
 * What the user may have meant.
 *
 * @module
 */

/** How many letters must be put in, taken out or changed to make one word of the other (Levenshtein). */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const change = (previous[column - 1] as number) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(change, (previous[column] as number) + 1, (current[column - 1] as number) + 1));
    }
    previous = current;
  }
  return previous[b.length] as number;
}

/** The candidate that is nearest to a word, if one is near at all: no more than a third of its letters differ. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  const limit = (candidate: string) => Math.max(1, candidate.length / 3);
  // The distance is at least the difference in length: a long word costs nothing.
  const ranked = candidates
    .filter((candidate) => Math.abs(candidate.length - lower.length) <= limit(candidate))
    .map((candidate) => ({ candidate, distance: editDistance(lower, candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best && best.distance <= limit(best.candidate) ? best.candidate : undefined;
}
