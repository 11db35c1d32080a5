import { findLab, NoLabError, type RunningLab } from '#lab/state.ts';
import { CliError, EXIT } from '../program.ts';

/** The running lab that is meant. @throws CliError */
export function find(name: string | undefined): RunningLab {
  try {
    return findLab(name);
  } catch (error) {
    if (!(error instanceof NoLabError)) throw error;
    throw new CliError(error.message, EXIT.unreachable, { cause: error });
  }
}
