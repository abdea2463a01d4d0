/**
 * Runs the transcripts of `fleetctl` in `transcripts/` against the fakes of ctl/testing and compares what each command
 * writes, changes and returns with what the file says.
 *
 * `UPDATE_TRANSCRIPTS=1 deno task test tests/cli/transcripts_test.ts` writes the results into the files instead, so that
 * a changed word is one reviewed diff. Files that prove compatibility with fleet 1.0 are never rewritten.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Scene } from "./scene.ts";
import { formatTranscript, mayRewrite, parseTranscript, type Step } from "./transcript.ts";

const folder = new URL("./transcripts/", import.meta.url);
const isUpdate = Deno.env.get("UPDATE_TRANSCRIPTS") === "1";

// Times of day are printed where the reader is.
Deno.env.set("TZ", "UTC");

/** Runs every step in order. `reset` goes back to the scene that stands above the first command. */
async function play(steps: readonly Step[], hasEvents: boolean): Promise<Map<Step, string[]>> {
  const results = new Map<Step, string[]>();
  const first = steps.findIndex((step) => step.isCommand);
  const begin = async () => {
    const scene = new Scene(hasEvents);
    for (const step of steps.slice(0, first)) await carryOut(scene, step);
    return scene;
  };
  let scene = await begin();
  for (const step of steps.slice(first)) {
    if (step.line === "reset") scene = await begin();
    else if (step.isCommand) results.set(step, await located(step, () => scene.run(step.line)));
    else await carryOut(scene, step);
  }
  return results;
}

async function carryOut(scene: Scene, step: Step): Promise<void> {
  if (step.line !== alsoWithoutEvents) await located(step, () => scene.set(step));
}

async function located<Result>(step: Step, work: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    throw new Error(`line ${step.number}: ${(cause as Error).message}`, { cause });
  }
}

/** The directive of a scenario that must come out the same against a server that cannot be followed, as that of fleet 1.0. */
const alsoWithoutEvents = "also without events";

for (const { name } of [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1)) {
  Deno.test(`transcript: ${name.replace(/\.txt$/, "")}`, async () => {
    const path = new URL(name, folder);
    const text = await Deno.readTextFile(path);
    const steps = parseTranscript(text);
    const result = formatTranscript(steps, await play(steps, true));
    if (isUpdate && mayRewrite(text)) await Deno.writeTextFile(path, result);
    else assert.equal(result, text);
    if (steps.some(({ line }) => line === alsoWithoutEvents)) {
      assert.equal(formatTranscript(steps, await play(steps, false)), result, "against a server without events");
    }
  });
}

Deno.test("the update switch may rewrite a transcript unless it proves compatibility with fleet 1.0", () => {
  assert.ok(mayRewrite("# about compatibility: fleet 1.0\n\n$ fleetctl version\n"));
  assert.ok(!mayRewrite("# about\ncompatibility: fleet 1.0\n\n$ fleetctl version\n"));
});
