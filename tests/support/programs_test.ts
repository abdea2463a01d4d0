import assert from "node:assert/strict";
import { copyProgram, writeProgram } from "./programs.ts";

async function inTempDir(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "fleet-programs-" });
  try {
    await work(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const outputOf = async (program: string) => {
  const { code, stdout } = await new Deno.Command(program, { stdin: "null" }).output();
  return { code, stdout: new TextDecoder().decode(stdout) };
};

Deno.test("written and copied programs run while other programs are started", () =>
  inTempDir(async (directory) => {
    let isDone = false;
    const others = (async () => {
      while (!isDone) await outputOf("/bin/true");
    })();
    for (let round = 0; round < 20; round++) {
      await writeProgram(`${directory}/a`, `#!/bin/sh\necho ${round}\n`);
      await copyProgram(`${directory}/a`, `${directory}/b`);
      for (const program of ["a", "b"]) {
        assert.deepEqual(await outputOf(`${directory}/${program}`), { code: 0, stdout: `${round}\n` });
      }
    }
    isDone = true;
    await others;
  }));

Deno.test("a program that cannot be written or copied is named in the error", () =>
  inTempDir(async (directory) => {
    await assert.rejects(writeProgram(`${directory}/none/a`, ""), /cannot write .*\/none\/a: .*/);
    await assert.rejects(copyProgram(`${directory}/none`, `${directory}/b`), /cannot copy .*\/none: .*/);
  }));
