/**
 * Escapes control characters, line feeds included, as JSON does. Clients, etcd and systemd choose some of the texts that a
 * daemon writes: such characters could forge a line, move a terminal's cursor or reverse the direction of writing, and of a
 * line with them journalctl(1) shows only the length.
 */
export function visible(line: string): string {
  return line.replace(
    /[\p{C}\u2028\u2029]/gu,
    (character) => Array.from({ length: character.length }, (_, at) => escaped(character.charCodeAt(at))).join(""),
  );
}

const escaped = (unit: number) => `\\u${unit.toString(16).padStart(4, "0")}`;
