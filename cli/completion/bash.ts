import type { Place } from './tree.ts';

/**
 * A script for bash. It walks along the line from one subcommand to the next, and offers what can follow there. `path` are the
 * words that it has recognised so far.
 *
 * @param netns where the namespaces of labs are: machines are `margay-LAB.n1`, pods `margay-LAB.pod.NAMESPACE.NAME`
 */
export function bashCompletion(places: readonly Place[], netns: string): string {
  return `# Completion of margay for bash. Load it with: source <(margay completion bash)

_margay() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path=margay i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ \${COMP_WORDS[i]} == -- ]] && return
    case "$path \${COMP_WORDS[i]}" in
      ${pattern(places.slice(1).map(({ path }) => path))}) path+=" \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$path $prev" in
${valueCases(places)}
  esac
  local words options files=
  case $path in
${places.map(placeCase).join('\n')}
  esac
  if [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
  elif [[ -n $files ]]; then
    _margay_files "$cur"
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  fi
}

_margay_files() {
  compopt -o filenames 2> /dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_margay_from_lab() {
  local each
  for each in ${quote(netns)}/margay-*.*; do
    [[ -e $each ]] || continue
    each=\${each##*/}
    each=\${each#*.}
    case $each in
      pod.*) each=\${each#pod.}; [[ $1 == place ]] && echo "\${each%%.*}/\${each#*.}" ;;
      *) echo "$each" ;;
    esac
  done
}

complete -F _margay margay
`;
}

function valueCases(places: readonly Place[]): string {
  return places
    .flatMap(({ path, values }) =>
      values.map(({ names, choices }) => {
        const line = pattern(names.map((name) => `${path} ${name}`));
        if (choices === undefined) return `    ${line}) return ;;`;
        const list = typeof choices === 'string' ? namesOf(choices) : quote(choices.join(' '));
        const offer =
          choices === 'file'
            ? '_margay_files "$cur"'
            : `mapfile -t COMPREPLY < <(compgen -W ${list} -- "$cur")`;
        return `    ${line}) ${offer}; return ;;`;
      }),
    )
    .join('\n');
}

function placeCase({ path, words, options, takesFile, takesFromLab }: Place): string {
  const list = (of: typeof words): string => quote(of.map(({ word }) => word).join(' '));
  const names = takesFromLab === undefined ? '' : `" "${namesOf(takesFromLab)}`;
  return `    ${quote(path)}) words=${list(words)}${names} options=${list(options)}${takesFile ? ' files=yes' : ''} ;;`;
}

function namesOf(what: string): string {
  return `"$(_margay_from_lab ${what})"`;
}

function pattern(texts: readonly string[]): string {
  return texts.map(quote).join(' | ');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
