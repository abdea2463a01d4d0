import assert from "node:assert/strict";
import { readUnitFile, type UnitOption } from "../systemd/unit_file.ts";
import {
  attachedFiles,
  attachmentLimits,
  attachmentProblem,
  contentHashesIn,
  fileOption,
  parseFileOption,
} from "./attached_files.ts";

const hash = "ab".repeat(32);
const option = (value: string): UnitOption => ({ section: "X-Fleet", name: "File", value });

Deno.test("File= names a file beside the unit file, a path below the unit's directory, and permissions", () => {
  const parsed = (value: string) => parseFileOption(value);
  assert.deepEqual(parsed("app.conf"), { source: "app.conf", path: "app.conf", mode: 0o644 });
  assert.deepEqual(parsed("conf/app.conf"), { source: "conf/app.conf", path: "app.conf", mode: 0o644 });
  assert.deepEqual(parsed("a.conf:/etc/app/app.conf:0600"), {
    source: "a.conf",
    path: "etc/app/app.conf",
    mode: 0o600,
  });
  assert.deepEqual(parsed("run.sh::755"), { source: "run.sh", path: "run.sh", mode: 0o755 });
  assert.equal(parsed("  "), undefined);
  const complete = { source: "a", path: "b/c", mode: 0o400, content: { hash, size_bytes: 12 } };
  assert.deepEqual(parsed(fileOption(complete).value), complete);
  assert.equal(fileOption(complete).value, `a:b/c:0400:${hash}:12`);
});

Deno.test("a File= on a continued line is read as systemd reads it", () => {
  const { options } = readUnitFile("[X-Fleet]\nFile=a.conf:\\\n");
  assert.deepEqual(attachedFiles(options), [{ source: "a.conf", path: "a.conf", mode: 0o644 }]);
  assert.equal(attachmentProblem(options), undefined);
});

Deno.test("a File= that could leave the unit's directory, or means nothing, is refused", () => {
  for (
    const [value, why] of [
      ["/etc/shadow", /expect a path below the directory of the unit file, not "\/etc\/shadow"/],
      ["../a", /not "\.\.\/a"/],
      ["a:../b", /"\.\.\/b" is not a path below a directory/],
      ["a:b/../../c", /is not a path below a directory/],
      ["a:/", /"" is not a path below a directory/],
      ["a:b/", /"b\/" is not a path below a directory/],
      ["a:.", /"\." is not a path below a directory/],
      ["a%i", /not "a%i"/],
      ["a:b c", /"b c" contains " ": rename the file/],
      ["a:b:4755", /expect permissions such as 0644, not "4755"/],
      ["a:b:0044", /expect permissions such as 0644, not "0044"/],
      ["a:b:rw", /expect permissions such as 0644, not "rw"/],
      ["a:b:0644:12", /fleetctl adds the hash and the size/],
      [`a:b:0644:${hash}`, /fleetctl adds the hash and the size/],
      [`a:b:0644:${hash}:1:2`, /fleetctl adds the hash and the size/],
    ] as const
  ) {
    assert.match(attachmentProblem([option(value)]) ?? "accepted", why, value);
    assert.deepEqual(attachedFiles([option(value)]), [], value);
  }
});

Deno.test("the files of a unit have different paths and limited sizes", () => {
  const problem = (...values: string[]) => attachmentProblem(values.map(option));
  assert.equal(problem("a", "b:c/d", "", "c:c/e"), undefined);
  assert.equal(problem("a", "x/a"), 'two files have the path "a"');
  assert.equal(problem("a", "b:a/c"), 'the path "a" is a file and a directory');
  const sized = (name: string, size_bytes: number) => `${name}::0644:${hash}:${size_bytes}`;
  assert.equal(problem(sized("a", attachmentLimits.file_bytes)), undefined);
  assert.equal(problem(sized("a", 65537)), 'file "a" has 65537 bytes (max 65536)');
  const full = Array.from({ length: 16 }, (_, at) => sized(`f${at}`, 65536));
  assert.equal(problem(...full), undefined);
  assert.equal(problem(...full, sized("more", 1)), "the files of the unit have 1048577 bytes together (max 1048576)");
  assert.match(problem(...Array.from({ length: 65 }, (_, at) => `f${at}`)) ?? "", /^too many files .* \(max 64\)$/);
});

Deno.test("every content that the text of a unit file may name is found", () => {
  const other = "0".repeat(64);
  assert.deepEqual(contentHashesIn(`[X-Fleet]\nFile=a:b:0644:${hash}:1\nFile=c:d:0644:${other}:2\n`), [hash, other]);
  assert.deepEqual(contentHashesIn(`[Service]\nExecStart=/bin/echo ${hash}\n`), []);
});
