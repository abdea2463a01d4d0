/**
 * The units of a simulation, one for each kind of requirement.
 *
 * @module
 */

import type { UnitOption } from "../../systemd/unit_file.ts";

/** Numbers of versions of each unit. The requirements of some units differ between versions. */
export const versions = 3;

/** StopWhenDisconnected= of the units that may run only once, milliseconds. */
export const soloLimit_ms = 4_000;

type Requirements = (version: number) => readonly string[];

const requirements: Readonly<Record<string, Requirements>> = {
  "app1.service": () => [],
  "app2.service": () => [],
  "app3.service": (version) => version === 2 ? ["Conflicts=app1.service"] : [],
  "app4.service": (version) => version === 1 ? ["MachineMetadata=disk=ssd"] : [],
  "pair1.service": () => ["Conflicts=pair*.service"],
  "pair2.service": () => ["Conflicts=pair*.service"],
  "follow.service": () => ["MachineOf=app1.service"],
  "ssd.service": () => ["MachineMetadata=disk=ssd"],
  "every.service": () => ["Global=true"],
  "every-ssd.service": () => ["Global=true", "MachineMetadata=disk=ssd"],
  "either.service": (version) => version === 2 ? ["Global=true"] : [],
  "solo1.service": () => [`StopWhenDisconnected=${soloLimit_ms / 1000}s`],
  "solo2.service": () => [`StopWhenDisconnected=${soloLimit_ms / 1000}s`],
  "fail.service": () => [],
  "once.service": () => [],
};

export const unitNames: readonly string[] = Object.keys(requirements);

/** Units that may run only once in the cluster. */
export const isSolo = (unit: string): boolean => unit.startsWith("solo");

/** Units whose process ends by itself. */
export const endsByItself = (unit: string): boolean => unit === "fail.service" || unit === "once.service";

/** Returns the options of a version of a unit. */
export function optionsOf(unit: string, version: number): UnitOption[] {
  const program = unit === "fail.service" ? "/bin/false" : unit === "once.service" ? "/bin/true" : "/bin/sleep";
  return [
    { section: "Unit", name: "Description", value: `version ${version}` },
    { section: "Service", name: "ExecStart", value: program },
    ...requirements[unit]!(version).map((line) => {
      const at = line.indexOf("=");
      return { section: "X-Fleet", name: line.slice(0, at), value: line.slice(at + 1) };
    }),
  ];
}
