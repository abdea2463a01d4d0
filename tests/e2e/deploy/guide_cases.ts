/**
 * Runs docs/guides/applications.md on real machines: its commands, and its transcripts, whose output must be that of the
 * page. `UPDATE_TRANSCRIPTS=1` writes the output into the page instead.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { FleetCluster } from "../../lab/fleet_cluster.ts";

const page = new URL("../../../docs/guides/applications.md", import.meta.url);

/** A block of commands, or a transcript: lines that begin with `$ ` are commands, the others their output. */
const block = /^```(sh)?\n(.*?)^```$/gms;

/** The part of a log line that is different in every run. */
const logPrefix = /^\d{4}\/\S+ \S+ (\w+) \S+: /gm;

/** Lines that depend on how many events arrive together, and on what systemd writes into the journal. */
const optional =
  /^(Creating|Replacing|Updating|Destroying|Rolling back) unit |^(Last log lines|To see the log) of | {2}\w{3} \d\d | is being rolled back: /;

/** Returns lines that are the same in every run. Units that start at the same time are reported in any order. */
function comparable(output: string): string[] {
  return output.trimEnd().split("\n").filter((line) => !optional.test(line)).map((line) =>
    line.replaceAll(/[0-9a-f]{8}\.\.\.(\/[0-9.]+)?/g, "MACHINE").replaceAll(/revision \d+/g, "revision N")
      .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "TIME").replaceAll(/with \d+ units?/g, "with N units")
      .replace(/rolled back: .*/, "rolled back: REASON").replaceAll(/\s+/g, " ").trim()
  ).toSorted();
}

/** Runs the guide from its beginning to its end. */
export async function followGuide(cluster: FleetCluster): Promise<void> {
  const machine = cluster.machine("m1");
  const run = (commands: string) => machine.run(["sh", "-c", `mkdir -p /root/guide; cd /root/guide; ${commands}`]);
  const isUpdate = Deno.env.get("UPDATE_TRANSCRIPTS") === "1";
  const text = await Deno.readTextFile(page);
  const updated = new Map<number, string>();
  for (const { 1: kind, 2: body = "", index } of text.matchAll(block)) {
    if (kind === "sh") {
      const { code, stdout, stderr } = await run(`set -e\n${body}`);
      assert.equal(code, 0, `${body}${stdout}${stderr}`);
      continue;
    }
    let transcript = "";
    for (const part of body.split(/^(?=\$ )/m)) {
      const [line = "", ...shown] = part.trimEnd().split("\n");
      // As a terminal shows it: both streams together.
      const output = (await run(`{ ${line.slice(2)}; } 2>&1`)).stdout.replaceAll(logPrefix, "$1 ").trimEnd();
      if (!isUpdate) assert.deepEqual(comparable(output), comparable(shown.join("\n")), line);
      transcript += `${line}\n${output}\n`;
    }
    updated.set(index!, "```\n" + transcript + "```");
  }
  if (isUpdate) {
    await Deno.writeTextFile(page, text.replaceAll(block, (whole, _kind, _body, index) => updated.get(index) ?? whole));
  }
}
