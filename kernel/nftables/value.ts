import { addressText, ipv4, ipv6 } from './address.ts';
import { type DataType, type DataTypeName, dataType } from './datatype.ts';
import { type Hex, hexHostNumber, hexNumber, numberOf, reverseBytes } from './hex.ts';

/** A value as a person writes it: `10.0.0.1`, `tcp`, 80, `eth0`; of a flags type, names joined by commas. */
export type Value = string | number;

/**
 * The bytes of a value, in the type's own byte order.
 *
 * @throws RangeError when it is not one of the type
 */
export function parseValue(name: DataTypeName, value: Value): Hex {
  const type = dataType(name);
  switch (name) {
    case 'ipv4_addr':
      return ipv4(String(value));
    case 'ipv6_addr':
      return ipv6(String(value));
    case 'ether_addr':
      return parseEther(String(value));
    case 'ifname':
      return parseInterface(String(value), type.bytes);
    case 'ct_label':
      return parseLabel(Number(value));
  }
  const number = typeof value === 'number' ? value : parseNumber(type, value);
  return type.order === 'host' ? hexHostNumber(number, type.bytes) : hexNumber(number, type.bytes);
}

/** A value as nft prints it. `hex` is in the type's own byte order. */
export function formatValue(name: DataTypeName, hex: Hex): string {
  const type = dataType(name);
  switch (name) {
    case 'ipv4_addr':
    case 'ipv6_addr':
      return addressText(hex);
    case 'ether_addr':
      return hex.match(/../g)!.join(':');
    case 'ifname':
      return `"${Buffer.from(hex, 'hex').toString().replace(/\0.*$/s, '')}"`;
    case 'ct_label':
      return formatLabel(hex);
    case 'mark':
      return `0x${reverseBytes(hex)}`;
  }
  const number = numberOf(type.order === 'host' ? reverseBytes(hex) : hex);
  if (type.flags && number !== 0) return formatFlags(type, number);
  if (name === 'boolean') return number === 0 ? 'missing' : 'exists';
  return type.names?.find(number) ?? String(number);
}

function parseNumber(type: DataType, text: string): number {
  if (/^(0|[1-9]\d*|0x[0-9a-f]+)$/i.test(text)) return Number(text);
  if (!type.names) throw new RangeError(`${type.name}: found '${text}', expected a number`);
  if (!type.flags) return type.names.number(text);
  return text.split(',').reduce((bits, flag) => bits | type.names!.number(flag), 0) >>> 0;
}

function formatFlags(type: DataType, number: number): string {
  const names: string[] = [];
  let rest = number;
  for (let bit = 0; bit < 32; bit++) {
    const name = (number >>> bit) & 1 ? type.names!.find(2 ** bit) : undefined;
    if (name === undefined) continue;
    names.push(name);
    rest -= 2 ** bit;
  }
  return rest === 0 ? names.join(',') : `0x${number.toString(16)}`;
}

function parseEther(text: string): Hex {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text)) throw new RangeError(`ether_addr: found '${text}'`);
  return text.replaceAll(':', '').toLowerCase();
}

function parseInterface(text: string, size: number): Hex {
  const bytes = Buffer.from(text);
  if (bytes.length === 0 || bytes.length >= size || bytes.includes(0)) {
    throw new RangeError(`ifname: found '${text}', expected 1 to ${size - 1} bytes`);
  }
  return bytes.toString('hex').padEnd(size * 2, '0');
}

/** A connection label is one of 128 bits; the kernel keeps them as words in host order. */
function parseLabel(bit: number): Hex {
  if (!Number.isInteger(bit) || bit < 0 || bit > 127) {
    throw new RangeError(`ct_label: found ${bit}, expected 0 to 127`);
  }
  return reverseBytes((1n << BigInt(bit)).toString(16).padStart(32, '0'));
}

function formatLabel(hex: Hex): string {
  const number = BigInt(`0x${reverseBytes(hex)}`);
  const bits = number.toString(2);
  return /^10*$/.test(bits) ? String(bits.length - 1) : `0x${number.toString(16)}`;
}
