/** What went wrong with a kind, said so that an operator knows what to do. */

import type { Problem } from '../problem.ts';
import { type ApiCollection, collectionPath, rbacRule } from './api.ts';
import {
  AccessError,
  ApiStatusError,
  BackInTimeError,
  StallError,
  StreamError,
  UnreachableError,
} from './errors.ts';

export interface TroubleContext {
  readonly api: ApiCollection;
  /** Address of the API server. */
  readonly server: string;
  readonly fieldSelector: string;
  /** Whether there is an earlier state that stays in force. */
  readonly kept: boolean;
}

export interface Trouble {
  readonly problem: Problem;
  /** The same in a line, for the status. */
  readonly text: string;
  /** Whether it is only over when something comes, and not yet when an answer begins. */
  readonly lasting: boolean;
}

export function describeTrouble(error: unknown, context: TroubleContext): Trouble {
  const { api, server, kept } = context;
  const { found, expected } = factsOf(error, context);
  const after = kept ? 'what was known before stays in force' : 'nothing is known of it yet';
  const problem: Problem = {
    // What the operator has to put right is an error, and so is what nothing is known of; the rest mends itself.
    severity: kept && !isForOperator(error) ? 'warning' : 'error',
    file: error instanceof AccessError ? error.object : `${server}${collectionPath(api)}`,
    document: 0,
    line: 0,
    column: 0,
    object: '',
    path: '',
    found,
    expected: `${expected}; ${after}`,
  };
  return {
    problem,
    text: found,
    lasting: error instanceof StallError || error instanceof StreamError,
  };
}

function isForOperator(error: unknown): boolean {
  if (error instanceof AccessError) return true;
  return error instanceof ApiStatusError && [401, 403, 404].includes(error.status);
}

function factsOf(
  error: unknown,
  { api, fieldSelector }: TroubleContext,
): { found: string; expected: string } {
  const objects = fieldSelector === '' ? api.plural : `${api.plural} with ${fieldSelector}`;
  if (error instanceof AccessError || error instanceof StreamError || error instanceof StallError)
    return error;
  if (error instanceof BackInTimeError) return error;
  if (error instanceof UnreachableError) {
    return { found: `no connection (${error.message})`, expected: 'an API server that answers' };
  }
  if (!(error instanceof ApiStatusError))
    return { found: (error as Error).message, expected: `a watch of ${objects}` };
  const { status, reason, message, inStream } = error;
  const verb = inStream ? 'watch' : 'list and watch';
  const found = `status ${status}${reason === '' ? '' : ` ${reason}`} for ${verb} of ${objects}: ${message}`;
  return { found, expected: expectationOf(status, api) };
}

function expectationOf(status: number, api: ApiCollection): string {
  if (status === 401) return 'credentials that the API server takes';
  if (status === 403) return `a ClusterRole, bound to this account, with the rule ${rbacRule(api)}`;
  if (status === 404) return `an API server that has ${api.plural} of ${api.apiVersion}`;
  if (status === 429) return 'an API server that is not overloaded';
  return 'success';
}
