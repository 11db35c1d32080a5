/**
 * One line of a watch.
 *
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */

import { describeValue } from '../problem.ts';
import { ApiStatusError, StreamError } from './errors.ts';
import { isObject, type RawObject, versionOf } from './shelf.ts';

export type WatchEvent =
  | { readonly type: 'put' | 'delete'; readonly object: RawObject; readonly version: string }
  /** Nothing before this version is to come any more. */
  | { readonly type: 'bookmark'; readonly version: string; readonly endsInitialEvents: boolean };

/** On the bookmark after which a watch that was asked for everything has told everything (KEP-3157). */
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

const EVENT_TYPES: Readonly<Record<string, 'put' | 'delete' | 'bookmark'>> = {
  ADDED: 'put',
  MODIFIED: 'put',
  DELETED: 'delete',
  BOOKMARK: 'bookmark',
};

/**
 * @throws ApiStatusError for an event of type ERROR, StreamError for what is no event
 */
export function readEvent(line: Buffer): WatchEvent {
  let event: unknown;
  try {
    event = JSON.parse(line.toString());
  } catch (error) {
    throw new StreamError(`no JSON (${(error as Error).message})`, 'an event');
  }
  if (typeof event !== 'object' || event === null) throw new StreamError(describeValue(event), 'an event');
  const { type, object } = event as Record<string, unknown>;
  if (type === 'ERROR') throw readStatus(object, { inStream: true });
  const known = typeof type === 'string' && Object.hasOwn(EVENT_TYPES, type) ? EVENT_TYPES[type] : undefined;
  if (known === undefined) {
    const expected = `one of ${Object.keys(EVENT_TYPES).join(', ')}, ERROR`;
    throw new StreamError(`an event of type ${describeValue(type)}`, expected);
  }
  if (!isObject(object, { named: known !== 'bookmark' }))
    throw new StreamError(`an event about ${describeValue(object)}`, 'an object');
  const version = versionOf(object);
  if (version === '') throw new StreamError('an object without resourceVersion', 'one that has it');
  if (known !== 'bookmark') return { type: known, object, version };
  const { annotations } = object.metadata as { annotations?: RawObject };
  return { type: 'bookmark', version, endsInitialEvents: annotations?.[INITIAL_EVENTS_END] === 'true' };
}

/**
 * A `Status` of the API as an error.
 *
 * @param status the HTTP status, which goes before what the body says
 */
export function readStatus(
  body: unknown,
  options: { readonly status?: number; readonly retryAfter?: number; readonly inStream?: boolean } = {},
): ApiStatusError {
  const { code, reason, message, details } = (typeof body === 'object' && body !== null ? body : {}) as {
    readonly code?: unknown;
    readonly reason?: unknown;
    readonly message?: unknown;
    readonly details?: { readonly retryAfterSeconds?: unknown } | null;
  };
  const seconds = details?.retryAfterSeconds;
  const said = typeof seconds === 'number' && seconds > 0 ? seconds * 1_000 : 0;
  return new ApiStatusError(
    options.status ?? (typeof code === 'number' ? code : 500),
    typeof reason === 'string' ? reason : '',
    typeof message === 'string' && message !== '' ? message : 'no reason given',
    { retryAfter: Math.max(options.retryAfter ?? 0, said), inStream: options.inStream ?? false },
  );
}
