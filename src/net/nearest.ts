/** Longer than any known word; the work grows with the length. */
const longestWord = 64;

/** The known word that is most like the given one, by edit distance; for "did you mean". */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const beginning = word.slice(0, longestWord);
  const distances = known.map((candidate) => ({ candidate, distance: editDistance(beginning, candidate) }));
  return distances.reduce((best, next) => (next.distance < best.distance ? next : best), {
    candidate: undefined as string | undefined,
    distance: Number.POSITIVE_INFINITY,
  }).candidate;
}

/** Levenshtein's distance: how many characters have to be inserted, removed or replaced. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, characterOfA] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, characterOfB] of [...b].entries()) {
      const replaced = (row[j] ?? 0) + (characterOfA === characterOfB ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
