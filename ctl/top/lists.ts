/**
 * The columns of `fleetctl top`. Pure.
 *
 * @module
 */

import { type Column, type List, nothing, textColumn } from "../output/list.ts";
import { isMachine, machineIdLegend } from "../machines/format.ts";
import type { MachineRow, UnitRow } from "./rows.ts";

/** A column of numbers, which `text` shows for people. */
export function numberColumn<Row>(
  read: (row: Row) => number | undefined,
  text: (value: number) => string = String,
): Column<Row> {
  return {
    text: (row) => {
      const value = read(row);
      return value === undefined ? nothing : text(value);
    },
    json: (row) => read(row) ?? null,
  };
}

function machineColumn<Row>(read: (row: Row) => string): Column<Row> {
  return {
    text: (row, full) => machineIdLegend(read(row), full),
    json: read,
    matches: (row, wanted) => isMachine({ id: read(row) }, wanted),
  };
}

const units = ["B", "K", "M", "G", "T"];

/** Returns a number of bytes with three significant digits: `1.50G`. */
export function bytesText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return unit === 0 ? `${Math.round(value)}B` : `${value.toPrecision(3).replace(/e.*/, "")}${units[unit]}`;
}

/** Returns a time since boot by its two largest units: `3d4h`. */
export function uptimeText(seconds: number): string {
  const [days, hours, minutes] = [seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60].map(Math.floor);
  return days ? `${days}d${hours}h` : hours ? `${hours}h${minutes}m` : `${minutes}m${Math.floor(seconds % 60)}s`;
}

const percentText = (percent: number) => percent.toFixed(1);

/** The list of units. */
export const unitList: List<UnitRow> = {
  columns: {
    unit: textColumn(({ unit }) => unit.name),
    machine: machineColumn(({ machine }) => machine),
    cpu: numberColumn((row) => row.cpu_percent, percentText),
    memory: numberColumn(({ unit }) => unit.memoryBytes, bytesText),
    tasks: numberColumn(({ unit }) => unit.tasks),
    read: numberColumn((row) => row.read_bytes, bytesText),
    written: numberColumn((row) => row.written_bytes, bytesText),
  },
  defaultFields: "unit,machine,cpu,memory,tasks,read,written",
  key: ["unit", "machine"],
};

/** The list of machines. */
export const machineList: List<MachineRow> = {
  columns: {
    machine: machineColumn(({ machine }) => machine.machineID),
    cpu: numberColumn((row) => row.cpu_percent, percentText),
    cores: numberColumn(({ machine }) => machine.cores),
    load: textColumn(({ machine }) => machine.load),
    memory: numberColumn(({ machine }) => machine.memoryBytes, bytesText),
    total: numberColumn(({ machine }) => machine.memoryTotalBytes, bytesText),
    tasks: numberColumn(({ machine }) => machine.tasks),
    units: numberColumn(({ machine }) => machine.units?.length),
    uptime: numberColumn(({ machine }) => machine.uptimeSeconds, uptimeText),
    os: textColumn(({ machine }) => machine.os),
    systemd: textColumn(({ machine }) => machine.systemd),
  },
  defaultFields: "machine,cpu,cores,load,memory,total,tasks,units,uptime",
  key: ["machine"],
};
