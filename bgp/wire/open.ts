/**
 * OPEN: RFC 4271 sections 4.2 and 6.2, optional parameters RFC 5492 and RFC 9072.
 */

import { getU16, getU32, putU16, putU32 } from './bytes.ts';
import {
  type Capability,
  capabilityName,
  decodeCapability,
  encodeCapability,
  findCapability,
} from './capabilities.ts';
import {
  AS_TRANS,
  BGP_VERSION,
  HEADER_LENGTH,
  MAX_MESSAGE,
  MIN_OPEN,
  OPEN,
  PARAMETER_CAPABILITIES,
  PARAMETER_EXTENDED_LENGTH,
} from './constants.ts';
import { putHeader } from './header.ts';
import {
  ERROR_OPEN,
  type Fault,
  fault,
  OPEN_BAD_IDENTIFIER,
  OPEN_BAD_PEER_AS,
  OPEN_UNACCEPTABLE_HOLD_TIME,
  OPEN_UNSUPPORTED_PARAMETER,
  OPEN_UNSUPPORTED_VERSION,
  UNSPECIFIC,
  u16Data,
} from './notification.ts';

export type Open = {
  readonly kind: 'open';
  /**
   * The speaker's AS: that of its four-octet AS capability, if it has one, else that of the header. Written as
   * AS_TRANS in the header if it needs four octets; the capability is the caller's to list.
   */
  readonly asn: number;
  /** Seconds; 0 for none, else 3 or more. */
  readonly holdTime: number;
  /** BGP identifier (router id) as a number, never 0. */
  readonly identifier: number;
  /** In the order they came. Several may be of one kind: one multiprotocol for each family. */
  readonly capabilities: readonly Capability[];
};

/**
 * The OPEN in a message body that the framer has passed. What depends on the configuration, which AS and which
 * identifier is right, is for the session to check.
 */
export function decodeOpen(body: Uint8Array): Open | Fault {
  const version = body[0]!;
  if (version !== BGP_VERSION) {
    const expected = u16Data(BGP_VERSION);
    return fault(
      `version ${version}, expected ${BGP_VERSION}`,
      ERROR_OPEN,
      OPEN_UNSUPPORTED_VERSION,
      expected,
    );
  }
  const headerAs = getU16(body, 1);
  if (headerAs === 0) return fault('AS 0', ERROR_OPEN, OPEN_BAD_PEER_AS); // RFC 7607 section 2
  const holdTime = getU16(body, 3);
  if (holdTime === 1 || holdTime === 2) {
    return fault(
      `hold time ${holdTime} s, expected 0 or 3 and more`,
      ERROR_OPEN,
      OPEN_UNACCEPTABLE_HOLD_TIME,
    );
  }
  const identifier = getU32(body, 5);
  if (identifier === 0) return fault('BGP identifier 0', ERROR_OPEN, OPEN_BAD_IDENTIFIER); // RFC 6286 section 2.2

  const capabilities = decodeParameters(body);
  if ('kind' in capabilities) return capabilities;

  const fourOctet = findCapability(capabilities, 'four-octet-as');
  const asn = fourOctet?.asn ?? headerAs;
  if (asn === 0) return fault('AS 0 in the four-octet AS capability', ERROR_OPEN, OPEN_BAD_PEER_AS);
  if (asn !== headerAs && headerAs !== AS_TRANS) {
    return fault(`AS ${headerAs}, but AS ${asn} in its capability`, ERROR_OPEN, OPEN_BAD_PEER_AS);
  }
  return { kind: 'open', asn, holdTime, identifier, capabilities };
}

/**
 * The whole message. All capabilities go into one optional parameter, in the extended form of RFC 9072 where they
 * take more than 253 bytes, or where `forceExtended` asks for it: some peers take nothing else when so configured.
 *
 * @throws RangeError if a capability takes more than 255 bytes, or the message more than 4,096.
 */
export function encodeOpen(
  { asn, holdTime, identifier, capabilities }: Omit<Open, 'kind'>,
  forceExtended = false,
): Uint8Array {
  const encoded = capabilities.map(encodeCapability);
  const size = encoded.reduce((sum, each) => sum + each.length, 0);
  const extended = size > 253 || forceExtended;
  const parameters = extended ? 6 + size : size === 0 ? 0 : 2 + size;
  const length = MIN_OPEN + parameters;
  if (length > MAX_MESSAGE) throw new RangeError(`OPEN of ${length} bytes: too many capabilities`);

  const out = new Uint8Array(length);
  putHeader(out, 0, length, OPEN);
  out[HEADER_LENGTH] = BGP_VERSION;
  putU16(out, HEADER_LENGTH + 1, asn > 0xffff ? AS_TRANS : asn);
  putU16(out, HEADER_LENGTH + 3, holdTime);
  putU32(out, HEADER_LENGTH + 5, identifier);
  let at = MIN_OPEN - 1;
  if (extended) {
    out[at] = 255;
    out[at + 1] = PARAMETER_EXTENDED_LENGTH;
    putU16(out, at + 2, 3 + size);
    out[at + 4] = PARAMETER_CAPABILITIES;
    putU16(out, at + 5, size);
    at += 7;
  } else {
    out[at] = parameters;
    if (size > 0) {
      out[at + 1] = PARAMETER_CAPABILITIES;
      out[at + 2] = size;
      at += 3;
    }
  }
  for (const each of encoded) {
    out.set(each, at);
    at += each.length;
  }
  return out;
}

/** All capabilities of all optional parameters. */
function decodeParameters(body: Uint8Array): Capability[] | Fault {
  const capabilities: Capability[] = [];
  let at = 10;
  let length = body[9]!;
  // RFC 9072 section 2: a first parameter type of 255 says that lengths have two octets, whatever the short length says.
  const extended = body[10] === PARAMETER_EXTENDED_LENGTH;
  if (extended) {
    if (body.length < 13) return malformed('extended optional parameters without their length');
    length = getU16(body, 11);
    at = 13;
  }
  if (at + length !== body.length) {
    return malformed(`optional parameters of ${length} bytes in a field of ${body.length - at}`);
  }
  const head = extended ? 3 : 2;
  while (at < body.length) {
    if (body.length - at < head) return malformed(`${body.length - at} bytes left behind the last parameter`);
    const type = body[at]!;
    const size = extended ? getU16(body, at + 1) : body[at + 1]!;
    const start = at + head;
    const end = start + size;
    if (end > body.length) return malformed(`parameter of ${size} bytes, ${body.length - start} left`);
    if (type !== PARAMETER_CAPABILITIES) {
      return fault(`optional parameter ${type}`, ERROR_OPEN, OPEN_UNSUPPORTED_PARAMETER);
    }
    const problem = decodeCapabilities(body, start, end, capabilities);
    if (problem !== undefined) return problem;
    at = end;
  }
  return capabilities;
}

function decodeCapabilities(
  body: Uint8Array,
  at: number,
  end: number,
  into: Capability[],
): Fault | undefined {
  while (at < end) {
    if (end - at < 2) return malformed('one byte left behind the last capability');
    const code = body[at]!;
    const next = at + 2 + body[at + 1]!;
    if (next > end) return malformed(`${capabilityName(code)}: ${body[at + 1]} bytes, ${end - at - 2} left`);
    const capability = decodeCapability(code, body.subarray(at + 2, next));
    if (capability === undefined)
      return malformed(`${capabilityName(code)}: ${body[at + 1]} bytes do not fit it`);
    into.push(capability);
    at = next;
  }
  return undefined;
}

/** RFC 4271 section 6.2: a parameter that is recognized but malformed is an error of subcode 0. */
function malformed(reason: string): Fault {
  return fault(reason, ERROR_OPEN, UNSPECIFIC);
}
