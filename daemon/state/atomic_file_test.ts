import assert from "node:assert/strict";
import { messageOf } from "../../runtime/log.ts";
import { write } from "./atomic_file.ts";

Deno.test("a write that fails names the file, in the same words each time, and leaves no draft", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/store.json`;
    // A directory that is not empty cannot be replaced by a file.
    await Deno.mkdir(`${path}/in/the/way`, { recursive: true });
    const messages = new Set<string>();
    for (let time = 0; time < 20; time++) {
      await write(path, "text").then(() => assert.fail(), (error) => messages.add(messageOf(error)));
    }
    assert.deepEqual([...messages], [`cannot write ${path}: Is a directory (os error 21)`]);
    assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name), ["store.json"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
