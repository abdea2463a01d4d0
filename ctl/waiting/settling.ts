/**
 * Time that a unit must stay active before a command counts its start as a success.
 *
 * systemd reports a service of `Type=simple`, `exec` or `idle` as active as soon as its process exists, see
 * systemd.service(5): one that crashes during its start is active before it fails. Services of other types report their
 * readiness themselves.
 *
 * @module
 */

import { lastValue, type UnitOption } from "../../systemd/unit_file.ts";
import { isQuadlet } from "../../systemd/unit_name.ts";
import { type FlagSpec, secondsFlag } from "../cli/argv.ts";
import type { Context } from "../cli/command.ts";

/** `--settle`, for a command that starts units. */
export const settleFlag: FlagSpec = secondsFlag(
  "settle",
  1,
  "Seconds that a service without readiness notification must stay active; 0: not at all",
);

const withoutReadiness = new Set(["simple", "exec", "idle"]);

/** Returns the time that the unit must stay active, milliseconds. */
export function stableFor_ms({ flags }: Context, name: string, options: readonly UnitOption[]): number {
  const hasReadiness = isQuadlet(name)
    ? !isContainerWithoutReadiness(name, options)
    : !name.endsWith(".service") || !withoutReadiness.has(serviceType(options));
  if (hasReadiness) return 0;
  return flags.number(settleFlag.name) * 1000;
}

/**
 * True for containers that podman reports as ready when their first process has started: without `Notify=`, see
 * podman-systemd.unit(5).
 */
function isContainerWithoutReadiness(name: string, options: readonly UnitOption[]): boolean {
  if (name.endsWith(".kube")) return true;
  if (!name.endsWith(".container") || lastValue(options, "Service", "Type") === "oneshot") return false;
  return !/^(healthy|1|yes|y|true|t|on)$/i.test(lastValue(options, "Container", "Notify"));
}

/** Returns `Type=` of a service, or the default of systemd.service(5). */
export function serviceType(options: readonly UnitOption[]): string {
  const type = lastValue(options, "Service", "Type");
  if (type !== "") return type;
  if (lastValue(options, "Service", "BusName") !== "") return "dbus";
  return options.some(({ section, name }) => section === "Service" && name === "ExecStart") ? "simple" : "oneshot";
}
