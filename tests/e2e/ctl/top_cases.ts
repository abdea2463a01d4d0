/** The use of resources, on real machines: the figures of systemd, and a real terminal. */

import assert from "node:assert/strict";
import type { MachineUsageEntity, UsageEntity } from "../../../daemon/api/v1/types.ts";
import { type Case, Home, type Stage } from "./home.ts";

/** Returns what a machine reports through m1. */
async function usageOf({ cluster, m1 }: Stage, id: string): Promise<MachineUsageEntity> {
  const answer = await cluster.request(m1, "GET", "/usage");
  assert.equal(answer.status, 200);
  const { machines } = await answer.json() as UsageEntity;
  assert.equal(machines.length, 3);
  return machines.find(({ machineID }) => machineID === id)!;
}

/** Steps for a cluster of three machines whose APIs are open to each other, with the units near, far and all. */
export const topCases: readonly Case[] = [
  {
    name: "the usage of units on another machine is that of systemd-cgtop",
    async run(stage) {
      const { m2 } = stage;
      const before = await usageOf(stage, m2.id);
      const cgtop = await m2.must(["systemd-cgtop", "--batch", "--iterations=1", "--raw", "--cpu=time", "--depth=9"]);
      const after = await usageOf(stage, m2.id);
      for (const unit of ["all.service", "far.service"]) {
        const [, time] = new RegExp(`/${unit} +\\S+ +(\\d+)`).exec(cgtop) ?? [];
        const cpu = ({ units }: MachineUsageEntity) => units?.find(({ name }) => name === unit)?.cpuMicroseconds ?? NaN;
        const seen = Number(time);
        assert.ok(cpu(before) > 0, JSON.stringify(before));
        const isBetween = cpu(before) <= seen + 1 && seen <= cpu(after) + 1;
        assert.ok(isBetween, `${unit}: ${cpu(before)} ≤ ${seen} ≤ ${cpu(after)}\n${cgtop}`);
      }
      const { cores = 0, load = "", memoryBytes = 0, memoryTotalBytes = 0, uptimeSeconds = 0, os, systemd } = after;
      assert.ok(cores > 0 && memoryBytes > 0 && memoryTotalBytes > memoryBytes && uptimeSeconds > 0);
      assert.match(load, /^\d+\.\d\d \d+\.\d\d \d+\.\d\d$/);
      assert.match(os!, /Debian/);
      assert.match(systemd!, /^25\d/);
    },
  },
  {
    name: "top prints units of every machine, and machines with their system",
    async run(stage) {
      const home = await Home.with(stage, []);
      const units = await home.fleetctl(["top", "--interval=1", "--output=json"]);
      assert.equal(units.code, 0, units.stderr);
      const rows = JSON.parse(units.stdout) as { unit: string; machine: string; cpu: number | null }[];
      const [m1, m2, m3] = [stage.m1.id, stage.m2.id, stage.m3.id];
      for (
        const [unit, ids] of Object.entries({ "all.service": [m1, m2, m3], "far.service": [m2], "near.service": [m1] })
      ) {
        const found = rows.filter((row) => row.unit === unit);
        assert.deepEqual(found.map(({ machine }) => machine).sort(), ids, unit);
        for (const { cpu } of found) assert.ok(cpu !== null && cpu >= 0, units.stdout);
      }
      const { stdout } = await home.fleetctl(["list-machines", "--output=wide", "--no-legend"]);
      assert.equal(stdout.match(/Debian/g)?.length, 3, stdout);
    },
  },
  {
    name: "top draws on a terminal, obeys keys, and leaves the terminal as it was",
    async run(stage) {
      const home = await Home.with(stage, []);
      for (const [end, name] of [["q", "q"], ["\x03", "^C"]] as const) {
        const shown = await home.typed(
          "cd; stty -g >before; fleetctl top --interval=1; echo status $?; stty -g >after",
          [
            { after: /UNIT .*CPU[^]*near\.service/, type: "\t" },
            { after: /MACHINE .*UPTIME[^]*01010101/, type: end },
          ],
        );
        assert.match(shown.stdout, /status 0/, name);
        const settings = await home.run(["sh", "-c", "cd; cat before after | sort -u | wc -l"]);
        assert.equal(settings.stdout.trim(), "1", `${name} restores the terminal`);
      }
    },
  },
];
