import { chooseLab, findLab, NoLabError, type RunningLab } from '#lab/state.ts';
import { CliError, EXIT } from '../program.ts';

/** The running lab that is meant. @throws CliError */
export function find(name: string | undefined): RunningLab {
  return orTold(() => findLab(name));
}

/** Its name. @throws CliError */
export function choose(name: string | undefined): string {
  return orTold(() => chooseLab(name));
}

function orTold<T>(look: () => T): T {
  try {
    return look();
  } catch (error) {
    if (!(error instanceof NoLabError)) throw error;
    throw new CliError(error.message, EXIT.unreachable, { cause: error });
  }
}
