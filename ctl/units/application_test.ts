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
      [["web.service"], [`${directory}/web.service~`], []],
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
