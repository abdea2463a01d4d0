/**
 * The wire types of resource use.
 *
 * @module
 */

import { count, entity, list, ref, text, type TypeOf } from "./schema.ts";

const cpu = "Processor time since its start, in microseconds. Absent without CPUAccounting=.";

export type UnitUsageEntity = TypeOf<typeof UnitUsageEntity>;
export const UnitUsageEntity = entity("UnitUsage", "What a unit uses, as systemd accounts for it.", {
  name: text("A full unit name."),
  "cpuMicroseconds?": count(cpu),
  "memoryBytes?": count("Absent without MemoryAccounting=."),
  "tasks?": count("Processes and threads. Absent without TasksAccounting=."),
  "readBytes?": count("Bytes read from block devices since its start. Absent without IOAccounting=."),
  "writtenBytes?": count("Bytes written to block devices since its start. Absent without IOAccounting=."),
});

export type MachineUsageEntity = TypeOf<typeof MachineUsageEntity>;
export const MachineUsageEntity = entity("MachineUsage", "What a machine uses. Only `error` if it does not answer.", {
  machineID: text("The ID of the machine."),
  "error?": text("Why the machine has not answered, as a sentence."),
  "at?": count("When it was measured, in milliseconds of the machine's monotonic clock."),
  "cpuMicroseconds?": count("Processor time of all processes since boot, in microseconds."),
  "cores?": count("The number of processor cores."),
  "load?": text("The load averages of the last 1, 5 and 15 minutes."),
  "memoryBytes?": count("Memory in use, without what the kernel can free at once."),
  "memoryTotalBytes?": count("Memory of the machine."),
  "tasks?": count("Processes and threads."),
  "uptimeSeconds?": count("Time since boot."),
  "os?": text("The operating system, as PRETTY_NAME= of os-release(5)."),
  "systemd?": text("The version of systemd."),
  "units?": list("The units of fleet on the machine. Absent with `units=false`.", ref(UnitUsageEntity)),
});

export type UsageEntity = TypeOf<typeof UsageEntity>;
export const UsageEntity = entity("Usage", "What machines and units use.", {
  machines: list("The machines that are present, by ID.", ref(MachineUsageEntity)),
});
