/**
 * Values as YAML. Loaded only for `--output=yaml`: the package would slow down every other command.
 *
 * @module
 */

import { stringify } from "yaml";

/**
 * Returns a value as one YAML document, without properties that are undefined. Strings are quoted: parsers of YAML 1.1
 * take `no` for a boolean and `12:30` for a number. Lines are not folded.
 */
export function yamlDocument(value: unknown): string {
  return stringify(value, {
    aliasDuplicateObjects: false,
    defaultKeyType: "PLAIN",
    defaultStringType: "QUOTE_DOUBLE",
    lineWidth: 0,
  });
}
