import { Argument, Command } from 'commander';
import { bashCompletion } from './completion/bash.ts';
import { describeTree } from './completion/tree.ts';
import { zshCompletion } from './completion/zsh.ts';
import type { Context } from './program.ts';

/** `margay completion`: a script that has the shell complete command lines. */
export function completionCommand({ out }: Context): Command {
  const completion = new Command('completion')
    .description('A script that makes the shell complete command lines of margay.')
    .addArgument(new Argument('<shell>', 'for which shell').choices(['bash', 'zsh']))
    .addHelpText(
      'after',
      `
Examples:
  source <(margay completion bash)                                      in this shell
  margay completion bash > /etc/bash_completion.d/margay                for everybody
  margay completion zsh > /usr/local/share/zsh/site-functions/_margay   for zsh`,
    )
    .action(async (shell: 'bash' | 'zsh') => {
      const { NETNS_FOLDER } = await import('#lab/leftovers.ts');
      const places = describeTree(completion.parent!);
      out.write(
        shell === 'bash' ? bashCompletion(places, NETNS_FOLDER) : zshCompletion(places, NETNS_FOLDER),
      );
    });
  return completion;
}
