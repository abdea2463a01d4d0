/**
 * Quadlet files: podman's generator makes a service of each. See podman-systemd.unit(5). Pure.
 *
 * @module
 */

import { lastValue, type UnitOption } from "./unit_file.ts";
import { isQuadlet, parseUnitName } from "./unit_name.ts";

/** Returns the section that a Quadlet file of this type describes its object in, such as `Container`. */
export function quadletSection(type: string): string {
  return type.charAt(0).toUpperCase() + type.slice(1);
}

/**
 * Returns the name of the service that is made of a Quadlet file: of `web.container` it is `web.service`, of
 * `data.volume` it is `data-volume.service`, or what `ServiceName=` says. Any other unit keeps its name.
 */
export function generatedService(name: string, options: readonly UnitOption[]): string {
  if (!isQuadlet(name)) return name;
  const { name: base, type } = parseUnitName(name)!;
  const given = lastValue(options, quadletSection(type), "ServiceName");
  if (given !== "") return `${given}.service`;
  return type === "container" || type === "kube" ? `${base}.service` : `${base}-${type}.service`;
}

/** Options whose value begins with the name of another Quadlet file, or is that name. */
const referring: ReadonlySet<string> = new Set(["Image", "Network", "Pod", "Volume"]);

/**
 * Returns the names of the Quadlet files that a Quadlet file refers to, such as `data.volume` in `Volume=data.volume:/data`.
 * The generator needs them on the same machine.
 */
export function referencedQuadlets(name: string, options: readonly UnitOption[]): string[] {
  if (!isQuadlet(name)) return [];
  const section = quadletSection(parseUnitName(name)!.type);
  const found = options.filter((option) => option.section === section).flatMap(({ name, value }) => {
    const text = name === "Mount" ? /(?:^|,)\s*(?:source|src)=([^,]*)/.exec(value)?.[1] : value;
    if (text === undefined || name !== "Mount" && !referring.has(name)) return [];
    return text.trim().split(":", 1);
  });
  return [...new Set(found.filter((each) => isQuadlet(each) && !each.includes("/")))];
}
