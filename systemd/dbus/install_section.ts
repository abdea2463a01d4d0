/**
 * What a unit file's [Install] section asks systemd to link, see systemd.unit(5). Pure.
 *
 * @module
 */

import { parseUnitFile, UnitFileError, type UnitOption } from "../unit_file.ts";
import { expandSpecifiers } from "../unit_name.ts";

/** An [Install] section. */
export interface InstallSection {
  /** False where the file has no options in such a section. */
  readonly isPresent: boolean;
  /** Other names that the unit would get, without its own. */
  readonly aliases: readonly string[];
  /** How many links enabling makes. */
  readonly links: number;
}

const linking: ReadonlySet<string> = new Set(["Alias", "RequiredBy", "UpheldBy", "WantedBy"]);

/** Reads the section. A file that cannot be read asks for nothing; systemd says so when it is started. */
export function installSection(name: string, text: string): InstallSection {
  const options = optionsOf(text).filter(({ section }) => section === "Install");
  const links = options.filter((option) => linking.has(option.name)).flatMap(({ name: key, value }) => {
    return value.split(/\s+/).filter((word) => word !== "").map((word) => ({
      key,
      target: expandSpecifiers(word, name),
    }));
  });
  const aliases = links.filter(({ key, target }) => key === "Alias" && target !== name).map(({ target }) => target);
  return { isPresent: options.length > 0, aliases: [...new Set(aliases)], links: links.length };
}

/** The options of a unit file; none where it cannot be read. */
export function optionsOf(text: string): readonly UnitOption[] {
  try {
    return parseUnitFile(text);
  } catch (error) {
    if (error instanceof UnitFileError) return [];
    throw error;
  }
}
