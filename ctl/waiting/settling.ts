/**
 * How long a unit must stay active before a command takes its start for a success.
 *
 * systemd calls a service of `Type=simple`, `exec` or `idle` active as soon as its process exists, see systemd.service(5).
 * A service that crashes while it begins is active before it fails. The other types say by themselves when they are
 * ready.
 *
 * @module
 */

import type { UnitOption } from "../../systemd/unit_file.ts";
import type { FlagSpec } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";

/** `--settle`, for a command that starts units. */
export const settleFlag: FlagSpec = {
  name: "settle",
  kind: "seconds",
  fallback: 1,
  help: "How many seconds a service that does not say when it is ready must stay active; 0: not at all",
};

const withoutReadiness = new Set(["simple", "exec", "idle"]);

/** How long the named unit with these options must stay active, milliseconds. */
export function stableFor_ms({ flags }: Context, name: string, options: readonly UnitOption[]): number {
  if (!name.endsWith(".service") || !withoutReadiness.has(serviceType(options))) return 0;
  return flags.number(settleFlag.name) * 1000;
}

/** `Type=` of a service, or what systemd.service(5) says that it is where it is not given. */
function serviceType(options: readonly UnitOption[]): string {
  const last = (key: string) => options.findLast(({ section, name }) => section === "Service" && name === key)?.value;
  const type = last("Type") ?? "";
  if (type !== "") return type;
  if ((last("BusName") ?? "") !== "") return "dbus";
  return options.some(({ section, name }) => section === "Service" && name === "ExecStart") ? "simple" : "oneshot";
}
