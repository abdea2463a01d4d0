import type { AppEntity } from "../../daemon/api/v1/types.ts";
import { type Command, exitFailure } from "../cli/command.ts";
import { nothing, textColumn } from "../output/list.ts";
import { calendarDate, clockTime } from "../output/time.ts";
import { type ClusterList, clusterListFlags, runList } from "../output/watch.ts";
import { printError, rethrowAs } from "../terminal/port.ts";

const tones: Readonly<Record<string, "good" | "bad" | "busy">> = {
  ...{ done: "good", failed: "bad", "rolled-back": "bad", aborted: "bad" },
  ...{ preparing: "busy", running: "busy", paused: "busy", "rolling-back": "busy" },
};

const list: ClusterList<AppEntity> = {
  columns: {
    app: textColumn(({ name }) => name),
    version: {
      text: ({ version }) => version === 0 ? nothing : String(version),
      json: ({ version }) => version,
    },
    units: { text: ({ size }) => String(size), json: ({ size }) => size },
    rollout: {
      ...textColumn<AppEntity>(({ rollout }) => rollout?.status),
      tone: ({ rollout }) => rollout && tones[rollout.status],
    },
    reason: textColumn(({ rollout }) => rollout?.reason),
    time: {
      text: ({ changed }) => changed ? `${calendarDate(changed.at)} ${clockTime(changed.at)}` : nothing,
      json: ({ changed }) => changed?.at ?? null,
    },
    by: textColumn(({ changed }) => changed?.by),
  },
  defaultFields: "app,version,units,rollout,time,by",
  key: ["app"],
  kinds: ["rollout", "unit"],
  async read({ io, client, args }) {
    const all = await client.apps().catch(rethrowAs("Error retrieving the list of applications"));
    const missing = args.filter((name) => !all.some((app) => app.name === name));
    for (const name of missing) printError(io, `Application ${name} does not exist`);
    const rows = args.length === 0 ? all : all.filter(({ name }) => args.includes(name));
    return { rows, status: missing.length > 0 ? exitFailure : 0 };
  },
};

/** `fleetctl apps`: lists the applications. */
export const apps: Command = {
  name: "apps",
  isNew: true,
  group: "apps",
  summary: "List the applications of the cluster",
  usage: "apps [-w|--watch] [-o|--output=FORMAT] [--fields=NAME,...] [--filter=KEY=VALUE,...] [APP...]",
  description:
    `Lists the applications with the number of their newest version, how many units they own, and the state of
their latest roll-out. The time is that of the newest version; in JSON it is in milliseconds since the epoch.`,
  examples: [
    { title: "List the applications", line: "fleetctl apps" },
    { title: "Show why a roll-out has failed", line: "fleetctl apps --fields=app,rollout,reason shop" },
  ],
  flags: clusterListFlags(list),
  run: (context) => runList(context, list),
};
