/**
 * A map of limited size. Pure.
 *
 * @module
 */

/** Keeps the `most` entries that were set last. */
export class NewestMap<Key, Value> extends Map<Key, Value> {
  constructor(private readonly most: number) {
    super();
  }

  override set(key: Key, value: Value): this {
    this.delete(key);
    super.set(key, value);
    const [oldest] = this.keys();
    if (this.size > this.most) this.delete(oldest!);
    return this;
  }
}
