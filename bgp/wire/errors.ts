/**
 * What a NOTIFICATION says of an error in an UPDATE.
 */

import { NO_BYTES } from './bytes.ts';
import {
  ERROR_UPDATE,
  type Notification,
  notification,
  UPDATE_INVALID_NETWORK,
  UPDATE_MALFORMED_AS_PATH,
  UPDATE_MALFORMED_ATTRIBUTE_LIST,
} from './notification.ts';
import type { AttributeError } from './types.ts';

/**
 * The NOTIFICATION for an error that ends the session: code 3, and the attribute as data where RFC 4271 section 6.3 wants it.
 * It can also be used for an error of action `disable`, where the family is not disabled.
 */
export function errorNotification({ subcode, bytes }: AttributeError): Notification {
  return notification(ERROR_UPDATE, subcode, WITHOUT_DATA.has(subcode) ? NO_BYTES : bytes);
}

const WITHOUT_DATA: ReadonlySet<number> = new Set([
  UPDATE_MALFORMED_ATTRIBUTE_LIST,
  UPDATE_INVALID_NETWORK,
  UPDATE_MALFORMED_AS_PATH,
]);
