/** Returns a number with its noun, in the plural unless it is one: `1 unit`, `3 units`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
