/**
 * The D-Bus signals that are subscribed to.
 *
 * @module
 */

import { Manager, managerInterface, managerPath, propertiesInterface, systemdName, unitInterface } from "./manager.ts";
import type { Bus } from "./transport.ts";

/** The match rules of all signals that are used. They are narrow, because every signal that matches is decoded. */
export const matchRules: readonly string[] = [
  `type='signal',sender='${systemdName}',path='${managerPath}',interface='${managerInterface}',member='JobRemoved'`,
  `type='signal',sender='${systemdName}',path='${managerPath}',interface='${managerInterface}',member='Reloading'`,
  `type='signal',sender='${systemdName}',path_namespace='${managerPath}/unit',interface='${propertiesInterface}',` +
  `member='PropertiesChanged',arg0='${unitInterface}'`,
  `type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',` +
  `arg0='${systemdName}'`,
];

/** Subscribes a new connection to all signals. */
export async function subscribe(bus: Bus): Promise<void> {
  const daemon = "org.freedesktop.DBus";
  const addMatch = { destination: daemon, path: "/org/freedesktop/DBus", interface: daemon, member: "AddMatch" };
  const rules = matchRules.map((rule) => bus.call({ ...addMatch, signature: "s", args: [rule] }, () => {}));
  await Promise.all([...rules, new Manager(bus).subscribe()]);
}
