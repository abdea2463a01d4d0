/**
 * `deno task picture`: runs a few commands on a cluster of three real machines and draws the terminal that they ran in,
 * for README.md. Needs what the demo needs.
 *
 * @module
 */

import { type FleetCluster, withFleet } from "../tests/lab/fleet_cluster.ts";
import type { Machine } from "../tests/lab/machine.ts";
import { prepare } from "../tests/prepare_host.ts";

const target = new URL("../docs/pictures/terminal.svg", import.meta.url);
const template = await Deno.readTextFile(new URL("./units/web@.service", import.meta.url));

/** Runs a command on a machine, and returns its line and its output as they stand in a terminal. */
async function run(machine: Machine, command: string): Promise<string[]> {
  const output = await machine.sh(`cd /root; ${command}`);
  return [`$ ${command}`, ...output.trimEnd().split("\n"), ""];
}

async function session(cluster: FleetCluster): Promise<string[]> {
  const home = cluster.machine("m1");
  await home.writeFile("/root/web@.service", template.replaceAll(/^#.*\n/gm, ""));
  const before = [
    ...await run(home, "cat web@.service"),
    ...await run(home, "fleetctl start web@1 web@2"),
    ...await run(home, "fleetctl list-units"),
  ];
  const units = ["web@1.service", "web@2.service"];
  const victim = cluster.byId((await cluster.active(home, units)).get(units[0]!)!);
  const survivor = cluster.lab.machines.find((machine) => machine !== victim)!;
  await victim.powerCut();
  await cluster.statesWhere(survivor, "both units to run elsewhere", (states) => {
    const active = states.filter(({ systemdActiveState }) => systemdActiveState === "active");
    return active.length === 2 && !active.some(({ machineID }) => machineID === victim.id);
  });
  const cut = `# the power of machine ${victim.id.slice(0, 8)}... is cut`;
  return [...before, cut, "", ...await run(survivor, "fleetctl list-units")].slice(0, -1);
}

/** Returns a picture of a terminal. Its colors do not depend on the page around it, dark or light. */
function draw(lines: readonly string[]): string {
  const [line_px, left_px, top_px] = [19, 18, 42];
  const width_px = 760;
  const height_px = top_px + lines.length * line_px + 8;
  const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const color = (line: string) => line.startsWith("$") ? "#7ee787" : line.startsWith("#") ? "#ffa657" : "#e6edf3";
  const rows = lines.map((line, index) =>
    `<text x="${left_px}" y="${top_px + 10 + index * line_px}" fill="${color(line)}">${escape(expandTabs(line))}</text>`
  );
  const buttons = ["#ff7b72", "#d29922", "#3fb950"].map((fill, index) =>
    `<circle cx="${left_px + 5 + index * 18}" cy="18" r="5" fill="${fill}"/>`
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width_px} ${height_px}" role="img" ` +
    `aria-label="A terminal in which fleetctl starts two units, which move when their machine fails">`,
    `<rect width="${width_px}" height="${height_px}" rx="8" fill="#161b22" stroke="#444c56"/>`,
    ...buttons,
    '<g font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="14" xml:space="preserve">',
    ...rows,
    "</g>",
    "</svg>\n",
  ].join("\n");
}

/** Replaces each tab by the blanks up to the next multiple of eight columns. */
function expandTabs(line: string): string {
  return line.split("\t").reduce((text, part) => text.padEnd(Math.floor(text.length / 8) * 8 + 8) + part);
}

await prepare();
await withFleet({ machines: 3, conf: { agent_ttl: "5s" } }, async (cluster) => {
  await Deno.writeTextFile(target, draw(await session(cluster)));
});
