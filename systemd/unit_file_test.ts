import assert from "node:assert/strict";
import fc from "fast-check";
import "../tests/support/property_seed.ts";
import {
  joinContinuedLines,
  lastValue,
  maxLine_bytes,
  parseUnitFile,
  readUnitFile,
  serializeUnitFile,
  UnitFileError,
  unitNames,
  type UnitOption,
} from "./unit_file.ts";
import { hashUnitFile } from "./unit_hash.ts";

type Short = readonly [section: string, name: string, value: string];

const options = (shorts: readonly Short[]): UnitOption[] =>
  shorts.map(([section, name, value]) => ({ section, name, value }));

const parsed: readonly { readonly what: string; readonly text: string; readonly options: readonly Short[] }[] = [
  { what: "nothing", text: "", options: [] },
  { what: "sections without options disappear", text: "[A]\n\n[B]\nx=1\n[C]", options: [["B", "x", "1"]] },
  {
    what: "order and repeated keys are kept",
    text: "[A]\nx=1\ny=2\nx=\n",
    options: [["A", "x", "1"], ["A", "y", "2"], ["A", "x", ""]],
  },
  { what: "options before the first section are skipped", text: "x=1\ny=2\n[A]\nz=3", options: [["A", "z", "3"]] },
  { what: "before the first section a [ opens a header anywhere", text: "junk [A]\nz=3", options: [["A", "z", "3"]] },
  {
    what: "before the first section a comment starts anywhere",
    text: "junk # [A]\n; [B]\n[C]\nz=3",
    options: [["C", "z", "3"]],
  },
  { what: "a byte order mark is before the first section", text: "\uFEFF[A]\nz=3", options: [["A", "z", "3"]] },
  { what: "section names are not trimmed and may span lines", text: "[ A\nB ]\nx=1", options: [[" A\nB ", "x", "1"]] },
  { what: "blanks may follow a header", text: "[A] \t\nx=1", options: [["A", "x", "1"]] },
  {
    what: "indented headers, comments and options",
    text: "[A]\n  # c\n\t; c\n  x = 1 \n  [B]\n y=2",
    options: [["A", "x", "1"], ["B", "y", "2"]],
  },
  { what: "no comment behind a value", text: "[A]\nx=b ; c # d", options: [["A", "x", "b ; c # d"]] },
  { what: "only the first = separates", text: "[A]\nx=a=b", options: [["A", "x", "a=b"]] },
  { what: "a name may be empty", text: "[A]\n=v", options: [["A", "", "v"]] },
  {
    what: "a comment ends with its line, even behind a backslash",
    text: "[A]\n# c \\\nx=1\n; c \\ \ny=2",
    options: [["A", "x", "1"], ["A", "y", "2"]],
  },
  { what: "so does a comment before the first section", text: "# c \\\n[A]\nx=1", options: [["A", "x", "1"]] },
  { what: "a comment at the end of the file", text: "[A]\nx=1\n# c \\", options: [["A", "x", "1"]] },
  {
    what: "a continued value is kept as written",
    text: "[A]\nx=a \\\n   b \\\n  c\ny=2",
    options: [["A", "x", "a \\\n   b \\\n  c"], ["A", "y", "2"]],
  },
  {
    what: "a comment between continued lines ends no value",
    text: "[A]\nx=a \\\n  # c\n  --y=2 \\\n; d \\\n  --z\nv=3",
    options: [["A", "x", "a \\\n  # c\n--y=2 \\\n; d \\\n  --z"], ["A", "v", "3"]],
  },
  {
    what: "of several comments between continued lines the first stays",
    text: "[A]\nx=a \\\n# c\n# d\n# e \\\ny=2\nz=3",
    options: [["A", "x", "a \\\n# c\ny=2"], ["A", "z", "3"]],
  },
  {
    what: "a blank line behind such a comment ends the value",
    text: "[A]\nx=a \\\n# c\n\ny=2",
    options: [["A", "x", "a \\\n# c"], ["A", "y", "2"]],
  },
  {
    what: "a section header behind such a comment stays one",
    text: "[A]\nx=a \\\n# c\n [B] \ny=2\nz=b \\\n# c\n[ -e v ] \\\n[C]",
    options: [["A", "x", "a \\\n# c"], ["B", "y", "2"], ["B", "z", "b \\\n# c\n[ -e v ] \\\n[C]"]],
  },
  {
    what: "a value may end in such a comment",
    text: "[A]\nx=a \\\n# c",
    options: [["A", "x", "a \\\n# c"]],
  },
  {
    what: "a blank line ends a continuation and stays",
    text: "[A]\nx=a \\\n  \ny=2",
    options: [["A", "x", "a \\\n"], ["A", "y", "2"]],
  },
  { what: "a continuation at the end of the file", text: "[A]\nx=a \\\n", options: [["A", "x", "a \\\n"]] },
  { what: "a backslash that is the last byte of the file", text: "[A]\nx=a \\", options: [["A", "x", "a \\\n"]] },
  { what: "a value that starts on the next line", text: "[A]\nx=\\\n  a", options: [["A", "x", "\\\n  a"]] },
  { what: "two backslashes continue as well", text: "[A]\nx=a\\\\\nb", options: [["A", "x", "a\\\\\nb"]] },
  {
    what: "blanks behind a backslash cannot be seen and do not count",
    text: "[A]\nx=a \\ \nb\ny=2",
    options: [["A", "x", "a \\\nb"], ["A", "y", "2"]],
  },
  {
    what: "a backslash and a space before a blank line swallow nothing",
    text: "[A]\nx=a \\ \n\ny=2",
    options: [["A", "x", "a \\\n"], ["A", "y", "2"]],
  },
  {
    what: "CRLF continues too",
    text: "[A]\r\nx=a \\\r\n  b\r\n# c \\\r\nz=0\r\ny=2\r\n",
    options: [["A", "x", "a \\\n  b"], ["A", "z", "0"], ["A", "y", "2"]],
  },
  { what: "blanks as Unicode has them", text: "[A]\n\u0085\u2003x\u00a0=\u3000v\u2028", options: [["A", "x", "v"]] },
  {
    what: "a line of a byte less than a mebibyte",
    text: `[A]\nx=${"é".repeat(maxLine_bytes / 2 - 2)}a\n`,
    options: [["A", "x", "é".repeat(maxLine_bytes / 2 - 2) + "a"]],
  },
  {
    what: "a line without = is left out, with the lines it is continued in",
    text: "[A]\nx=1\nnot \\\n an option\ny=2\nnor this",
    options: [["A", "x", "1"], ["A", "y", "2"]],
  },
];

Deno.test("a unit file is read into options", async (t) => {
  for (const { what, text, options: expected } of parsed) {
    await t.step(what, () => assert.deepEqual(parseUnitFile(text), options(expected)));
  }
});

const refused: readonly {
  readonly what: string;
  readonly text: string;
  readonly message: string;
  readonly line: number;
}[] = [
  { what: "an unclosed header", text: "[A]\nx=1\n[B", message: "unable to find end of section: ] is missing", line: 3 },
  {
    what: "text behind a header",
    text: "[A]\nx=1\n[B] yé\n",
    message: 'found garbage after section name "B": "yé"',
    line: 3,
  },
  {
    what: "an option on the header's line",
    text: "[A] x=1",
    message: 'found garbage after section name "A": "x=1"',
    line: 1,
  },
  ...["[A]\nx=caf\udce9", "[A]\ncaf\udce9=x", "[Unit]\n[caf\udce9]\nx=y"].map((text) => ({
    what: `bytes that are not UTF-8 in ${JSON.stringify(text)}`,
    text,
    message: "the text is not valid UTF-8, which systemd ignores: convert the file to UTF-8",
    line: 2,
  })),
  {
    what: "a line of a mebibyte",
    text: `[A]\n\nx=${"a".repeat(maxLine_bytes - 2)}\n`,
    message: "line too long (max 1048576 bytes)",
    line: 3,
  },
  {
    what: "bytes count, not characters",
    text: `[A]\nx=${"é".repeat(maxLine_bytes / 2 - 1)}`,
    message: "line too long (max 1048576 bytes)",
    line: 2,
  },
  {
    what: "comments have no longer lines",
    text: `[A]\n#${"a".repeat(maxLine_bytes)}`,
    message: "line too long (max 1048576 bytes)",
    line: 2,
  },
  {
    what: "nor does what is skipped",
    text: "a".repeat(maxLine_bytes),
    message: "line too long (max 1048576 bytes)",
    line: 1,
  },
];

Deno.test("a text that is not a unit file is refused with a reason and a line", async (t) => {
  for (const { what, text, message, line } of refused) {
    await t.step(what, () => assert.throws(() => parseUnitFile(text), new UnitFileError(message, line)));
  }
});

Deno.test("text that is not an option is ignored and reported with its line", async (t) => {
  const cases: Readonly<Record<string, readonly (readonly [line: number, message: string])[]>> = {
    "[A]\nx=1": [],
    "\uFEFF# c\n\n; d\n[A]\nx=1": [],
    "\n# c\nx=1\n.include y\n[A]\nz=3": [[3, 'text outside of any section: "x=1" and 1 more line']],
    "x=1": [[1, 'text outside of any section: "x=1"']],
    "[A]\nx=1\n\nExecStart /bin/x\n[B]\ny": [
      [4, 'line without =: "ExecStart /bin/x"'],
      [6, 'line without =: "y"'],
    ],
    "[A]\n\u001b[2J caf\udce9": [[2, 'line without =: "\\x1b[2J caf\uFFFD"']],
  };
  for (const [text, expected] of Object.entries(cases)) {
    await t.step(JSON.stringify(text), () => {
      assert.deepEqual(readUnitFile(text).ignored, expected.map(([line, message]) => ({ line, message })));
    });
  }
});

Deno.test("each option has the line it starts on", () => {
  const file = readUnitFile("# c\n[A]\nx=1 \\\n 2\n\ny=3\n[B]\n z=4");
  assert.deepEqual([file.lines, file.headerLines], [[3, 6, 8], [2, 2, 7]]);
});

Deno.test("continued lines are joined as systemd joins them", () => {
  assert.equal(joinContinuedLines("a  b"), "a  b");
  assert.equal(joinContinuedLines('"a=1" \\\n   "b=2"'), '"a=1"     "b=2"');
  assert.equal(joinContinuedLines("a \\\n# c\nb \\\n; d \\\n"), "a  b");
});

Deno.test("of an option with one value the last one counts, as systemd reads it", () => {
  const { options } = readUnitFile("[A]\nx=1\nx=2 \\\n# c\n  3\n[B]\nx=4\nz=5\nz=\n");
  assert.equal(lastValue(options, "A", "x"), "2  3");
  assert.equal(lastValue(options, "B", "x"), "4");
  assert.equal(lastValue(options, "B", "z"), "", "an empty value resets it");
  assert.equal(lastValue(options, "B", "y"), "");
});

Deno.test("a list of units goes over continued lines, without the comments between them", () => {
  const [after] = parseUnitFile("[Unit]\nAfter=a.service \\\n# b.service\n  c@%i.service\n");
  assert.deepEqual(unitNames(after!.value, "x@1.service"), ["a.service", "c@1.service"]);
});

/** `fleet-1.0.tsv` has the result of fleet 1.0 for each file beside it: name, hash, refusal. */
const migration = new URL("testing/migration/", import.meta.url);
const changed: Readonly<Record<string, string>> = {
  "comment-swallows.service": "the comment does not swallow the command",
  "latin1.service": "the file is not UTF-8, and refused",
};

Deno.test("a file that fleet 1.0 accepted has the hash that fleet 1.0 gave it", async (t) => {
  const rows = Deno.readTextFileSync(new URL("fleet-1.0.tsv", migration)).trim().split("\n");
  assert.equal(rows.length, 18);
  for (const row of rows) {
    const [name, hash] = row.split("\t") as [string, string];
    if (Object.hasOwn(changed, name)) continue;
    await t.step(name, () => {
      const text = Deno.readTextFileSync(new URL(name, migration));
      assert.equal(hashUnitFile(serializeUnitFile(parseUnitFile(text))), hash);
    });
  }
});

Deno.test("comments between continued lines keep the hash of fleet 1.0", () => {
  // fleet 1.0 writes the comment as the end of the value, and the next line as another option.
  const written = "[Service]\nEnvironment=A=1 \\\n# c\nB=2\nRestart=no\n";
  assert.equal(
    serializeUnitFile(parseUnitFile("[Service]\nEnvironment=A=1 \\\n# c\n# d\n  B=2\nRestart=no\n")),
    written,
  );
  assert.equal(serializeUnitFile(parseUnitFile(written)), written);
  const last = "[Service]\nExecStart=/bin/a \\\n# c\n\n[Install]\nAlias=b \\\n# c\n";
  assert.equal(serializeUnitFile(parseUnitFile(last)), last);
});

Deno.test("a unit file is written grouped by section, with nothing else in it", async (t) => {
  const cases: readonly { readonly what: string; readonly options: readonly Short[]; readonly text: string }[] = [
    { what: "no options", options: [], text: "" },
    { what: "one", options: [["A", "x", "1"]], text: "[A]\nx=1\n" },
    {
      what: "a blank line between sections",
      options: [["A", "x", "1"], ["B", "y", ""]],
      text: "[A]\nx=1\n\n[B]\ny=\n",
    },
    {
      what: "split sections are merged",
      options: [["A", "x", "1"], ["B", "y", "2"], ["A", "x", "3"]],
      text: "[A]\nx=1\nx=3\n\n[B]\ny=2\n",
    },
    {
      what: "names that objects know",
      options: [["__proto__", "constructor", "1"]],
      text: "[__proto__]\nconstructor=1\n",
    },
  ];
  for (const { what, options: shorts, text } of cases) {
    await t.step(what, () => assert.equal(serializeUnitFile(options(shorts)), text));
  }
});

Deno.test("a value that cannot come from a file does not absorb the next option", () => {
  for (const value of ["b \\", "b \\ ", "\\", "a\\\nb\\", "b \\\n# c", "b \\\n# c \\"]) {
    const read = parseUnitFile(serializeUnitFile(options([["A", "x", value], ["A", "y", "2"]])));
    assert.deepEqual(read.map(({ name }) => name), ["x", "y"]);
    assert.equal(read[1]!.value, "2");
  }
});

Deno.test("the hash is the SHA-1 of the bytes", () => {
  assert.equal(hashUnitFile(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  assert.equal(hashUnitFile("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  assert.equal(hashUnitFile("é"), "bf15be717ac1b080b4f1c456692825891ff5073d");
});

Deno.test("comments, blank lines and indentation do not change the hash; a value does", () => {
  const hash = (text: string) => hashUnitFile(serializeUnitFile(parseUnitFile(text)));
  const plain = hash("[Service]\nExecStart=/bin/true\n");
  assert.equal(hash("# hi\n\n[Service]\n\n  ExecStart = /bin/true  \n; bye"), plain);
  assert.notEqual(hash("[Service]\nExecStart=/bin/false\n"), plain);
});

/** Texts of the characters that matter to the grammar, so that random texts reach every rule. */
const hostile = fc.array(
  fc.oneof(
    {
      weight: 9,
      arbitrary: fc.constantFrom(
        "[",
        "]",
        "=",
        "\\",
        "\n",
        "\r",
        "\r\n",
        " ",
        "#",
        ";",
        "a",
        "x=",
        "[A]\n",
        "[B]\n",
        "\\\n",
        "\t",
        "é",
        "\u0085",
        "\0",
      ),
    },
    { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
  ),
  { maxLength: 60 },
).map((parts) => parts.join(""));

function bySection(list: readonly UnitOption[]): UnitOption[] {
  return [...Map.groupBy(list, ({ section }) => section).values()].flat();
}

function parseOrUndefined(text: string): UnitOption[] | undefined {
  try {
    return parseUnitFile(text);
  } catch (error) {
    assert(error instanceof UnitFileError, `parsing threw ${error}`);
    assert(error.line >= 1 && error.line <= text.split("\n").length);
    return undefined;
  }
}

Deno.test("a parsed and written text is parsed to the same options, and only UnitFileError is thrown", () => {
  let read = 0;
  fc.assert(
    fc.property(hostile, (text) => {
      const first = parseOrUndefined(`[A]\n${text}`) ?? parseOrUndefined(text);
      if (first === undefined) return;
      if (first.length > 0) read++;
      const written = serializeUnitFile(first);
      assert.deepEqual(parseUnitFile(written), bySection(first));
      assert.equal(serializeUnitFile(parseUnitFile(written)), written);
    }),
    { numRuns: 3000 },
  );
  assert(read > 300, `only ${read} texts were unit files`);
});

Deno.test("CRLF line ends make no difference", () => {
  fc.assert(
    fc.property(hostile.map((text) => `[A]\n${text}`.replaceAll("\r", "")), (text) => {
      assert.deepEqual(
        parseOrUndefined(text.replaceAll("\n", "\r\n")),
        parseOrUndefined(text)?.map((option) => ({
          ...option,
          section: option.section.replaceAll("\n", "\r\n"),
        })),
      );
    }),
    { numRuns: 2000 },
  );
});

/** Returns the number of characters that a call reads, by counting the string methods that it calls. */
function charactersSeen(call: () => void): number {
  const { charCodeAt, indexOf, slice } = String.prototype;
  let seen = 0;
  String.prototype.charCodeAt = function (at) {
    seen++;
    return charCodeAt.call(this, at);
  };
  String.prototype.indexOf = function (wanted, from = 0) {
    const found = indexOf.call(this, wanted, from);
    seen += (found < 0 ? this.length : found) - Math.min(from, this.length) + 1;
    return found;
  };
  String.prototype.slice = function (start, end) {
    const part = slice.call(this, start, end);
    seen += part.length + 1;
    return part;
  };
  try {
    call();
  } finally {
    Object.assign(String.prototype, { charCodeAt, indexOf, slice });
  }
  return seen;
}

Deno.test("a hostile file of a mebibyte is read in linear time", async (t) => {
  const size = 1 << 20;
  const hostiles: Readonly<Record<string, string>> = {
    "newlines": "\n",
    "open brackets": "[\n",
    "closed headers": "[A]\n",
    "comments": "#\n",
    "continued comments": "#\\\n",
    "comments within values": "x=\\\n#\n#\\\n",
    "lines without =": "word\n",
    "blanks": " \n",
    "wide blanks": `${" ".repeat(2000)}\n`,
    "one value without end": "a \\\n",
    "blank-ended values": "x=\\\n \n",
    "values of blanks": `x=${" ".repeat(2000)}\n`,
    "options": "x=1\n",
    "long lines": `x=${"é".repeat(1000)}\n`,
    "a name without end": "a",
  };
  for (const [what, unit] of Object.entries(hostiles)) {
    await t.step(what, () => {
      for (const start of ["", "[A]\nx="]) {
        const text = start + unit.repeat(size / unit.length);
        const seen = charactersSeen(() => void parseOrUndefined(text));
        assert(seen > 0 && seen <= 12 * text.length, `looked at ${seen} characters of ${text.length}`);
      }
    });
  }
});
