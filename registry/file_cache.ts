/**
 * A cache of unit files' texts by hash, limited by size: the least recently used texts are evicted. Pure.
 *
 * @module
 */
export class FileCache {
  /** The least recently used text comes first. */
  readonly #texts = new Map<string, string>();
  #characters = 0;

  /** `limit`: characters of all texts together. A larger text is still kept, alone. */
  constructor(private readonly limit: number) {}

  get(hash: string): string | undefined {
    const text = this.#texts.get(hash);
    if (text !== undefined) {
      this.#texts.delete(hash);
      this.#texts.set(hash, text);
    }
    return text;
  }

  set(hash: string, text: string): void {
    this.#delete(hash);
    this.#texts.set(hash, text);
    this.#characters += text.length;
    for (const least of this.#texts.keys()) {
      if (this.#characters <= this.limit || least === hash) break;
      this.#delete(least);
    }
  }

  #delete(hash: string): void {
    this.#characters -= this.#texts.get(hash)?.length ?? 0;
    this.#texts.delete(hash);
  }
}
