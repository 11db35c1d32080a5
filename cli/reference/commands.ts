/**
 * The reference of the command line, docs/cli.md: the help of every command. `npm run docs` writes it.
 */

import type { Command } from 'commander';
import type { Terminal } from '../output.ts';
import { buildProgram } from '../program.ts';

/** The page as it should be. */
export function renderReference(): string {
  const page = new Page();
  const program = buildProgram({
    out: page,
    error: page,
    now: () => 0,
    signal: new AbortController().signal,
  });
  return [INTRODUCTION, ...sections(program, page, [])].join('\n');
}

const INTRODUCTION = `# The command line

\`margay\` is one program: the daemons start from it, and the commands for people ask them over their sockets. This page is
what \`--help\` says of each command; \`npm run docs\` writes it anew.

## Exit status

| status | meaning |
|---|---|
| 0 | done |
| 1 | understood, and the answer is no: refused, not found, failed |
| 2 | the command line is wrong |
| 3 | the daemon that it is for does not answer, or no lab runs |
| 141 | nobody reads the output any more, as after \`| head\`; a lab is taken down all the same |

\`margay lab exec\` ends with the status of the command that it ran. An error is one line on standard error that begins
with \`error:\`, or a line for each of several.

## Output

- Tables fit the terminal; what is cut short ends with \`…\`. In a pipe or a file nothing is cut.
- Colour only on a terminal, and not where \`NO_COLOR\` is set.
- \`-o json\` and \`-o yaml\` have everything, in units that programs like: seconds since 1970, bytes.
- \`-w\`, \`--watch\`: again every 2 s, until Ctrl-C.
- The sockets of the daemons: \`--socket\`, or \`MARGAY_BGP_SOCKET\`, \`MARGAY_POLICY_SOCKET\`, \`MARGAY_FELIX_SOCKET\`.
- \`margay completion bash|zsh\` makes the shell complete command lines, with the machines and pods of a lab that runs.
`;

function* sections(command: Command, page: Page, above: readonly string[]): Generator<string> {
  const path = [...above, command.name()];
  if (path[1] === 'help') return;
  command.outputHelp();
  yield `## ${path.join(' ')}\n\n\`\`\`\n${page.take().trim()}\n\`\`\`\n`;
  for (const below of command.commands) yield* sections(below as Command, page, path);
}

/** Keeps what is written, 100 columns wide. */
class Page implements Terminal {
  readonly columns = 100;
  readonly colour = false;
  #text = '';

  write(text: string): void {
    this.#text += text;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }
}
