import type { CordonEntity, MachineEntity, MachineUsageEntity } from "../../daemon/api/v1/types.ts";
import { ApiError } from "../api/client.ts";
import type { Command } from "../cli/command.ts";
import { globMatcher } from "../../runtime/glob.ts";
import { reasonOf } from "../terminal/port.ts";
import { type Columns, nothing, textColumn } from "../output/list.ts";
import { type ClusterList, clusterListFlags, runList } from "../output/watch.ts";
import { cpuText, memoryText } from "../../registry/reservation.ts";
import { isMachine, machineIdLegend } from "../machines/format.ts";
import { numberColumn, uptimeText } from "../top/lists.ts";

/** A machine, and what it uses if it is shown. */
interface Row extends MachineEntity {
  readonly usage?: MachineUsageEntity;
}

/** The columns that the machines themselves must be asked for. */
const measured: Columns<Row> = {
  load: textColumn(({ usage }) => usage?.load),
  uptime: numberColumn(({ usage }) => usage?.uptimeSeconds, uptimeText),
  os: textColumn(({ usage }) => usage?.os),
  systemd: textColumn(({ usage }) => usage?.systemd),
};

const columns: Columns<Row> = {
  machine: {
    text: (machine, full) => machineIdLegend(machine.id, full),
    json: (machine) => machine.id,
    matches: isMachine,
  },
  ip: textColumn((machine) => machine.primaryIP),
  capacity: { text: ({ capacity }) => amountsText(capacity), json: ({ capacity }) => capacity ?? {} },
  reserved: { text: ({ reserved }) => amountsText(reserved), json: ({ reserved }) => reserved ?? {} },
  cordon: textColumn((machine) => machine.cordon && cordonText(machine.cordon)),
  metadata: {
    text: (machine) => metadataText(machine.metadata),
    json: (machine) => machine.metadata ?? {},
    matches: ({ metadata = {} }, wanted) => {
      const [, key = wanted, value = "*"] = /^([^=]*)=(.*)$/s.exec(wanted) ?? [];
      return Object.hasOwn(metadata, key) && globMatcher(value)(metadata[key]!);
    },
  },
  ...measured,
};

const list: ClusterList<Row> = {
  columns,
  defaultFields: "machine,ip,metadata",
  key: ["machine"],
  filters: {
    name: { fields: ["metadata"], matches: ({ metadata }, wanted) => globMatcher(wanted)(metadata?.name ?? nothing) },
  },
  kinds: ["machine"],
  async read({ client, io }, needed) {
    const rows = await client.machines().catch((error) => {
      throw listError(error);
    });
    if (!Object.keys(measured).some((name) => needed.has(name))) return { rows, status: 0 };
    const usage = await client.usage(false).catch((error) => {
      io.log("DEBUG", `Machines cannot be asked what they use: ${reasonOf(error)}`);
      return { machines: [] };
    });
    const byId = new Map(usage.machines.map((each) => [each.machineID, each]));
    return { rows: rows.map((machine) => ({ ...machine, usage: byId.get(machine.id)! })), status: 0 };
  },
};

/** `fleetctl list-machines`. */
export const listMachines: Command = {
  name: "list-machines",
  takesNothing: true,
  group: "machines",
  summary: "List the machines of the cluster",
  usage:
    "list-machines [-w|--watch] [-o|--output=FORMAT] [--fields=NAME,...] [--filter=KEY=VALUE,...] [--sort=NAME[:desc],...]",
  description: `Lists the machines that are present. Machines whose daemon is stopped or unreachable are not shown.
The field capacity says what units can reserve on a machine, and reserved what its units reserve. The field
cordon says who has cordoned a machine, and why. The fields load, uptime, os and systemd are asked of the
machines themselves, and empty for one that does not answer.`,
  examples: [
    { title: "List all machines", line: "fleetctl list-machines" },
    { title: "List the machines of a zone", line: "fleetctl list-machines --filter metadata=zone=a" },
    {
      title: "Print chosen values under other titles",
      line: "fleetctl list-machines -o custom-columns=ADDRESS:ip,ZONE:metadata.zone",
    },
    {
      title: "Print whole IDs without a header, for a script",
      line: "fleetctl list-machines --full --no-legend --fields=machine",
    },
  ],
  flags: clusterListFlags(list),
  run: (context) => runList(context, list),
};

/** Returns the error of a failed request, whose lines say what may be wrong. */
function listError(cause: unknown): Error {
  const failed = new Error(`Error retrieving the list of machines: ${reasonOf(cause)}`, { cause });
  if (!isStoreAway(cause)) return failed;
  const issues = [
    "Possible issues:",
    "  etcd is unhealthy and/or lost quorum",
    "  connection cannot be established to any etcd servers",
  ];
  return new AggregateError([failed, ...issues.map((line) => new Error(line))], failed.message, { cause });
}

/** True if the server answers that it cannot reach its store. */
function isStoreAway(error: unknown): boolean {
  return error instanceof ApiError && error.code === 503 && error.message.includes("unable to communicate with etcd");
}

/** Returns a cordon as a text without spaces at its ends: the author and the reason, or `yes`. */
function cordonText({ by, why }: CordonEntity): string {
  const text = [by, why].filter((part) => part !== undefined && part !== "").join(": ");
  return text === "" ? "yes" : text;
}

function metadataText(metadata: MachineEntity["metadata"]): string {
  const pairs = Object.entries(metadata ?? {}).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? nothing : pairs.sort().join(",");
}

/** Returns amounts as a list: `2 CPUs, 4 GiB, gpu=1`. */
function amountsText(amounts: MachineEntity["capacity"]): string {
  if (!amounts) return nothing;
  const { cpu, memory, resources = {} } = amounts;
  const counted = Object.entries(resources).map(([name, amount]) => `${name}=${amount}`);
  const words = [...cpu > 0 ? [cpuText(cpu)] : [], ...memory > 0 ? [memoryText(memory)] : [], ...counted];
  return words.length === 0 ? nothing : words.join(", ");
}
