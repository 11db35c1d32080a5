import { Attributes } from '../../netlink/reader.ts';
import type { Message } from '../../netlink/socket.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { NFGENMSG } from '../constants.ts';
import { DecodeError } from '../error.ts';
import { type Family, families } from '../model.ts';

/** Writes a struct nfgenmsg (linux/netfilter/nfnetlink.h). `resource` is the subsystem of a batch, otherwise 0. */
export function putHeader(writer: MessageWriter, family: number, resource = 0): void {
  const at = writer.fixed(NFGENMSG);
  writer.bytes[at] = family;
  writer.view.setUint16(at + 2, resource);
}

/** The family in a message's struct nfgenmsg. */
export function familyOf(message: Message): Family {
  return families.name(message.view.getUint8(message.start));
}

/** Indexes the attributes of a message about a family's objects for `read`; a DecodeError tells what can not be read. */
export function decode<T>(
  object: string,
  maxAttribute: number,
  message: Message,
  read: (attributes: Attributes, family: Family) => T,
): T {
  return decodeAttributes(object, maxAttribute, message, (attributes) => read(attributes, familyOf(message)));
}

/** The same for a message that is about no family. */
export function decodeAttributes<T>(
  object: string,
  maxAttribute: number,
  message: Message,
  read: (attributes: Attributes) => T,
): T {
  try {
    if (message.end - message.start < NFGENMSG) throw new RangeError('message cut short');
    const attributes = new Attributes(maxAttribute);
    attributes.parse(message.bytes, message.view, message.start + NFGENMSG, message.end);
    return read(attributes);
  } catch (error) {
    if (error instanceof RangeError) throw new DecodeError(object, error);
    throw error;
  }
}
