/** Running programs: the lab's own way, for tests. */
export {
  CommandError,
  type CommandOptions,
  findTool,
  runCommand,
  runCommandSync,
  toolEnvironment,
} from '#lab/command.ts';
