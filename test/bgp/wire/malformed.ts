/**
 * Malformed UPDATEs, one row for each rule of RFC 7606 and its kin, with exactly what has to become of them.
 */

import type { SESSIONS } from './vector.ts';

export type Malformed = {
  /** The rule, as the error names it. */
  readonly rule: string;
  readonly what: string;
  /** Behind it `CODE/SUBCODE` where there is a NOTIFICATION, and the family for `disable`. */
  readonly becomes:
    | 'discard'
    | 'withdraw'
    | `reset ${number}/${number}`
    | `disable ${string} ${number}/${number}`;
  /** In hexadecimal: the fields of the UPDATE without their lengths. */
  readonly withdrawn?: string;
  readonly attributes: string;
  readonly nlri: string;
  /** What the error shows as its bytes, if not all of the attributes after `GOOD`. */
  readonly shows?: string;
  readonly session?: keyof typeof SESSIONS;
};

/** 10.1.2.0/24 */
const NLRI = '18 0a0102';
/** ORIGIN IGP, AS_PATH 65001, NEXT_HOP 192.0.2.1; they stand first, and the attribute that is tested behind them. */
export const GOOD = '40 01 01 00  40 02 06 02 01 0000fde9  40 03 04 c0000201';
const GOOD_AS2 = '40 01 01 00  40 02 04 02 01 fde9  40 03 04 c0000201';
const ORIGIN = '40 01 01 00';
const PATH = '40 02 06 02 01 0000fde9';
const NEXT_HOP = '40 03 04 c0000201';
/** ::/0 with next hop 2001:db8::1. */
const REACH6 = '80 0e 16 0002 01 10 20010db8 00000000 00000000 00000001 00 00';

type Row = Omit<Malformed, 'rule' | 'what' | 'becomes' | 'attributes' | 'nlri'> & { readonly nlri?: string };

function row(
  rule: string,
  what: string,
  attributes: string,
  becomes: Malformed['becomes'],
  rest: Row = {},
): Malformed {
  return { rule, what, attributes, becomes, nlri: NLRI, ...rest };
}

/** Behind three good attributes. */
function after(
  rule: string,
  what: string,
  attribute: string,
  becomes: Malformed['becomes'],
  rest: Row = {},
): Malformed {
  const good = rest.session === 'as2' || rest.session === 'ibgp2' ? GOOD_AS2 : GOOD;
  return row(rule, what, `${good}  ${attribute}`, becomes, { shows: attribute, ...rest });
}

export const MALFORMED: readonly Malformed[] = [
  // RFC 7606 section 3 (c): Optional and Transitive must be as specified, for every attribute.
  row('RFC 7606 3(c)', 'ORIGIN flagged optional', `c0 01 01 00  ${PATH}  ${NEXT_HOP}`, 'withdraw', {
    shows: 'c0 01 01 00',
  }),
  row(
    'RFC 7606 3(c)',
    'AS_PATH flagged non-transitive',
    `${ORIGIN}  00 02 06 02 01 0000fde9  ${NEXT_HOP}`,
    'withdraw',
    {
      shows: '00 02 06 02 01 0000fde9',
    },
  ),
  row('RFC 7606 3(c)', 'NEXT_HOP flagged optional', `${ORIGIN}  ${PATH}  c0 03 04 c0000201`, 'withdraw', {
    shows: 'c0 03 04 c0000201',
  }),
  after('RFC 7606 3(c)', 'MULTI_EXIT_DISC flagged well-known', '40 04 04 00000001', 'withdraw'),
  after('RFC 7606 3(c)', 'LOCAL_PREF flagged optional', 'c0 05 04 00000001', 'withdraw', { session: 'ibgp' }),
  after('RFC 7606 3(c)', 'ATOMIC_AGGREGATE flagged optional', 'c0 06 00', 'withdraw'),
  after('RFC 7606 3(c)', 'AGGREGATOR flagged non-transitive', '80 07 08 0000fde9 c0000209', 'withdraw'),
  after('RFC 7606 3(c)', 'COMMUNITIES flagged non-transitive', '80 08 04 fde90001', 'withdraw'),
  after('RFC 7606 3(c)', 'ORIGINATOR_ID flagged transitive', 'c0 09 04 0a000001', 'withdraw', {
    session: 'ibgp',
  }),
  after('RFC 7606 3(c)', 'CLUSTER_LIST flagged well-known', '40 0a 04 0a000001', 'withdraw', {
    session: 'ibgp',
  }),
  after(
    'RFC 7606 3(c)',
    'EXTENDED COMMUNITIES flagged non-transitive',
    '80 10 08 0002fde900000001',
    'withdraw',
  ),
  after('RFC 7606 3(c)', 'AS4_PATH flagged non-transitive', '80 11 06 02 01 0000fde9', 'withdraw', {
    session: 'as2',
  }),
  after('RFC 7606 3(c)', 'AS4_AGGREGATOR flagged well-known', '40 12 08 0000fde9 c0000209', 'withdraw', {
    session: 'as2',
  }),
  after(
    'RFC 7606 3(c)',
    'LARGE_COMMUNITY flagged non-transitive',
    '80 20 0c 0000fde9 00000001 00000002',
    'withdraw',
  ),

  // Section 3 (d): ORIGIN, AS_PATH, and NEXT_HOP for the NLRI field.
  row('RFC 7606 3(d)', 'ORIGIN missing', `${PATH}  ${NEXT_HOP}`, 'withdraw', { shows: '01' }),
  row('RFC 7606 3(d)', 'AS_PATH missing', `${ORIGIN}  ${NEXT_HOP}`, 'withdraw', { shows: '02' }),
  row('RFC 7606 3(d)', 'NEXT_HOP missing', `${ORIGIN}  ${PATH}`, 'withdraw', { shows: '03' }),
  row('RFC 7606 3(d)', 'ORIGIN missing beside MP_REACH_NLRI', `${REACH6}  ${PATH}`, 'withdraw', {
    shows: '01',
    nlri: '',
  }),

  // Section 3 (g): what appears twice.
  after('RFC 7606 3(g)', 'ORIGIN twice', '40 01 01 02', 'discard'),
  after('RFC 7606 3(g)', 'ORIGIN twice, the second malformed', '40 01 02 0000', 'discard'),
  after('RFC 7606 3(g)', 'an unknown transitive attribute twice', 'c0 63 00  c0 63 01 00', 'discard', {
    shows: 'c0 63 01 00',
  }),
  after('RFC 7606 3(g)', 'an unknown non-transitive attribute twice', '80 63 00  80 63 01 00', 'discard', {
    shows: '80 63 01 00',
  }),
  row('RFC 7606 3(g)', 'MP_REACH_NLRI twice', `${REACH6}  ${ORIGIN}  ${PATH}  ${REACH6}`, 'reset 3/1', {
    shows: REACH6,
    nlri: '',
  }),
  row('RFC 7606 3(g)', 'MP_UNREACH_NLRI twice', '80 0f 04 0002 01 00  80 0f 04 0002 01 00', 'reset 3/1', {
    shows: '80 0f 04 0002 01 00',
    nlri: '',
  }),

  // RFC 4271 section 6.3, which RFC 7606 section 3 (b) leaves as it is.
  after('RFC 4271 6.3', 'a well-known attribute that is not known', '40 63 01 00', 'reset 3/2'),
  after('RFC 4271 6.3', 'the same, flagged non-transitive', '00 63 01 00', 'reset 3/2'),

  // Section 3 (i) and (j), 5.3: prefixes that can not be read.
  row('RFC 7606 5.3', 'NLRI: a length over 32', GOOD, 'reset 3/10', {
    nlri: '21 0a01020304',
    shows: '21 0a01020304',
  }),
  row('RFC 7606 5.3', 'NLRI: a prefix that runs over the end', GOOD, 'reset 3/10', {
    nlri: '08 0a 18 0a01',
    shows: '08 0a 18 0a01',
  }),
  row('RFC 7606 5.3', 'Withdrawn Routes: a length over 32', '', 'reset 3/10', {
    withdrawn: 'ff 00',
    nlri: '',
    shows: 'ff 00',
  }),
  row('RFC 7606 5.3', 'Withdrawn Routes: a prefix that runs over the end', GOOD, 'reset 3/10', {
    withdrawn: '20 0a0102',
    shows: '20 0a0102',
  }),
  row('RFC 7606 5.3', 'NLRI: a path identifier that is cut off', GOOD, 'reset 3/10', {
    nlri: '00000001',
    shows: '00000001',
    session: 'rich',
  }),
  row(
    'RFC 7606 5.3',
    'MP_REACH_NLRI: an IPv6 length over 128',
    `80 0e 17 0002 01 10 20010db8 00000000 00000000 00000001 00 81 00  ${ORIGIN}  ${PATH}`,
    'disable ipv6-unicast 3/9',
    { shows: '80 0e 17 0002 01 10 20010db8 00000000 00000000 00000001 00 81 00', nlri: '' },
  ),
  row(
    'RFC 7606 5.3',
    'MP_REACH_NLRI: an IPv4 length over 32',
    `80 0e 0b 0001 01 04 c0000201 00 21 0a  ${ORIGIN}  ${PATH}`,
    'disable ipv4-unicast 3/9',
    { shows: '80 0e 0b 0001 01 04 c0000201 00 21 0a', nlri: '' },
  ),
  row(
    'RFC 7606 5.3',
    'MP_UNREACH_NLRI: a prefix that runs over the end',
    '80 0f 05 0002 01 10 20',
    'disable ipv6-unicast 3/9',
    {
      shows: '80 0f 05 0002 01 10 20',
      nlri: '',
    },
  ),
  row(
    'RFC 7606 5.3',
    'MP_REACH_NLRI flagged transitive',
    `c${REACH6.slice(1)}  ${ORIGIN}  ${PATH}`,
    'disable ipv6-unicast 3/9',
    {
      shows: `c${REACH6.slice(1)}`,
      nlri: '',
    },
  ),
  row(
    'RFC 7606 5.3',
    'MP_UNREACH_NLRI flagged well-known',
    '40 0f 04 0002 01 00',
    'disable ipv6-unicast 3/9',
    {
      shows: '40 0f 04 0002 01 00',
      nlri: '',
    },
  ),
  row(
    'RFC 7606 5.3',
    'MP_REACH_NLRI of four bytes',
    `80 0e 04 0002 01 00  ${GOOD}`,
    'disable ipv6-unicast 3/9',
    {
      shows: '80 0e 04 0002 01 00',
    },
  ),
  row(
    'RFC 7606 5.3',
    'MP_REACH_NLRI of two bytes: no family to disable',
    `80 0e 02 0002  ${GOOD}`,
    'reset 3/9',
    {
      shows: '80 0e 02 0002',
    },
  ),
  row('RFC 7606 5.3', 'MP_UNREACH_NLRI of two bytes', '80 0f 02 0002', 'reset 3/9', {
    shows: '80 0f 02 0002',
    nlri: '',
  }),

  // Section 4: lengths inside of the attribute block. The prefixes behind it can still be found.
  after('RFC 7606 4', 'an attribute that runs over the end of the block', '80 04 05 00000001', 'withdraw'),
  after('RFC 7606 4', 'the same with an extended length', '90 04 0005 00000001', 'withdraw'),
  after(
    'RFC 7606 4',
    'MP_REACH_NLRI that runs over the end: its prefixes are nowhere',
    '80 0e 18 0002 01 10 20010db8 00000000 00000000 00000001 00',
    'withdraw',
  ),
  after('RFC 7606 4', 'MP_UNREACH_NLRI that runs over the end', '80 0f 06 0002 01', 'withdraw'),
  row(
    'RFC 7606 4',
    'a cut attribute, and those that are missing behind it are not spoken of',
    '40 01 05 00',
    'withdraw',
    {
      shows: '40 01 05 00',
    },
  ),
  after('RFC 7606 4', 'two bytes left behind the last attribute', '80 04', 'withdraw'),
  after('RFC 7606 4', 'one byte left behind the last attribute', '80', 'withdraw'),
  after('RFC 7606 4', 'three bytes left, which are too few with an extended length', '90 04 00', 'withdraw'),

  // Section 5.2: nothing is announced, so nothing can be withdrawn in place of an error.
  row(
    'RFC 7606 7.4',
    'a malformed attribute in an UPDATE that only withdraws',
    '80 04 03 000000',
    'reset 3/5',
    {
      withdrawn: '08 0a',
      nlri: '',
      shows: '80 04 03 000000',
    },
  ),
  row('RFC 7606 4', 'a cut attribute in an UPDATE that announces nothing', '40 01 05 00', 'reset 3/1', {
    nlri: '',
    shows: '40 01 05 00',
  }),
  row(
    'RFC 7606 7.1',
    'a malformed attribute beside MP_UNREACH_NLRI',
    '80 0f 04 0002 01 00  40 01 01 07',
    'reset 3/6',
    {
      nlri: '',
      shows: '40 01 01 07',
    },
  ),
  row('RFC 7606 7.6', 'a discarded attribute in an UPDATE that announces nothing', '40 06 01 00', 'discard', {
    withdrawn: '08 0a',
    nlri: '',
    shows: '40 06 01 00',
  }),

  // Section 7: attribute by attribute.
  row('RFC 7606 7.1', 'ORIGIN of two bytes', `40 01 02 0000  ${PATH}  ${NEXT_HOP}`, 'withdraw', {
    shows: '40 01 02 0000',
  }),
  row('RFC 7606 7.1', 'ORIGIN of no bytes', `40 01 00  ${PATH}  ${NEXT_HOP}`, 'withdraw', {
    shows: '40 01 00',
  }),
  row('RFC 7606 7.1', 'ORIGIN 3', `40 01 01 03  ${PATH}  ${NEXT_HOP}`, 'withdraw', { shows: '40 01 01 03' }),
  ...(
    [
      ['a segment of type 0', '06 00 01 0000fde9', 'as4'],
      ['a segment of type 5', '06 05 01 0000fde9', 'as4'],
      ['an empty segment', '02 02 00', 'as4'],
      ['a segment that runs over the end', '06 02 02 0000fde9', 'as4'],
      ['one byte left behind the last segment', '07 02 01 0000fde9 02', 'as4'],
      ['four-octet numbers from a neighbour with two-octet ones', '06 02 01 0000 fde9', 'as2'],
    ] as const
  ).map(([what, value, session]) =>
    row('RFC 7606 7.2', `AS_PATH with ${what}`, `${ORIGIN}  40 02 ${value}  ${NEXT_HOP}`, 'withdraw', {
      shows: `40 02 ${value}`,
      session,
    }),
  ),
  row(
    'RFC 7606 7.2',
    'AS_PATH with AS 0 (RFC 7607 2)',
    `${ORIGIN}  40 02 06 02 01 00000000  ${NEXT_HOP}`,
    'withdraw',
    {
      shows: '40 02 06 02 01 00000000',
    },
  ),
  row(
    'RFC 5065 5',
    'AS_PATH with a confederation sequence from outside of the confederation',
    `${ORIGIN}  40 02 0c 03 01 0000fe4d 02 01 0000fde9  ${NEXT_HOP}`,
    'withdraw',
    { shows: '40 02 0c 03 01 0000fe4d 02 01 0000fde9' },
  ),
  row(
    'RFC 5065 5',
    'AS_PATH without a confederation sequence in front from another member AS',
    GOOD,
    'withdraw',
    { shows: PATH, session: 'confederation' },
  ),
  row('RFC 7606 7.3', 'NEXT_HOP of 16 bytes', `${ORIGIN}  ${PATH}  40 03 10 ${'20'.repeat(16)}`, 'withdraw', {
    shows: `40 03 10 ${'20'.repeat(16)}`,
  }),
  ...(
    [
      ['0.0.0.0', '00000000'],
      ['127.0.0.1', '7f000001'],
      ['224.0.0.1 (class D)', 'e0000001'],
      ['240.0.0.1 (class E)', 'f0000001'],
      ['255.255.255.255', 'ffffffff'],
    ] as const
  ).map(([what, address]) =>
    row(
      'RFC 7606 7.3',
      `NEXT_HOP ${what} (RFC 4271 6.3)`,
      `${ORIGIN}  ${PATH}  40 03 04 ${address}`,
      'withdraw',
      {
        shows: `40 03 04 ${address}`,
      },
    ),
  ),
  ...(
    [
      ['::', '00000000 00000000 00000000 00000000'],
      ['::1', '00000000 00000000 00000000 00000001'],
      ['ff02::1', 'ff020000 00000000 00000000 00000001'],
    ] as const
  ).map(([what, address]) =>
    row(
      'RFC 4271 6.3',
      `MP_REACH_NLRI with next hop ${what}`,
      `80 0e 16 0002 01 10 ${address} 00 00  ${ORIGIN}  ${PATH}`,
      'withdraw',
      {
        shows: address,
        nlri: '',
      },
    ),
  ),
  after('RFC 7606 7.4', 'MULTI_EXIT_DISC of three bytes', '80 04 03 000000', 'withdraw'),
  after('RFC 7606 7.4', 'MULTI_EXIT_DISC of no bytes', '80 04 00', 'withdraw'),
  after('RFC 7606 7.5', 'LOCAL_PREF from an external neighbour', '40 05 04 00000064', 'discard'),
  after(
    'RFC 7606 7.5',
    'LOCAL_PREF of five bytes from an external neighbour',
    '40 05 05 0000006400',
    'discard',
  ),
  after(
    'RFC 7606 7.5',
    'LOCAL_PREF of five bytes from an internal neighbour',
    '40 05 05 0000006400',
    'withdraw',
    { session: 'ibgp' },
  ),
  after('RFC 7606 7.6', 'ATOMIC_AGGREGATE of one byte', '40 06 01 00', 'discard'),
  after(
    'RFC 7606 7.7',
    'AGGREGATOR of six bytes between neighbours with four-octet numbers',
    'c0 07 06 fde9 c0000209',
    'discard',
  ),
  after(
    'RFC 7606 7.7',
    'AGGREGATOR of eight bytes from a neighbour without',
    'c0 07 08 0000fde9 c0000209',
    'discard',
    { session: 'as2' },
  ),
  after('RFC 7606 7.7', 'AGGREGATOR of no bytes', 'c0 07 00', 'discard'),
  after('RFC 7606 7.7', 'AGGREGATOR with AS 0 (RFC 7607 2)', 'c0 07 08 00000000 c0000209', 'discard'),
  after('RFC 7606 7.8', 'COMMUNITIES of six bytes', 'c0 08 06 fde90001 0000', 'withdraw'),
  after('RFC 7606 7.8', 'COMMUNITIES of no bytes', 'c0 08 00', 'withdraw'),
  after('RFC 7606 7.9', 'ORIGINATOR_ID from an external neighbour', '80 09 04 0a000001', 'discard'),
  after(
    'RFC 7606 7.9',
    'ORIGINATOR_ID of three bytes from an internal neighbour',
    '80 09 03 0a0000',
    'withdraw',
    { session: 'ibgp' },
  ),
  after('RFC 7606 7.10', 'CLUSTER_LIST from an external neighbour', '80 0a 04 0a000001', 'discard'),
  after(
    'RFC 7606 7.10',
    'CLUSTER_LIST of five bytes from an internal neighbour',
    '80 0a 05 0a00000100',
    'withdraw',
    { session: 'ibgp' },
  ),
  after('RFC 7606 7.10', 'CLUSTER_LIST of no bytes from an internal neighbour', '80 0a 00', 'withdraw', {
    session: 'ibgp',
  }),
  ...(
    [
      ['IPv6 with a next hop of 4 bytes', '80 0e 0a 0002 01 04 c0000201 00 00', 'ipv6-unicast'],
      ['IPv6 with a next hop of 24 bytes', `80 0e 1e 0002 01 18 ${'20'.repeat(24)} 00 00`, 'ipv6-unicast'],
      ['IPv6 with a next hop that runs over the end', '80 0e 06 0002 01 10 00 00', 'ipv6-unicast'],
      [
        'IPv6 with a next hop and nothing behind it',
        `80 0e 14 0002 01 10 ${'20'.repeat(16)}`,
        'ipv6-unicast',
      ],
      [
        'IPv4 with an IPv6 next hop that was not agreed on',
        `80 0e 16 0001 01 10 ${'20'.repeat(16)} 00 00`,
        'ipv4-unicast',
      ],
    ] as const
  ).map(([what, reach, family]) =>
    row(
      'RFC 7606 7.11',
      `MP_REACH_NLRI for ${what}`,
      `${reach}  ${ORIGIN}  ${PATH}`,
      `disable ${family} 3/9`,
      {
        shows: reach,
        nlri: '',
      },
    ),
  ),
  after('RFC 7606 7.14', 'EXTENDED COMMUNITIES of seven bytes', 'c0 10 07 0002fde9000000', 'withdraw'),
  after('RFC 7606 7.14', 'EXTENDED COMMUNITIES of no bytes', 'c0 10 00', 'withdraw'),
  after('RFC 8092 6', 'LARGE_COMMUNITY of eight bytes', 'c0 20 08 0000fde9 00000001', 'withdraw'),
  after('RFC 8092 6', 'LARGE_COMMUNITY of no bytes', 'c0 20 00', 'withdraw'),

  // RFC 6793 section 6.
  after(
    'RFC 6793 6',
    'AS4_PATH from a neighbour with four-octet numbers',
    'c0 11 06 02 01 0000fde9',
    'discard',
  ),
  after(
    'RFC 6793 6',
    'AS4_AGGREGATOR from a neighbour with four-octet numbers',
    'c0 12 08 0000fde9 c0000209',
    'discard',
  ),
  ...(
    [
      ['of no bytes', '00'],
      ['of two bytes', '02 02 00'],
      ['with an empty segment', '08 02 01 0000fde9 02 00'],
      ['with a segment of type 7', '06 07 01 0000fde9'],
      ['with a segment that runs over the end', '06 02 02 0000fde9'],
      ['with AS 0 (RFC 7607 2)', '06 02 01 00000000'],
    ] as const
  ).map(([what, value]) =>
    after('RFC 6793 6', `AS4_PATH ${what}`, `c0 11 ${value}`, 'discard', { session: 'as2' }),
  ),
  after('RFC 6793 6', 'AS4_AGGREGATOR of six bytes', 'c0 12 06 fde9 c0000209', 'discard', { session: 'as2' }),
  after('RFC 6793 6', 'AS4_AGGREGATOR with AS 0 (RFC 7607 2)', 'c0 12 08 00000000 c0000209', 'discard', {
    session: 'as2',
  }),
];
