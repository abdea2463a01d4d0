/** Keeps the journals and logs of a lab whose test failed. */

import type { EtcdServer } from "./etcd.ts";
import { type Machine, tail } from "./machine.ts";

const lines_shown = 30;

/** Writes the machines' journals and consoles and etcd's logs to `.cache/lab-logs/<run>`, and prints the end of each. Returns the directory. */
export async function collect(run: string, machines: readonly Machine[], etcd: readonly EtcdServer[]): Promise<string> {
  const dir = new URL(`../../.cache/lab-logs/${run}`, import.meta.url).pathname;
  Deno.mkdirSync(dir, { recursive: true });
  for (const machine of machines) {
    Deno.writeTextFileSync(`${dir}/${machine.name}.journal.log`, await machine.journal());
    copy(machine.consoleLog, `${dir}/${machine.name}.console.log`);
  }
  for (const member of etcd) copy(member.log, `${dir}/${member.name}.log`);
  console.error(`journals and logs of this lab are in ${dir}`);
  for (const name of [...Deno.readDirSync(dir)].map((entry) => entry.name).sort()) {
    console.error(`--- the end of ${name}\n${tail(`${dir}/${name}`, lines_shown)}`);
  }
  return dir;
}

function copy(from: string, to: string): void {
  try {
    Deno.copyFileSync(from, to);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // the process has not logged anything
  }
}
