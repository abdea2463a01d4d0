import assert from "node:assert/strict";
import { terminal } from "../terminal/deno.ts";
import { readApplication } from "./application.ts";

Deno.test("a link to a template is an instance, also if it points to nothing", async () => {
  const directory = await Deno.makeTempDir({ prefix: "fleet-application-" });
  try {
    const text = "[Service]\nExecStart=/bin/web %i\n[X-Fleet]\nInstances=blue\nDesired=loaded\n";
    await Deno.writeTextFile(`${directory}/web@.service`, text);
    await Deno.symlink("web@.service", `${directory}/web@1.service`);
    await Deno.symlink("../elsewhere/web@.service", `${directory}/web@2.service`);
    await Deno.symlink("nothing.service", `${directory}/alone.service`);
    const { units, errors, warnings } = await readApplication(terminal(false), [directory], false);
    assert.deepEqual(
      units.map(({ name, desiredState, options }) => [name, desiredState, options.map(({ name }) => name).join()]),
      [
        ["web@.service", "inactive", "ExecStart,Instances,Desired"],
        ...["1", "2", "blue"].map((instance) => [`web@${instance}.service`, "loaded", "ExecStart,Desired"]),
      ],
    );
    assert.deepEqual([errors, warnings], [[`${directory}/alone.service: the link points to no file`], []]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a directory that is empty or unreadable is never taken for one that is absent", async (t) => {
  const directory = await Deno.makeTempDir({ prefix: "fleet-application-" });
  const read = async (path: string) => {
    const { units, errors } = await readApplication(terminal(false), [path], false);
    return [units.map(({ options }) => options.map(({ value }) => value.replace(/ from .*/, "")).join()), errors];
  };
  try {
    await Deno.mkdir(`${directory}/empty`);
    await Deno.mkdir(`${directory}/shop/files`, { recursive: true });
    await Deno.writeTextFile(`${directory}/shop/web.service`, "[Service]\nExecStart=/bin/web\n");
    const files = `${directory}/shop/files/web.service`;

    await t.step("an empty directory has no unit files", async () => {
      const path = `${directory}/empty`;
      assert.deepEqual(await read(path), [[], [`${path}: the directory has no unit files`]]);
    });
    for (
      const [target, why] of [["nothing", "the link points to nothing"], ["web.service", "Too many levels"]] as const
    ) {
      await t.step(`a link to ${target} is no unit without files`, async () => {
        await Deno.symlink(target, files);
        try {
          const [units, errors] = await read(`${directory}/shop`);
          assert.deepEqual(units, []);
          assert.match(
            String(errors),
            new RegExp(`web\\.service: .*cannot read the directory ${files}: .*${why}`, "s"),
          );
        } finally {
          await Deno.remove(files);
        }
      });
    }
    await t.step("a folder without files is no file", async () => {
      await Deno.mkdir(`${files}/conf.d`, { recursive: true });
      await Deno.writeTextFile(`${files}/conf.d/.keep`, "");
      await Deno.writeTextFile(`${files}/main.conf`, "x");
      const [units, errors] = await read(`${directory}/shop`);
      assert.deepEqual([errors, String(units).includes("main.conf"), String(units).includes("conf.d")], [
        [],
        true,
        false,
      ]);
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a copy that an editor keeps is no unit file", async () => {
  const directory = await Deno.makeTempDir({ prefix: "fleet-application-" });
  try {
    for (const name of ["web.service", "web.service~"]) {
      await Deno.writeTextFile(`${directory}/${name}`, "[Service]\nExecStart=/bin/web\n");
    }
    const { units, ignored, errors } = await readApplication(terminal(false), [directory], false);
    assert.deepEqual(
      [units.map(({ name }) => name), ignored, errors],
      [["web.service"], [`${directory}/web.service~ is not a unit file and is ignored`], []],
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Reads an application whose files have the given paths, below `shop`; a path with a slash at its end is a folder. */
async function readFiles(files: Readonly<Record<string, string>>, ...paths: string[]) {
  const directory = await Deno.makeTempDir({ prefix: "fleet-application-" });
  try {
    for (const [path, text] of Object.entries(files)) {
      await Deno.mkdir(`${directory}/shop/${path.slice(0, path.lastIndexOf("/") + 1)}`, { recursive: true });
      if (!path.endsWith("/")) await Deno.writeTextFile(`${directory}/shop/${path}`, text);
    }
    const arguments_ = (paths.length > 0 ? paths : ["shop"]).map((path) => `${directory}/${path}`);
    const { units, ...found } = await readApplication(terminal(false), arguments_, false);
    const shown = (lines: readonly string[]) => lines.map((line) => line.replaceAll(`${directory}/`, ""));
    return {
      units: units.map(({ name, contents }) => [name, contents.size]),
      ignored: shown(found.ignored),
      warnings: shown(found.warnings),
      errors: shown(found.errors),
    };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const web = "[Service]\nExecStart=/bin/web\n";

Deno.test("whatever no unit gets of a folder of files is named, with what to do", async () => {
  const { units, ignored, warnings, errors } = await readFiles({
    "db.service": web,
    "web.timer": "[Timer]\nOnCalendar=daily\n",
    "web@.service": `${web}[X-Fleet]\nInstances=1\nFile=files/common.conf\nFile=conf/web.conf\nFile=.env\n`,
    ".env": "a=1",
    ".git/config": "",
    "README": "",
    "conf/web.conf": "b=1",
    "old/web.conf": "b=0",
    "files/.keep": "",
    "files/common.conf": "c=1",
    "files/db": "no folder",
    "files/db.service/": "",
    "files/notes": "",
    "files/other.service/x": "",
    "files/wbe.timer/x": "",
    "files/web.service/x": "",
    "files/web@.service/conf.d/.hidden": "",
    "files/web@.service/menu": "tea",
    "files/web@1.service/x": "",
  });
  assert.deepEqual(units, [["db.service", 0], ["web.timer", 0], ["web@.service", 4], ["web@1.service", 4]]);
  assert.deepEqual(errors, []);
  assert.deepEqual(ignored, [
    "shop/.git is not a unit file and is ignored",
    "shop/README is not a unit file and is ignored",
    "shop/files/.keep begins with a dot and is ignored: name it by File= if a unit needs it",
    "shop/files/web@.service/conf.d/.hidden begins with a dot and is ignored: name it by File= if a unit needs it",
    "shop/old is not a unit file and is ignored",
  ]);
  assert.deepEqual(warnings, [
    "shop/files/db belongs to no unit of the directory and is ignored: did you mean shop/files/db.service?",
    "shop/files/db.service has no files: put those of the unit in it, or remove it",
    "shop/files/notes belongs to no unit of the directory and is ignored: name it by File=, or remove it",
    "shop/files/other.service belongs to no unit of the directory and is ignored: name it by File=, or remove it",
    "shop/files/wbe.timer belongs to no unit of the directory and is ignored: did you mean shop/files/web.timer?",
    "shop/files/web.service belongs to no unit of the directory and is ignored: name it by File=, or remove it",
    "shop/files/web@1.service belongs to no unit of the directory and is ignored: did you mean shop/files/web@.service?",
  ]);
});

Deno.test("a folder of files that is a file or empty is named, and so is a file in place of the folder of a unit", async () => {
  const warningsOf = async (files: Record<string, string>) => {
    const { ignored, warnings } = await readFiles({ "web.service": web, ...files });
    return [ignored, warnings];
  };
  assert.deepEqual(await warningsOf({ files: "" }), [["shop/files is not a unit file and is ignored"], []]);
  assert.deepEqual(await warningsOf({ "files/": "" }), [[], [
    "shop/files is empty: put the files of a unit in a folder of its name, such as files/web.service",
  ]]);
  assert.deepEqual(await warningsOf({ "files/web.service": "" }), [[], [
    "shop/files/web.service is a file and is ignored: put it in a folder of that name, or name it by File=",
  ]]);
});

Deno.test("a folder that is an argument of its own is not ignored", async () => {
  const { units, ignored } = await readFiles({ "web.service": web, "eu/db.service": web }, "shop", "shop/eu");
  assert.deepEqual([units.map(([name]) => name), ignored], [["db.service", "web.service"], []]);
});

Deno.test("files that are too large together are refused with the largest of them", async () => {
  const large = (length: number, at: number) => `${at}`.padEnd(length, "x");
  const files = Object.fromEntries(
    Array.from({ length: 17 }, (_, at) => [`files/${at % 2 ? "a" : "b"}.service/${at}`, large(65_536 - at, at)]),
  );
  const { errors } = await readFiles({ "a.service": web, "b.service": web, ...files });
  assert.deepEqual(errors, [
    "the files of the application have 1113976 bytes together (max 1048576): the largest is shop/files/b.service/0 with 65536 bytes",
  ]);
});

Deno.test("a file whose name the option could not hold is refused by its name", async () => {
  for (const [name, odd] of [["a:0600", ":"], ["a b", " "]] as const) {
    const { errors } = await readFiles({ "web.service": web, [`files/web.service/${name}`]: "" });
    assert.deepEqual(errors, [
      `shop/web.service: folder shop/files/web.service: "${name}" contains "${odd}": rename the file`,
    ]);
  }
});

Deno.test("the folder of files of a single unit file is checked as well, and no other", async () => {
  const { ignored, warnings } = await readFiles(
    { "web.service": web, "README": "", "files/web.service/.env": "", "files/other.service/x": "" },
    "shop/web.service",
  );
  assert.deepEqual(warnings, ["shop/files/web.service has no files: put those of the unit in it, or remove it"]);
  assert.deepEqual(ignored, [
    "shop/files/web.service/.env begins with a dot and is ignored: name it by File= if a unit needs it",
  ]);
  assert.deepEqual(await readFiles({ "web.service": web, "files/x": "" }, "shop/web.service"), {
    units: [["web.service", 0]],
    ...{ ignored: [], warnings: [], errors: [] },
  });
});
