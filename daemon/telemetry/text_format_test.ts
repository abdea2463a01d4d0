import assert from "node:assert/strict";
import { textFormat } from "./text_format.ts";

Deno.test("the text format has HELP, TYPE and one line a sample, also for a metric without samples", () => {
  const text = textFormat([
    { name: "a_total", metric: { type: "counter", help: "Rounds." }, samples: [{ suffix: "", labels: {}, value: 3 }] },
    { name: "empty", metric: { type: "gauge", help: "None.", labels: ["state"] }, samples: [] },
    {
      name: "d_seconds",
      metric: { type: "histogram", help: "Durations.", labels: ["type"] },
      samples: [
        { suffix: "_bucket", labels: { le: "+Inf", type: "read" }, value: 2 },
        { suffix: "_sum", labels: { type: "read" }, value: 0.25 },
      ],
    },
  ]);
  assert.deepEqual(text.split("\n"), [
    "# HELP a_total Rounds.",
    "# TYPE a_total counter",
    "a_total 3",
    "# HELP empty None.",
    "# TYPE empty gauge",
    "# HELP d_seconds Durations.",
    "# TYPE d_seconds histogram",
    'd_seconds_bucket{le="+Inf",type="read"} 2',
    'd_seconds_sum{type="read"} 0.25',
    "",
  ]);
});

Deno.test("backslashes and line feeds are escaped in help texts, and quotes in label values too", () => {
  const [help, , sample] = textFormat([{
    name: "a",
    metric: { type: "gauge", help: 'C:\\ "x"\ny', labels: ["path"] },
    samples: [{ suffix: "", labels: { path: 'C:\\ "x"\ny' }, value: 1 }],
  }]).split("\n");
  assert.equal(help, String.raw`# HELP a C:\\ "x"\ny`);
  assert.equal(sample, String.raw`a{path="C:\\ \"x\"\ny"} 1`);
});

for (
  const [value, text] of [
    ...[[-1, "-1"], [0.1, "0.1"], [1e21, "1e+21"], [5e-7, "5e-7"]],
    ...[[Infinity, "+Inf"], [-Infinity, "-Inf"], [NaN, "NaN"]],
  ] as const
) {
  Deno.test(`a sample's value is written as Go reads it: ${text}`, () => {
    const family = {
      name: "a",
      metric: { type: "gauge", help: "" },
      samples: [{ suffix: "", labels: {}, value }],
    } as const;
    assert.equal(textFormat([family]).split("\n")[2], `a ${text}`);
  });
}
