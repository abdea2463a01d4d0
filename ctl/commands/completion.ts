import { UsageError } from "../cli/argv.ts";
import type { Command } from "../cli/command.ts";

/** `fleetctl completion`: prints the completion script of a shell. */
export const completion: Command = {
  name: "completion",
  isNew: true,
  isOffline: true,
  group: "client",
  summary: "Print a completion script for a shell",
  usage: "completion bash|zsh|fish",
  description: `Prints a script that completes commands and flags, and asks the cluster for units and machines.`,
  examples: [
    { title: "Complete in bash, by a line in ~/.bashrc", line: "source <(fleetctl completion bash)" },
    { title: "Complete in zsh, by a line in ~/.zshrc", line: "source <(fleetctl completion zsh)" },
    { title: "Complete in fish, by a line in ~/.config/fish/config.fish", line: "fleetctl completion fish | source" },
  ],
  flags: [],
  run({ io, args }) {
    const script = args.length === 1 && Object.hasOwn(scripts, args[0] as string)
      ? scripts[args[0] as string]
      : undefined;
    if (script === undefined) throw new UsageError("name one shell: bash, zsh or fish");
    io.out(script);
    return Promise.resolve(0);
  },
};

// Each script passes the typed words to `fleetctl complete`, which prints one candidate a line. No text of the server is
// evaluated: the script reads candidates line by line and quotes them as it inserts them.

/**
 * The script for bash. bash splits words at each character of COMP_WORDBREAKS (`@`, `:` and `=` by default) and replaces
 * only the part behind the last of them: the script splits the line itself and cuts the same part off each candidate.
 */
const bash = `# bash completion of fleetctl
_fleetctl() {
  local line=\${COMP_LINE:0:COMP_POINT} quote= word= begun= char candidate i cut=0 words=()
  for ((i = 0; i < \${#line}; i++)); do
    char=\${line:i:1}
    if [[ $quote == "'" && $char != "'" ]]; then
      word+=$char
    elif [[ $char == "\\\\" && $quote != "'" ]]; then
      begun=1
      char=\${line:++i:1}
      [[ $quote && $char != [\\"\\\\\\$\\\`] ]] && word+="\\\\"
      word+=$char
    elif [[ $quote && $char == "$quote" ]]; then
      quote= cut=\${#word}
    elif [[ ! $quote && $char == [\\'\\"] ]]; then
      quote=$char begun=1 cut=\${#word}
    elif [[ ! $quote && $char == [[:space:]] ]]; then
      [[ $begun ]] && words+=("$word")
      word= begun= cut=0
    else
      word+=$char begun=1
      [[ ! $quote && $COMP_WORDBREAKS == *"$char"* ]] && cut=\${#word}
      # @ belongs to what readline replaces.
      [[ ! $quote && $char == @ && $cut == \${#word} ]] && ((cut--))
    fi
  done
  words+=("$word")
  COMPREPLY=()
  while IFS= read -r candidate; do
    candidate=\${candidate:cut}
    if [[ $quote == "'" ]]; then
      [[ $candidate == *\\'* ]] && continue
    elif [[ $quote ]]; then
      [[ $candidate == *[\\"\\$\\!\\\`]* ]] && continue
      candidate=\${candidate//\\\\/\\\\\\\\}
    elif [[ $candidate ]]; then
      printf -v candidate %q "$candidate"
    fi
    COMPREPLY+=("$candidate")
  done < <(fleetctl complete -- "\${words[@]:1}" </dev/null 2>/dev/null)
}
complete -o default -F _fleetctl fleetctl
`;

const zsh = `# zsh completion of fleetctl
_fleetctl() {
  local -a candidates
  candidates=("\${(@f)$(fleetctl complete -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" </dev/null 2>/dev/null)}")
  compadd -- "\${(@)candidates:#}"
  _files
}
compdef _fleetctl fleetctl
`;

// fish itself compares candidates with the typed word and its quotes: only flags are requested by their beginning.
const fish = `# fish completion of fleetctl
function __fleetctl_complete
  set -l words (commandline -opc)
  set -l typed (string match -- '-*' (commandline -ct))
  fleetctl complete -- $words[2..-1] "$typed" </dev/null 2>/dev/null
end
complete -c fleetctl -a '(__fleetctl_complete)'
`;

const scripts: Readonly<Record<string, string>> = { bash, zsh, fish };
