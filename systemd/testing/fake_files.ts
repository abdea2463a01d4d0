/**
 * Unit files and links in memory, for {@link FakeManager}.
 *
 * @module
 */

import { templateOf } from "../unit_name.ts";
import { fakeBehavior } from "./fake_unit.ts";

/** The file that systemd would read for a name; without a text, the unit is masked. */
export interface FoundFile {
  readonly path: string;
  readonly text: string | undefined;
}

const adminDirectory = "/etc/systemd/system";
const runtimeDirectory = "/run/systemd/system";

/** Unit files, links and enablement, see systemd.unit(5). */
export class FakeFiles {
  /** The unit files in fleet's directory, by unit name. */
  readonly files = new Map<string, string>();
  /** Names of the links in the runtime directory. */
  readonly links = new Set<string>();
  /** Runtime links under other names than the file's: file by alias. */
  readonly aliases = new Map<string, string>();
  /** Files in /etc/systemd/system, which take precedence over links; undefined: the unit is masked. */
  readonly adminFiles = new Map<string, string | undefined>();
  /** Names whose link cannot be made, because another file has that path. */
  readonly blocked = new Set<string>();
  /** Links in targets' `.wants` directories: `target/unit`. */
  readonly wants = new Set<string>();

  /** Finds the file of a name. An instance without a file uses that of its template. */
  find(name: string): FoundFile | undefined {
    if (this.adminFiles.has(name)) return { path: `${adminDirectory}/${name}`, text: this.adminFiles.get(name) };
    const linked = this.aliases.get(name) ?? (this.links.has(name) ? name : undefined);
    const text = linked === undefined ? undefined : this.files.get(linked);
    if (text !== undefined) return { path: `${runtimeDirectory}/${name}`, text };
    const template = templateOf(name);
    return template === undefined || !this.adminFiles.has(template) ? undefined : this.find(template);
  }

  /** Lists paths and states, as `systemctl list-unit-files` does. */
  list(): string[][] {
    const enabled = new Set([...this.wants].map((link) => link.slice(link.indexOf("/") + 1)));
    for (const [alias, name] of this.aliases) enabled.add(alias).add(name);
    const admin = [...this.adminFiles].map(([name, text]) => {
      return [`${adminDirectory}/${name}`, text === undefined ? "masked" : "static"];
    });
    const leads = (name: string) => this.files.has(this.aliases.get(name) ?? name);
    const names = [...this.links, ...this.aliases.keys()].filter((name) => !this.adminFiles.has(name) && leads(name));
    const links = names.map((name) => {
      return [`${runtimeDirectory}/${name}`, enabled.has(name) ? "enabled-runtime" : "linked-runtime"];
    });
    return [...admin, ...links];
  }

  /** Returns UnitFileState; "" without a file. */
  state(name: string): string {
    return this.list().find(([path]) => path!.endsWith(`/${name}`))?.[1] ?? "";
  }

  /** Makes the links of a file's [Install] section. Returns the new links, and whether the section has any. */
  enable(name: string, text: string): { readonly added: readonly string[]; readonly carriesInstallInfo: boolean } {
    const { wantedBy, aliases } = fakeBehavior(name, text);
    const wants = wantedBy.map((target) => `${target}/${name}`).filter((link) => !this.wants.has(link));
    for (const link of wants) this.wants.add(link);
    const names = aliases.filter((alias) => this.aliases.get(alias) !== name);
    for (const alias of names) this.aliases.set(alias, name);
    return { added: [...wants, ...names], carriesInstallInfo: wantedBy.length + aliases.length > 0 };
  }

  /** Removes every link to a file. */
  disable(name: string): void {
    this.links.delete(name);
    for (const link of this.wants) if (link.endsWith(`/${name}`)) this.wants.delete(link);
    for (const [alias, file] of this.aliases) if (file === name) this.aliases.delete(alias);
  }
}
