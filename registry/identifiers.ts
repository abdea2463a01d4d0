/**
 * The smallest types of the {@link import("./model.ts").Cluster}.
 *
 * @module
 */

/** A full unit name, for example `hello@1.service`. */
export type UnitName = string;

/** The 32 hexadecimal digits of machine-id(5). */
export type MachineId = string;

/** A revision of the store, which increases with every transaction that writes (etcd's `revision`). 0 means "never". */
export type Revision = number;

/** The author, the time and the kind of a change. */
export interface Authorship {
  /** A token, a certificate, a user or an address, for people to read. */
  readonly by: string;
  /**
   * Wall clock of the daemon that received the request or, for a step of a roll-out, of the leader: milliseconds since the
   * epoch.
   */
  readonly at_ms: number;
  /** The kind of the change, for people to read, such as `apply` or `restart`; absent for a plain change of a unit. */
  readonly what?: string;
}
