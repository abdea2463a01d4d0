/** Severity of a log line, in rising order. */
export type Level = "debug" | "info" | "warn" | "error";

/** Named values of a log line. A value that is undefined is left out. */
export type Fields = Readonly<Record<string, unknown>>;

/** Writes one line for the operator. `fields` are appended as `key=value`. */
export type Log = (level: Level, message: string, fields?: Fields) => void;

/** The text of a field's value: an error's message, JSON for arrays and objects. */
export function fieldText(value: unknown): string {
  const plain = plainValue("", value);
  return typeof plain === "object" && plain !== null ? JSON.stringify(plain, plainValue) : String(plain);
}

/** A replacer for `JSON.stringify`, which writes errors as `{}` and throws on a bigint. */
export function plainValue(_key: string, value: unknown): unknown {
  if (value instanceof Error) return messageOf(value);
  return typeof value === "bigint" ? String(value) : value;
}

/** The message of anything that was thrown, with its cause's unless it contains that. Never empty: else the error's name and code. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return firstOf(String(error));
  const { code } = error as { code?: unknown };
  const own = firstOf(error.message, code === undefined ? error.name : `${error.name} ${code}`);
  if (error instanceof AggregateError && error.message === "") return [own, ...error.errors.map(messageOf)].join(": ");
  const cause = error.cause === undefined ? "" : messageOf(error.cause);
  return own.includes(cause) ? own : `${own}: ${cause}`;
}

function firstOf(...texts: string[]): string {
  return texts.find((text) => text.trim() !== "") ?? "an error without a message";
}
