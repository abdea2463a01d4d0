import type { VersionEntity } from "../../daemon/api/v1/types.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import type { Command } from "../cli/command.ts";
import { chosenFields, type Columns, listFlags, printList, textColumn } from "../output/list.ts";
import { calendarDate, clockTime } from "../output/time.ts";
import { showEach } from "../units/set_state.ts";
import { versionsInCluster } from "../units/versions.ts";

interface Row extends VersionEntity {
  readonly unit: string;
}

const columns: Columns<Row> = {
  unit: textColumn(({ unit }) => unit),
  version: { text: ({ version }) => String(version), json: ({ version }) => version },
  hash: { text: ({ hash }, full) => full ? hash : hash.slice(0, 7), json: ({ hash }) => hash },
  time: {
    text: ({ changed }) => changed ? `${calendarDate(changed.at)} ${clockTime(changed.at)}` : "-",
    json: ({ changed }) => changed?.at ?? null,
  },
  by: textColumn(({ changed }) => changed?.by),
};

/** `fleetctl history`: lists the versions of units. */
export const history: Command = {
  name: "history",
  isNew: true,
  group: "observe",
  summary: "List the versions of units",
  usage: "history [-l|--full] [--no-legend] [--fields=NAME,...] [--output=FORMAT] UNIT...",
  description: `Lists the files that a unit has had: their numbers, newest first, and when and by whom each was put. The
cluster keeps the ten latest versions until the unit is destroyed. The time in JSON is in milliseconds since
the epoch. fleetctl cat --at=N prints a version, and fleetctl rollback goes back to one.`,
  examples: [
    { title: "List the versions of a unit", line: "fleetctl history web.service" },
    {
      title: "Compare the present version with an older one",
      line: "diff <(fleetctl cat --at=2 web.service) <(fleetctl cat web.service)  # see fleetctl history web",
    },
  ],
  units: { scope: "every unit" },
  flags: listFlags(columns, "unit,version,hash,time,by"),
  async run(context) {
    const fields = chosenFields(context, columns);
    const rows: Row[] = [];
    const status = await showEach(context, [...new Set(context.args.map(mangleUnitName))], async (unit) => {
      rows.push(...(await versionsInCluster(context, unit)).versions.map((version) => ({ ...version, unit })));
      return 0;
    });
    await printList(context, columns, fields, rows);
    return status;
  },
};
