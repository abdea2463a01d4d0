/** Where messages for the operator go. `fields` are appended as `key=value`. */
export type Log = (
  level: "debug" | "info" | "warn" | "error",
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

/** The message of anything that was thrown, with those of its causes. Never empty: then it is the error's name and code. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return firstOf(String(error));
  const { code } = error as { code?: unknown };
  const own = firstOf(error.message, code === undefined ? error.name : `${error.name} ${code}`);
  const causes = error instanceof AggregateError && error.message === "" ? error.errors : [error.cause];
  return [own, ...causes.filter((cause) => cause !== undefined).map(messageOf)].join(": ");
}

function firstOf(...texts: string[]): string {
  return texts.find((text) => text.trim() !== "") ?? "an error without a message";
}
