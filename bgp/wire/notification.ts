/**
 * NOTIFICATION: the message that ends a session and says why (RFC 4271 sections 4.5 and 6).
 */

import { getU16, NO_BYTES, putU16 } from './bytes.ts';
import { HEADER_LENGTH, MAX_MESSAGE, NOTIFICATION } from './constants.ts';
import { putHeader } from './header.ts';

/** What a NOTIFICATION says. `data` is what the code and subcode define it to be, often empty. */
export type Notification = {
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
};

/** A message that can not be accepted: the NOTIFICATION that it demands, and a line for the log. */
export type Fault = {
  readonly kind: 'fault';
  readonly notification: Notification;
  readonly reason: string;
};

/** Error codes: RFC 4271 section 4.5; 7: RFC 7313; 8: RFC 9687. */
export const ERROR_HEADER = 1;
export const ERROR_OPEN = 2;
export const ERROR_UPDATE = 3;
export const ERROR_HOLD_TIMER = 4;
export const ERROR_FSM = 5;
export const ERROR_CEASE = 6;
export const ERROR_ROUTE_REFRESH = 7;
export const ERROR_SEND_HOLD_TIMER = 8;

/** Of no particular kind: subcode 0 of every code. */
export const UNSPECIFIC = 0;

/** Message header errors: RFC 4271 section 6.1. */
export const HEADER_NOT_SYNCHRONIZED = 1;
export const HEADER_BAD_LENGTH = 2;
export const HEADER_BAD_TYPE = 3;

/** OPEN errors: RFC 4271 section 6.2; 7: RFC 5492; 11: RFC 9234. */
export const OPEN_UNSUPPORTED_VERSION = 1;
export const OPEN_BAD_PEER_AS = 2;
export const OPEN_BAD_IDENTIFIER = 3;
export const OPEN_UNSUPPORTED_PARAMETER = 4;
export const OPEN_UNACCEPTABLE_HOLD_TIME = 6;
export const OPEN_UNSUPPORTED_CAPABILITY = 7;
export const OPEN_ROLE_MISMATCH = 11;

/** UPDATE errors: RFC 4271 section 6.3. */
export const UPDATE_MALFORMED_ATTRIBUTE_LIST = 1;
export const UPDATE_UNRECOGNIZED_WELL_KNOWN = 2;
export const UPDATE_MISSING_WELL_KNOWN = 3;
export const UPDATE_ATTRIBUTE_FLAGS = 4;
export const UPDATE_ATTRIBUTE_LENGTH = 5;
export const UPDATE_INVALID_ORIGIN = 6;
export const UPDATE_INVALID_NEXT_HOP = 8;
export const UPDATE_OPTIONAL_ATTRIBUTE = 9;
export const UPDATE_INVALID_NETWORK = 10;
export const UPDATE_MALFORMED_AS_PATH = 11;

/** A message that the state does not expect: RFC 6608. */
export const FSM_IN_OPEN_SENT = 1;
export const FSM_IN_OPEN_CONFIRM = 2;
export const FSM_IN_ESTABLISHED = 3;

/** Why a session was closed without an error: RFC 4486; 9: RFC 8538; 10: RFC 9384. */
export const CEASE_MAX_PREFIXES = 1;
export const CEASE_ADMIN_SHUTDOWN = 2;
export const CEASE_PEER_DECONFIGURED = 3;
export const CEASE_ADMIN_RESET = 4;
export const CEASE_CONNECTION_REJECTED = 5;
export const CEASE_CONFIGURATION_CHANGE = 6;
export const CEASE_COLLISION = 7;
export const CEASE_OUT_OF_RESOURCES = 8;
export const CEASE_HARD_RESET = 9;
export const CEASE_BFD_DOWN = 10;

/** ROUTE-REFRESH errors: RFC 7313 section 5. */
export const REFRESH_INVALID_LENGTH = 1;

/** The longest shutdown communication, in bytes of UTF-8: RFC 9003 section 2. */
export const MAX_SHUTDOWN_COMMUNICATION = 255;

export function notification(code: number, subcode: number, data: Uint8Array = NO_BYTES): Notification {
  return { code, subcode, data };
}

export function fault(reason: string, code: number, subcode: number, data: Uint8Array = NO_BYTES): Fault {
  return { kind: 'fault', notification: { code, subcode, data }, reason };
}

/** The whole message. Data past what a message of `maxLength` bytes holds is cut off. */
export function encodeNotification(
  { code, subcode, data }: Notification,
  maxLength: number = MAX_MESSAGE,
): Uint8Array {
  const kept = data.subarray(0, maxLength - HEADER_LENGTH - 2);
  const out = new Uint8Array(HEADER_LENGTH + 2 + kept.length);
  putHeader(out, 0, out.length, NOTIFICATION);
  out[HEADER_LENGTH] = code;
  out[HEADER_LENGTH + 1] = subcode;
  out.set(kept, HEADER_LENGTH + 2);
  return out;
}

/** What the body of a NOTIFICATION says; the framer has checked that it has at least two bytes. `data` is a copy. */
export function decodeNotification(body: Uint8Array): Notification {
  return { code: body[0]!, subcode: body[1]!, data: body.slice(2) };
}

/**
 * Administrative Shutdown or Administrative Reset with a message for people (RFC 9003). A text that is longer than
 * `MAX_SHUTDOWN_COMMUNICATION` bytes is cut at the end of a character.
 */
export function shutdown(
  subcode: typeof CEASE_ADMIN_SHUTDOWN | typeof CEASE_ADMIN_RESET,
  text = '',
): Notification {
  let bytes: Uint8Array = encoder.encode(text);
  if (bytes.length > MAX_SHUTDOWN_COMMUNICATION) {
    let end = MAX_SHUTDOWN_COMMUNICATION;
    while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
    bytes = bytes.subarray(0, end);
  }
  if (bytes.length === 0) return notification(ERROR_CEASE, subcode);
  const data = new Uint8Array(1 + bytes.length);
  data[0] = bytes.length;
  data.set(bytes, 1);
  return notification(ERROR_CEASE, subcode, data);
}

/**
 * The shutdown communication that a Cease carries (RFC 9003), `''` if it carries none, `undefined` if what is
 * there is not one: the length does not fit or the text is not UTF-8. Control and formatting characters are shown as
 * escapes, so that a peer can not write to the terminal of whoever reads the log.
 */
export function shutdownCommunication({ code, subcode, data }: Notification): string | undefined {
  if (code !== ERROR_CEASE || (subcode !== CEASE_ADMIN_SHUTDOWN && subcode !== CEASE_ADMIN_RESET)) return '';
  if (data.length === 0) return '';
  const length = data[0]!;
  if (data.length < 1 + length) return undefined;
  const text = decodeUtf8(data.subarray(1, 1 + length));
  return text?.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escapeCharacter);
}

/**
 * A Cease / Hard Reset around the notification that says why (RFC 8538 section 3.1): routes are not kept, even
 * between peers that agreed to keep them over a NOTIFICATION.
 */
export function hardReset({ code, subcode, data }: Notification): Notification {
  const wrapped = new Uint8Array(2 + data.length);
  wrapped[0] = code;
  wrapped[1] = subcode;
  wrapped.set(data, 2);
  return notification(ERROR_CEASE, CEASE_HARD_RESET, wrapped);
}

/** The notification inside a Hard Reset, `undefined` for any other one and for a Hard Reset without content. */
export function insideHardReset({ code, subcode, data }: Notification): Notification | undefined {
  if (code !== ERROR_CEASE || subcode !== CEASE_HARD_RESET || data.length < 2) return undefined;
  return decodeNotification(data);
}

/** `Cease / Administrative Shutdown: "moving to rack 7"`: one line for logs and tables. */
export function describeNotification(value: Notification): string {
  const inside = insideHardReset(value);
  // One level and no more: a peer can nest them by the thousand.
  return inside === undefined ? describe(value) : `${notificationName(value)}: ${describe(inside)}`;
}

function describe(value: Notification): string {
  const name = notificationName(value);
  const text = shutdownCommunication(value);
  if (text) return `${name}: "${text}"`;
  const { code, subcode, data } = value;
  if (code === ERROR_HEADER && subcode === HEADER_BAD_LENGTH && data.length === 2) {
    return `${name}: ${getU16(data, 0)}`;
  }
  return name;
}

/** `UPDATE Message Error / Invalid Network Field`; numbers where no name is assigned. */
export function notificationName({ code, subcode }: { code: number; subcode: number }): string {
  const known = NAMES[code];
  if (known === undefined) return `Error ${code} / ${subcode}`;
  const [name, subcodes] = known;
  const subname = subcodes[subcode];
  if (subname !== undefined) return `${name} / ${subname}`;
  return subcode === UNSPECIFIC ? name : `${name} / ${subcode}`;
}

/** The data of an Unsupported Version Number and of a Bad Message Length: one number in two octets. */
export function u16Data(value: number): Uint8Array {
  const data = new Uint8Array(2);
  putU16(data, 0, value);
  return data;
}

/** Names as IANA's registry of error codes and subcodes has them. */
const NAMES: Readonly<Record<number, readonly [string, Readonly<Record<number, string>>]>> = {
  [ERROR_HEADER]: [
    'Message Header Error',
    {
      [HEADER_NOT_SYNCHRONIZED]: 'Connection Not Synchronized',
      [HEADER_BAD_LENGTH]: 'Bad Message Length',
      [HEADER_BAD_TYPE]: 'Bad Message Type',
    },
  ],
  [ERROR_OPEN]: [
    'OPEN Message Error',
    {
      [OPEN_UNSUPPORTED_VERSION]: 'Unsupported Version Number',
      [OPEN_BAD_PEER_AS]: 'Bad Peer AS',
      [OPEN_BAD_IDENTIFIER]: 'Bad BGP Identifier',
      [OPEN_UNSUPPORTED_PARAMETER]: 'Unsupported Optional Parameter',
      5: 'Authentication Failure',
      [OPEN_UNACCEPTABLE_HOLD_TIME]: 'Unacceptable Hold Time',
      [OPEN_UNSUPPORTED_CAPABILITY]: 'Unsupported Capability',
      [OPEN_ROLE_MISMATCH]: 'Role Mismatch',
    },
  ],
  [ERROR_UPDATE]: [
    'UPDATE Message Error',
    {
      [UPDATE_MALFORMED_ATTRIBUTE_LIST]: 'Malformed Attribute List',
      [UPDATE_UNRECOGNIZED_WELL_KNOWN]: 'Unrecognized Well-known Attribute',
      [UPDATE_MISSING_WELL_KNOWN]: 'Missing Well-known Attribute',
      [UPDATE_ATTRIBUTE_FLAGS]: 'Attribute Flags Error',
      [UPDATE_ATTRIBUTE_LENGTH]: 'Attribute Length Error',
      [UPDATE_INVALID_ORIGIN]: 'Invalid ORIGIN Attribute',
      7: 'AS Routing Loop',
      [UPDATE_INVALID_NEXT_HOP]: 'Invalid NEXT_HOP Attribute',
      [UPDATE_OPTIONAL_ATTRIBUTE]: 'Optional Attribute Error',
      [UPDATE_INVALID_NETWORK]: 'Invalid Network Field',
      [UPDATE_MALFORMED_AS_PATH]: 'Malformed AS_PATH',
    },
  ],
  [ERROR_HOLD_TIMER]: ['Hold Timer Expired', {}],
  [ERROR_FSM]: [
    'Finite State Machine Error',
    {
      [FSM_IN_OPEN_SENT]: 'Unexpected Message in OpenSent',
      [FSM_IN_OPEN_CONFIRM]: 'Unexpected Message in OpenConfirm',
      [FSM_IN_ESTABLISHED]: 'Unexpected Message in Established',
    },
  ],
  [ERROR_CEASE]: [
    'Cease',
    {
      [CEASE_MAX_PREFIXES]: 'Maximum Number of Prefixes Reached',
      [CEASE_ADMIN_SHUTDOWN]: 'Administrative Shutdown',
      [CEASE_PEER_DECONFIGURED]: 'Peer De-configured',
      [CEASE_ADMIN_RESET]: 'Administrative Reset',
      [CEASE_CONNECTION_REJECTED]: 'Connection Rejected',
      [CEASE_CONFIGURATION_CHANGE]: 'Other Configuration Change',
      [CEASE_COLLISION]: 'Connection Collision Resolution',
      [CEASE_OUT_OF_RESOURCES]: 'Out of Resources',
      [CEASE_HARD_RESET]: 'Hard Reset',
      [CEASE_BFD_DOWN]: 'BFD Down',
    },
  ],
  [ERROR_ROUTE_REFRESH]: [
    'ROUTE-REFRESH Message Error',
    { [REFRESH_INVALID_LENGTH]: 'Invalid Message Length' },
  ],
  [ERROR_SEND_HOLD_TIMER]: ['Send Hold Timer Expired', {}],
};

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    // Not UTF-8: the caller says so.
    return undefined;
  }
}

function escapeCharacter(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}
