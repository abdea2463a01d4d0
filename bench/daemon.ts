/**
 * Measures an idle daemon: memory with no and with many units, and processor time, writes to the store and log lines of an
 * idle minute. `deno run -A bench/daemon.ts [--units=N] [--seconds=N] [--dist=DIRECTORY] [--json]`
 *
 * @module
 */

import { parseArgs } from "node:util";
import { FleetCluster } from "../tests/lab/fleet_cluster.ts";
import { type Lab, withLab } from "../tests/lab/lab.ts";
import type { Machine } from "../tests/lab/machine.ts";
import { pause, unitText } from "./setting.ts";
import { table } from "./statistics.ts";

/** Targets of fleet. */
const targets = { empty_mb: 110, full_mb: 130, cpu_percent: 0.3 } as const;

/** Units under way to the API at once. */
const inFlight = 16;

/** Clock ticks a second of /proc/PID/stat (proc(5)): 100 on every Linux that matters. */
const ticks_hz = 100;

interface Idle {
  readonly units: number;
  readonly resident_mb: number;
  /** Of one core. */
  readonly cpu_percent: number;
  /** Growth of the store's revision: the number of writes other than lease renewals. */
  readonly writes: number;
  readonly log_lines: number;
}

const { values: options } = parseArgs({
  options: {
    units: { type: "string", default: "500" },
    seconds: { type: "string", default: "60" },
    dist: { type: "string", default: `${import.meta.dirname}/../dist` },
    json: { type: "boolean", default: false },
  },
});

const results = await withLab({ machines: 1, fleet: { dist: options.dist } }, async (lab) => {
  const cluster = new FleetCluster(lab);
  const [machine] = lab.machines;
  await cluster.joined([machine!]);
  const idle_ms = Number(options.seconds) * 1000;
  const empty = await idle(lab, machine!, 0, idle_ms);
  const names = Array.from({ length: Number(options.units) }, (_, index) => `idle${index}.service`);
  const queue = names.values();
  const put = async () => {
    for (const name of queue) await cluster.put(machine!, name, "launched", unitText);
  };
  await Promise.all(Array.from({ length: inFlight }, put));
  await cluster.active(machine!, names, 300_000);
  return [empty, await idle(lab, machine!, names.length, idle_ms)];
});
console.log(options.json ? JSON.stringify(results, null, 2) : report(results));

/** Measures after the API's cache of the store, opened by earlier requests, has been closed again. */
async function idle(lab: Lab, machine: Machine, units: number, idle_ms: number): Promise<Idle> {
  await pause(70_000);
  const pid = Number(await machine.must(["systemctl", "show", "--property=MainPID", "--value", "fleet.service"]));
  const look = async () => {
    const stat = await machine.must(["cat", `/proc/${pid}/stat`]);
    // utime and stime, the 14th and 15th field; the second may hold blanks.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const status = JSON.parse(await lab.etcd.must("endpoint", "status", "--write-out=json"));
    return {
      cpu_s: (Number(fields[11]) + Number(fields[12])) / ticks_hz,
      revision: status[0].Status.header.revision as number,
      lines: (await machine.journal("fleet.service")).split("\n").length,
    };
  };
  const before = await look();
  await pause(idle_ms);
  const after = await look();
  const resident = /VmRSS:\s+(\d+) kB/.exec(await machine.must(["cat", `/proc/${pid}/status`]))![1];
  return {
    units,
    resident_mb: Number(resident) / 1024,
    cpu_percent: (after.cpu_s - before.cpu_s) / (idle_ms / 1000) * 100,
    writes: after.revision - before.revision,
    log_lines: after.lines - before.lines,
  };
}

function report(all: readonly Idle[]): string {
  const judge = (value: number, most: number) => value <= most ? "kept" : "MISSED";
  return table([
    ["units", "resident MB", "target", "CPU %", "target", "writes", "log lines"],
    ...all.map(({ units, resident_mb, cpu_percent, writes, log_lines }) => {
      const most_mb = units === 0 ? targets.empty_mb : targets.full_mb;
      return [
        ...[`${units}`, resident_mb.toFixed(1), `${most_mb}: ${judge(resident_mb, most_mb)}`, cpu_percent.toFixed(2)],
        ...[`${targets.cpu_percent}: ${judge(cpu_percent, targets.cpu_percent)}`, `${writes}`, `${log_lines}`],
      ];
    }),
  ]);
}
