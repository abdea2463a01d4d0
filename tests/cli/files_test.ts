/** Tests of the modes of the files that fleetctl creates. */

import assert from "node:assert/strict";
import { sshEnvironment } from "../../ctl/ssh/local_machine.ts";
import { terminal } from "../../ctl/terminal/deno.ts";
import { fileTable } from "../lab/file_table.ts";

Deno.test("files of fleetctl give no more rights than docs/reference/files.md lists", async () => {
  const directory = await Deno.makeTempDir();
  const real = (path: string) => path.replace("~", directory).replace("DIRECTORY", `${directory}/backup`);
  try {
    await sshEnvironment().appendLine(real("~/.fleetctl/known_hosts"), "a key\n");
    await terminal(false).createDirectory(real("DIRECTORY"));
    await terminal(false).createFile(real("DIRECTORY/*"), "text");
    const rows = fileTable().filter(({ owner }) => owner === "user");
    assert.equal(rows.length, 4);
    for (const { path, mode } of rows) {
      const found = await Deno.stat(real(path));
      assert.equal(found.mode! & 0o777 & ~parseInt(mode, 8), 0, path);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
