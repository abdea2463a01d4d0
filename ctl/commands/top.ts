import { countFlag, secondsFlag, UsageError } from "../cli/argv.ts";
import type { Command } from "../cli/command.ts";
import { listFlags } from "../output/list.ts";
import { machineList, unitList } from "../top/lists.ts";
import { showTop } from "../top/show.ts";

/** `fleetctl top`. */
export const top: Command = {
  name: "top",
  isNew: true,
  group: "observe",
  summary: "Show what units or machines use",
  usage: "top [-n|--iterations=N] [--interval=SECONDS] [-o|--output=FORMAT] [--fields=NAME,...] " +
    "[--filter=KEY=VALUE,...] [--sort=NAME[:desc],...] [units|machines]",
  description:
    `Shows processor time (100 is one core), memory, tasks and input/output in bytes per second, as systemd accounts
for them. Each machine measures when it is asked, and only then. On a terminal, the table is drawn again every
interval: c, m, t, r, w and n sort it by cpu, memory, tasks, read, written and name, Tab changes between units and
machines, and q ends it. Elsewhere one table is printed, after one interval.

A figure without accounting is "-": CPUAccounting=, MemoryAccounting=, TasksAccounting= and IOAccounting= in a unit,
or DefaultCPUAccounting= and the like in systemd-system.conf(5), turn it on. With machines, --fields also takes os
and systemd. The exit status is 1 if a machine does not answer.`,
  examples: [
    { title: "Show the units that use most processor time", line: "fleetctl top" },
    {
      title: "Show the units of one machine by memory",
      line: "fleetctl top --filter machine=454c34ef --sort memory:desc",
    },
    { title: "Print the use of machines once, for a script", line: "fleetctl top machines -n 1 --output json" },
  ],
  flags: [
    // The columns of both lists can be named; each list checks its own.
    ...listFlags({ ...unitList, columns: { ...machineList.columns, ...unitList.columns } } as typeof unitList)
      .map((flag) => flag.name === "fields" ? { ...flag, fallback: "" } : flag),
    countFlag("iterations", 0, "End after N tables; 0: on a terminal never, elsewhere after one", "n"),
    secondsFlag("interval", 2, "Seconds between two measurements"),
  ],
  async run(context) {
    const [subject = "units", ...others] = context.args;
    if (!["units", "machines"].includes(subject) || others.length > 0) {
      throw new UsageError(`top shows units or machines, not ${JSON.stringify([...context.args].join(" "))}`);
    }
    return await showTop(context, subject as "units" | "machines");
  },
};
