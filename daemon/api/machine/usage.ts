/**
 * Reads what this machine and its units use, from systemd's accounting and from the kernel. An adapter.
 *
 * @module
 */

import { parseProperties } from "./properties.ts";
import type { MachineUsageEntity, UnitUsageEntity } from "../v1/types.ts";

/** Units of one call of systemctl, whose output and arguments are limited. */
const maxUnits = 1_000;

/** The slice of all processes. */
const rootSlice = "-.slice";

const properties = ["CPUUsageNSec", "MemoryCurrent", "TasksCurrent", "IOReadBytes", "IOWriteBytes"];

/** Returns what the machine and the units use. `units`: the name in systemd of each, by its name in the result. */
export async function readUsage(
  units: ReadonlyMap<string, string>,
  systemctl: (...args: string[]) => Promise<string>,
): Promise<Omit<MachineUsageEntity, "machineID">> {
  const names = [rootSlice, ...units.values()];
  const parts: string[][] = [];
  for (let at = 0; at < names.length; at += maxUnits) parts.push(names.slice(at, at + maxUnits));
  const [version, os, ...texts] = await Promise.all([
    systemctl("show", "--property=Version"),
    Deno.readTextFile("/etc/os-release").catch(() => ""),
    ...parts.map((part) => systemctl("show", `--property=${properties.join()}`, "--", ...part)),
  ]);
  const [root, ...used] = texts.flatMap((text) => text.split("\n\n")).map(usageIn);
  const { total, available } = Deno.systemMemoryInfo();
  return {
    at: Math.round(performance.now()),
    ...(root?.cpuMicroseconds !== undefined && { cpuMicroseconds: root.cpuMicroseconds }),
    ...(root?.tasks !== undefined && { tasks: root.tasks }),
    cores: navigator.hardwareConcurrency,
    load: Deno.loadavg().map((load) => load.toFixed(2)).join(" "),
    memoryBytes: total - available,
    memoryTotalBytes: total,
    uptimeSeconds: Math.round(Deno.osUptime()),
    os: /^PRETTY_NAME="?([^"\n]*)/m.exec(os)?.[1] ?? "",
    systemd: parseProperties(version).Version ?? "",
    units: [...units.keys()].map((name, index) => ({ name, ...used[index] })),
  };
}

/** Reads one block of `systemctl show`. A value that systemd does not account for is left out. */
function usageIn(text: string): Omit<UnitUsageEntity, "name"> {
  const shown = parseProperties(text);
  const [cpu_ns, memory, tasks, read, written] = properties.map((name) => {
    const value = Number(shown[name] || NaN);
    // UINT64_MAX stands for a value that is not accounted for; other versions print "[not set]" or "[no data]".
    return Number.isFinite(value) && value < 2 ** 63 ? value : undefined;
  });
  return {
    ...(cpu_ns !== undefined && { cpuMicroseconds: Math.round(cpu_ns / 1000) }),
    ...(memory !== undefined && { memoryBytes: memory }),
    ...(tasks !== undefined && { tasks }),
    ...(read !== undefined && { readBytes: read }),
    ...(written !== undefined && { writtenBytes: written }),
  };
}
