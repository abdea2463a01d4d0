/** A map that is shared without a copy: the first change after {@link share} copies it. */
export class SharedMap<K, V> {
  #map = new Map<K, V>();
  #shared = false;

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  get size(): number {
    return this.#map.size;
  }

  has(key: K): boolean {
    return this.#map.has(key);
  }

  set(key: K, value: V): void {
    this.#writable().set(key, value);
  }

  delete(key: K): void {
    if (this.#map.has(key)) this.#writable().delete(key);
  }

  clear(): void {
    this.#map = new Map();
    this.#shared = false;
  }

  /** Returns the map as it is now. The returned map never changes. */
  share(): ReadonlyMap<K, V> {
    this.#shared = true;
    return this.#map;
  }

  #writable(): Map<K, V> {
    if (this.#shared) {
      this.#map = new Map(this.#map);
      this.#shared = false;
    }
    return this.#map;
  }
}
