import assert from "node:assert/strict";
import { replaceFile } from "./replace_file.ts";

function inDirectory(work: (directory: string) => void): void {
  const directory = Deno.makeTempDirSync();
  try {
    work(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

const names = (directory: string) => [...Deno.readDirSync(directory)].map(({ name }) => name).sort();

for (const mode of [0o600, 0o644]) {
  Deno.test(`a file is replaced with mode ${mode.toString(8)}, whatever the umask and the old mode are`, () =>
    inDirectory((directory) => {
      for (const umask of [0, 0o077]) {
        const before = Deno.umask(umask);
        try {
          replaceFile(`${directory}/a`, `${directory}/new`, "text", mode);
        } finally {
          Deno.umask(before);
        }
        assert.equal(Deno.statSync(`${directory}/a`).mode! & 0o777, mode);
        assert.equal(Deno.readTextFileSync(`${directory}/a`), "text");
        Deno.chmodSync(`${directory}/a`, 0o666);
      }
      assert.deepEqual(names(directory), ["a"]);
    }));
}

for (const link of [Deno.symlinkSync, Deno.linkSync]) {
  Deno.test(`${link.name}: another file that is linked from the path or the draft is not changed`, () =>
    inDirectory((directory) => {
      const other = `${directory}/other`;
      Deno.writeTextFileSync(other, "secret", { mode: 0o600 });
      for (const name of ["a", "new"]) link(other, `${directory}/${name}`);
      replaceFile(`${directory}/a`, `${directory}/new`, "text", 0o644);
      assert.deepEqual([Deno.readTextFileSync(other), Deno.statSync(other).mode! & 0o777], ["secret", 0o600]);
      assert.equal(Deno.readTextFileSync(`${directory}/a`), "text");
      assert.ok(Deno.lstatSync(`${directory}/a`).isFile);
      assert.deepEqual(names(directory), ["a", "other"]);
    }));
}

Deno.test("a write that fails leaves no draft", () =>
  inDirectory((directory) => {
    Deno.mkdirSync(`${directory}/a/in/the/way`, { recursive: true });
    assert.throws(() => replaceFile(`${directory}/a`, `${directory}/new`, "text", 0o600), Deno.errors.IsADirectory);
    assert.deepEqual(names(directory), ["a"]);
  }));
