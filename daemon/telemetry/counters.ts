/**
 * Counters, gauges and histograms of a daemon, kept as plain numbers so that counting costs next to nothing. Pure.
 *
 * @module
 */

/** The declaration of a metric, in Prometheus' terms. */
export interface Metric {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Names of the labels, in order. */
  readonly labels?: readonly string[];
}

/** One value of a metric. */
export interface Sample {
  /** Appended to the metric's name: `_bucket`, `_sum` or `_count` of a histogram, else empty. */
  readonly suffix: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric with all its samples. */
export interface Family {
  readonly name: string;
  readonly metric: Metric;
  readonly samples: readonly Sample[];
}

/** Upper bounds of a histogram's buckets, in seconds: from a call on this host to one that has met its deadline. */
const buckets_s = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

interface Series {
  readonly labels: Readonly<Record<string, string>>;
  value: number;
  /** Of a histogram: how many observations fell into each bucket, and how many there were. */
  readonly inBucket?: number[];
  count: number;
}

/** Keeps values by metric and label values. */
export class Tally<Name extends string> {
  readonly #series = new Map<Name, Map<string, Series>>();

  constructor(private readonly catalogue: Readonly<Record<Name, Metric>>) {}

  /** Adds 1, or `by`. */
  count(name: Name, labels: readonly string[] = [], by = 1): void {
    this.#of(name, labels).value += by;
  }

  /** Sets a gauge. */
  set(name: Name, value: number, labels: readonly string[] = []): void {
    this.#of(name, labels).value = value;
  }

  /** Adds a duration to a histogram. */
  observe(name: Name, duration_ms: number, labels: readonly string[] = []): void {
    const series = this.#of(name, labels);
    const duration_s = duration_ms / 1000;
    series.value += duration_s;
    series.count++;
    const bucket = buckets_s.findIndex((bound_s) => duration_s <= bound_s);
    if (bucket >= 0) series.inBucket![bucket]!++;
  }

  /** Removes all series of a metric. */
  clear(name: Name): void {
    this.#series.delete(name);
  }

  /** Returns every metric with its samples. A metric without labels has its sample from the beginning. */
  *families(): Generator<Family> {
    for (const name of Object.keys(this.catalogue) as Name[]) {
      const metric = this.catalogue[name];
      if (!metric.labels) this.#of(name, []);
      const samples = [...this.#series.get(name)?.values() ?? []].flatMap((series) => samplesOf(series));
      yield { name, metric, samples };
    }
  }

  #of(name: Name, values: readonly string[]): Series {
    const { type, labels = [] } = this.catalogue[name];
    return this.#series.getOrInsertComputed(name, () => new Map()).getOrInsertComputed(values.join("\0"), () => ({
      labels: Object.fromEntries(labels.map((label, index) => [label, values[index] ?? ""])),
      value: 0,
      count: 0,
      ...(type === "histogram" && { inBucket: buckets_s.map(() => 0) }),
    }));
  }
}

function samplesOf({ labels, value, inBucket, count }: Series): Sample[] {
  if (!inBucket) return [{ suffix: "", labels, value }];
  let below = 0;
  const buckets = buckets_s.map((bound_s, index) => {
    below += inBucket[index]!;
    return { suffix: "_bucket", labels: { le: String(bound_s), ...labels }, value: below };
  });
  return [
    ...buckets,
    { suffix: "_bucket", labels: { le: "+Inf", ...labels }, value: count },
    { suffix: "_sum", labels, value },
    { suffix: "_count", labels, value: count },
  ];
}
