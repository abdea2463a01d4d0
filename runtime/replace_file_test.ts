import assert from "node:assert/strict";
import { replaceFile, replaceFileDurably } from "./replace_file.ts";

async function inDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = Deno.makeTempDirSync();
  try {
    await work(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

const names = (directory: string) => [...Deno.readDirSync(directory)].map(({ name }) => name).sort();

for (const [umask, mode] of [["000", 0o600], ["000", 0o644], ["077", 0o644]] as const) {
  Deno.test(`a file is replaced with mode ${mode.toString(8)} under the umask ${umask}`, async () => {
    const directory = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${directory}/a`, "old");
      await Deno.chmod(`${directory}/a`, 0o666);
      const module = JSON.stringify(import.meta.resolve("./replace_file.ts"));
      const program =
        `import { replaceFile, replaceFileDurably } from ${module}; await replaceFile("a", "new", "text", ${mode})`;
      // Another process: the umask belongs to all threads of this one, and they run other tests.
      const { success } = await new Deno.Command("sh", {
        args: ["-c", `umask ${umask}; exec "$0" eval "$1"`, Deno.execPath(), program],
        cwd: directory,
        stdout: "null",
      }).output();
      assert.ok(success);
      assert.equal((await Deno.stat(`${directory}/a`)).mode! & 0o777, mode);
      assert.equal(await Deno.readTextFile(`${directory}/a`), "text");
      assert.deepEqual(names(directory), ["a"]);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

for (const link of [Deno.symlinkSync, Deno.linkSync]) {
  Deno.test(`${link.name}: another file that is linked from the path or the draft is not changed`, () =>
    inDirectory(async (directory) => {
      const other = `${directory}/other`;
      Deno.writeTextFileSync(other, "secret", { mode: 0o600 });
      for (const name of ["a", "new"]) link(other, `${directory}/${name}`);
      await replaceFile(`${directory}/a`, `${directory}/new`, "text", 0o644);
      assert.deepEqual([Deno.readTextFileSync(other), Deno.statSync(other).mode! & 0o777], ["secret", 0o600]);
      assert.equal(Deno.readTextFileSync(`${directory}/a`), "text");
      assert.ok(Deno.lstatSync(`${directory}/a`).isFile);
      assert.deepEqual(names(directory), ["a", "other"]);
    }));
}

Deno.test("a write that fails leaves no draft", () =>
  inDirectory(async (directory) => {
    Deno.mkdirSync(`${directory}/a/in/the/way`, { recursive: true });
    await assert.rejects(replaceFile(`${directory}/a`, `${directory}/new`, "text", 0o600), Deno.errors.IsADirectory);
    assert.deepEqual(names(directory), ["a"]);
  }));

Deno.test("a durable write reaches the disk before the file is replaced, and the directory after it", () =>
  inDirectory(async (directory) => {
    const [path, draft] = [`${directory}/a`, `${directory}/new`];
    Deno.writeTextFileSync(path, "old");
    const seen: unknown[] = [];
    const { sync } = Deno.FsFile.prototype;
    Deno.FsFile.prototype.sync = async function () {
      seen.push([(await this.stat()).isDirectory, Deno.readTextFileSync(path)]);
      await sync.call(this);
    };
    try {
      await replaceFileDurably(path, draft, "text", 0o600);
    } finally {
      Deno.FsFile.prototype.sync = sync;
    }
    assert.deepEqual(seen, [[false, "old"], [true, "text"]]);
    assert.deepEqual(names(directory), ["a"]);
  }));
