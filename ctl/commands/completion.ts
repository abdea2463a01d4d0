import { type Command, exitUsage } from "../command.ts";
import { complain } from "../io.ts";

/** `fleetctl completion`: what a shell needs to complete command lines. */
export const completion: Command = {
  name: "completion",
  isNew: true,
  summary: "Print a script that makes a shell complete command lines",
  usage: "completion bash|zsh|fish",
  description: `Completes commands and flags, and asks the cluster for units and machines.

source <(fleetctl completion bash)      # in ~/.bashrc
source <(fleetctl completion zsh)       # in ~/.zshrc
fleetctl completion fish | source       # in ~/.config/fish/config.fish`,
  flags: [],
  run({ io, args }) {
    const script = args.length === 1 && Object.hasOwn(scripts, args[0] as string)
      ? scripts[args[0] as string]
      : undefined;
    if (script === undefined) {
      complain(io, 'Name one shell: "bash", "zsh" or "fish"');
      return Promise.resolve(exitUsage);
    }
    io.out(script);
    return Promise.resolve(0);
  },
};

// What is typed so far is handed to `fleetctl complete`, which prints one candidate a line.

const bash = `# bash completion of fleetctl
_fleetctl() {
  local word=\${COMP_WORDS[COMP_CWORD]} line=("\${COMP_WORDS[@]:1:COMP_CWORD-1}")
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(fleetctl complete -- "\${line[@]}" "$word" 2>/dev/null)" -- "$word"))
}
complete -o default -F _fleetctl fleetctl
`;

const zsh = `# zsh completion of fleetctl
_fleetctl() {
  local -a candidates
  candidates=(\${(f)"$(fleetctl complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)"})
  compadd -a candidates
  _files
}
compdef _fleetctl fleetctl
`;

const fish = `# fish completion of fleetctl
function __fleetctl_complete
  set -l words (commandline -opc)
  fleetctl complete -- $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c fleetctl -a '(__fleetctl_complete)'
`;

const scripts: Readonly<Record<string, string>> = { bash, zsh, fish };
