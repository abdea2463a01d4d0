import assert from "node:assert/strict";
import { writeProgram } from "../../../tests/support/programs.ts";
import { verifyUnits } from "./unit_verifier.ts";

const files = new Map([["a.service", "[Service]\nExecStart=/bin/a\n"], ["b@.timer", "[Timer]\nOnBootSec=1\n"]]);

/** Verifies the files while systemd-analyze is a shell script; a directory of an earlier run is left behind. */
async function verified(script: string | undefined, over = new AbortController(), started = () => {}) {
  const directory = await Deno.makeTempDir({ prefix: "fleet-verify-" });
  const path = Deno.env.get("PATH") ?? "";
  if (script !== undefined) await writeProgram(`${directory}/systemd-analyze`, `#!/bin/sh\n${script}`);
  await Deno.mkdir(`${directory}/verify`);
  await Deno.writeTextFile(`${directory}/verify/a.service`, "old");
  Deno.env.set("PATH", script === undefined ? directory : `${directory}:${path}`);
  try {
    const verification = verifyUnits(`${directory}/verify`, false, files, over.signal);
    for (let isOver = false; script?.includes("started") && !isOver;) {
      isOver = await Deno.stat(`${directory}/started`).then(() => true, () => false);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    started();
    return await verification;
  } finally {
    Deno.env.set("PATH", path);
    await assert.rejects(Deno.stat(`${directory}/verify`), Deno.errors.NotFound);
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("systemd-analyze gets the files, and they are removed", async () => {
  const script = 'echo "$1 $2 ${3##*/} ${4##*/}" >&2; cat "$3" "$4" >&2; stat -c %a "${3%/*}" >&2; exit 1';
  const text = `verify --man=no a.service b@.timer\n${[...files.values()].join("")}700\n`;
  assert.equal(await verified(script), text);
});

Deno.test("a machine without systemd-analyze gives no findings", async () => {
  assert.equal(await verified(undefined), undefined);
});

Deno.test("systemd-analyze with much to say is ended", async () => {
  const text = await verified("exec yes /a.service:1: wrong >&2");
  assert.ok(text!.length > 200_000 && text!.length <= 256 * 1024);
  assert.match(text!, /wrong\n$/);
});

Deno.test("systemd-analyze is ended if it takes too long", async () => {
  const over = new AbortController();
  const verification = verified('touch "${0%/*}/started"; exec sleep 600', over, () => over.abort(new Error("enough")));
  await assert.rejects(verification, /enough/);
});
