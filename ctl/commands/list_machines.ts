import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import { ApiError } from "../api/client.ts";
import { type Command, exitFailure } from "../cli/command.ts";
import { printError, reasonOf } from "../terminal/port.ts";
import { chosenFields, type Columns, listFlags, nothing, printList, textColumn } from "../output/list.ts";
import { machineIdLegend } from "../machines/format.ts";

const columns: Columns<MachineEntity> = {
  machine: { text: (machine, full) => machineIdLegend(machine.id, full), json: (machine) => machine.id },
  ip: textColumn((machine) => machine.primaryIP),
  metadata: { text: (machine) => metadataText(machine.metadata), json: (machine) => machine.metadata ?? {} },
};

/** `fleetctl list-machines`. */
export const listMachines: Command = {
  name: "list-machines",
  takesNothing: true,
  group: "machines",
  summary: "List the machines of the cluster",
  usage: "list-machines [-l|--full] [--no-legend] [--fields=NAME,...] [--output=FORMAT]",
  description: `Lists the machines that are present. Machines whose daemon is stopped or unreachable are not shown.`,
  examples: [
    { title: "List all machines", line: "fleetctl list-machines" },
    {
      title: "Print whole IDs without a header, for a script",
      line: "fleetctl list-machines --full --no-legend --fields=machine",
    },
  ],
  flags: listFlags(columns, "machine,ip,metadata"),
  async run(context) {
    const fields = chosenFields(context, columns);
    let machines: readonly MachineEntity[];
    try {
      machines = await context.client.machines();
    } catch (error) {
      printError(context.io, `Error retrieving the list of machines: ${reasonOf(error)}`);
      if (isStoreAway(error)) {
        printError(context.io, "Possible issues:");
        printError(context.io, "  etcd is unhealthy and/or lost quorum");
        printError(context.io, "  connection cannot be established to any etcd servers");
      }
      return exitFailure;
    }
    await printList(context, columns, fields, machines);
    return 0;
  },
};

/** True if the server answers that it cannot reach its store. */
function isStoreAway(error: unknown): boolean {
  return error instanceof ApiError && error.code === 503 && error.message.includes("unable to communicate with etcd");
}

function metadataText(metadata: MachineEntity["metadata"]): string {
  const pairs = Object.entries(metadata ?? {}).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? nothing : pairs.sort().join(",");
}
