/**
 * What a NOTIFICATION and the log say of an error in an UPDATE.
 */

import { NO_BYTES, toHex } from './bytes.ts';
import {
  ERROR_UPDATE,
  type Notification,
  notification,
  UPDATE_INVALID_NETWORK,
  UPDATE_MALFORMED_AS_PATH,
  UPDATE_MALFORMED_ATTRIBUTE_LIST,
} from './notification.ts';
import type { AttributeError, ErrorAction } from './types.ts';

/**
 * The NOTIFICATION for an error that ends the session: code 3, and the attribute as data where RFC 4271 section 6.3
 * wants it. It can also be used for an error of action `disable`, where the family is not disabled.
 */
export function errorNotification({ subcode, bytes }: AttributeError): Notification {
  return notification(ERROR_UPDATE, subcode, WITHOUT_DATA.has(subcode) ? NO_BYTES : bytes);
}

/**
 * One line for the log: what was wrong, the rule, what became of it, and the bytes, of which a long value shows its
 * head. `ORIGIN value 3, expected 0, 1 or 2 (RFC 7606 7.1: treat-as-withdraw): 40010103`
 */
export function describeError({ action, rule, reason, bytes }: AttributeError): string {
  const shown =
    bytes.length > SHOWN ? `${toHex(bytes.subarray(0, SHOWN))}... (${bytes.length} bytes)` : toHex(bytes);
  return `${reason} (${rule}: ${ACTION_NAMES[action]})${shown === '' ? '' : `: ${shown}`}`;
}

/** RFC 7606 section 2. */
const ACTION_NAMES: Readonly<Record<ErrorAction, string>> = {
  discard: 'attribute discard',
  withdraw: 'treat-as-withdraw',
  disable: 'AFI/SAFI disable',
  reset: 'session reset',
};

/** Bytes of an attribute that go into a line. */
const SHOWN = 256;

const WITHOUT_DATA: ReadonlySet<number> = new Set([
  UPDATE_MALFORMED_ATTRIBUTE_LIST,
  UPDATE_INVALID_NETWORK,
  UPDATE_MALFORMED_AS_PATH,
]);
