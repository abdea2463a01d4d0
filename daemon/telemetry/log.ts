/**
 * Log lines on stderr. An adapter. One line a fact. Under systemd each starts with the priority that journald understands
 * (sd-daemon(3)), else with the level.
 *
 * @module
 */

import { fieldText, type Log, plainValue } from "../../runtime/log.ts";

const priorities = { debug: 7, info: 6, warn: 4, error: 3 } as const;

/** How lines are written; asked anew for each, so that it can change while the daemon runs. */
export interface LogSettings {
  /** More than 0 lets `debug` through. */
  readonly verbosity: number;
  readonly logFormat: "text" | "json";
}

/** Opens the log. `journal`: stderr is connected to journald, which knows the time. */
export function openLog(options: { readonly logSettings: () => LogSettings; readonly journal: boolean }): Log {
  const encoder = new TextEncoder();
  return (level, message, fields = {}) => {
    const { verbosity, logFormat } = options.logSettings();
    if (level === "debug" && verbosity <= 0) return;
    const known = Object.entries(fields).filter(([, value]) => value !== undefined);
    const start = options.journal ? `<${priorities[level]}>` : logFormat === "json" ? "" : `${level.toUpperCase()} `;
    const line = logFormat === "json"
      ? JSON.stringify({ time: new Date().toISOString(), level, message, ...Object.fromEntries(known) }, plainValue)
      : message.replaceAll("\n", "\\n") +
        known.map(([key, value]) => ` ${key}=${quoteIfNeeded(fieldText(value))}`).join("");
    Deno.stderr.writeSync(encoder.encode(`${start}${visible(line)}\n`));
  };
}

/** The log of one part of the daemon: each line says which. */
export function logOf(component: string, log: Log): Log {
  return (level, message, fields) => log(level, message, { component, ...fields });
}

function quoteIfNeeded(value: string): string {
  return /^[^\s"=\p{C}]+$/u.test(value) ? value : JSON.stringify(value);
}

/**
 * Clients choose some of what is logged: what moves a terminal's cursor, or turns the direction of writing, is told by its
 * number, as JSON has it. Of a line with such characters journalctl(1) would show only how long it is.
 */
function visible(line: string): string {
  return line.replace(
    /[\p{C}\u2028\u2029]/gu,
    (character) => Array.from({ length: character.length }, (_, at) => escaped(character.charCodeAt(at))).join(""),
  );
}

const escaped = (unit: number) => `\\u${unit.toString(16).padStart(4, "0")}`;
