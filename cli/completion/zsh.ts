import type { Place, Word } from './tree.ts';

/**
 * A script for zsh, to be found as `_margay` in a folder of $fpath. It works as the one for bash, and says what words mean.
 *
 * @param netns where the namespaces of labs are
 */
export function zshCompletion(places: readonly Place[], netns: string): string {
  return `#compdef margay
# Completion of margay for zsh.

_margay() {
  # Not "path": that name is the shell's own.
  local at=margay i
  local -a words_here options_here
  for ((i = 2; i < CURRENT; i++)); do
    [[ $words[i] == -- ]] && { _normal; return }
    case "$at $words[i]" in
      ${pattern(places.slice(1).map(({ path }) => path))}) at+=" $words[i]" ;;
    esac
  done
  case "$at $words[CURRENT-1]" in
${valueCases(places)}
  esac
  local files=
  case $at in
${places.map(placeCase).join('\n')}
  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe -o option options_here
  else
    (( $#words_here )) && _describe command words_here
    [[ -n $files ]] && _files
  fi
}

_margay_from_lab() {
  local each
  for each in ${quote(netns)}/margay-*.*(N:t); do
    each=\${each#*.}
    case $each in
      pod.*) each=\${each#pod.}; [[ $1 == place ]] && print -r -- "\${each%%.*}/\${each#*.}" ;;
      *) print -r -- "$each" ;;
    esac
  done
}

if [[ $funcstack[1] == _margay ]]; then _margay "$@"; else compdef _margay margay; fi
`;
}

function valueCases(places: readonly Place[]): string {
  return places
    .flatMap(({ path, values }) =>
      values.map(({ names, choices }) => {
        const line = pattern(names.map((name) => `${path} ${name}`));
        if (choices === undefined) return `    ${line}) return ;;`;
        const list = typeof choices === 'string' ? namesOf(choices) : choices.map(quote).join(' ');
        const offer = choices === 'file' ? '_files' : `compadd -- ${list}`;
        return `    ${line}) ${offer}; return ;;`;
      }),
    )
    .join('\n');
}

function placeCase({ path, words, options, takesFile, takesFromLab }: Place): string {
  const names = takesFromLab === undefined ? '' : `; words_here+=(${namesOf(takesFromLab)});`;
  const list = (of: readonly Word[]): string =>
    `(${of.map(({ word, meaning }) => quote(`${word.replaceAll(':', '\\:')}:${meaning}`)).join(' ')})`;
  const files = takesFile ? ' files=yes' : '';
  return `    ${quote(path)}) words_here=${list(words)}${names} options_here=${list(options)}${files} ;;`;
}

function namesOf(what: string): string {
  return `\${(f)"$(_margay_from_lab ${what})"}`;
}

function pattern(texts: readonly string[]): string {
  return texts.map(quote).join(' | ');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
