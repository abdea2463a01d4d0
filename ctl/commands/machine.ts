import { UsageError } from "../cli/argv.ts";
import type { Command, Context } from "../cli/command.ts";
import { printLine, rethrowAs } from "../terminal/port.ts";
import { machineLegend } from "../machines/format.ts";
import { machineByName } from "../machines/select.ts";

/** `fleetctl machine label`: changes the dynamic metadata of a machine. */
export const machine: Command = {
  name: "machine",
  isNew: true,
  group: "machines",
  summary: "Change the metadata of a machine",
  usage: "machine label MACHINE KEY=VALUE|KEY-...",
  description:
    `Sets metadata of a machine, named by the beginning of its ID, its address or its name (the metadata name or
hostname), or removes it (KEY-), in addition to the metadata
of its configuration. Units that may no longer run there are moved; units that wait for such a machine
are placed.`,
  examples: [
    { title: "Set one value and remove another", line: "fleetctl machine label 2444264c disk=ssd rack-" },
  ],
  flags: [],
  async run(context) {
    const { args } = context;
    const [verb, prefix, ...words] = args;
    const labels = words.map(parseLabel);
    const wrong = words.find((_word, index) => !labels[index]);
    const problem = verb !== undefined && verb !== "label"
      ? `unknown command ${JSON.stringify(`machine ${verb}`)} (did you mean machine label?)`
      : prefix === undefined || labels.length === 0
      ? "name a machine and at least one KEY=VALUE or KEY-"
      : wrong !== undefined
      ? `${JSON.stringify(wrong)} is neither KEY=VALUE nor KEY-`
      : undefined;
    if (problem !== undefined) throw new UsageError(problem);
    return await label(context, prefix as string, labels.filter((label) => label !== undefined));
  },
};

interface Label {
  readonly key: string;
  /** Undefined to remove the key. */
  readonly value?: string;
}

function parseLabel(word: string): Label | undefined {
  const [, key, value] = /^([^=/\s]+)=(.*)$/s.exec(word) ?? [];
  if (key !== undefined && value !== undefined) return { key, value };
  const [, gone] = /^([^=/\s]+)-$/.exec(word) ?? [];
  return gone === undefined ? undefined : { key: gone };
}

async function label(context: Context, prefix: string, labels: readonly Label[]): Promise<number> {
  const { io, client } = context;
  const failed = rethrowAs(`Unable to label machine ${prefix}`);
  const target = await machineByName(context, prefix).catch(failed);
  await client.label(target.id, labels).catch(failed);
  for (const { key, value } of labels) {
    const change = value === undefined ? `${key} removed` : `${key}=${value}`;
    printLine(io, `Machine ${machineLegend(target, false)} ${change}`);
  }
  return 0;
}
