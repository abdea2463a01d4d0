import assert from "node:assert/strict";
import fc from "fast-check";
import "../tests/property_seed.ts";
import { parseUnitFile, serializeUnitFile, UnitFileError, type UnitOption } from "./unit_file.ts";
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
    what: "a comment that ends in a backslash swallows the next line",
    text: "[A]\n# c \\\nx=1\ny=2",
    options: [["A", "y", "2"]],
  },
  {
    what: "so does one that ends in a backslash and a space",
    text: "[A]\n# c \\ \nx=1\ny=2",
    options: [["A", "y", "2"]],
  },
  { what: "but not one with two spaces", text: "[A]\n# c \\  \nx=1", options: [["A", "x", "1"]] },
  { what: "a comment at the end of the file", text: "[A]\nx=1\n# c \\", options: [["A", "x", "1"]] },
  {
    what: "a continued value is kept as written",
    text: "[A]\nx=a \\\n   b \\\n# no comment\ny=2",
    options: [["A", "x", "a \\\n   b \\\n# no comment"], ["A", "y", "2"]],
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
    options: [["A", "x", "a \\\n  b"], ["A", "y", "2"]],
  },
  { what: "blanks as Unicode has them", text: "[A]\n\u0085\u2003x\u00a0=\u3000v\u2028", options: [["A", "x", "v"]] },
  {
    what: "a line of 2047 bytes",
    text: `[A]\nx=${"é".repeat(1022)}a\n`,
    options: [["A", "x", "é".repeat(1022) + "a"]],
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
  { what: "an unclosed header", text: "[A]\nx=1\n[B", message: "unable to find end of section", line: 3 },
  {
    what: "text behind a header",
    text: "[A]\nx=1\n[B] yé\n",
    message: "found garbage after section name : [121 195 169]",
    line: 3,
  },
  {
    what: "an option on the header's line",
    text: "[A] x=1",
    message: "found garbage after section name : [120 61 49]",
    line: 1,
  },
  {
    what: "a line without =",
    text: "[A]\nx=1\nnot an option\ny=2",
    message: "unexpected newline encountered while parsing option name",
    line: 3,
  },
  {
    what: "a carriage return in a name",
    text: "[A]\nx\r=1",
    message: "unexpected newline encountered while parsing option name",
    line: 2,
  },
  { what: "an end amid a name", text: "[A]\nx=1\ny", message: "EOF", line: 3 },
  {
    what: "a line of 2048 bytes",
    text: `[A]\n\nx=${"a".repeat(2046)}\n`,
    message: "line too long (max 2048 bytes)",
    line: 3,
  },
  {
    what: "bytes count, not characters",
    text: `[A]\nx=${"é".repeat(1023)}`,
    message: "line too long (max 2048 bytes)",
    line: 2,
  },
  {
    what: "comments have no longer lines",
    text: `[A]\n#${"a".repeat(3000)}`,
    message: "line too long (max 2048 bytes)",
    line: 2,
  },
  { what: "nor does what is skipped", text: "a".repeat(2048), message: "line too long (max 2048 bytes)", line: 1 },
];

Deno.test("what is no unit file is refused with a reason and a line", async (t) => {
  for (const { what, text, message, line } of refused) {
    await t.step(what, () => assert.throws(() => parseUnitFile(text), new UnitFileError(message, line)));
  }
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

Deno.test("a value that no file could have held swallows nothing", () => {
  for (const value of ["b \\", "b \\ ", "\\", "a\\\nb\\"]) {
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

Deno.test("comments, blank lines and indentation make no other version; a value does", () => {
  const hash = (text: string) => hashUnitFile(serializeUnitFile(parseUnitFile(text)));
  const plain = hash("[Service]\nExecStart=/bin/true\n");
  assert.equal(hash("# hi\n\n[Service]\n\n  ExecStart = /bin/true  \n; bye"), plain);
  assert.notEqual(hash("[Service]\nExecStart=/bin/false\n"), plain);
});

/** Texts made of what the grammar turns on, so that random ones reach every corner of it. */
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

Deno.test("whatever is parsed and written is parsed again as the same, and only UnitFileError is thrown", () => {
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

Deno.test("line ends of Windows make no difference", () => {
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

/** How many characters of strings a call looks at, by counting what it asks of every string. */
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

Deno.test("a hostile file of a mebibyte is read in one go, however it is made", async (t) => {
  const size = 1 << 20;
  const hostiles: Readonly<Record<string, string>> = {
    "newlines": "\n",
    "open brackets": "[\n",
    "closed headers": "[A]\n",
    "comments": "#\n",
    "continued comments": "#\\\n",
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
