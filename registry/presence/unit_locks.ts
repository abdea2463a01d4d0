/**
 * Locks of units that may run only once in the cluster: `lock/<unit>` holds the machine that may run the unit, and is bound
 * to that machine's lease. An agent starts such a unit only with its lock, and gives the lock up when the unit is gone.
 *
 * @module
 */

import type { LockOutcome, UnitLocks } from "../mod.ts";
import type { MachineId, Revision, UnitName } from "../model.ts";
import { assignKey, lockKey, lockPrefix } from "../schema/keys.ts";
import type { StoreSession } from "../writes/session.ts";

/** {@link UnitLocks} of one machine. */
export class StoredLocks implements UnitLocks {
  constructor(private readonly session: StoreSession, private readonly machine: MachineId) {}

  async take(unit: UnitName, revision: Revision, lease: string): Promise<LockOutcome> {
    const assignment = { key: assignKey(this.machine, unit), mod: revision };
    const put = { put: lockKey(unit), value: this.machine, lease };
    const taken = await this.session.transact([assignment, { key: lockKey(unit), create: 0 }], [put]);
    if (taken.succeeded) return { kind: "locked" };
    const { ranges: [[lock] = [], [assigned] = []] } = await this.session.read([
      { key: lockKey(unit) },
      { key: assignment.key },
    ]);
    if (assigned?.modRevision !== revision || !lock) return { kind: "outdated" };
    if (lock.value !== this.machine) return { kind: "held", machine: lock.value };
    if (lock.lease === lease) return { kind: "locked" };
    // An earlier lease of this machine.
    const moved = await this.session.transact([assignment, { key: lockKey(unit), mod: lock.modRevision }], [put]);
    return { kind: moved.succeeded ? "locked" : "outdated" };
  }

  async release(unit: UnitName): Promise<void> {
    await this.session.transact([{ key: lockKey(unit), value: this.machine }], [{ delete: lockKey(unit) }]);
  }

  async held(): Promise<readonly UnitName[]> {
    const { ranges: [locks = []] } = await this.session.read([{ prefix: lockPrefix }]);
    return locks.filter(({ value }) => value === this.machine).map(({ key }) => key.slice(lockPrefix.length));
  }
}
