import type { AppVersionEntity, HistoryEntity, VersionEntity } from "../../daemon/api/v1/types.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { appAmong, appFlag, appMissing } from "../apps/name.ts";
import { UsageError } from "../cli/argv.ts";
import type { Command, Context } from "../cli/command.ts";
import { type Columns, nothing, textColumn } from "../output/list.ts";
import { type ClusterList, clusterListFlags, runList } from "../output/watch.ts";
import { machineIdLegend } from "../machines/format.ts";
import { calendarDate, clockTime } from "../output/time.ts";
import { unitMatcher } from "../units/select.ts";
import { showEach } from "../units/set_state.ts";
import { versionsInCluster } from "../units/versions.ts";

/** Columns of every version. */
const versionColumns: Columns<Partial<Pick<VersionEntity, "version" | "changed">>> = {
  version: {
    text: ({ version }) => version === undefined ? nothing : String(version),
    json: ({ version }) => version ?? null,
  },
  time: {
    text: ({ changed }) => changed ? `${calendarDate(changed.at)} ${clockTime(changed.at)}` : nothing,
    json: ({ changed }) => changed?.at ?? null,
  },
  by: textColumn(({ changed }) => changed?.by),
};

/** A version of a unit, a restart, or a decision of the engine about it. */
interface UnitRow extends Partial<Pick<VersionEntity, "version" | "hash">> {
  readonly unit: string;
  readonly changed?: NonNullable<VersionEntity["changed"]>;
  readonly machineID?: string;
  readonly why?: string;
}

/** Returns the rows of a unit, newest first; those without a time come last. */
function unitRows({ name: unit, versions, placements = [] }: HistoryEntity): UnitRow[] {
  const rows = versions.flatMap(({ version, hash, changed, restarts = [] }): UnitRow[] => [
    ...restarts.map((changed) => ({ unit, version, hash, changed })),
    { unit, version, hash, ...changed && { changed } },
  ]);
  const placed = placements.map(({ at, machineID, why }): UnitRow => {
    return { unit, machineID, why, changed: { at, by: "engine", what: "placed" } };
  });
  // Of the same millisecond, the decision of the engine follows from the change.
  return [...placed, ...rows].sort((a, b) => (b.changed?.at ?? 0) - (a.changed?.at ?? 0));
}

const unitList: ClusterList<UnitRow> = {
  columns: {
    unit: textColumn(({ unit }) => unit),
    what: {
      text: ({ changed, machineID, why }, full) =>
        machineID === undefined ? changed?.what ?? nothing : `on ${machineIdLegend(machineID, full)}: ${why}`,
      json: ({ changed }) => changed?.what ?? null,
    },
    hash: { text: ({ hash }, full) => (full ? hash : hash?.slice(0, 7)) ?? nothing, json: ({ hash }) => hash ?? null },
    machine: textColumn(({ machineID }) => machineID),
    why: textColumn(({ why }) => why),
    ...versionColumns,
  },
  defaultFields: "unit,version,hash,time,by,what",
  key: ["unit", "version", "time", "what"],
  filters: { name: { fields: ["unit"], matches: ({ unit }, wanted) => unitMatcher(wanted)(unit) } },
  kinds: ["unit"],
  scope: "every unit",
  async read(context) {
    const rows: UnitRow[] = [];
    const status = await showEach(context, [...new Set(context.args.map(mangleUnitName))], async (unit) => {
      rows.push(...unitRows(await versionsInCluster(context, unit)));
      return 0;
    });
    return { rows, status };
  },
};

interface AppRow extends AppVersionEntity {
  readonly app: string;
}

/** The names of units that are printed unless `--full`. */
const namesShown = 3;

function namesText(names: readonly string[], full: boolean): string {
  if (full || names.length <= namesShown) return names.join(", ");
  return `${names.slice(0, namesShown).join(", ")} and ${names.length - namesShown} more`;
}

/** Returns the list of the versions of an application. */
function appList(name: string): ClusterList<AppRow> {
  return {
    columns: {
      app: textColumn(({ app }) => app),
      what: textColumn(({ what }) => what),
      units: { text: ({ units }, full) => namesText(units, full), json: ({ units }) => units },
      ...versionColumns,
    },
    defaultFields: "app,version,what,time,by,units",
    key: ["app", "version"],
    kinds: ["rollout"],
    async read({ client }) {
      const app = await client.app(name);
      if (!app) throw new Error(appMissing(name));
      return { rows: (app.versions ?? []).map((version) => ({ ...version, app: name })), status: 0 };
    },
  };
}

/** `fleetctl history`: lists the versions of units, or of an application. */
export const history: Command = {
  name: "history",
  isNew: true,
  group: "observe",
  summary: "List the versions of units, or of an application",
  usage: "history [-w|--watch] [-o|--output=FORMAT] [--fields=NAME,...] [--filter=KEY=VALUE,...] " +
    "[--sort=NAME[:desc],...] UNIT...|APP|--app=APP",
  description:
    `Lists the files that a unit has had, newest first, with when and by whom each was put; the restarts that were
requested; and the machines on which the engine has placed it, with the reason. The cluster keeps the ten latest
versions with five restarts each, and the ten latest placements, until the unit is destroyed. The time in
JSON is in milliseconds since the epoch. fleetctl cat --at=N prints a version, and fleetctl rollback goes back to one.

For an application, lists its latest ten changes with the units that each has changed, in the columns app, version,
what, time, by and units. A name without a type such as .service is that of a unit if there is such a unit.`,
  examples: [
    { title: "List the versions of a unit", line: "fleetctl history web.service" },
    { title: "List the changes of an application", line: "fleetctl history --app=shop" },
    {
      title: "Compare the present version with an older one",
      line: "diff <(fleetctl cat --at=2 web.service) <(fleetctl cat web.service)  # see fleetctl history web",
    },
  ],
  units: { scope: "every unit", areOptional: true },
  flags: [appFlag, ...clusterListFlags(unitList)],
  async run(context) {
    const { args, flags } = context;
    if (args.length === 0 && !flags.given(appFlag.name)) throw new UsageError("no units given");
    const app = await appAmong(context);
    return app === undefined ? await runList(context, unitList) : await listApp(context, app);
  },
};

async function listApp(context: Context, name: string): Promise<number> {
  const { flags } = context;
  const list = appList(name);
  const isAll = /^(wide|jsonpath|custom-columns)/.test(flags.text("output")) || flags.given("fields");
  const ofApp = isAll ? flags : flags.with(new Map([["fields", list.defaultFields]]));
  return await runList({ ...context, flags: ofApp }, list);
}
