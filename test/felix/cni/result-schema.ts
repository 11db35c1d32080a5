/*
 * Results as the CNI specification has them (section 5 of 1.1.0; the older ones of SPEC.md of 0.3.1, 0.4.0 and 1.0.0), for lack of
 * a schema of the CNI project itself. Strict: a field that the version does not have is a fault.
 */
import { isIP } from 'node:net';
import { z } from 'zod';

const address = z.string().refine((text) => isIP(text) !== 0, 'an address');
const withLength = z.string().refine((text) => {
  const [address = '', length, ...more] = text.split('/');
  const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)]!;
  return more.length === 0 && /^\d+$/.test(length ?? '') && Number(length) <= most;
}, 'an address with a prefix length');
const mac = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i);
const number = z.number().int().nonnegative();

const dns = z.strictObject({
  nameservers: z.array(z.string()).optional(),
  domain: z.string().optional(),
  search: z.array(z.string()).optional(),
  options: z.array(z.string()).optional(),
});

/** Members that a version added. */
function since(version: string, first: string, shape: z.ZodRawShape): z.ZodRawShape {
  return version.localeCompare(first, 'en', { numeric: true }) >= 0 ? shape : {};
}

/** The result of an ADD. */
export function addResultSchema(version: string) {
  return z
    .strictObject({
      cniVersion: z.literal(version),
      interfaces: z
        .array(
          z.strictObject({
            name: z.string().min(1).max(15),
            mac: mac.optional(),
            sandbox: z.string().startsWith('/').optional(),
            ...since(version, '1.1.0', {
              mtu: number.optional(),
              socketPath: z.string().optional(),
              pciID: z.string().optional(),
            }),
          }),
        )
        .optional(),
      ips: z
        .array(
          z.strictObject({
            ...(version.startsWith('0.') ? { version: z.enum(['4', '6']) } : {}),
            address: withLength,
            gateway: address.optional(),
            interface: number.optional(),
          }),
        )
        .optional(),
      routes: z
        .array(
          z.strictObject({
            dst: withLength,
            gw: address.optional(),
            ...since(version, '1.1.0', {
              mtu: number.optional(),
              advmss: number.optional(),
              priority: number.optional(),
              table: number.optional(),
              scope: number.optional(),
            }),
          }),
        )
        .optional(),
      dns: dns.optional(),
    })
    .refine(
      ({ interfaces = [], ips = [] }) =>
        ips.every((ip) => ip.interface === undefined || Number(ip.interface) < interfaces.length),
      'an index of `interfaces`',
    );
}

/** An error. */
export const errorSchema = z.strictObject({
  cniVersion: z.enum(['0.3.1', '0.4.0', '1.0.0', '1.1.0']),
  code: z.number().int().positive(),
  msg: z.string().min(1),
  details: z.string().optional(),
});
