/**
 * Suggests a known word for a misspelled one.
 *
 * @module
 */

/** Returns the number of letters to insert, delete or change to make one word of the other (Levenshtein distance). */
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

/** Returns the candidate nearest to a word, or undefined if more than a third of the letters differ in each. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  const limit = (candidate: string) => Math.max(1, candidate.length / 3);
  // The distance is at least the difference in length, so long words are dropped without computing it.
  const ranked = candidates
    .filter((candidate) => Math.abs(candidate.length - lower.length) <= limit(candidate))
    .map((candidate) => ({ candidate, distance: editDistance(lower, candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best && best.distance <= limit(best.candidate) ? best.candidate : undefined;
}
