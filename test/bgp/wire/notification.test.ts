import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '#bgp/wire/bytes.ts';
import {
  CEASE_ADMIN_RESET,
  CEASE_ADMIN_SHUTDOWN,
  CEASE_HARD_RESET,
  decodeNotification,
  describeNotification,
  ERROR_CEASE,
  ERROR_HOLD_TIMER,
  encodeNotification,
  hardReset,
  insideHardReset,
  notification,
  notificationName,
  shutdown,
  shutdownCommunication,
} from '#bgp/wire/notification.ts';

test('every code and subcode has the name that IANA gives it', () => {
  const names = (code: number, subcodes: number[]): string[] =>
    subcodes.map((subcode) => notificationName({ code, subcode }));
  expect(names(1, [0, 1, 2, 3])).toEqual([
    'Message Header Error',
    'Message Header Error / Connection Not Synchronized',
    'Message Header Error / Bad Message Length',
    'Message Header Error / Bad Message Type',
  ]);
  for (const [code, subcodes] of [
    [2, [1, 2, 3, 4, 5, 6, 7, 11]],
    [3, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]],
    [5, [1, 2, 3]],
    [6, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
    [7, [1]],
  ] as const) {
    for (const name of names(code, [...subcodes])) expect(name).toMatch(/^[A-Z].* \/ [A-Z]/);
  }
  expect(names(4, [0])).toEqual(['Hold Timer Expired']);
  expect(names(8, [0])).toEqual(['Send Hold Timer Expired']);
});

test('numbers stand where there is no name', () => {
  expect(notificationName({ code: 6, subcode: 77 })).toBe('Cease / 77');
  expect(notificationName({ code: 99, subcode: 1 })).toBe('Error 99 / 1');
});

describe('a shutdown communication: RFC 9003', () => {
  test('goes there and back, for people of any language', () => {
    for (const subcode of [CEASE_ADMIN_SHUTDOWN, CEASE_ADMIN_RESET] as const) {
      const value = shutdown(subcode, 'maintenance à 3 h, see ✉ #42');
      const back = decodeNotification(encodeNotification(value).subarray(19));
      expect(shutdownCommunication(back)).toBe('maintenance à 3 h, see ✉ #42');
    }
  });

  test('is cut at a whole character so that it has at most 255 bytes', () => {
    const { data } = shutdown(CEASE_ADMIN_SHUTDOWN, `${'x'.repeat(254)}é`);
    expect([data[0], data.length]).toEqual([254, 255]);
    const long = shutdown(CEASE_ADMIN_SHUTDOWN, 'é'.repeat(300));
    expect(long.data[0]).toBe(254);
    expect(shutdownCommunication(long)).toBe('é'.repeat(127));
  });

  test('may be left out, and an empty one is none', () => {
    expect(shutdown(CEASE_ADMIN_RESET).data).toHaveLength(0);
    expect(shutdownCommunication(shutdown(CEASE_ADMIN_RESET))).toBe('');
    expect(shutdownCommunication(notification(ERROR_CEASE, CEASE_ADMIN_RESET, Uint8Array.of(0)))).toBe('');
  });

  test.each([
    ['a length past the end', '05 68656c6c'],
    ['bytes that are not UTF-8', '02 c328'],
  ])('that is not one is told from none: %s', (_, hex) => {
    const value = notification(ERROR_CEASE, CEASE_ADMIN_SHUTDOWN, fromHex(hex));
    expect(shutdownCommunication(value)).toBeUndefined();
    expect(describeNotification(value)).toBe('Cease / Administrative Shutdown');
  });

  test('can not write to a terminal', () => {
    const value = shutdown(CEASE_ADMIN_SHUTDOWN, 'a\u001b[2Jb\u202ec\r\nd');
    expect(shutdownCommunication(value)).toBe('a\\u{1b}[2Jb\\u{202e}c\\u{d}\\u{a}d');
  });

  test('is read in a Cease of these two subcodes only', () => {
    expect(shutdownCommunication(notification(ERROR_CEASE, 7, fromHex('02 6869')))).toBe('');
    expect(shutdownCommunication(notification(ERROR_HOLD_TIMER, 2, fromHex('02 6869')))).toBe('');
  });
});

describe('a hard reset: RFC 8538', () => {
  test('wraps the notification that says why', () => {
    const value = hardReset(shutdown(CEASE_ADMIN_SHUTDOWN, 'moving'));
    expect([value.code, value.subcode, toHex(value.data)]).toEqual([6, 9, '0602066d6f76696e67']);
    expect(insideHardReset(value)).toEqual(shutdown(CEASE_ADMIN_SHUTDOWN, 'moving'));
    expect(describeNotification(value)).toBe('Cease / Hard Reset: Cease / Administrative Shutdown: "moving"');
  });

  test('may come without content', () => {
    const value = notification(ERROR_CEASE, CEASE_HARD_RESET, Uint8Array.of(6));
    expect(insideHardReset(value)).toBeUndefined();
    expect(describeNotification(value)).toBe('Cease / Hard Reset');
  });

  test('inside of thousands of others is shown and not followed down', () => {
    const data = new Uint8Array(65000);
    for (let at = 0; at < data.length; at += 2) data.set([6, 9], at);
    expect(describeNotification(notification(ERROR_CEASE, CEASE_HARD_RESET, data)).length).toBeLessThan(500);
  });
});

test('a bad message length shows the length', () => {
  expect(describeNotification(notification(1, 2, fromHex('1001')))).toBe(
    'Message Header Error / Bad Message Length: 4097',
  );
});

test('data that no message holds is cut off', () => {
  const value = notification(3, 9, new Uint8Array(5000));
  expect(encodeNotification(value)).toHaveLength(4096);
  expect(encodeNotification(value, 65535)).toHaveLength(5021);
});
