/**
 * The units of a simulation, one for each kind of requirement.
 *
 * @module
 */

import type { Capacity } from "../../registry/reservation.ts";
import type { UnitOption } from "../../systemd/unit_file.ts";

/** Numbers of versions of each unit. The requirements of some units differ between versions. */
export const versions = 3;

/** StopWhenDisconnected= of the units that may run only once, milliseconds. */
export const soloLimit_ms = 4_000;

type Requirements = (version: number) => readonly string[];

const requirements: Readonly<Record<string, Requirements>> = {
  "app1.service": () => [],
  "app2.service": (version) => [`MemoryReserve=${version + 1}G`],
  "app3.service": (version) => version === 2 ? ["Conflicts=app1.service"] : [],
  "app4.service": (version) => ["MemoryReserve=3G", ...version === 1 ? ["MachineMetadata=disk=ssd"] : []],
  "pair1.service": () => ["Conflicts=pair*.service"],
  "pair2.service": () => ["Conflicts=pair*.service"],
  "follow.service": () => ["MachineOf=app1.service"],
  "ssd.service": () => ["MachineMetadata=disk=ssd"],
  "every.service": () => ["Global=true"],
  "every-ssd.service": () => ["Global=true", "MachineMetadata=disk=ssd"],
  "either.service": (version) => version === 2 ? ["Global=true"] : [],
  "solo1.service": () => ["MemoryReserve=2G", `StopWhenDisconnected=${soloLimit_ms / 1000}s`],
  "solo2.service": () => [`StopWhenDisconnected=${soloLimit_ms / 1000}s`],
  "fail.service": () => [],
  "once.service": () => [],
};

/** The capacity of each machine: its units do not fit on one. */
export const capacity: Capacity = {
  ...{ cpu_m: 4_000, memory_bytes: 4 * 2 ** 30, reservedCpu_m: 0, reservedMemory_bytes: 0 },
  resources: {},
};

export const unitNames: readonly string[] = Object.keys(requirements);

/** The name of the app that is rolled out. */
export const app = "web";

/** The global unit of the app, which is changed on one machine after the other. */
export const globalAppUnit = "node.service";

/** The units of the app: instances of a template, a unit by itself and a global one. */
export const appUnits: readonly string[] = [
  ...Array.from({ length: 4 }, (_, at) => `web@${at + 1}.service`),
  ...["tool.service", globalAppUnit],
];

export const allUnits: readonly string[] = [...unitNames, ...appUnits];

/** The version of a unit of the app whose process fails. */
export const badVersion = versions;

/** MaxParallel= of the units of the app. */
export const maxParallel = 2;

/** HealthyDeadline= of the units of the app, seconds. */
const deadline_s = 20;

/** Units that may run only once in the cluster. */
export const isSolo = (unit: string): boolean => unit.startsWith("solo");

/** Units whose process ends by itself. */
export const endsByItself = (unit: string): boolean => unit === "fail.service" || unit === "once.service";

/** Returns the options of a version of a unit. */
export function optionsOf(unit: string, version: number): UnitOption[] {
  const isApp = appUnits.includes(unit);
  const fails = unit === "fail.service" || isApp && version === badVersion;
  const program = fails ? "/bin/false" : unit === "once.service" ? "/bin/true" : "/bin/sleep";
  const fleet = !isApp ? requirements[unit]!(version) : [
    unit === globalAppUnit ? "Global=true" : `MaxParallel=${maxParallel}`,
    `HealthyDeadline=${deadline_s}s`,
  ];
  return [
    { section: "Unit", name: "Description", value: `version ${version}` },
    { section: "Service", name: "ExecStart", value: program },
    ...fleet.map((line) => {
      const at = line.indexOf("=");
      return { section: "X-Fleet", name: line.slice(0, at), value: line.slice(at + 1) };
    }),
  ];
}
