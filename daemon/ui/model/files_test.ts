import assert from "node:assert/strict";
import { decodeText, looksLikeUnitFile, maxDrafts, sizeProblem, unitsOf, withDrafts } from "./files.ts";
import { filesOf, unusedProblems } from "./folder.ts";

const web = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nInstances=2\n";

Deno.test("a template deploys its instances, without Instances= and unless they have files", async () => {
  const drafts = [{ name: "web@.service", text: web }, {
    name: "web@2.service",
    text: "[Service]\nExecStart=/bin/b\n",
  }];
  const { units } = await unitsOf(drafts, "launched");
  assert.deepEqual(units.map(({ name, desiredState, options }) => [name, desiredState, options.length]), [
    ["web@.service", "inactive", 2],
    ["web@2.service", "launched", 1],
    ["web@1.service", "launched", 1],
  ]);
  assert.equal(units[1]!.options[0]!.value, "/bin/b");
});

Deno.test("Desired= of a file takes precedence over the state of the form", async () => {
  const text = "[Service]\nExecStart=/bin/true\n";
  const drafts = [{ name: "a.service", text }, { name: "b.service", text: `${text}[X-Fleet]\nDesired=launched\n` }];
  assert.deepEqual((await unitsOf(drafts, "loaded")).units.map(({ desiredState }) => desiredState), [
    "loaded",
    "launched",
  ]);
});

Deno.test("a file that cannot be deployed is named with the reason", async () => {
  for (
    const [drafts, message] of [
      [[{ name: "a.service", text: "# by hand\n[Service]\nExecStart" }], /^a\.service, line 3: line without =.+\.$/],
      [[{ name: "a.service", text: "[Service\nExecStart=/bin/true" }], /^a\.service, line 1: .+\.$/],
      [[{ name: "a.service", text: "# nothing\n" }], /^a\.service: the file has no options\.$/],
      [[{ name: "a.service", text: web }], /^a\.service: Instances= belongs in a template/],
      [
        [{ name: "a.service", text: "[a]\nb=c" }, { name: "a.service ", text: "[a]\nb=c" }],
        /^a\.service is here twice\.$/,
      ],
    ] as const
  ) await assert.rejects(unitsOf(drafts, "launched"), { message });
});

Deno.test("files that are no unit files, too large or binary are refused in a sentence", () => {
  assert.equal(sizeProblem("web.service", 256 * 1024), undefined);
  assert.match(sizeProblem("web.service", 256 * 1024 + 1) ?? "", /^web\.service is ignored: it has 257 KiB/);
  assert.equal(decodeText("a.service", new TextEncoder().encode("é")), "é");
  for (const bytes of [[0xff, 0xfe], [65, 0, 66]]) {
    assert.throws(() => decodeText("a.service", new Uint8Array(bytes)), { message: /is no text in UTF-8/ });
  }
});

Deno.test("a text with the header of a section looks like a unit file", () => {
  assert.ok(looksLikeUnitFile("# by hand\n[Service]\nExecStart=/bin/true"));
  for (const text of ["", "web.service", "a [note] here", "https://example.com/[x]"]) {
    assert.ok(!looksLikeUnitFile(text));
  }
});

Deno.test("an added file takes the place of the one with its name, and of an empty one", () => {
  const [a, b, other] = [{ name: "a", text: "1" }, { name: "b", text: "2" }, { name: "a", text: "3" }];
  assert.deepEqual(withDrafts([{ name: "", text: "" }], [a, b]), [a, b]);
  assert.deepEqual(withDrafts([a, b], [other]), [other, b]);
  const [one, two] = [{ name: "", text: "1" }, { name: "", text: "2" }];
  assert.deepEqual(withDrafts([{ name: "", text: "" }], [one]), [one]);
  assert.deepEqual(withDrafts([a, one], [two]), [a, one, two]);
  const many = Array.from({ length: maxDrafts }, (_, index) => ({ name: `${index}`, text: "" }));
  assert.throws(() => withDrafts(many, [a]), { message: /more than 200 files/ });
});

const encode = (text: string) => new TextEncoder().encode(text);

Deno.test("a unit file attaches the files of its folder, and its instances have them too", async () => {
  const folder = new Map([
    ["app.conf", encode("a=1")],
    ["files/web@.service/hooks/start", encode("#!/bin/sh\n")],
    ["files/web@.service/menu", encode("tea")],
    ["files/other.service/x", encode("x")],
  ]);
  const text = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nInstances=1\nFile=app.conf:/etc/app.conf\n";
  const { units, contents } = await unitsOf([{ name: "web@.service", text, folder }], "launched");
  assert.deepEqual([...contents.values()].map((bytes) => new TextDecoder().decode(bytes)), [
    "a=1",
    "#!/bin/sh\n",
    "tea",
  ]);
  const [conf, start, menu] = [...contents.keys()];
  for (const { name, options } of units) {
    assert.deepEqual(options.filter((option) => option.name === "File").map(({ value }) => value), [
      `app.conf:etc/app.conf:0644:${conf}:3`,
      `files/web@.service/hooks/start:hooks/start:0755:${start}:10`,
      `files/web@.service/menu:menu:0644:${menu}:3`,
    ], name);
  }
  assert.deepEqual(units.map(({ name }) => name), ["web@.service", "web@1.service"]);
});

Deno.test("a file that a unit attaches and that is not there, or cannot be read, is named", async () => {
  const text = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nFile=a.conf\n";
  const draft = { name: "a.service", text };
  await assert.rejects(unitsOf([draft], "launched"), {
    message: "a.service: File=a.conf: there is no file a.conf.",
  });
  await assert.rejects(unitsOf([{ ...draft, folder: new Map([["a.conf", "it is too large"]]) }], "launched"), {
    message: "a.service: File=a.conf: it is too large.",
  });
  const large = Array.from(
    { length: 17 },
    (_, index) => [`files/a.service/${index}`, new Uint8Array(65_536).fill(index)],
  );
  const folder = new Map([["a.conf", encode("")], ...large as [string, Uint8Array][]]);
  await assert.rejects(unitsOf([{ ...draft, folder }], "launched"), {
    message: "The files have 1114112 bytes together (max 1048576).",
  });
});

Deno.test("whatever no unit gets of a folder is named, as by fleetctl apply", async () => {
  const folder = new Map<string, Uint8Array | undefined>([
    ...["README", ".git", "app.conf", "conf/y", "old/z", "web.servic", "files/a.service/x", "files/a.service/.env"]
      .map((path) => [path, encode(path)] as const),
    ...["files/b.service/x", "files/a", "files/c.service"].map((path) => [path, encode(path)] as const),
    ...["conf", "old", "files", "files/a.service", "files/d.service"].map((path) => [path, undefined] as const),
  ]);
  const units = [
    { name: "a.service", text: "[X-Fleet]\nFile=app.conf\nFile=conf/y\n" },
    { name: "c.service", text: "no unit file" },
    { name: "d.service", text: "[Service]\n" },
  ];
  assert.deepEqual(await unusedProblems(units, folder), [
    'web.servic: ".servic" is not a type of unit: did you mean ".service"?',
    ".git is not a unit file and is ignored.",
    "README is not a unit file and is ignored.",
    "files/a belongs to no unit of the directory and is ignored: did you mean files/a.service?",
    "files/a.service/.env begins with a dot and is ignored: name it by File= if a unit needs it.",
    "files/b.service belongs to no unit of the directory and is ignored: name it by File=, or remove it.",
    "files/c.service is a file and is ignored: put it in a folder of that name, or name it by File=.",
    "files/d.service has no files: put those of the unit in it, or remove it.",
    "old is not a unit file and is ignored.",
  ]);
  assert.deepEqual(filesOf("a.service", folder), ["x"]);
  assert.deepEqual(await unusedProblems([], new Map([["files", undefined]])), [
    "files is empty: put the files of a unit in a folder of its name, such as files/web.service.",
  ]);
});
