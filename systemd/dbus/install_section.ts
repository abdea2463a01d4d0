/**
 * Reads the [Install] section of unit files, see systemd.unit(5). Pure.
 *
 * @module
 */

import { optionsOf, unitNames } from "../unit_file.ts";

/** An [Install] section. */
export interface InstallSection {
  /** False if the section is missing or has no options. */
  readonly isPresent: boolean;
  /** Names that the unit would get in addition to its own. */
  readonly aliases: readonly string[];
  /** The number of links that enabling makes. */
  readonly links: number;
}

const linking: ReadonlySet<string> = new Set(["Alias", "RequiredBy", "UpheldBy", "WantedBy"]);

/** Reads the section. A file that cannot be parsed has none: systemd reports the error when the unit is started. */
export function installSection(name: string, text: string): InstallSection {
  const options = optionsOf(text).filter(({ section }) => section === "Install");
  const links = options.filter((option) => linking.has(option.name)).flatMap(({ name: key, value }) =>
    unitNames(value, name).map((target) => ({ key, target }))
  );
  const aliases = links.filter(({ key, target }) => key === "Alias" && target !== name).map(({ target }) => target);
  return { isPresent: options.length > 0, aliases: [...new Set(aliases)], links: links.length };
}
