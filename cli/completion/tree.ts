/**
 * What can stand where on a command line, worked out from the tree of commands.
 */

import type { Command, Option } from 'commander';

/** A command, as far as completion goes. */
export interface Place {
  /** All words up to it: `margay bgp rib`. */
  readonly path: string;
  /** What can follow: subcommands, and values of its arguments. */
  readonly words: readonly Word[];
  /** Its options and those of the commands above it. */
  readonly options: readonly Word[];
  /** Options that take a value, by each of their names. */
  readonly values: readonly OptionValues[];
  /** Whether an argument of it is a file. */
  readonly takesFile: boolean;
  /** What of a running lab an argument of it can be. */
  readonly takesFromLab: FromLab | undefined;
}

/** Machines of a lab that runs, or its pods too. */
export type FromLab = 'machine' | 'place';

export interface Word {
  readonly word: string;
  readonly meaning: string;
}

export interface OptionValues {
  readonly names: readonly string[];
  /** Undefined for anything; `file` for a path. */
  readonly choices: readonly string[] | 'file' | FromLab | undefined;
}

/** All commands of a tree, its root first. */
export function describeTree(command: Command, above: readonly Command[] = []): Place[] {
  const way = [...above, command];
  const isOfLab = way.some((each) => each.name() === 'lab');
  const options = way.flatMap((each) => each.options).filter(({ hidden }) => !hidden);
  return [
    {
      path: way.map((each) => each.name()).join(' '),
      words: [
        ...command.commands.map((below) => ({ word: below.name(), meaning: below.description() })),
        ...command.registeredArguments.flatMap((argument) =>
          (argument.argChoices ?? []).map((word) => ({ word, meaning: argument.description })),
        ),
      ],
      options: [
        ...options.flatMap((option) =>
          namesOf(option).map((word) => ({ word, meaning: option.description })),
        ),
        { word: '--help', meaning: 'display help for command' },
      ],
      values: options.filter(takesValue).map((option) => ({
        names: namesOf(option),
        choices:
          option.argChoices ??
          (/file|dir|path/i.test(option.flags)
            ? 'file'
            : isOfLab && option.long === '--node'
              ? 'machine'
              : undefined),
      })),
      takesFile: command.registeredArguments.some((argument) => /file|dir|path/i.test(argument.name())),
      takesFromLab: isOfLab ? fromLab(command) : undefined,
    },
    ...command.commands.flatMap((below) => describeTree(below as Command, way)),
  ];
}

function fromLab(command: Command): FromLab | undefined {
  const names = command.registeredArguments.map((argument) => argument.name());
  return names.includes('place') ? 'place' : names.includes('node') ? 'machine' : undefined;
}

function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

function namesOf({ short, long }: Option): string[] {
  return [short, long].filter((name) => name !== undefined && name !== null) as string[];
}
