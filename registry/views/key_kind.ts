import type { ParsedKey } from "../schema/keys.ts";
import type { Unreadable } from "../schema/unreadable.ts";
import type { KeyValue } from "../store/port.ts";

/** The effects of keys of one kind on a view. */
export interface KeyKind<Key extends ParsedKey> {
  /** Throws if the value cannot be decoded. */
  put(key: Key, kv: KeyValue): void;
  delete(key: Key, wasUnreadable: boolean): void;
  /** Stores a stand-in for a value that cannot be decoded; left out where any text is valid. */
  standIn?(key: Key, unreadable: Unreadable): void;
}
